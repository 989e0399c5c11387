import type { WalkResult } from '@minusone/mmu';
import { Vector } from '../cpu/fault.ts';
import type { Insn } from '../decode/insn.ts';
import { Leave, Segment, State, segmentOffset } from '../state/layout.ts';
import { type Mode, modeOf } from '../state/mode.ts';
import { Registers } from '../state/registers.ts';
import type { Engine, EngineHost, EngineStatistics } from './engine.ts';
import { CodeExit, Exit } from './exit.ts';
import type { CodeSpace, CodeUser } from './interpreter/code-space.ts';
import { RecordField } from './interpreter/record.ts';
import { EngineLinearAccess } from './memory/engine-linear-access.ts';
import { LinearMemory, PCIDS } from './memory/linear-memory.ts';
import { SingleInstructions } from './single-instructions.ts';

/** Iterations of a REP between two looks of the run loop. */
const REPEAT_LIMIT = 4096;
const EFLAGS_TF = 1 << 8;
const CS_BASE: number = segmentOffset(Segment.CS, 'base');
const CS_LIMIT: number = segmentOffset(Segment.CS, 'limit');
/** What finding the next block yields besides a record. */
const FAULTED = 0;
const ALONE = -1;

/** Runs one CPU's instructions: finds blocks, enters compiled code, and puts RIP and the budget right whenever it comes back. */
export class CpuEngine implements Engine, CodeUser {
  readonly linear: EngineLinearAccess;
  readonly memory: LinearMemory;
  /** Called before each instruction, if set; all are then run one by one. */
  trace: ((insn: Insn, registers: Registers) => void) | undefined;
  readonly space: CodeSpace;
  readonly #state: number;
  readonly #registers: Registers;
  readonly #i32: Int32Array;
  readonly #u16: Uint16Array;
  readonly #singles: SingleInstructions;
  isRepeating = false;
  #insn: Insn | undefined;
  #mode: Mode = modeOf(0);
  /** The record whose link may lead to the next block (bit 0: its `follow` link), and the linear page it stands in. */
  #link = 0;
  #linkPageLow = 0;
  #linkPageHigh = 0;
  #instructions = 0;
  #instructionsInRegions = 0;
  #lastInRegions = 0;
  /** A region asked for the next instruction to be interpreted by itself. */
  #aloneNext = false;

