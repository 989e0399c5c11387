import {
  Activity,
  type Cpu,
  Cr0,
  Cr4,
  Efer,
  type Registers,
  readEflags,
  Segment,
  State,
  segmentOffset,
  setSegment,
  writeEflags,
} from '@minusone/x86';
import type { SegmentState, VendorVcpu } from '../vendor/vendor.ts';

/** Copied as they stand in the processors' states: general registers; x87, SSE and AVX; DR6, CR2, XCR0. */
const PLAIN: readonly (readonly [first: number, end: number])[] = [
  [State.gpr, State.gpr + 16 * 8],
  [State.ymm, State.mxcsr + 4],
  [State.dr6, State.dr6 + 4],
  [State.cr2, State.cr2 + 8],
  [State.xcr0, State.xcr0 + 8],
];
const SEGMENTS = 8;
const PDPTES = 4;
const PAGING = Cr0.PG | Cr0.WP | Cr0.PE;

/** Moves a guest's state between the processor that serves it and the one that emulates, by way of the vendor module. Only what an instruction changed is written to the control block. */
export class GuestState {
  readonly #emulator: Cpu;
  readonly #u8: Uint8Array;
  readonly #i32: Int32Array;
  readonly #segment: SegmentState = { selector: 0, base: 0n, limit: 0, attributes: 0 };
  /** The emulator's state, from the segment registers to DR7, as it was loaded. */
  readonly #before = new Int32Array((State.dr7 + 4 - State.segments) >>> 2);
  readonly #first: number;

  constructor(emulator: Cpu) {
    this.#emulator = emulator;
    this.#u8 = emulator.memory.u8;
    this.#i32 = emulator.memory.i32;
    this.#first = (emulator.state + State.segments) >>> 2;
  }

  load(vendor: VendorVcpu): void {
    const emulator = this.#emulator;
    const { registers } = emulator;
    const from = vendor.cpu.state;
    for (const [first, end] of PLAIN) this.#u8.copyWithin(emulator.state + first, from + first, from + end);
    registers.set32(State.rip, vendor.state.ripLow());
    registers.set32(State.rip + 4, vendor.state.ripHigh());
    writeEflags(registers, vendor.debug.rflags());
    registers.set32(State.cpl, vendor.state.cpl());
    for (let index = 0; index < SEGMENTS; index++) {
      const { selector, base, limit, attributes } = vendor.state.segment(index, this.#segment);
      setSegment(registers, index, selector, attributes, limit, low(base), high(base));
    }
    const gdtr = vendor.state.gdtr();
    const idtr = vendor.state.idtr();
    registers.set64(State.gdtrBase, gdtr.base);
    registers.set32(State.gdtrLimit, gdtr.limit);
    registers.set64(State.idtrBase, idtr.base);
    registers.set32(State.idtrLimit, idtr.limit);
    this.#loadPaging(vendor);
    this.#loadBreakpoints(vendor);
    emulator.interruptShadow = vendor.events.shadow();
    emulator.nmiBlocked = vendor.nmis.masked;
    emulator.pendingDebug = 0;
    emulator.activity = Activity.ACTIVE;
    for (let n = 0; n < this.#before.length; n++) this.#before[n] = this.#i32[this.#first + n] as number;
    // The guest has changed its tables since, and nobody was told.
    emulator.engine.flushAll();
    emulator.updateMode();
  }

  #loadPaging(vendor: VendorVcpu): void {
    const emulator = this.#emulator;
    const { registers } = emulator;
    const cr0 = vendor.controlRegisters.cr0();
    const cr3 = vendor.controlRegisters.cr3();
    const cr4 = vendor.controlRegisters.cr4();
    const efer = vendor.controlRegisters.efer();
    let changed =
      ((registers.get32(State.cr0) ^ cr0) & PAGING) !== 0 || registers.get32(State.cr4) !== cr4 || registers.get32(State.efer) !== efer;
    if (registers.get32(State.cr3) !== low(cr3) || registers.get32(State.cr3 + 4) !== high(cr3)) changed = true;
    registers.set32(State.cr0, cr0);
    registers.set64(State.cr3, cr3);
    registers.set32(State.cr4, cr4);
    registers.set32(State.efer, efer);
    if ((cr0 & Cr0.PG) !== 0 && (cr4 & Cr4.PAE) !== 0 && (efer & Efer.LMA) === 0) {
      vendor.state.pdptes().forEach((entry, n) => {
        registers.set64(State.pdptes + n * 8, entry);
      });
      changed = true;
    }
    if (changed) emulator.updatePaging();
  }

  #loadBreakpoints(vendor: VendorVcpu): void {
    const emulator = this.#emulator;
    const { registers } = emulator;
    const from = vendor.cpu.registers;
    const dr7 = vendor.debug.dr7();
    let changed = registers.get32(State.dr7) !== dr7;
    for (let at = State.dr; at < State.dr + 32; at += 4) {
      const value = from.get32(at);
      if (registers.get32(at) === value) continue;
      registers.set32(at, value);
      changed = true;
    }
    if (!changed) return;
    registers.set32(State.dr7, dr7);
    emulator.debug.changed();
  }

