import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import {
  CodeSpace,
  type Cpu,
  CpuEngine,
  type CpuModel,
  Cr0,
  Cr4,
  Decoder,
  Efer,
  type InterceptEvent,
  instructionTable,
  type JitOptions,
  type Layer,
  Processors,
  readEflags,
  Segment,
  State,
  setSegment,
  writeEflags,
} from '@minusone/x86';
import { WINDOW_BYTES, WINDOWS, windowContents } from '../fill.ts';
import { type Batch, CASE_HEADER_BYTES, CaseField } from './batch.ts';

/** Guest-physical places: the windows first, then what the machine needs to be in long mode. */
const PHYSICAL = { code: 0x1_0000, data: 0x1_2000, stack: 0x1_4000, pml4: 0x2_0000, idt: 0x3_0000, gdt: 0x3_1000 } as const;
const RAM_BYTES = 0x4_0000;
const WINDOW_NAMES = ['code', 'data', 'stack'] as const;
const BREAKPOINT = 0xcc;
const NOP = 0x90;
/** Linux's selectors for user code and data, and those of native/silicon.h's LDT. */
const Selector = { CS_32: 0x23, CS_64: 0x33, CS_16: 0x0f, FLAT: 0x2b, DATA_WINDOW: 0x17, STACK_16: 0x1f, STACK_32: 0x27 } as const;
/** Present, DPL 3, accessed: code that may be read; data that may be written. */
const CODE = 0xfb;
const DATA = 0xf3;
const L = 0x2000;
const DB = 0x4000;
const G = 0x8000;
const FLAT_LIMIT = 0xffff_ffff;

const EFLAGS_OF_CASES = 0x4_0cd5;
const EFLAGS_ALL = 0x3f_ffff;
const EFLAGS_IF = 0x200;

/** How an instance ended on our machine; as `SiliconStatus`, by its number. */
export const Ended = { OK: 0, EXCEPTION: 1, LIMIT: 6 } as const;

/**
 * Our CPU with what a Linux process sees around it: long mode, user mode, three windows of memory and nothing else. It runs the cases of a batch as the native side does: from the same
 * record, up to the breakpoint behind the code, for one instruction, or to an exception.
 */
export class ComparedMachine {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly cpu: Cpu;
  readonly space: CodeSpace;
  /** The windows in linear memory. */
  readonly windows: readonly { readonly base: number; readonly bytes: Uint8Array }[];
  /** The end of the last case. */
  ended = 0;
  vector = 0;
  errorCode = 0;
  cr2Low = 0;
  cr2High = 0;
  /** Instructions that a case that runs free may take, the breakpoint included. */
  freeBudget = 2;
  ripLow = 0;
  ripHigh = 0;
  #seed = -1;
  #seeded: readonly Uint8Array[] = [];
  #mode = 0;
  /** What the code window holds between cases. */
  readonly #code: Uint8Array = new Uint8Array(WINDOW_BYTES).fill(NOP);
  #codeAt = -1;
  #codeBytes = 0;
  #caught = false;

  constructor(model: CpuModel, jit?: JitOptions) {
    this.memory = new MachineMemory({ ramBytes: RAM_BYTES, reservedBytes: 24 * 2 ** 20 });
    this.physical = new PhysicalAddressSpace(this.memory);
    this.physical.addSlot({ id: 0, gpa: 0, bytes: RAM_BYTES, hostOffset: this.memory.ramOffset });
    this.space = new CodeSpace(this.memory, new Decoder(instructionTable, new Set(model.features)), 4 * 2 ** 20, jit ?? false);
    this.physical.observer = this.space;
    const processors = new Processors({
      memory: this.memory,
      physical: this.physical,
      ports: new PortSpace(),
      model,
      cpus: 1,
      engine: (cpu) => new CpuEngine(this.space, cpu),
    });
    this.cpu = processors.bootstrap;
    this.windows = WINDOW_NAMES.map((name) => {
      const from = this.memory.ramOffset + PHYSICAL[name];
      return { base: WINDOWS[name], bytes: this.memory.u8.subarray(from, from + WINDOW_BYTES) };
    });
    this.#setUp();
  }