  constructor(space: CodeSpace, host: EngineHost) {
    this.space = space;
    this.#state = host.state;
    this.#registers = new Registers(space.memory, host.state);
    this.#i32 = space.memory.i32;
    this.#u16 = space.memory.u16;
    this.memory = new LinearMemory(space.memory, host);
    this.#singles = new SingleInstructions(space, this.memory, this.#registers);
    this.linear = new EngineLinearAccess(space.memory, this.memory, this.#registers);
    space.slow.add(host.state, this.memory);
    space.regions?.addCpu(host.state, this.memory);
    space.addUser(this);
    this.modeChanged();
  }

  // Engine

  execute(): Exit {
    const { trace } = this;
    const before = this.#budget;
    const exit = trace === undefined ? this.#run() : this.#runTraced();
    this.#instructions += before - this.#budget;
    const inRegions = this.#field(State.regionInstructions);
    this.#instructionsInRegions += (inRegions - this.#lastInRegions) >>> 0;
    this.#lastInRegions = inRegions;
    return exit;
  }
  executeOne(iterates = false): Exit {
    const before = this.#budget;
    const exit = this.#runAlone(iterates);
    this.#instructions += before - this.#budget;
    this.#link = 0;
    return this.#takeLeave(exit);
  }
  currentInsn(): Insn {
    return this.#insn as Insn;
  }
  modeChanged(): void {
    const word = this.#field(State.mode);
    if (word !== this.#mode.word) this.#mode = modeOf(word);
    this.memory.select();
    this.#checkJumpStamp();
  }
  addressSpaceChanged(keepGlobal: boolean): void {
    this.memory.select();
    this.memory.flushSpace(keepGlobal);
    this.#checkJumpStamp();
  }
  flushAll(): void {
    this.memory.tlb.clear();
    this.memory.select();
    this.#checkJumpStamp();
  }
  invalidatePage(linearLow: number, linearHigh: number): void {
    this.memory.tlb.clearPage(linearLow, linearHigh);
  }
  flushTag(tag: number): void {
    this.memory.tlb.clearSpaces(tag * PCIDS, tag * PCIDS + PCIDS - 1);
  }
  get walkResult(): WalkResult {
    return this.memory.result;
  }
  get statistics(): EngineStatistics {
    return {
      instructions: this.#instructions,
      instructionsInRegions: this.#instructionsInRegions,
      blocksDecoded: this.space.blocksDecoded,
      handlers: this.space.handlers.count,
      regionsCompiled: this.space.regions?.regionsCompiled ?? 0,
      tlbMisses: this.memory.misses,
    };
  }

  dispose(): void {
    const { space, memory, linear } = this;
    space.removeUser(this);
    space.slow.remove(this.#state);
    space.regions?.removeCpu(this.#state);
    memory.tlb.dispose();
    linear.dispose();
  }

  // CodeUser

  codeDropped(): void {
    this.#setField(State.leave, this.#field(State.leave) | Leave.CODE);
  }
  dropWriteTags(hostPage: number): void {
    this.memory.tlb.clearWriteTags(hostPage);
  }
  mappingChanged(): void {
    this.memory.tlb.clear();
  }
  recordsFlushed(): void {
    this.memory.tlb.clearJumps();
    this.#singles.clear();
    this.#link = 0;
  }

  // Running

  #field(offset: number): number {
    return this.#i32[(this.#state + offset) >>> 2] as number;
  }
  #setField(offset: number, value: number): void {
    this.#i32[(this.#state + offset) >>> 2] = value;
  }
  get #budget(): number {
    return this.#field(State.budget);
  }

  #run(): Exit {
    const { enter } = this.space.handlers;
    this.#setField(State.repeatLimit, REPEAT_LIMIT);
    this.#link = 0;
    for (;;) {
      const budget = this.#budget;
      // Before the next instruction is fetched: that may fault, and what is due now comes first.
      if (budget <= 0) return Exit.BUDGET;
      const record = this.#aloneNext ? ALONE : this.#findBlock();
      this.#aloneNext = false;
      if (record === FAULTED) return Exit.FAULT;
      const count = record === ALONE ? 1 : this.#count(record);
      if (budget < count || record === ALONE) {
        const exit = this.#takeLeave(this.#runAlone());
        this.#setField(State.repeatLimit, REPEAT_LIMIT);
        this.#link = 0;
        if (exit !== Exit.NEXT) return exit;
        continue;
      }
      this.#setField(State.budget, budget - count);
      const exit = this.#takeLeave(this.#settle(enter(record, this.#state)));
      if (exit !== Exit.NEXT) return exit;
    }
  }
  #runTraced(): Exit {
    while (this.#budget > 0) {
      const exit = this.#takeLeave(this.#runAlone());
      if (exit !== Exit.NEXT) return exit;
    }
    return Exit.BUDGET;
  }

  #count(record: number): number {
    return this.#u16[(record + RecordField.count) >>> 1] as number;
  }
  #giveBack(instructions: number): void {
    this.#setField(State.budget, this.#budget + instructions);
  }

  /** Puts RIP and the budget right after compiled code came back, and translates the reason. NEXT: go on. */
  #settle(code: number): Exit {
    const record = this.#field(State.exitRecord);
    this.#setField(State.ahead, 0);
    this.isRepeating = code === CodeExit.REPEAT;
    switch (code) {
      case CodeExit.NEXT:
        this.#noteLink(record);
        return Exit.NEXT;
      case CodeExit.BUDGET:
      case CodeExit.STOP:
        this.#goTo(record, RecordField.offset);
        return Exit.NEXT;
      case CodeExit.SYSTEM:
        this.#goTo(record, RecordField.offset);
        this.#giveBack(this.#count(record) - 1);
        this.#insn = this.space.systemInsn(record);
        return Exit.SYSTEM;
      case CodeExit.FAULT:
        this.#goTo(record, RecordField.offset);
        this.#giveBack(this.#count(record));
        if (this.memory.waits) {
          this.memory.waits = false;
          return Exit.RESTART;
        }
        return Exit.FAULT;
      case CodeExit.LEAVE:
        this.#goTo(record, RecordField.next);
        this.#giveBack(this.#count(record) - 1);
        return Exit.LEAVE;
      case CodeExit.LEAVE_AT_RIP:
        return Exit.LEAVE;
      case CodeExit.ALONE:
        this.#aloneNext = true;
        this.space.regions?.onRegionExit?.(this.#state);
        return Exit.NEXT;
      case CodeExit.MIDWAY:
        this.#aloneNext = true;
        return Exit.NEXT;
      case CodeExit.REGION:
        this.space.regions?.onRegionExit?.(this.#state);
        return Exit.NEXT;
      case CodeExit.HOT:
        this.#goTo(record, RecordField.offset);
        this.#giveBack(this.#count(record));
        this.#heated(record);
        return Exit.NEXT;
      default: // REPEAT, STALE
        this.#goTo(record, RecordField.offset);
        this.#giveBack(this.#count(record));
        return Exit.NEXT;
    }
  }

  /** A region that begins at a record, where RIP is, is worth compiling. */
  #heated(record: number): void {
    const low = this.#field(State.rip);
    const page = this.memory.locateCode(low, this.#mode.codeBits === 64 ? this.#field(State.rip + 4) : 0);
    if (page >= 0) this.space.regions?.heated(record, page, this.#mode.word);
  }

  /** Sets RIP to the page offset that a record holds. */
  #goTo(record: number, field: number): void {
    const offset = this.#u16[(record + field) >>> 1] as number;
    const low = this.#field(State.ripBase);
    const sum = (low + offset) | 0;
    const carry = sum >>> 0 < low >>> 0 ? 1 : 0;
    this.#setField(State.rip, sum);
    this.#setField(State.rip + 4, this.#mode.codeBits === 64 ? (this.#field(State.ripBase + 4) + carry) | 0 : 0);
  }

  /** Consumes `State.leave`: LEAVE if the CPU must look. An explicit LEAVE of an instruction stays one, but for changed code alone. */
  #takeLeave(exit: Exit): Exit {
    const leave = this.#field(State.leave);
    if (leave === 0) return exit;
    if (exit !== Exit.NEXT && exit !== Exit.LEAVE) return exit;
    this.#setField(State.leave, 0);
    if ((leave & Leave.EVENT) !== 0) return Exit.LEAVE;
    return exit === Exit.LEAVE ? Exit.NEXT : exit;
  }

  // Finding blocks

  /** Notes that a link of `record` may lead to where RIP is now. */
  #noteLink(record: number): void {
    this.#link = record;
    if (this.#link === 0) return;
    const offset = this.#u16[((record & ~1) + RecordField.offset) >>> 1] as number;
    const base = this.#field(State.ripBase);
    const low = (base + (offset & 0xfff)) | 0;
    const carry = low >>> 0 < base >>> 0 ? 1 : 0;
    this.#linkPageLow = low & ~0xfff;
    this.#linkPageHigh = this.#mode.codeBits === 64 ? (this.#field(State.ripBase + 4) + carry) | 0 : 0;
  }

  /** The record to enter at RIP; ALONE: an instruction that must be run by itself; FAULTED: fetching it faults, as is noted. */
  #findBlock(): number {
    const mode = this.#mode;
    const low = this.#field(State.rip);
    const high = this.#field(State.rip + 4);
    let linearLow = low;
    let linearHigh = high;
    if (mode.codeBits === 64) {
      if (!this.memory.isCanonical(high)) return this.#fetchFault(Vector.GP);
    } else {
      linearLow = (low + this.#field(CS_BASE)) | 0;
      linearHigh = 0;
      if (!mode.flatCode && low >>> 0 > this.#limit) return this.#fetchFault(Vector.GP);
    }
    const page = this.memory.locateCode(linearLow, linearHigh);
    if (page < 0) return page === -2 ? FAULTED : ALONE;
    const offset = linearLow & 0xfff;
    const block = this.space.blockAt(page, offset, mode.word);
    if (block === undefined) return ALONE;
    if (!mode.flatCode && (low >>> 0) + (block.end - block.start) - 1 > this.#limit) return ALONE;
    const { record } = block;
    this.#setRipBase(low, high, offset);
    const { current } = this.memory.tlb;
    current.fillJump(low, high, record, current.isGlobalFetch(linearLow));
    if (this.#link !== 0) {
      if (mode.flatCode && this.#linkPageLow === (linearLow & ~0xfff) && this.#linkPageHigh === linearHigh) {
        const field = (this.#link & 1) === 0 ? RecordField.taken : RecordField.follow;
        this.#i32[((this.#link & ~1) + field) >>> 2] = record;
      }
      this.#link = 0;
    }
    return record;
  }
  get #limit(): number {
    return this.#field(CS_LIMIT) >>> 0;
  }
  #fetchFault(vector: number): number {
    this.memory.fault(vector, 0);
    return FAULTED;
  }
  #setRipBase(low: number, high: number, offset: number): void {
    const base = (low - offset) | 0;
    this.#setField(State.ripBase, base);
    this.#setField(State.ripBase + 4, (high - (low >>> 0 < offset ? 1 : 0)) | 0);
  }
  /** The jump cache holds for one mode, CS base and CS limit: under others it is emptied. */
  #checkJumpStamp(): void {
    const { current } = this.memory.tlb;
    const mode = this.#mode;
    const base = mode.flatCode ? 0 : this.#field(CS_BASE);
    const limit = mode.flatCode ? -1 : this.#field(CS_LIMIT);
    if (current.jumpMode === mode.word && current.jumpBase === base && current.jumpLimit === limit) return;
    current.clearJumps();
    current.jumpMode = mode.word;
    current.jumpBase = base;
    current.jumpLimit = limit;
  }

  // One instruction

  /** Runs the instruction at RIP by itself. NEXT when it is through (or a REP has done a part). */
  #runAlone(iterates = false): Exit {
    const mode = this.#mode;
    const low = this.#field(State.rip);
    const high = this.#field(State.rip + 4);
    const linearLow = mode.codeBits === 64 ? low : (low + this.#field(CS_BASE)) | 0;
    const linearHigh = mode.codeBits === 64 ? high : 0;
    if (mode.codeBits === 64 && !this.memory.isCanonical(high)) {
      this.#fetchFault(Vector.GP);
      return Exit.FAULT;
    }
    const single = this.#singles.at(mode, low, linearLow, linearHigh);
    if (single === undefined) return Exit.FAULT;
    const { insn, record } = single;
    this.#insn = insn;
    this.trace?.(insn, this.#registers);
    const offset = linearLow & 0xfff;
    this.#setRipBase(low, high, offset);
    const budget = this.#budget;
    const isStepping = iterates || (this.#field(State.eflags) & EFLAGS_TF) !== 0;
    this.#setField(State.repeatLimit, isStepping ? 1 : REPEAT_LIMIT);
    // With no budget left, a jump into a block comes back at once.
    this.#setField(State.budget, 0);
    this.#setField(State.held, budget - 1);
    const code = this.space.handlers.enter(record, this.#state);
    this.#setField(State.held, 0);
    const exit = this.#settle(code);
    this.#link = 0;
    const isUndone = exit === Exit.FAULT || exit === Exit.RESTART || code === CodeExit.REPEAT;
    this.#setField(State.budget, isUndone ? budget : budget - 1);
    return exit;
  }
}
