import { Cr0, Cr4, cr4Allowed, Efer, Segment, State } from '@minusone/x86';
import { InvalidStateError } from '../../errors.ts';
import { EVERY_PRIORITY } from '../../vendor/vendor.ts';
import type { VcpuCore } from '../core.ts';

/** `struct kvm_segment`. Flags are 0 or 1. */
export interface KvmSegment {
  base: bigint;
  limit: number;
  selector: number;
  type: number;
  present: number;
  dpl: number;
  db: number;
  s: number;
  l: number;
  g: number;
  avl: number;
  unusable: number;
}

/** `struct kvm_dtable`. */
export interface KvmDtable {
  base: bigint;
  limit: number;
}

/** `struct kvm_sregs` (api.rst, 4.13 KVM_GET_SREGS). */
export interface KvmSregs {
  cs: KvmSegment;
  ds: KvmSegment;
  es: KvmSegment;
  fs: KvmSegment;
  gs: KvmSegment;
  ss: KvmSegment;
  tr: KvmSegment;
  ldt: KvmSegment;
  gdt: KvmDtable;
  idt: KvmDtable;
  cr0: bigint;
  cr2: bigint;
  cr3: bigint;
  cr4: bigint;
  cr8: bigint;
  efer: bigint;
  apicBase: bigint;
  /** 256 bits, lowest vector first: the interrupt of KVM_INTERRUPT that has not been injected. */
  interruptBitmap: readonly [bigint, bigint, bigint, bigint];
}

/** `struct kvm_sregs2` (api.rst, 4.131): PDPTEs instead of the bitmap. */
export interface KvmSregs2 extends Omit<KvmSregs, 'interruptBitmap'> {
  /** KVM_SREGS2_FLAGS_PDPTRS_VALID. */
  pdptrsValid: boolean;
  pdptrs: readonly [bigint, bigint, bigint, bigint];
}

export const IA32_APIC_BASE = 0x1b;

const SEGMENTS = {
  cs: Segment.CS,
  ds: Segment.DS,
  es: Segment.ES,
  fs: Segment.FS,
  gs: Segment.GS,
  ss: Segment.SS,
  tr: Segment.TR,
  ldt: Segment.LDTR,
} as const;
type SegmentName = keyof typeof SEGMENTS;
const SEGMENT_NAMES = Object.keys(SEGMENTS) as SegmentName[];

/** Fields of the access-rights format (SDM Vol. 3C, 24.4.1): name, lowest bit, mask. */
const FIELDS = [
  ['type', 0, 0xf],
  ['s', 4, 1],
  ['dpl', 5, 3],
  ['present', 7, 1],
  ['avl', 12, 1],
  ['l', 13, 1],
  ['db', 14, 1],
  ['g', 15, 1],
  ['unusable', 16, 1],
] as const;

function getSegment(core: VcpuCore, name: SegmentName): KvmSegment {
  const { selector, base, limit, attributes } = core.vendor.state.segment(SEGMENTS[name], core.segment);
  const segment = { base, limit, selector } as KvmSegment;
  for (const [field, bit, mask] of FIELDS) segment[field] = (attributes >>> bit) & mask;
  return segment;
}

function setSegment(core: VcpuCore, name: SegmentName, segment: KvmSegment): void {
  let attributes = 0;
  for (const [field, bit, mask] of FIELDS) attributes |= (segment[field] & mask) << bit;
  // As KVM: a segment that is not present cannot be used.
  if (segment.unusable !== 0 || segment.present === 0) attributes |= 1 << 16;
  const { selector, base, limit } = segment;
  core.vendor.state.setSegment(SEGMENTS[name], {
    selector: selector & 0xffff,
    base: BigInt.asUintN(64, base),
    limit: limit >>> 0,
    attributes,
  });
}

export function getSregs(core: VcpuCore): KvmSregs {
  const { interruptQueued } = core.events;
  const word = (n: number): bigint => (interruptQueued >>> 6 === n && interruptQueued >= 0 ? 1n << BigInt(interruptQueued & 63) : 0n);
  return { ...common(core), interruptBitmap: [word(0), word(1), word(2), word(3)] };
}

export function getSregs2(core: VcpuCore): KvmSregs2 {
  const isPae =
    (core.vendor.controlRegisters.cr0() & Cr0.PG) !== 0 &&
    (core.vendor.controlRegisters.cr4() & Cr4.PAE) !== 0 &&
    (core.vendor.controlRegisters.efer() & Efer.LMA) === 0;
  return { ...common(core), pdptrsValid: isPae, pdptrs: isPae ? core.vendor.state.pdptes() : [0n, 0n, 0n, 0n] };
}

function common(core: VcpuCore): Omit<KvmSregs, 'interruptBitmap'> {
  const { vendor, cpu } = core;
  const segments = Object.fromEntries(SEGMENT_NAMES.map((name) => [name, getSegment(core, name)])) as Record<SegmentName, KvmSegment>;
  const gdt = vendor.state.gdtr();
  const idt = vendor.state.idtr();
  return {
    ...segments,
    gdt: { base: gdt.base, limit: gdt.limit },
    idt: { base: idt.base, limit: idt.limit },
    cr0: BigInt(vendor.controlRegisters.cr0() >>> 0),
    cr2: cpu.registers.get64(State.cr2),
    cr3: vendor.controlRegisters.cr3(),
    cr4: BigInt(vendor.controlRegisters.cr4() >>> 0),
    cr8: BigInt(taskPriority(core)),
    efer: BigInt(vendor.controlRegisters.efer() >>> 0),
    apicBase: core.msrs.read(IA32_APIC_BASE, true) ?? 0n,
  };
}