  #setUp(): void {
    const { physical, cpu } = this;
    const { registers } = cpu;
    physical.write64(PHYSICAL.pml4, BigInt(PHYSICAL.pml4 + 0x1000 + 7));
    physical.write64(PHYSICAL.pml4 + 0x1000, BigInt(PHYSICAL.pml4 + 0x2000 + 7));
    WINDOW_NAMES.forEach((name, n) => {
      const table = PHYSICAL.pml4 + 0x3000 + n * 0x1000;
      physical.write64(PHYSICAL.pml4 + 0x2000 + (WINDOWS[name] >>> 21) * 8, BigInt(table + 7));
      // Only code may be executed.
      const nx = name === 'code' ? 0n : 1n << 63n;
      for (let page = 0; page < 2; page++) physical.write64(table + page * 8, BigInt(PHYSICAL[name] + page * 0x1000 + 0x67) | nx);
    });
    // The IDT is only asked for the privilege of INT n: INT3, INTO and 80H are open to users, as in Linux.
    for (let vector = 0; vector < 256; vector++) {
      const dpl = vector === 3 || vector === 4 || vector === 0x80 ? 3 : 0;
      physical.write32(PHYSICAL.idt + vector * 16, 0x10_0000);
      physical.write32(PHYSICAL.idt + vector * 16 + 4, 0x8e00 | (dpl << 13));
    }
    registers.set64(State.idtrBase, BigInt(PHYSICAL.idt));
    registers.set32(State.idtrLimit, 0xfff);
    registers.set64(State.gdtrBase, BigInt(PHYSICAL.gdt));
    registers.set32(State.gdtrLimit, 0x7f);
    // A TSS too short to have an I/O permission bitmap.
    setSegment(registers, Segment.TR, 0x40, 0x8b, 0x63, 0);
    registers.set32(State.cr0, Cr0.PE | Cr0.MP | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.PG);
    registers.set32(
      State.cr4,
      Cr4.PAE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT | Cr4.FSGSBASE | Cr4.OSXSAVE | Cr4.SMEP | Cr4.SMAP | Cr4.UMIP,
    );
    registers.set64(State.cr3, BigInt(PHYSICAL.pml4));
    registers.set64(State.efer, BigInt(Efer.LME | Efer.LMA | Efer.SCE | Efer.NXE));
    registers.set64(State.xcr0, 7n);
    registers.set32(State.cpl, 3);
    cpu.updatePaging();
    cpu.engine.flushAll();
    const layer: Layer = {
      wantsBoundary: false,
      boundary: () => false,
      intercept: (event) => this.#intercept(event),
      stage: null,
      addressSpaceTag: 0,
      acceptsInterrupt: (unmasked) => unmasked,
      acceptsNmi: (unmasked) => unmasked,
      slowRows: 0,
    };
    cpu.layer = layer;
  }

  /** An exception ends the case before it is delivered. */
  #intercept(event: InterceptEvent): boolean {
    if (event.kind !== 'exception') return false;
    const { cpu } = this;
    this.#caught = true;
    this.vector = event.vector;
    this.errorCode = event.hasErrorCode ? event.errorCode : 0;
    this.cr2Low = event.vector === 14 ? event.addressLow >>> 0 : 0;
    this.cr2High = event.vector === 14 ? event.addressHigh >>> 0 : 0;
    this.ripLow = cpu.delivering.returnLow >>> 0;
    this.ripHigh = cpu.delivering.returnHigh >>> 0;
    cpu.stop();
    return true;
  }

  /** Segments of a mode, as native/case.c loads them. */
  #setMode(mode: number, windowSegments: boolean): void {
    const { cpu } = this;
    const { registers } = cpu;
    const flat = (segment: number, selector: number): void => setSegment(registers, segment, selector, DATA | DB | G, FLAT_LIMIT, 0);
    const [cs, attributes] =
      mode === 64 ? [Selector.CS_64, CODE | L | G] : mode === 32 ? [Selector.CS_32, CODE | DB | G] : [Selector.CS_16, CODE];
    setSegment(registers, Segment.CS, cs, attributes, mode === 16 ? WINDOW_BYTES - 1 : FLAT_LIMIT, mode === 16 ? WINDOWS.code : 0);
    const inWindows = windowSegments && mode !== 64;
    for (const segment of [Segment.DS, Segment.ES]) {
      if (inWindows) setSegment(registers, segment, Selector.DATA_WINDOW, DATA | DB, WINDOW_BYTES - 1, WINDOWS.data);
      else flat(segment, Selector.FLAT);
    }
    if (!inWindows) flat(Segment.SS, Selector.FLAT);
    else if (mode === 16) setSegment(registers, Segment.SS, Selector.STACK_16, DATA, WINDOW_BYTES - 1, WINDOWS.stack);
    else setSegment(registers, Segment.SS, Selector.STACK_32, DATA | DB, WINDOW_BYTES - 1, WINDOWS.stack);
    for (const segment of [Segment.FS, Segment.GS]) flat(segment, mode === 64 ? 0 : Selector.FLAT);
  }

  /** Writes code where it may have been decoded before. */
  #writeCode(linear: number, bytes: Uint8Array): void {
    this.physical.write(PHYSICAL.code + (linear - WINDOWS.code), bytes);
  }

  /** Places the code of a record, if it is not what is there. */
  #place(rip: number, code: Uint8Array, stepped: boolean): void {
    const count = code.length + (stepped ? 0 : 1);
    const bytes = new Uint8Array(count).fill(BREAKPOINT);
    bytes.set(code);
    const { bytes: window } = this.windows[0] as { bytes: Uint8Array };
    const at = rip - WINDOWS.code;
    if (this.#codeAt === rip && this.#codeBytes === count && Buffer.compare(window.subarray(at, at + count), bytes) === 0) return;
    this.#clearCode();
    this.#writeCode(rip, bytes);
    this.#code.set(bytes, at);
    this.#codeAt = rip;
    this.#codeBytes = count;
  }
  #clearCode(): void {
    if (this.#codeAt < 0) return;
    this.#writeCode(this.#codeAt, new Uint8Array(this.#codeBytes).fill(NOP));
    this.#code.fill(NOP);
    this.#codeAt = -1;
  }

  /** Puts the data or the stack window back as it was. */
  restore(window: number, to: Uint8Array): void {
    (this.windows[window] as { bytes: Uint8Array }).bytes.set(to);
  }
  /** Puts the code window back as it was, if the case has changed it. */
  restoreCode(): void {
    const { bytes } = this.windows[0] as { bytes: Uint8Array };
    if (Buffer.compare(bytes, this.#code) !== 0) this.#writeCode(WINDOWS.code, this.#code);
  }

  /** Runs one case of a batch. Memory must be as `windowContents` says; patches are placed, and stay. */
  run(batch: Batch, at: number): void {
    const { cpu, memory } = this;
    const { registers } = cpu;
    const { bytes, u32, u16 } = batch;
    const mode = bytes[at + 8] as number;
    const windowSegments = ((bytes[at + 9] as number) & 8) !== 0;
    const steps = u32[(at + 16) >> 2] as number;
    const seed = u32[(at + 20) >> 2] as number;
    if (seed !== this.#seed) this.#fill(seed);
    const rip = u32[(at + CaseField.rip) >> 2] as number;
    this.#place(rip, bytes.subarray(at + CASE_HEADER_BYTES, at + CASE_HEADER_BYTES + (u16[(at + 10) >> 1] as number)), steps !== 0);
    this.placePatches(
      batch,
      at,
      this.windows.map(({ bytes }) => bytes),
    );

    const to = (cpu.state + State.gpr) >>> 2;
    const from = (at + CaseField.gpr) >> 2;
    const words = memory.i32;
    for (let i = 0; i < 32; i++) words[to + i] = mode === 64 || i >= 16 || (i & 1) === 0 ? (u32[from + i] as number) : 0;
    registers.set32(State.rip, mode === 16 ? rip - WINDOWS.code : rip);
    registers.set32(State.rip + 4, 0);
    writeEflags(registers, ((u32[(at + CaseField.rflags) >> 2] as number) & EFLAGS_OF_CASES) | EFLAGS_IF | 2, EFLAGS_ALL);
    const fxsave = batch.fxsaveOf(at);
    if (fxsave > 0) this.#loadFpu(batch, fxsave);
    const key = mode * 2 + (windowSegments ? 1 : 0);
    if (key !== this.#mode) {
      this.#setMode(mode, windowSegments);
      this.#mode = key;
    }
    if (mode === 64) {
      for (const [segment, field] of [
        [Segment.FS, CaseField.fsBase],
        [Segment.GS, CaseField.gsBase],
      ] as const) {
        setSegment(
          registers,
          segment,
          0,
          DATA | DB | G,
          FLAT_LIMIT,
          u32[(at + field) >> 2] as number,
          u32[((at + field) >> 2) + 1] as number,
        );
      }
    }
    cpu.updateMode();
    this.#caught = false;
    cpu.run(steps === 0 ? this.freeBudget : steps);
    this.#finish(rip + (u16[(at + 10) >> 1] as number), mode, steps);
  }
  #finish(end: number, mode: number, steps: number): void {
    const { registers } = this.cpu;
    this.cpu.pendingDebug = 0;
    this.cpu.interruptShadow = 0;
    if (!this.#caught) {
      this.ended = steps === 1 ? Ended.OK : Ended.LIMIT;
      this.vector = this.errorCode = this.cr2Low = this.cr2High = 0;
      this.ripLow = registers.get32(State.rip) >>> 0;
      this.ripHigh = registers.get32(State.rip + 4) >>> 0;
      return;
    }
    const linear = this.ripLow + (mode === 16 ? WINDOWS.code : 0);
    if (steps === 0 && this.vector === 3 && linear === end + 1 && this.ripHigh === 0) {
      this.ended = Ended.OK;
      this.vector = 0;
      this.ripLow--;
    } else this.ended = Ended.EXCEPTION;
  }
  #fill(seed: number): void {
    this.#clearCode();
    this.#seed = seed;
    this.#seeded = WINDOW_NAMES.map((name) => windowContents(name, seed));
    this.#writeCode(WINDOWS.code, this.#code);
    for (let n = 1; n < 3; n++) this.restore(n, this.#seeded[n] as Uint8Array);
  }

  /** Applies a case's patches to images of the windows. */
  placePatches(batch: Batch, at: number, windows: readonly Uint8Array[]): void {
    const { bytes, u32, u16 } = batch;
    let patch = batch.patchesOf(at);
    for (let left = u16[(at + 12) >> 1] as number; left > 0; left--) {
      const address = u32[patch >> 2] as number;
      const count = u32[(patch >> 2) + 1] as number;
      const window = windows[(address >>> 28) - 1] as Uint8Array;
      const offset = address & 0xfff_ffff;
      for (let i = 0; i < count; i++) window[offset + i] = bytes[patch + 8 + i] as number;
      patch += 8 + ((count + 7) & ~7);
    }
  }

  // x87 and SSE

  #loadFpu(batch: Batch, at: number): void {
    const { registers } = this.cpu;
    const { view, u32 } = batch;
    const status = view.getUint16(at + 2, true);
    registers.set32(State.fcw, (view.getUint16(at, true) & 0x1f7f) | 0x40);
    registers.set32(State.fsw, status);
    registers.set32(State.ftw, view.getUint8(at + 4));
    registers.set32(State.fop, view.getUint16(at + 6, true));
    registers.set32(State.fcs, 0);
    registers.set32(State.fds, 0);
    for (const [field, offset] of [
      [State.fip, 8],
      [State.fdp, 16],
    ] as const) {
      registers.set32(field, view.getInt32(at + offset, true));
      registers.set32(field + 4, view.getInt32(at + offset + 4, true));
    }
    registers.set32(State.mxcsr, view.getInt32(at + 24, true) & 0xffff);
    const { i32 } = this.memory;
    const top = (status >> 11) & 7;
    for (let n = 0; n < 8; n++) {
      const to = (this.cpu.state + State.fpr + ((top + n) & 7) * 16) >>> 2;
      const from = (at + 32 + n * 16) >> 2;
      i32[to] = u32[from] as number;
      i32[to + 1] = u32[from + 1] as number;
      i32[to + 2] = (u32[from + 2] as number) & 0xffff;
      i32[to + 3] = 0;
    }
    for (let n = 0; n < 16; n++) {
      const to = (this.cpu.state + State.ymm + n * 32) >>> 2;
      const from = (at + 160 + n * 16) >> 2;
      for (let w = 0; w < 4; w++) i32[to + w] = u32[from + w] as number;
    }
  }
  /** Writes the state as FXSAVE would, 416 bytes. */
  saveFpu(to: DataView): void {
    const { registers } = this.cpu;
    const { i32 } = this.memory;
    const status = registers.get32(State.fsw);
    to.setUint16(0, registers.get32(State.fcw), true);
    to.setUint16(2, status, true);
    to.setUint16(4, registers.get32(State.ftw) & 0xff, true);
    to.setUint16(6, registers.get32(State.fop), true);
    for (const [field, offset] of [
      [State.fip, 8],
      [State.fdp, 16],
    ] as const) {
      to.setInt32(offset, registers.get32(field), true);
      to.setInt32(offset + 4, registers.get32(field + 4), true);
    }
    to.setUint32(24, registers.get32(State.mxcsr), true);
    const top = (status >> 11) & 7;
    for (let n = 0; n < 8; n++) {
      const from = (this.cpu.state + State.fpr + ((top + n) & 7) * 16) >>> 2;
      to.setInt32(32 + n * 16, i32[from] as number, true);
      to.setInt32(36 + n * 16, i32[from + 1] as number, true);
      to.setInt32(40 + n * 16, (i32[from + 2] as number) & 0xffff, true);
      to.setInt32(44 + n * 16, 0, true);
    }
    for (let n = 0; n < 16; n++) {
      const from = (this.cpu.state + State.ymm + n * 32) >>> 2;
      for (let w = 0; w < 4; w++) to.setInt32(160 + n * 16 + w * 4, i32[from + w] as number, true);
    }
  }
  get eflags(): number {
    return readEflags(this.cpu.registers);
  }
}