  #differs(offset: number): boolean {
    return this.#i32[(this.#emulator.state + offset) >>> 2] !== this.#before[(offset - State.segments) >>> 2];
  }

  /** Gives the guest what the emulator has now. */
  store(vendor: VendorVcpu): void {
    const emulator = this.#emulator;
    const { registers } = emulator;
    const to = vendor.cpu.state;
    for (const [first, end] of PLAIN) this.#u8.copyWithin(to + first, emulator.state + first, emulator.state + end);
    for (let index = 0; index < SEGMENTS; index++) {
      // CPL is SS.DPL to the control block.
      if (this.#segmentDiffers(index) || (index === Segment.SS && this.#differs(State.cpl)))
        vendor.state.setSegment(index, segmentOf(registers, index));
    }
    if (this.#differs(State.gdtrBase) || this.#differs(State.gdtrBase + 4) || this.#differs(State.gdtrLimit))
      vendor.state.setGdtr({ base: registers.get64(State.gdtrBase), limit: registers.get32(State.gdtrLimit) & 0xffff });
    if (this.#differs(State.idtrBase) || this.#differs(State.idtrBase + 4) || this.#differs(State.idtrLimit))
      vendor.state.setIdtr({ base: registers.get64(State.idtrBase), limit: registers.get32(State.idtrLimit) & 0xffff });
    this.#storePaging(vendor);
    if (this.#differs(State.dr7)) vendor.debug.setDr7(registers.get32(State.dr7));
    for (let at = State.dr; at < State.dr + 32; at += 4) vendor.cpu.registers.set32(at, registers.get32(at));
    vendor.debug.setRflags(readEflags(registers));
    vendor.state.setRip(registers.get32(State.rip), registers.get32(State.rip + 4));
    if (emulator.interruptShadow !== vendor.events.shadow()) vendor.events.setShadow(emulator.interruptShadow);
    if (emulator.nmiBlocked !== vendor.nmis.masked) vendor.nmis.set(emulator.nmiBlocked);
  }

  #segmentDiffers(index: number): boolean {
    for (let at = segmentOffset(index, 'base'); at <= segmentOffset(index, 'attributes'); at += 4) if (this.#differs(at)) return true;
    return false;
  }

  #storePaging(vendor: VendorVcpu): void {
    const { registers } = this.#emulator;
    const newCr3 = this.#differs(State.cr3) || this.#differs(State.cr3 + 4);
    const newBits = this.#differs(State.cr0) || this.#differs(State.cr4) || this.#differs(State.efer);
    if (!newCr3 && !newBits) return;
    if (this.#differs(State.efer)) vendor.controlRegisters.setEfer(registers.get32(State.efer));
    if (this.#differs(State.cr0)) vendor.controlRegisters.setCr0(registers.get32(State.cr0));
    if (this.#differs(State.cr4)) vendor.controlRegisters.setCr4(registers.get32(State.cr4));
    if (newCr3) vendor.controlRegisters.setCr3(registers.get64(State.cr3));
    let newPdptes = false;
    for (let at = 0; at < PDPTES * 8; at += 4) if (this.#differs(State.pdptes + at)) newPdptes = true;
    if (newPdptes) {
      const entry = (n: number): bigint => registers.get64(State.pdptes + n * 8);
      vendor.state.setPdptes([entry(0), entry(1), entry(2), entry(3)]);
    }
    vendor.flushGuestTlb();
  }
}

function low(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}
function high(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}

function segmentOf(registers: Registers, index: number): SegmentState {
  return {
    selector: registers.get32(segmentOffset(index, 'selector')) & 0xffff,
    base: registers.get64(segmentOffset(index, 'base')),
    limit: registers.get32(segmentOffset(index, 'limit')) >>> 0,
    attributes: registers.get32(segmentOffset(index, 'attributes')),
  };
}
