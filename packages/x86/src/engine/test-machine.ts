import { MachineMemory, PhysicalAddressSpace } from '@minusone/memory';
import { PagingControls } from '@minusone/mmu';
import { readEflags, writeEflags } from '../cpu/eflags.ts';
import { deriveModeWord } from '../cpu/mode-word.ts';
import { setSegment } from '../cpu/segments/segment-register.ts';
import { Decoder } from '../decode/decoder.ts';
import { instructionTable } from '../instructions/index.ts';
import { NO_STI, Segment, STATE_BYTES, State } from '../state/layout.ts';
import { Registers } from '../state/registers.ts';
import { CpuEngine } from './cpu-engine.ts';
import type { ReadGate } from './engine.ts';
import { Exit } from './exit.ts';
import { CodeSpace } from './interpreter/code-space.ts';
import type { JitOptions } from './jit/region-cache.ts';

export interface TestCpuOptions {
  /** Default 64. 16 and 32 are protected mode with flat segments, unless `real`. */
  readonly bits?: 16 | 32 | 64;
  /** Real-address mode: segments of 64 KiB with base 0 (16 bits only). */
  readonly real?: boolean;
  readonly user?: boolean;
  readonly ramBytes?: number;
  /** Where `load` puts code unless told otherwise, and where RIP starts. Default 0x1000. */
  readonly origin?: number;
  /** Paging; default: none. */
  readonly paging?: PagingControls;
  /** Of the segments, where they are not flat. */
  readonly segmentLimit?: number;
  readonly codeBase?: number;
  /** Compiles what is hot; default: everything is interpreted. */
  readonly jit?: JitOptions;
  readonly gate?: ReadGate;
}

/** How a run ended. */
export interface TestRun {
  readonly exit: Exit;
  readonly instructions: number;
  /** Of Exit.FAULT. */
  readonly vector: number;
  readonly errorCode: number;
  readonly faultAddress: bigint;
}

/**
 * A CPU's state, memory and engine without the rest of a CPU: for tests of instructions. Linear addresses are physical ones unless paging is given. Not part
 * of the package's face.
 *
 * @example
 * const cpu = new TestCpu({ bits: 64 });
 * cpu.load([0x48, 0x01, 0xd8]).setGpr(0, 1n).setGpr(3, 2n);
 * cpu.run(1);
 * cpu.gpr(0); // 3n
 */
export class TestCpu {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly registers: Registers;
  readonly engine: CpuEngine;
  readonly space: CodeSpace;
  readonly state: number;
  readonly origin: number;
  paging: PagingControls;

  constructor(options: TestCpuOptions = {}) {
    const { bits = 64, real = false, user = false, ramBytes = 2 ** 20, origin = 0x1000 } = options;
    this.origin = origin;
    this.memory = new MachineMemory({ ramBytes, reservedBytes: 8 * 2 ** 20 });
    this.physical = new PhysicalAddressSpace(this.memory);
    this.physical.addSlot({ id: 0, gpa: 0, bytes: ramBytes, hostOffset: this.memory.ramOffset });
    this.state = this.memory.allocate(STATE_BYTES, 64);
    this.registers = new Registers(this.memory, this.state);
    this.paging = options.paging ?? new PagingControls({ kind: 'none' });
    const { registers } = this;
    registers.set32(State.eflags, 2);
    registers.set32(State.stiBudget, NO_STI);
    registers.set32(State.mxcsr, 0x1f80);
    registers.set32(State.fcw, 0x37f);
    // PE, MP, ET, NE; OSFXSR, OSXMMEXCPT, OSXSAVE; x87, SSE and AVX state.
    registers.set32(State.cr0, real ? 0x32 : 0x33);
    registers.set32(State.cr4, 0x4_0600);
    registers.set64(State.xcr0, 7n);
    registers.set64(State.efer, bits === 64 ? 0x500n : 0n);
    registers.set32(State.cpl, user ? 3 : 0);
    const dpl = user ? 0x60 : 0;
    const limit = options.segmentLimit ?? (real ? 0xffff : 0xffff_ffff);
    for (const segment of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) {
      setSegment(registers, segment, 0x10, 0x93 | dpl | (bits === 16 ? 0 : 0x4000), limit, 0);
    }
    setSegment(registers, Segment.CS, 8, 0x9b | dpl | (bits === 64 ? 0x2000 : bits === 32 ? 0x4000 : 0), limit, options.codeBase ?? 0);
    registers.set32(State.mode, deriveModeWord(registers));
    this.space = new CodeSpace(this.memory, new Decoder(instructionTable), 2 ** 20, options.jit ?? false);
    const paging = (): PagingControls => this.paging;
    this.engine = new CpuEngine(this.space, {
      state: this.state,
      physical: this.physical,
      get paging(): PagingControls {
        return paging();
      },
      ...(options.gate === undefined ? {} : { gate: options.gate }),
      watches: () => false,
      watchesPage: () => false,
    });
    this.physical.observer = this.space;
    registers.rip = BigInt(origin);
    registers.setGpr(4, 0x8000n);
  }

  /** Puts bytes of code (or data) into memory. */
  load(bytes: ArrayLike<number>, gpa: number = this.origin): this {
    this.physical.write(gpa, Uint8Array.from(bytes as ArrayLike<number> & Iterable<number>));
    return this;
  }
  setGpr(index: number, value: bigint): this {
    this.registers.setGpr(index, value);
    return this;
  }
  gpr(index: number): bigint {
    return this.registers.gpr(index);
  }
  get rip(): bigint {
    return this.registers.rip;
  }
  set rip(value: bigint) {
    this.registers.rip = value;
  }
  /** All of EFLAGS. */
  get eflags(): number {
    return readEflags(this.registers);
  }
  set eflags(value: number) {
    writeEflags(this.registers, value);
  }
  /** After registers that the mode word depends on were written. */
  modeChanged(): void {
    this.registers.set32(State.mode, deriveModeWord(this.registers));
    this.engine.modeChanged();
  }

  /** Runs at most `instructions`, up to a fault, a system row, or their end; LEAVE does not end it. */
  run(instructions: number): TestRun {
    this.registers.set32(State.budget, instructions);
    let exit: Exit;
    do exit = this.engine.execute();
    while (exit === Exit.LEAVE && this.registers.get32(State.budget) > 0);
    return this.#result(exit, instructions);
  }
  /** Runs one instruction through `executeOne`. */
  step(): TestRun {
    this.registers.set32(State.budget, 1);
    return this.#result(this.engine.executeOne(), 1);
  }
  #result(exit: Exit, budget: number): TestRun {
    const { registers } = this;
    return {
      exit,
      instructions: budget - registers.get32(State.budget),
      vector: registers.get32(State.faultVector),
      errorCode: registers.get32(State.faultError),
      faultAddress: registers.get64(State.faultAddress),
    };
  }
}
