import { intel, ModeBit, State } from '@minusone/x86';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExitReason } from '../exit/reasons.ts';
import type { VmcsFieldName } from '../vmcs/fields.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

/** What a guest does, each at a place of its own; HLT follows. */
const PIECES: readonly (readonly number[])[] = [
  [0x0f, 0xa2], // cpuid
  [0x68, 0x02, 0x02, 0x04, 0x00, 0x9d], // push AC | IF; popf
  [0x68, 0x02, 0x00, 0x00, 0x00, 0x9d], // push 2; popf
  [0xb8, 0x00, 0x00, 0x02, 0x00, 0x0f, 0x22, 0xd8], // mov cr3, 20000h
  [0x66, 0xb8, 0x18, 0x00, 0x8e, 0xd8], // mov ds, 18h
  [0x31, 0xc0, 0x8e, 0xe8], // mov gs, 0
  [0x66, 0xb8, 0x18, 0x00, 0x8e, 0xd0], // mov ss, 18h
  [0xb9, 0x74, 0x01, 0x00, 0x00, 0xb8, 0x34, 0x12, 0x00, 0x00, 0x31, 0xd2, 0x0f, 0x30], // wrmsr IA32_SYSENTER_CS
  [0xfb], // sti
  [0xe6, 0x10], // out
  [0x0f, 0x0b], // ud2
  [0x0f, 0x20, 0xc0, 0x0c, 0x08, 0x0f, 0x22, 0xc0], // or cr0, TS
  [0x8a, 0x04, 0x25, 0x00, 0xa0, 0x00, 0x00], // mov al, [0xa000]
  [0x8a, 0x04, 0x25, 0x00, 0x00, 0x50, 0x00], // mov al, [0x500000]: not mapped
  [0xcd, 0x30], // int 30h
];
const place = (piece: number): number => Guest.CODE + 32 * piece;

interface Write {
  readonly field: VmcsFieldName;
  readonly value: bigint;
}
/** What a hypervisor writes between exits; some of it makes the next entry fail. */
const WRITES: readonly Write[] = (
  [
    ['GUEST_RIP', 0x1000n],
    ['GUEST_RIP', 1n << 60n],
    ['GUEST_RSP', 0x8800n],
    ['GUEST_RFLAGS', 2n],
    ['GUEST_RFLAGS', 0x202n],
    ['GUEST_RFLAGS', 0x4_0002n],
    ['GUEST_RFLAGS', 0x102n],
    ['GUEST_RFLAGS', 0x1_0002n],
    ['GUEST_CR0', 0x8000_0039n],
    ['GUEST_CR0', 0x8000_0031n],
    ['GUEST_CR3', 0x2_0000n],
    ['GUEST_CR3', 0x2_0018n],
    ['GUEST_CR4', 0x2020n],
    ['GUEST_CR4', 0x20a0n],
    ['GUEST_DS_BASE', 0x1000n],
    ['GUEST_FS_BASE', 0x7000n],
    ['GUEST_DS_AR_BYTES', 0x1_0000n],
    ['GUEST_DS_AR_BYTES', 0xc093n],
    ['GUEST_GDTR_LIMIT', 0x47n],
    ['GUEST_SYSENTER_CS', 0x8n],
    ['GUEST_DR7', 0x400n],
    ['GUEST_DR7', 0x401n],
    ['GUEST_INTERRUPTIBILITY_INFO', 0n],
    ['GUEST_INTERRUPTIBILITY_INFO', 1n],
    ['GUEST_INTERRUPTIBILITY_INFO', 8n],
    ['GUEST_ACTIVITY_STATE', 0n],
    ['GUEST_PENDING_DBG_EXCEPTIONS', 0x4000n],
    ['VM_ENTRY_INTR_INFO_FIELD', 0x8000_0031n],
    ['VM_ENTRY_INTR_INFO_FIELD', 0x8000_0306n],
    ['VM_ENTRY_INTR_INFO_FIELD', 0x8000_0202n],
    ['EXCEPTION_BITMAP', 0n],
    ['EXCEPTION_BITMAP', 0x4042n],
    ['TSC_OFFSET', 0x1234n],
    ['VIRTUAL_PROCESSOR_ID', 7n],
  ] as const
).map(([field, value]) => ({ field, value }));

interface Turn {
  readonly piece: number;
  readonly writes: readonly Write[];
  /** DR0, by which the hypervisor may change breakpoints that no VMCS holds. */
  readonly dr0: number;
  readonly other: boolean;
}
const turn: fc.Arbitrary<Turn> = fc.record({
  piece: fc.nat(PIECES.length - 1),
  writes: fc.array(fc.constantFrom(...WRITES), { maxLength: 3 }),
  dr0: fc.constantFrom(0, place(0), place(9)),
  other: fc.boolean(),
});

function machine(hostExecutes: boolean, jitThreshold: number | undefined): VmxMachine {
  const m = new VmxMachine({ hostExecutes, ...(jitThreshold !== undefined && { jitThreshold }) });
  m.vmx.vmxon(At.VMXON);
  for (const at of [At.VMCS2, At.VMCS]) m.vmcsAt(at, '64-bit', { VIRTUAL_PROCESSOR_ID: at === At.VMCS ? 1n : 2n });
  for (const [n, piece] of PIECES.entries()) m.code([...piece, 0xf4], place(n));
  return m;
}