export function taskPriority(core: VcpuCore): number {
  return core.lapic === undefined ? core.vendor.priority.get() : core.lapic.taskPriority >>> 4;
}

/** KVM_SET_SREGS. @throws {InvalidStateError} values of CR0, CR4 and EFER that no processor can have together; nothing is changed then */
export function setSregs(core: VcpuCore, sregs: KvmSregs): void {
  setCommon(core, sregs, undefined);
  const { events } = core;
  const bits = sregs.interruptBitmap.findIndex((word) => word !== 0n);
  // Without an irqchip of KVM's it is the interrupt that waits (api.rst, 4.13).
  events.interruptQueued = bits < 0 ? -1 : bits * 64 + lowestBit(sregs.interruptBitmap[bits] as bigint);
}

export function setSregs2(core: VcpuCore, sregs: KvmSregs2): void {
  setCommon(core, sregs, sregs.pdptrsValid ? sregs.pdptrs : undefined);
}

function lowestBit(word: bigint): number {
  let bit = 0;
  while (((word >> BigInt(bit)) & 1n) === 0n) bit++;
  return bit;
}

function setCommon(
  core: VcpuCore,
  sregs: Omit<KvmSregs, 'interruptBitmap'>,
  pdptrs: readonly [bigint, bigint, bigint, bigint] | undefined,
): void {
  const cr0 = low(sregs.cr0);
  const cr4 = low(sregs.cr4);
  const efer = low(sregs.efer);
  check(core, sregs, cr0, cr4, efer);
  if (sregs.apicBase !== core.msrs.read(IA32_APIC_BASE, true) && !core.msrs.write(IA32_APIC_BASE, sregs.apicBase, true)) {
    throw new InvalidStateError(
      `IA32_APIC_BASE cannot be 0x${sregs.apicBase.toString(16)}.`,
      'See SDM Vol. 3A, 10.12.5 for its transitions.',
      {},
    );
  }
  const { vendor, cpu } = core;
  vendor.controlRegisters.setEfer(efer);
  vendor.controlRegisters.setCr0(cr0);
  vendor.controlRegisters.setCr4(cr4);
  vendor.controlRegisters.setCr3(sregs.cr3);
  cpu.registers.set64(State.cr2, sregs.cr2);
  for (const name of SEGMENT_NAMES) setSegment(core, name, sregs[name]);
  vendor.state.setGdtr({ base: sregs.gdt.base, limit: sregs.gdt.limit & 0xffff });
  vendor.state.setIdtr({ base: sregs.idt.base, limit: sregs.idt.limit & 0xffff });
  const isPae = (cr0 & Cr0.PG) !== 0 && (cr4 & Cr4.PAE) !== 0 && (efer & Efer.LMA) === 0;
  if (isPae) vendor.state.setPdptes(pdptrs ?? pdptesAt(core, Number(sregs.cr3 & 0xffffffe0n)));
  const priority = Number(sregs.cr8 & 15n);
  if (core.lapic === undefined) vendor.priority.set(priority, EVERY_PRIORITY);
  else if (core.lapic.taskPriority >>> 4 !== priority) core.lapic.taskPriority = priority << 4;
  vendor.flushGuestTlb();
  core.stateChanged();
}

function pdptesAt(core: VcpuCore, gpa: number): [bigint, bigint, bigint, bigint] {
  const read = (n: number): bigint => core.vm.physical.read64(gpa + n * 8);
  return [read(0), read(1), read(2), read(3)];
}

function low(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

/** KVM's `kvm_is_valid_sregs`: what it refuses with EINVAL. What only hardware refuses comes as `failEntry`. */
function check(core: VcpuCore, sregs: Omit<KvmSregs, 'interruptBitmap'>, cr0: number, cr4: number, efer: number): void {
  const refuse = (message: string, hint: string): never => {
    throw new InvalidStateError(message, hint, { cr0: sregs.cr0, cr3: sregs.cr3, cr4: sregs.cr4, efer: sregs.efer });
  };
  for (const name of ['cr0', 'cr4', 'efer'] as const) {
    if (sregs[name] >> 32n !== 0n) refuse(`${name.toUpperCase()} has bits above 31.`, 'They are reserved.');
  }
  if ((efer & Efer.LME) !== 0 && (cr0 & Cr0.PG) !== 0) {
    if ((cr4 & Cr4.PAE) === 0) refuse('Long mode with paging needs CR4.PAE.', 'Set bit 5 of cr4.');
    if ((efer & Efer.LMA) === 0) refuse('EFER.LME and CR0.PG are set, but EFER.LMA is not.', 'Set bit 10 of efer.');
    const { physicalBits } = core.vm.host.model;
    if (sregs.cr3 >> BigInt(physicalBits) !== 0n) refuse('CR3 has reserved bits set.', `Physical addresses have ${physicalBits} bits.`);
  } else {
    if ((efer & Efer.LMA) !== 0) refuse('EFER.LMA is set without EFER.LME and CR0.PG.', 'Clear bit 10 of efer.');
    if (sregs.cs.l !== 0) refuse('CS.L is set outside long mode.', 'Clear cs.l.');
  }
  if ((cr0 & Cr0.PG) !== 0 && (cr0 & Cr0.PE) === 0) refuse('CR0.PG is set without CR0.PE.', 'Set bit 0 of cr0.');
  if ((cr0 & Cr0.NW) !== 0 && (cr0 & Cr0.CD) === 0) refuse('CR0.NW is set without CR0.CD.', 'Set bit 30 of cr0, or clear bit 29.');
  const reserved = cr4 & ~cr4Allowed(core.vm.emulator.cpu);
  if (reserved !== 0) refuse(`CR4 has bits set that this processor does not have: 0x${(reserved >>> 0).toString(16)}.`, 'Clear them.');
}
