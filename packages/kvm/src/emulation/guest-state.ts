import { type Cpu, type Registers, readEflags, Segment, State, segmentOffset, setSegment, writeEflags } from '@minusone/x86';
import type { SegmentState, VendorVcpu } from '../vendor/vendor.ts';

/** Copied as they stand in the processors' states: general registers; x87, SSE and AVX; debug registers. */
const PLAIN: readonly (readonly [first: number, end: number])[] = [
  [State.gpr, State.gpr + 16 * 8],
  [State.ymm, State.mxcsr + 4],
  [State.dr, State.dr + 4 * 8],
  [State.dr6, State.dr6 + 4],
  [State.cr2, State.cr2 + 8],
  [State.xcr0, State.xcr0 + 8],
];
const SEGMENTS = [Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS, Segment.LDTR, Segment.TR] as const;

/** Fields of the control block, as they were loaded: only what an instruction changed is written back. */
const WATCHED: readonly number[] = [
  State.gdtrBase,
  State.gdtrBase + 4,
  State.gdtrLimit,
  State.idtrBase,
  State.idtrBase + 4,
  State.idtrLimit,
  State.cr0,
  State.cr3,
  State.cr3 + 4,
  State.cr4,
  State.efer,
  State.dr7,
  ...[0, 4, 8, 12, 16, 20, 24, 28].map((at) => State.pdptes + at),
];

/** Moves a guest's state between the processor that serves it and the one that emulates, by way of the vendor module. */
export class GuestState {
  readonly #emulator: Cpu;
  readonly #u8: Uint8Array;
  readonly #segment: SegmentState = { selector: 0, base: 0n, limit: 0, attributes: 0 };
  readonly #before = new Int32Array(WATCHED.length);
  readonly #segmentsBefore = new Int32Array(SEGMENTS.length * 5);
  #cplBefore = 0;

  constructor(emulator: Cpu) {
    this.#emulator = emulator;
    this.#u8 = emulator.memory.u8;
  }

