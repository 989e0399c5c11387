import { VMCB_FIELD } from '@minusone/amdv';
import type { DescriptorTableState, SegmentState, VendorState } from '@minusone/kvm';
import { type Cpu, Dr6, Dr7, Segment, SegmentField, State, segmentOffset, setSegment } from '@minusone/x86';
import { Clean, type ControlBlock } from '../vmcb/control-block.ts';
import { fromVmcbAttributes, toVmcbAttributes } from '../vmcb/segments.ts';
import type { GuestPdptes } from './guest-pdptes.ts';

const IA32_PAT = 0x277;
const PAT_AFTER_RESET = 0x0007_0406_0007_0406n;

interface SegmentFields {
  readonly selector: number;
  readonly attributes: number;
  readonly limit: number;
  readonly base: number;
}
/** What VMRUN and #VMEXIT switch (APM Vol. 2 15.5.1): ES CS SS DS. FS, GS, LDTR and TR stay in the processor, as the host, being TypeScript, needs none. */
const SWITCHED: readonly SegmentFields[] = (['ES', 'CS', 'SS', 'DS'] as const).map((name) => ({
  selector: VMCB_FIELD[`${name}_SELECTOR`],
  attributes: VMCB_FIELD[`${name}_ATTRIBUTES`],
  limit: VMCB_FIELD[`${name}_LIMIT`],
  base: VMCB_FIELD[`${name}_BASE`],
}));

/** The guest's registers that the VMCB holds while the guest is out, and the segments that VMRUN leaves alone. */
export class GuestState implements VendorState {
  readonly #block: ControlBlock;
  readonly #cpu: Cpu;
  readonly #pdptes: GuestPdptes;
  readonly #flush: () => void;

  /** @param flush forgets the guest's translations */
  constructor(block: ControlBlock, cpu: Cpu, pdptes: GuestPdptes, flush: () => void) {
    this.#block = block;
    this.#cpu = cpu;
    this.#pdptes = pdptes;
    this.#flush = flush;
  }

  ripLow(): number {
    return this.#block.low(VMCB_FIELD.RIP);
  }
  ripHigh(): number {
    return this.#block.high(VMCB_FIELD.RIP);
  }
  setRip(low: number, high: number): void {
    this.#block.set(VMCB_FIELD.RIP, Clean.NONE, low, high);
  }
  cpl(): number {
    return this.#block.low(VMCB_FIELD.CPL) & 3;
  }

  segment(index: number, into: SegmentState): SegmentState {
    const fields = SWITCHED[index];
    if (fields === undefined) return this.#segmentInProcessor(index, into);
    const block = this.#block;
    into.selector = block.low(fields.selector) & 0xffff;
    into.attributes = fromVmcbAttributes(block.low(fields.attributes));
    into.limit = block.low(fields.limit) >>> 0;
    into.base = block.read(fields.base);
    return into;
  }

  setSegment(index: number, value: SegmentState): void {
    const fields = SWITCHED[index];
    const low = Number(BigInt.asIntN(32, value.base));
    const high = Number(BigInt.asIntN(32, value.base >> 32n));
    if (fields === undefined) {
      setSegment(this.#cpu.registers, index, value.selector, value.attributes, value.limit, low, high);
      return;
    }
    const block = this.#block;
    block.set(fields.selector, Clean.SEG, value.selector & 0xffff);
    block.set(fields.attributes, Clean.SEG, toVmcbAttributes(value.attributes));
    block.set(fields.limit, Clean.SEG, value.limit);
    block.set(fields.base, Clean.SEG, low, high);
    // CPL is a field of its own, and SS.DPL where it comes from (APM Vol. 2 4.7.2).
    if (index === Segment.SS) block.set(VMCB_FIELD.CPL, Clean.SEG, (value.attributes >>> 5) & 3);
  }

  #segmentInProcessor(index: number, into: SegmentState): SegmentState {
    const { registers } = this.#cpu;
    const at = segmentOffset(index, 'base');
    into.selector = registers.get32(at + SegmentField.selector) & 0xffff;
    into.attributes = registers.get32(at + SegmentField.attributes);
    into.limit = registers.get32(at + SegmentField.limit) >>> 0;
    into.base = registers.get64(at);
    return into;
  }

  gdtr(): DescriptorTableState {
    return { base: this.#block.read(VMCB_FIELD.GDTR_BASE), limit: this.#block.low(VMCB_FIELD.GDTR_LIMIT) & 0xffff };
  }
  setGdtr(value: DescriptorTableState): void {
    this.#block.write(VMCB_FIELD.GDTR_BASE, Clean.DT, value.base);
    this.#block.set(VMCB_FIELD.GDTR_LIMIT, Clean.DT, value.limit & 0xffff);
  }
  idtr(): DescriptorTableState {
    return { base: this.#block.read(VMCB_FIELD.IDTR_BASE), limit: this.#block.low(VMCB_FIELD.IDTR_LIMIT) & 0xffff };
  }
  setIdtr(value: DescriptorTableState): void {
    this.#block.write(VMCB_FIELD.IDTR_BASE, Clean.DT, value.base);
    this.#block.set(VMCB_FIELD.IDTR_LIMIT, Clean.DT, value.limit & 0xffff);
  }

  pdptes(): readonly [bigint, bigint, bigint, bigint] {
    return this.#pdptes.read(this.#block.low(VMCB_FIELD.CR3));
  }
  /** PDPTEs are where CR3 says: they cannot be set apart from memory, on AMD processors (see `GuestPdptes`). */
  setPdptes(): void {
    this.#flush();
  }

  msr(index: number): bigint | undefined {
    return index === IA32_PAT ? this.#block.read(VMCB_FIELD.G_PAT) : undefined;
  }
  setMsr(index: number, value: bigint): boolean {
    if (index !== IA32_PAT) return false;
    this.#block.write(VMCB_FIELD.G_PAT, Clean.NP, value);
    return true;
  }

  setTscOffset(ticks: bigint): void {
    this.#block.write(VMCB_FIELD.TSC_OFFSET, Clean.I, BigInt.asUintN(64, ticks));
  }

  /** APM Vol. 2 14.1.3, Table 14-1 "Initial Processor State": INIT leaves the PAT. */
  reset(init: boolean): void {
    const block = this.#block;
    const data = { selector: 0, base: 0n, limit: 0xffff, attributes: 0x93 };
    for (const index of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) this.setSegment(index, data);
    this.setSegment(Segment.CS, { ...data, selector: 0xf000, base: 0xffff_0000n });
    this.setSegment(Segment.LDTR, { ...data, attributes: 0x82 });
    this.setSegment(Segment.TR, { ...data, attributes: 0x8b });
    this.setGdtr({ base: 0n, limit: 0xffff });
    this.setIdtr({ base: 0n, limit: 0xffff });
    block.set(VMCB_FIELD.DR6, Clean.DRX, Dr6.INITIAL);
    block.set(VMCB_FIELD.DR7, Clean.DRX, Dr7.FIXED);
    block.set(VMCB_FIELD.RFLAGS, Clean.NONE, 2);
    block.set(VMCB_FIELD.RIP, Clean.NONE, 0xfff0);
    if (!init) block.write(VMCB_FIELD.G_PAT, Clean.NP, PAT_AFTER_RESET);
    this.#cpu.registers.set32(State.dr6, Dr6.INITIAL);
  }
}