/** What can be seen of a turn: both VMCSs whole, and the general registers but the host's RSP. */
function play(m: VmxMachine, { piece, writes, dr0, other }: Turn): unknown {
  m.vmx.vmptrld(other ? At.VMCS2 : At.VMCS);
  m.vmcs.assign({ GUEST_RIP: BigInt(place(piece)), GUEST_ACTIVITY_STATE: 0n });
  for (const { field, value } of writes) m.vmcs.assign({ [field]: value });
  m.cpu.registers.set64(State.dr, BigInt(dr0));
  const outcome = m.vmcs.launchState === 'clear' ? m.vmx.vmlaunch() : m.vmx.vmresume();
  if (m.vmx.inNonRootOperation) m.cpu.run(200);
  const ran = m.vmx.inNonRootOperation;
  if (ran) {
    m.cpu.raiseInit();
    while (m.vmx.inNonRootOperation) m.cpu.run(1);
  }
  const registers = [0, 1, 2, 3, 5, 6, 7].map((index) => m.gpr(index));
  const { u8, ramOffset } = m.memory;
  const regions = [At.VMCS, At.VMCS2].map((at) => Buffer.from(u8.subarray(ramOffset + at, ramOffset + at + 4096)).toString('hex'));
  return { outcome, ran, registers, regions };
}

test.each([undefined, 1])(
  'a host that executes nothing sees the same exits as one whose state is loaded; compiled after %s (SDM Vol. 3C, 27.3.2, 28.5)',
  (threshold) => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 2, maxLength: 12 }), (turns) => {
        const [loaded, resident] = [machine(true, threshold), machine(false, threshold)];
        for (const each of turns) {
          const expected = play(loaded, each);
          expect(play(resident, each)).toEqual(expected);
        }
      }),
      { numRuns: threshold === undefined ? 60 : 15 },
    );
  },
);

describe('what an entry has to notice of a guest that has stayed', () => {
  test('RFLAGS.AC, with which its accesses are checked (SDM Vol. 3A, 6.15 "Alignment Check Exception")', () => {
    const m = new VmxMachine({ hostExecutes: false }).ready('64-bit', {
      GUEST_CS_AR_BYTES: 0xa0fbn,
      GUEST_CS_SELECTOR: 3n,
      GUEST_SS_AR_BYTES: 0xc0f3n,
      GUEST_SS_SELECTOR: 3n,
      GUEST_CR0: 0x8004_0031n,
      EXCEPTION_BITMAP: 1n << 17n,
    });
    m.code([0x8b, 0x04, 0x25, 0x01, 0xa0, 0x00, 0x00, 0x0f, 0xa2]); // mov eax, [0xa001]; cpuid
    expect(m.enter()).toBe(ExitReason.CPUID);
    m.vmcs.assign({ GUEST_RFLAGS: 0x4_0002n, GUEST_RIP: BigInt(Guest.CODE) });
    expect([m.enter(), m.field('VM_EXIT_INTR_INFO') & 0xff]).toEqual([ExitReason.EXCEPTION_NMI, 17]);
  });

  test('DR0 to DR3, which no VMCS holds, under the same DR7', () => {
    const m = new VmxMachine({ hostExecutes: false }).ready('64-bit', { GUEST_DR7: 0x401n, EXCEPTION_BITMAP: 2n });
    m.code([0x90, 0x90, 0x0f, 0xa2]); // nop; nop; cpuid
    for (const at of [Guest.CODE, Guest.CODE + 1]) {
      m.cpu.registers.set64(State.dr, BigInt(at));
      expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.EXCEPTION_NMI, at]);
      m.vmcs.assign({ GUEST_RFLAGS: 2n });
    }
  });

  test('XCR0, with which AVX is there or not', () => {
    const m = new VmxMachine({ hostExecutes: false, model: intel.with('XSAVE', 'AVX') }).ready('64-bit');
    m.vmcs.assign({ GUEST_CR4: BigInt(m.field('GUEST_CR4') | 0x4_0200) });
    m.code([0x0f, 0xa2]);
    expect(m.enter()).toBe(ExitReason.CPUID);
    for (const [xcr0, mode] of [
      [7n, ModeBit.AVX],
      [1n, 0],
    ] as const) {
      m.cpu.registers.set64(State.xcr0, xcr0);
      m.vmx.vmresume();
      expect(m.cpu.modeWord & ModeBit.AVX).toBe(mode);
      expect(m.go()).toBe(ExitReason.CPUID);
    }
  });
});

test('the processor waits in shutdown between exits, and executes nothing of its own', () => {
  const m = machine(false, undefined);
  expect(m.enter()).toBe(ExitReason.CPUID);
  const rip = m.cpu.registers.rip;
  expect([m.cpu.run(100), m.cpu.registers.rip]).toEqual(['shutdown', rip]);
  expect(m.enter()).toBe(ExitReason.CPUID);
});