  load(vendor: VendorVcpu): void {
    const emulator = this.#emulator;
    const { registers } = emulator;
    const from = vendor.cpu.state;
    for (const [first, end] of PLAIN) this.#u8.copyWithin(emulator.state + first, from + first, from + end);
    registers.set32(State.rip, vendor.ripLow());
    registers.set32(State.rip + 4, vendor.ripHigh());
    writeEflags(registers, vendor.rflags());
    registers.set32(State.cpl, vendor.cpl());
    for (const index of SEGMENTS) {
      const { selector, base, limit, attributes } = vendor.segment(index, this.#segment);
      setSegment(registers, index, selector, attributes, limit, Number(BigInt.asIntN(32, base)), Number(BigInt.asIntN(32, base >> 32n)));
    }
    const gdtr = vendor.gdtr();
    const idtr = vendor.idtr();
    registers.set64(State.gdtrBase, gdtr.base);
    registers.set32(State.gdtrLimit, gdtr.limit);
    registers.set64(State.idtrBase, idtr.base);
    registers.set32(State.idtrLimit, idtr.limit);
    registers.set32(State.cr0, vendor.cr0());
    registers.set64(State.cr3, vendor.cr3());
    registers.set32(State.cr4, vendor.cr4());
    registers.set64(State.efer, BigInt(vendor.efer() >>> 0));
    registers.set32(State.dr7, vendor.dr7());
    vendor.pdptes().forEach((entry, n) => {
      registers.set64(State.pdptes + n * 8, entry);
    });
    emulator.interruptShadow = vendor.interruptShadow();
    emulator.nmiBlocked = vendor.nmiMasked();
    emulator.pendingDebug = 0;
    emulator.activity = 0;
    this.#remember(registers);
    emulator.updatePaging();
    emulator.debug.changed();
    emulator.engine.flushAll();
    emulator.updateMode();
  }

  #remember(registers: Registers): void {
    this.#cplBefore = registers.get32(State.cpl);
    for (let n = 0; n < WATCHED.length; n++) this.#before[n] = registers.get32(WATCHED[n] as number);
    for (let n = 0; n < SEGMENTS.length; n++)
      this.#segmentWords(registers, n, (word, value) => (this.#segmentsBefore[n * 5 + word] = value));
  }
  #segmentWords(registers: Registers, index: number, see: (word: number, value: number) => void): void {
    const base = segmentOffset(index, 'base');
    see(0, registers.get32(base));
    see(1, registers.get32(base + 4));
    see(2, registers.get32(segmentOffset(index, 'limit')));
    see(3, registers.get32(segmentOffset(index, 'selector')));
    see(4, registers.get32(segmentOffset(index, 'attributes')));
  }

  /** Gives the guest what the emulator has now. */
  store(vendor: VendorVcpu): void {
    const emulator = this.#emulator;
    const { registers } = emulator;
    const to = vendor.cpu.state;
    for (const [first, end] of PLAIN) this.#u8.copyWithin(to + first, emulator.state + first, emulator.state + end);
    const from = this.#changed(registers);
    for (let n = 0; n < SEGMENTS.length; n++) {
      let changed = n === Segment.SS && registers.get32(State.cpl) !== this.#cplBefore;
      this.#segmentWords(registers, n, (word, value) => {
        if (this.#segmentsBefore[n * 5 + word] !== value) changed = true;
      });
      if (changed) vendor.setSegment(n, segmentOf(registers, n));
    }
    const has = (offset: number): boolean => from.has(offset) || from.has(offset + 4);
    if (has(State.gdtrBase) || from.has(State.gdtrLimit))
      vendor.setGdtr({ base: registers.get64(State.gdtrBase), limit: registers.get32(State.gdtrLimit) & 0xffff });
    if (has(State.idtrBase) || from.has(State.idtrLimit))
      vendor.setIdtr({ base: registers.get64(State.idtrBase), limit: registers.get32(State.idtrLimit) & 0xffff });
    if (from.has(State.efer)) vendor.setEfer(registers.get32(State.efer));
    if (from.has(State.cr0)) vendor.setCr0(registers.get32(State.cr0));
    if (from.has(State.cr4)) vendor.setCr4(registers.get32(State.cr4));
    if (has(State.cr3)) vendor.setCr3(registers.get64(State.cr3));
    if (WATCHED.some((offset) => offset >= State.pdptes && offset < State.pdptes + 32 && from.has(offset))) {
      const pdpte = (n: number): bigint => registers.get64(State.pdptes + n * 8);
      vendor.setPdptes([pdpte(0), pdpte(1), pdpte(2), pdpte(3)]);
    }
    if (from.has(State.dr7)) vendor.setDr7(registers.get32(State.dr7));
    if (has(State.cr3) || [State.cr0, State.cr4, State.efer].some((offset) => from.has(offset))) vendor.flushGuestTlb();
    vendor.setRflags(readEflags(registers));
    vendor.setRip(registers.get32(State.rip), registers.get32(State.rip + 4));
    const shadow = emulator.interruptShadow;
    if (shadow !== vendor.interruptShadow()) vendor.setInterruptShadow(shadow);
    if (emulator.nmiBlocked !== vendor.nmiMasked()) vendor.setNmiMasked(emulator.nmiBlocked);
  }

  #changed(registers: Registers): Set<number> {
    const changed = new Set<number>();
    for (let n = 0; n < WATCHED.length; n++)
      if (registers.get32(WATCHED[n] as number) !== this.#before[n]) changed.add(WATCHED[n] as number);
    return changed;
  }
}

function segmentOf(registers: Registers, index: number): SegmentState {
  return {
    selector: registers.get32(segmentOffset(index, 'selector')) & 0xffff,
    base: registers.get64(segmentOffset(index, 'base')),
    limit: registers.get32(segmentOffset(index, 'limit')) >>> 0,
    attributes: registers.get32(segmentOffset(index, 'attributes')),
  };
}
