import type { KvmRegs, KvmSegment, KvmSregs, Vcpu } from '@minusone/kvm';
import type { BootState, SegmentName } from '@minusone/loader';

const SEGMENTS: Readonly<Record<SegmentName, 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldt' | 'tr'>> = {
  es: 'es',
  cs: 'cs',
  ss: 'ss',
  ds: 'ds',
  fs: 'fs',
  gs: 'gs',
  ldtr: 'ldt',
  tr: 'tr',
};
const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;

/** Puts a virtual CPU that is as after reset into the state in which a loader wants its image started. */
export function applyKvmBootState(vcpu: Vcpu, state: BootState): void {
  const regs: Partial<KvmRegs> = { rip: BigInt(state.rip), rflags: BigInt(state.rflags) };
  if (!state.keepsReset) {
    const given = state.registers as Readonly<Record<string, number | undefined>>;
    for (const name of REGISTERS) regs[name] = BigInt(given[name] ?? 0);
  }
  const sregs: KvmSregs = {
    ...vcpu.getSregs(),
    gdt: { base: BigInt(state.gdtr.base), limit: state.gdtr.limit },
    idt: { base: BigInt(state.idtr.base), limit: state.idtr.limit },
    cr0: BigInt(state.cr0 >>> 0),
    cr3: BigInt(state.cr3),
    cr4: BigInt(state.cr4),
    efer: BigInt(state.efer),
  };
  for (const [name, segment] of Object.entries(state.segments) as [SegmentName, BootState['segments'][SegmentName]][]) {
    sregs[SEGMENTS[name]] = kvmSegment(segment);
  }
  vcpu.setSregs(sregs);
  vcpu.setRegs(regs);
}

/** `attributes`: the access-rights format (SDM Vol. 3C, 24.4.1). */
function kvmSegment({ selector, base, limit, attributes }: BootState['segments'][SegmentName]): KvmSegment {
  const bit = (index: number): number => (attributes >>> index) & 1;
  return {
    base: BigInt(base),
    limit,
    selector,
    type: attributes & 15,
    s: bit(4),
    dpl: (attributes >>> 5) & 3,
    present: bit(7),
    avl: bit(12),
    l: bit(13),
    db: bit(14),
    g: bit(15),
    unusable: bit(16),
  };
}
