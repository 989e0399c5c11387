import type { DescriptorTableState, SegmentState, VendorState } from '@minusone/kvm';
import { FIELD } from '@minusone/vtx';
import { Segment } from '@minusone/x86';
import type { ControlStructure } from '../vmcs/control-structure.ts';

/** Fields of the segment registers by `Segment` number: ES CS SS DS FS GS LDTR TR. */
const SEGMENTS = (['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const).map((name) => ({
  selector: FIELD[`GUEST_${name}_SELECTOR`],
  attributes: FIELD[`GUEST_${name}_AR_BYTES`],
  limit: FIELD[`GUEST_${name}_LIMIT`],
  base: FIELD[`GUEST_${name}_BASE`],
}));
type SegmentFields = (typeof SEGMENTS)[number];

const PDPTES = [FIELD.GUEST_PDPTR0, FIELD.GUEST_PDPTR1, FIELD.GUEST_PDPTR2, FIELD.GUEST_PDPTR3] as const;

/** MSRs that the VMCS holds while the guest is out. */
const MSRS: ReadonlyMap<number, number> = new Map([
  [0x174, FIELD.GUEST_SYSENTER_CS],
  [0x175, FIELD.GUEST_SYSENTER_ESP],
  [0x176, FIELD.GUEST_SYSENTER_EIP],
  [0x1d9, FIELD.GUEST_IA32_DEBUGCTL],
  [0x277, FIELD.GUEST_IA32_PAT],
  [0xc000_0100, FIELD.GUEST_FS_BASE],
  [0xc000_0101, FIELD.GUEST_GS_BASE],
]);
const PAT_AFTER_RESET = 0x0007_0406_0007_0406n;

const ACCESSED = 1;
const USER_SEGMENT = 0x10;
const UNUSABLE = 0x1_0000;
/** Bits of the access rights that are not reserved (SDM Vol. 3C, 25.4.1 "Guest Register State"). */
const ACCESS_RIGHTS = 0x1_f0ff;

/** The guest's registers that the VMCS holds while the guest is out: RIP, segments, descriptor tables, PDPTEs, MSRs. */
export class GuestState implements VendorState {
  readonly #structure: ControlStructure;

  constructor(structure: ControlStructure) {
    this.#structure = structure;
  }

  ripLow(): number {
    return this.#structure.low(FIELD.GUEST_RIP);
  }
  ripHigh(): number {
    return this.#structure.high(FIELD.GUEST_RIP);
  }
  setRip(low: number, high: number): void {
    this.#structure.set(FIELD.GUEST_RIP, low, high);
  }

  segment(index: number, into: SegmentState): SegmentState {
    const structure = this.#structure;
    const fields = SEGMENTS[index] as SegmentFields;
    into.selector = structure.low(fields.selector) & 0xffff;
    into.attributes = structure.low(fields.attributes);
    into.limit = structure.low(fields.limit) >>> 0;
    into.base = structure.read(fields.base);
    return into;
  }

  /** A usable code or data segment is marked accessed, as loading it would have done, and as VM entry asks (SDM Vol. 3C, 27.3.1.2); KVM does so too. */
  setSegment(index: number, value: SegmentState): void {
    const structure = this.#structure;
    const fields = SEGMENTS[index] as SegmentFields;
    const isData = (value.attributes & (UNUSABLE | USER_SEGMENT)) === USER_SEGMENT;
    structure.set(fields.selector, value.selector);
    structure.set(fields.attributes, (value.attributes & ACCESS_RIGHTS) | (isData ? ACCESSED : 0));
    structure.set(fields.limit, value.limit);
    structure.write(fields.base, value.base);
  }

  /** SS.DPL (SDM Vol. 3C, 25.4.1). */
  cpl(): number {
    return (this.#structure.low(FIELD.GUEST_SS_AR_BYTES) >>> 5) & 3;
  }

  gdtr(): DescriptorTableState {
    return { base: this.#structure.read(FIELD.GUEST_GDTR_BASE), limit: this.#structure.low(FIELD.GUEST_GDTR_LIMIT) };
  }
  setGdtr(value: DescriptorTableState): void {
    this.#structure.write(FIELD.GUEST_GDTR_BASE, value.base);
    this.#structure.set(FIELD.GUEST_GDTR_LIMIT, value.limit & 0xffff);
  }
  idtr(): DescriptorTableState {
    return { base: this.#structure.read(FIELD.GUEST_IDTR_BASE), limit: this.#structure.low(FIELD.GUEST_IDTR_LIMIT) };
  }
  setIdtr(value: DescriptorTableState): void {
    this.#structure.write(FIELD.GUEST_IDTR_BASE, value.base);
    this.#structure.set(FIELD.GUEST_IDTR_LIMIT, value.limit & 0xffff);
  }

  /** With EPT, exits save and entries load the PDPTEs of a guest with PAE paging (SDM Vol. 3C, 28.3.4, 27.3.2.4). */
  pdptes(): readonly [bigint, bigint, bigint, bigint] {
    const read = (n: 0 | 1 | 2 | 3): bigint => this.#structure.read(PDPTES[n]);
    return [read(0), read(1), read(2), read(3)];
  }
  setPdptes(values: readonly [bigint, bigint, bigint, bigint]): void {
    for (const [n, value] of values.entries()) this.#structure.write(PDPTES[n] as number, value);
  }

  msr(index: number): bigint | undefined {
    const field = MSRS.get(index >>> 0);
    return field === undefined ? undefined : this.#structure.read(field);
  }
  setMsr(index: number, value: bigint): boolean {
    const field = MSRS.get(index >>> 0);
    if (field === undefined) return false;
    this.#structure.write(field, value);
    return true;
  }

  setTscOffset(ticks: bigint): void {
    this.#structure.write(FIELD.TSC_OFFSET, ticks);
  }

  /** SDM Vol. 3A, Table 9-1 "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT": INIT leaves MSRs. */
  reset(init: boolean): void {
    const structure = this.#structure;
    const data = { selector: 0, base: 0n, limit: 0xffff, attributes: 0x93 };
    for (const index of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) this.setSegment(index, data);
    this.setSegment(Segment.CS, { ...data, selector: 0xf000, base: 0xffff_0000n, attributes: 0x9b });
    this.setSegment(Segment.LDTR, { ...data, attributes: 0x82 });
    this.setSegment(Segment.TR, { ...data, attributes: 0x8b });
    this.setGdtr({ base: 0n, limit: 0xffff });
    this.setIdtr({ base: 0n, limit: 0xffff });
    structure.set(FIELD.GUEST_RIP, 0xfff0);
    structure.set(FIELD.GUEST_RFLAGS, 2);
    structure.set(FIELD.GUEST_ACTIVITY_STATE, 0);
    structure.set(FIELD.GUEST_PENDING_DBG_EXCEPTIONS, 0);
    if (init) return;
    for (const field of MSRS.values()) if (field !== FIELD.GUEST_FS_BASE && field !== FIELD.GUEST_GS_BASE) structure.set(field, 0);
    structure.write(FIELD.GUEST_IA32_PAT, PAT_AFTER_RESET);
  }
}
