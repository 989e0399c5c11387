import type { InterruptAcknowledge } from '@minusone/core';
import { InternalError } from '@minusone/core';
import type { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import type { PagingControls, SecondStage } from '@minusone/mmu';
import type { Insn } from '../decode/insn.ts';
import type { Engine, EngineHost, LinearAccess, ReadGate } from '../engine/engine.ts';
import { Exit } from '../engine/exit.ts';
import { Leave, NO_STI, STATE_BYTES, State } from '../state/layout.ts';
import { ModeBit } from '../state/mode.ts';
import { Registers } from '../state/registers.ts';
import { Activity, InterruptShadow } from './activity.ts';
import type { LocalApic } from './apic/local-apic.ts';
import { Cr0, DebugCtl, Dr6, Efer } from './control-bits.ts';
import { pagingControls } from './control-registers.ts';
import type { CpuModel } from './cpuid/model.ts';
import { DebugRegisters } from './debug.ts';
import { deliverEvent } from './deliver-event.ts';
import { Eflags } from './eflags.ts';
import { CpuDisposedError } from './errors.ts';
import { DeliveredEvent, EventType, isFaultClass } from './event.ts';
import { type Extension, type InterceptEvent, instructionWaits, type Layer, layerExit } from './extension.ts';
import { guestFault, raise, SECOND_STAGE_FAULT, Vector } from './fault.ts';
import { deriveModeWord } from './mode-word.ts';
import { MsrFile } from './msr/msr-file.ts';
import { initState, resetState, startUp } from './reset.ts';
import type { TimeStampSource } from './time/time-stamp.ts';

/** Why `Cpu.run` came back. */
export type RunResult = 'budget' | 'halted' | 'shutdown' | 'wait-for-sipi' | 'stopped' | 'restart';

export interface CpuOptions {
  readonly memory: MachineMemory;
  /** Guest-physical memory. */
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace;
  readonly model: CpuModel;
  /** 0 is the bootstrap processor; also the initial APIC ID. */
  readonly index: number;
  /** Makes the engine that runs this CPU's instructions. */
  readonly engine: (host: Cpu) => Engine;
  readonly timeStamp: TimeStampSource;
  readonly extensions?: readonly Extension[];
  /** Device reads that must be answered from outside first: `run` then returns 'restart'. */
  readonly gate?: ReadGate;
}

/**
 * One logical processor: its registers, what happens between instructions (events by priority, delivery, halt, shutdown), and what
 * system rows need. Instructions themselves are run by the engine.
 */
export class Cpu implements EngineHost {
  readonly index: number;
  readonly state: number;
  readonly memory: MachineMemory;
  readonly ports: PortSpace;
  readonly registers: Registers;
  readonly model: CpuModel;
  readonly engine: Engine;
  readonly linear: LinearAccess;
  readonly debug: DebugRegisters;
  readonly msrs: MsrFile;
  readonly timeStamp: TimeStampSource;
  readonly extensions: readonly Extension[];
  /** Memory of the layer that runs now. */
  physical: PhysicalAddressSpace;
  readonly gate: ReadGate | undefined;
  paging: PagingControls;

  /** The local APIC, once connected; and who answers INTA (the APIC, or the 8259 pair of a machine without). */
  apic: LocalApic | undefined;
  interruptSource: InterruptAcknowledge | undefined;

  activity: Activity = Activity.ACTIVE;
  interruptShadow: InterruptShadow = InterruptShadow.NONE;
  nmiBlocked = false;
  /** The IRET under way has ended the blocking of NMIs: if it faults, an exit reports that (SDM Vol. 3C, 28.2.3 "NMI unblocking due to IRET"). */
  nmiUnblocked = false;
  /** AMD-V's global interrupt flag (APM Vol. 2, 15.17): while it is false, INTR, NMI, INIT and debug traps wait. */
  globalInterruptFlag = true;
  /** Bits for DR6 of debug traps that the last instruction earned. */
  pendingDebug = 0;
  /** What is being delivered (IDT-vectoring information). */
  readonly delivering: DeliveredEvent = new DeliveredEvent();
  /** EXT bit of error codes: 1 while an event is delivered that the program did not ask for. */
  ext: 0 | 1 = 0;

  /** Where the system row under way continues; a row that transfers control uses `jumpTo`. */
  nextRipLow = 0;
  nextRipHigh = 0;
  /** Answers of `linearOf` and its kin. */
  linearLow = 0;
  linearHigh = 0;
  /** `MONITOR` has been executed and nothing has happened since. */
  monitorArmed = false;

  #layer: Layer | undefined;
  #nextShadow: InterruptShadow = InterruptShadow.NONE;
  #skipTrap = false;
  #resumeFlagLoaded = false;
  /** A layer took over the system row under way, by `isIntercepted`. */
  #isAbandoned = false;
  #interrupt = false;
  #nmi = false;
  #init = false;
  #sipi = -1;
  #stopRequested = false;
  /** Counts of instructions: where the budget reaches 0, and where `run` is to stop. */
  #budgetEnd = 0;
  #stopAt = 0;
  /** The `#stopAt` that the budget was set for; -1: it must be set anew. */
  #budgetFor = -1;
  #isDisposed = false;
  /** RIP (low half) before the instruction that is run alone. */
  #ripBefore = 0;

  constructor(options: CpuOptions) {
    this.index = options.index;
    this.memory = options.memory;
    this.physical = options.physical;
    this.ports = options.ports;
    this.model = (options.extensions ?? []).reduce((model, extension) => model.with(...extension.features), options.model);
    this.extensions = options.extensions ?? [];
    this.gate = options.gate;
    this.timeStamp = options.timeStamp;
    this.state = options.memory.allocate(STATE_BYTES, 64);
    this.registers = new Registers(options.memory, this.state);
    this.debug = new DebugRegisters(this);
    this.msrs = new MsrFile(this);
    this.paging = pagingControls(this);
    this.engine = options.engine(this);
    this.linear = this.engine.linear;
    for (const extension of this.extensions) extension.attach?.(this);
    this.reset();
  }

  // Modes

  get cpl(): number {
    return this.registers.get32(State.cpl);
  }
  get modeWord(): number {
    return this.registers.get32(State.mode);
  }
  /** Code runs in 64-bit mode. */
  get is64Bit(): boolean {
    return (this.modeWord & ModeBit.CODE_SIZE_MASK) === 2;
  }
  /** EFER.LMA: 64-bit or compatibility mode. */
  get isLongMode(): boolean {
    return (this.modeWord & ModeBit.LONG) !== 0;
  }
  get isProtected(): boolean {
    return (this.modeWord & ModeBit.PROTECTED) !== 0;
  }
  get isVirtual8086(): boolean {
    return (this.modeWord & ModeBit.VIRTUAL_8086) !== 0;
  }
  get isRealMode(): boolean {
    return (this.modeWord & (ModeBit.PROTECTED | ModeBit.VIRTUAL_8086)) === 0;
  }
  get codeBits(): 16 | 32 | 64 {
    const size = this.modeWord & ModeBit.CODE_SIZE_MASK;
    return size === 0 ? 16 : size === 1 ? 32 : 64;
  }
  get stackBits(): 16 | 32 | 64 {
    const size = (this.modeWord >> ModeBit.STACK_SIZE_SHIFT) & 3;
    return size === 0 ? 16 : size === 1 ? 32 : 64;
  }

  /** To be called after CS, SS, DS, ES, CPL, EFLAGS.VM or AC, or a control register changed. */
  updateMode(): void {
    this.registers.set32(State.mode, deriveModeWord(this.registers));
    this.engine.modeChanged();
  }
  /** Instead of `updateMode`, for a layer that has put back all of the state that the mode word was derived from. */
  restoreMode(word: number): void {
    this.registers.set32(State.mode, word);
    this.engine.modeChanged();
  }
  /** To be called after CR0.PG, CR0.WP, CR3, CR4, EFER or the PDPTEs changed. */
  updatePaging(): void {
    this.paging = pagingControls(this);
  }

  /** The virtualization layer that runs now, or undefined: the machine itself. */
  get layer(): Layer | undefined {
    return this.#layer;
  }
  set layer(layer: Layer | undefined) {
    this.#layer = layer;
    this.#budgetFor = -1;
    this.layerChanged();
  }
  /** To be called after the layer's `slowRows` changed; after its `stage` or `addressSpaceTag` changed, call `updateMode` too, which selects the translations. */
  layerChanged(): void {
    this.registers.set32(State.layered, this.#layer?.slowRows ?? 0);
  }
  /** From guest-physical addresses of the layer to those of the machine. */
  get stage(): SecondStage | null {
    return this.#layer?.stage ?? null;
  }
  get addressSpaceTag(): number {
    return this.#layer?.addressSpaceTag ?? 0;
  }

  // For system rows

  /** Raises an exception at the current instruction: does not return. */
  raise(vector: number, errorCode?: number): never {
    raise(vector, errorCode);
  }
  /** Privileged instructions: #GP(0) unless CPL is 0. */
  requireCpl0(): void {
    if (this.cpl !== 0) raise(Vector.GP, 0);
  }
  /** Lets the running layer take the event; if it does, the instruction is abandoned here. Call it only where `layer` is not undefined. */
  intercept(event: InterceptEvent): void {
    if (this.layer?.intercept(event)) throw layerExit;
  }
  /** The same without an exception, for rows that exit often: true where the layer took the event. The row must then return at once. */
  isIntercepted(event: InterceptEvent): boolean {
    if (this.#layer === undefined || !this.#layer.intercept(event)) return false;
    this.#isAbandoned = true;
    return true;
  }
  /** Continues at this offset in CS. */
  jumpTo(low: number, high: number): void {
    this.nextRipLow = low;
    this.nextRipHigh = high;
    this.registers.set32(State.rip, low);
    this.registers.set32(State.rip + 4, high);
  }
  /** The instruction holds interrupts (and debug traps) back until the next one has completed. */
  holdInterrupts(shadow: InterruptShadow): void {
    this.#nextShadow = shadow;
  }
  /** The instruction earns no single-step trap though TF was set when it began. */
  skipSingleStep(): void {
    this.#skipTrap = true;
  }
  /** The instruction loaded RF: it stays for the next one. */
  keepResumeFlag(): void {
    this.#resumeFlagLoaded = true;
  }
  /** INT n, INT3, INTO, INT1: delivers at once; the return address is the next instruction. */
  softwareInterrupt(vector: number, type: EventType): void {
    this.skipSingleStep();
    const { registers } = this;
    // SDM Vol. 3B, 17.3.1.1: RF of the frame is 0, whatever it was.
    registers.set32(State.eflags, registers.get32(State.eflags) & ~Eflags.RF);
    const event = this.delivering.set(vector, type, this.nextRipLow, this.nextRipHigh);
    event.length = this.engine.currentInsn().length;
    this.#deliver(event, false);
  }
  /** The second stage refused an access, as the engine noted: the layer's to exit with. */
  secondStageFault(): void {
    const { addressLow, addressHigh } = guestFault;
    const taken = this.layer?.intercept({ kind: 'second-stage-fault', result: this.engine.walkResult, addressLow, addressHigh });
    if (taken !== true) throw new InternalError('A fault of the second stage that nobody takes.', { rip: this.registers.rip });
  }

  // Signals from outside (the APIC's host). Each makes a running engine leave after its instruction.

  /** INTR: level. */
  setInterruptRequest(asserted: boolean): void {
    this.#interrupt = asserted;
    this.registers.set32(State.interruptPending, asserted ? 1 : 0);
    if (asserted) this.attention();
  }
  get interruptRequested(): boolean {
    return this.#interrupt;
  }
  raiseNmi(): void {
    this.#nmi = true;
    this.attention();
  }
  get nmiPending(): boolean {
    return this.#nmi;
  }
  /** A layer has taken the pending NMI (VM exit by NMI): it will not be delivered. */
  acknowledgeNmi(): void {
    this.#nmi = false;
  }
  raiseInit(): void {
    this.#init = true;
    this.attention();
  }
  /** Start-up IPI: only a CPU that waits for it, or that an INIT is about to make wait, takes it (SDM Vol. 3A, 8.4.3). */
  raiseStartUp(vector: number): void {
    if (this.activity === Activity.WAIT_FOR_SIPI || (this.#init && !this.#blocksInit())) this.#sipi = vector;
    this.attention();
  }
  /** The INTA cycle. */
  acknowledgeInterrupt(): number {
    return (this.interruptSource ?? this.apic)?.acknowledge() ?? 0xff;
  }
  /** Makes the engine come back after the instruction under way. */
  attention(): void {
    this.registers.set32(State.leave, this.registers.get32(State.leave) | Leave.EVENT);
  }
  /** Makes `run` return 'stopped' after the instruction under way. */
  stop(): void {
    this.#stopRequested = true;
    this.attention();
  }

  // Running

  /** Instructions executed since reset (deliveries of events count as one each, so that time goes on in a loop of faults). Exact inside an instruction. */
  get instructions(): number {
    const { registers } = this;
    return this.#budgetEnd - registers.get32(State.budget) - registers.get32(State.ahead) - registers.get32(State.held);
  }
  /** `run` is to come back when `instructions` has this value, at the latest. */
  stopAt(instructions: number): void {
    if (instructions >= this.#stopAt) return;
    this.#stopAt = instructions;
    this.attention();
  }

  /** True where `run` would execute something. */
  get isRunnable(): boolean {
    return this.activity === Activity.ACTIVE || this.#wakes();
  }

  /**
   * Runs at most `budget` instructions.
   * @param budget 1 to 2^31 - 1
   * @throws {CpuDisposedError} `dispose` was called
   */
  run(budget: number): RunResult {
    if (this.#isDisposed) throw new CpuDisposedError();
    this.#stopRequested = false;
    this.#stopAt = this.instructions + budget;
    this.#budgetFor = -1;
    const result = this.#runUntilStop();
    if (this.timeStamp.ticksPerInstruction !== 0) this.timeStamp.seen(this.#field64(State.ticksSeen));
    return result;
  }

  #runUntilStop(): RunResult {
    const { registers } = this;
    for (;;) {
      if (this.#stopRequested) return 'stopped';
      const executed = this.instructions;
      if (executed >= this.#stopAt) return 'budget';
      registers.set32(State.leave, registers.get32(State.leave) & ~Leave.EVENT);
      this.#noteShadowOfSti(0);
      if (this.#budgetFor !== this.#stopAt || executed >= this.#budgetEnd) this.#setBudget();
      if (this.#takeEvent()) continue;
      if (this.activity !== Activity.ACTIVE) {
        this.#layer?.waits?.();
        return IDLE_RESULTS[this.activity];
      }
      if (this.#step() === Exit.RESTART) return 'restart';
    }
  }

  /** Compiled code does not say that an STI holds interrupts back: whoever looks at the next boundary, or at the next instruction (which may be taken from the budget), notes it. */
  #noteShadowOfSti(taken: 0 | 1): void {
    const { registers } = this;
    if (registers.get32(State.stiBudget) === registers.get32(State.budget) + taken) this.interruptShadow = InterruptShadow.STI;
  }

  /** The budget ends where `run` is to stop, or the layer wants to be asked; compiled code is told what time it will be then. */
  #setBudget(): void {
    const { registers, timeStamp } = this;
    const { ticksPerInstruction } = timeStamp;
    const executed = this.instructions;
    const budget = Math.min(this.#stopAt - executed, Math.max(1, this.#layer?.instructionsToBoundary ?? Number.POSITIVE_INFINITY));
    this.#budgetEnd = executed + budget;
    this.#budgetFor = this.#stopAt;
    registers.set32(State.budget, budget);
    registers.set32(State.stiBudget, NO_STI);
    registers.set32(State.ticksPerInstruction, ticksPerInstruction);
    if (ticksPerInstruction === 0) return;
    this.#setField64(State.ticksAtEnd, timeStamp.ownTicks() + budget * ticksPerInstruction);
    this.#setField64(State.ticksSeen, timeStamp.ticks());
  }
  /** Fields of 64 bits whose values are below 2^53. */
  #field64(offset: number): number {
    return this.registers.get32(offset + 4) * 2 ** 32 + (this.registers.get32(offset) >>> 0);
  }
  #setField64(offset: number, value: number): void {
    this.registers.set32(offset, value);
    this.registers.set32(offset + 4, Math.floor(value / 2 ** 32));
  }

  #step(): Exit {
    const { registers, engine } = this;
    const flags = registers.get32(State.eflags);
    const iterates = this.#layer?.stepsIterations === true;
    const one = iterates || (flags & (Eflags.TF | Eflags.RF)) !== 0 || this.interruptShadow !== 0 || this.debug.hasInstructionBreakpoints;
    if (this.debug.hasInstructionBreakpoints && (flags & Eflags.RF) === 0 && this.interruptShadow !== InterruptShadow.MOV_SS) {
      const bits = this.debug.instructionBreakpoints();
      if (bits !== 0) {
        // The one fault whose frame keeps RF as it is (SDM Vol. 3B, 17.3.1.1): its handler sets RF itself to go on.
        this.#debugException(bits, false);
        return Exit.LEAVE;
      }
    }
    this.#ripBefore = registers.get32(State.rip);
    const exit = one ? engine.executeOne(iterates) : engine.execute();
    if (exit === Exit.SYSTEM) return this.#system(flags);
    if (exit === Exit.FAULT) this.#wasmFault();
    else if (exit !== Exit.RESTART && one) {
      this.#completed(flags);
      if (iterates) this.#layer?.stepped?.();
    }
    return exit;
  }

  /** After one instruction that was run alone, or a system row. */
  #completed(flagsBefore: number): void {
    this.nmiUnblocked = false;
    this.interruptShadow = this.#nextShadow;
    this.#nextShadow = InterruptShadow.NONE;
    if ((flagsBefore & Eflags.RF) !== 0 && !this.#resumeFlagLoaded) {
      this.registers.set32(State.eflags, this.registers.get32(State.eflags) & ~Eflags.RF);
    }
    this.#resumeFlagLoaded = false;
    if ((flagsBefore & Eflags.TF) !== 0 && !this.#skipTrap && !this.#branchStepPasses()) this.pendingDebug |= Dr6.BS;
    this.#skipTrap = false;
  }

  /** IA32_DEBUGCTL.BTF makes TF trap branches only (SDM Vol. 3B, 17.4.3): true where the instruction just fell through. */
  #branchStepPasses(): boolean {
    if ((this.msrs.debugCtl & DebugCtl.BTF) === 0) return false;
    return this.registers.get32(State.rip) === ((this.#ripBefore + this.engine.currentInsn().length) | 0);
  }

  #system(flagsBefore: number): Exit {
    try {
      const insn = this.engine.currentInsn();
      const execute = insn.form.row.execute;
      if (execute === undefined) throw new InternalError('Not a system row.', { mnemonic: insn.form.mnemonic, rip: this.registers.rip });
      this.#setNextRip(insn);
      this.nmiUnblocked = false;
      this.#noteShadowOfSti(1);
      execute(this, insn);
      if (this.#isAbandoned) {
        this.#isAbandoned = false;
        return this.#caught(layerExit);
      }
      this.registers.set32(State.rip, this.nextRipLow);
      this.registers.set32(State.rip + 4, this.nextRipHigh);
      this.#completed(flagsBefore);
      return Exit.SYSTEM;
    } catch (thrown) {
      return this.#caught(thrown);
    }
  }

  #setNextRip(insn: Insn): void {
    const low = this.registers.get32(State.rip);
    const high = this.registers.get32(State.rip + 4);
    const next = (low >>> 0) + insn.length;
    this.nextRipLow = insn.codeBits === 16 && !this.isProtected ? next & 0xffff : next | 0;
    this.nextRipHigh = insn.codeBits === 64 && next > 0xffffffff ? (high + 1) | 0 : high;
  }

  /** A fault (or a layer's exit) thrown by TypeScript code on behalf of the guest; anything else is a defect and goes on. */
  #caught(thrown: unknown): Exit {
    this.ext = 0;
    this.#nextShadow = InterruptShadow.NONE;
    this.#skipTrap = false;
    this.#resumeFlagLoaded = false;
    if (thrown === layerExit) return Exit.SYSTEM;
    if (thrown !== guestFault && thrown !== instructionWaits) throw thrown;
    // The instruction was taken from the budget, and did not complete; its fault's delivery is what counts.
    this.registers.set32(State.budget, this.registers.get32(State.budget) + 1);
    if (thrown === instructionWaits) return Exit.RESTART;
    this.#exception(guestFault.vector, guestFault.errorCode, guestFault.hasErrorCode);
    return Exit.FAULT;
  }

  #wasmFault(): void {
    const { registers } = this;
    this.nmiUnblocked = false;
    this.#noteShadowOfSti(0);
    guestFault.addressLow = registers.get32(State.faultAddress);
    guestFault.addressHigh = registers.get32(State.faultAddress + 4);
    this.#exception(registers.get32(State.faultVector), registers.get32(State.faultError), registers.get32(State.faultHasError) !== 0);
  }

  /** A fault at the current instruction, which left no trace. */
  #exception(vector: number, errorCode: number, withErrorCode: boolean): void {
    if (vector === SECOND_STAGE_FAULT) {
      this.secondStageFault();
      return;
    }
    if (vector === Vector.DB) {
      this.#debugException(errorCode, true);
      return;
    }
    const { registers } = this;
    const event = this.delivering.set(
      vector,
      EventType.HARDWARE_EXCEPTION,
      registers.get32(State.rip),
      registers.get32(State.rip + 4),
      errorCode,
      withErrorCode && !this.isRealMode,
    );
    this.#deliver(event, isFaultClass(vector));
  }

  /** #DB: `bits` go to DR6. General detect is a fault that sets RF in the frame. */
  #debugException(bits: number, fault: boolean): void {
    const { registers } = this;
    this.pendingDebug = 0;
    const event = this.delivering.set(Vector.DB, EventType.HARDWARE_EXCEPTION, registers.get32(State.rip), registers.get32(State.rip + 4));
    this.#deliver(event, fault, bits);
  }

  #deliver(event: DeliveredEvent, resume: boolean, debugBits = 0): void {
    // A delivery takes one from the budget; that of INT n is the instruction itself.
    if (!event.isSoftware) this.registers.set32(State.budget, this.registers.get32(State.budget) - 1);
    deliverEvent(this, event, resume, debugBits);
  }

  /** Takes at most one event, by priority (SDM Vol. 3A, Table 6-2). True where something happened. */
  #takeEvent(): boolean {
    if (!this.globalInterruptFlag) return false;
    if (this.#init && !this.#blocksInit()) return this.#takeInit();
    if (this.activity === Activity.WAIT_FOR_SIPI) return this.#takeStartUp();
    if (this.activity === Activity.SHUTDOWN && this.#layer === undefined) return false;
    if (this.#layer?.boundaryFirst && this.#layer.boundary()) return true;
    if (this.pendingDebug !== 0 && this.interruptShadow !== InterruptShadow.MOV_SS) {
      this.#setResumeFlagOfRepeat();
      this.#debugException(this.pendingDebug, false);
      return true;
    }
    const { layer } = this;
    if (layer?.wantsBoundary && layer.boundary()) return true;
    if (this.#nmi && this.#nmiAccepted()) return this.#takeNmi();
    if (this.#interrupt && this.#interruptAccepted()) return this.#takeInterrupt();
    return false;
  }

  #nmiAccepted(): boolean {
    const unmasked = !this.nmiBlocked && this.interruptShadow !== InterruptShadow.MOV_SS;
    return this.#layer === undefined ? unmasked : this.#layer.acceptsNmi(unmasked);
  }
  #interruptAccepted(): boolean {
    const unmasked = this.interruptShadow === InterruptShadow.NONE && (this.registers.get32(State.eflags) & Eflags.IF) !== 0;
    return this.#layer === undefined ? unmasked : this.#layer.acceptsInterrupt(unmasked);
  }
  #blocksInit(): boolean {
    // SDM Vol. 3C, 25.4.2: a guest that waits for a SIPI takes no INIT.
    if (this.#layer !== undefined) return this.activity === Activity.WAIT_FOR_SIPI;
    for (const extension of this.extensions) if (extension.blocksInit?.(this)) return true;
    return false;
  }

  #wakes(): boolean {
    if (!this.globalInterruptFlag) return false;
    if (this.#init && !this.#blocksInit()) return true;
    if (this.activity === Activity.WAIT_FOR_SIPI) return this.#sipi >= 0;
    if (this.activity !== Activity.HALTED && this.#layer === undefined) return false;
    if (this.#layer?.wantsBoundary || this.#layer?.boundaryFirst) return true;
    return (this.#nmi && this.#nmiAccepted()) || (this.#interrupt && this.#interruptAccepted()) || this.pendingDebug !== 0;
  }

  #takeInit(): boolean {
    this.#init = false;
    if (this.layer?.intercept({ kind: 'init' })) return true;
    initState(this);
    return true;
  }

  #takeStartUp(): boolean {
    const vector = this.#sipi;
    if (vector < 0) return false;
    this.#sipi = -1;
    if (this.layer?.intercept({ kind: 'sipi', vector })) return true;
    startUp(this, vector);
    return true;
  }

  /** SDM Vol. 3B, 17.3.1.1: interrupts and traps between two iterations of a repeated string instruction push RF set, so that its breakpoint does not come again. */
  #setResumeFlagOfRepeat(): void {
    const { engine, registers } = this;
    if (!engine.isRepeating) return;
    engine.isRepeating = false;
    registers.set32(State.eflags, registers.get32(State.eflags) | Eflags.RF);
  }

  #takeNmi(): boolean {
    this.#setResumeFlagOfRepeat();
    if (this.layer?.intercept({ kind: 'nmi' })) return true;
    this.#nmi = false;
    this.nmiBlocked = true;
    const { registers } = this;
    this.#deliver(this.delivering.set(Vector.NMI, EventType.NMI, registers.get32(State.rip), registers.get32(State.rip + 4)), false);
    return true;
  }

  #takeInterrupt(): boolean {
    this.#setResumeFlagOfRepeat();
    if (this.layer?.intercept({ kind: 'external-interrupt' })) return true;
    const vector = this.acknowledgeInterrupt();
    const { registers } = this;
    const event = this.delivering.set(vector, EventType.EXTERNAL_INTERRUPT, registers.get32(State.rip), registers.get32(State.rip + 4));
    this.#deliver(event, false);
    return true;
  }

  /**
   * Delivers an event on behalf of a layer (VM-entry event injection), at the current boundary; RF of the frame is the guest's, whatever the event (SDM Vol. 3C, 27.6.1.1).
   * `length`: of the instruction that a software event is thought to end.
   */
  inject(vector: number, type: EventType, errorCode: number, withErrorCode: boolean, length = 0): void {
    const { registers } = this;
    const low = registers.get32(State.rip);
    const high = registers.get32(State.rip + 4);
    const next = (low >>> 0) + length;
    const event = this.delivering.set(
      vector,
      type,
      next | 0,
      next > 0xffffffff && this.is64Bit ? (high + 1) | 0 : high,
      errorCode,
      withErrorCode,
    );
    event.length = length;
    event.isInjected = true;
    this.#deliver(event, false);
  }

  // Reset

  /** Power-up or RESET# (SDM Vol. 3A, Table 9-1). CPU 0 is the bootstrap processor; the others wait for a start-up IPI. */
  reset(): void {
    this.registers.set32(State.leave, 0);
    this.registers.set32(State.stiBudget, NO_STI);
    this.#nmi = false;
    this.#init = false;
    this.#sipi = -1;
    this.setInterruptRequest(false);
    this.layer = undefined;
    this.globalInterruptFlag = true;
    for (const extension of this.extensions) extension.reset?.(this);
    resetState(this);
    this.activity = this.index === 0 ? Activity.ACTIVE : Activity.WAIT_FOR_SIPI;
  }

  /** Gives back what it has of the machine's memory, for other processors. It must not be used any more. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.engine.dispose();
    this.memory.release(this.state, STATE_BYTES);
  }

  // EngineHost

  watches(linearLow: number, linearHigh: number, bytes: number, write: boolean): boolean {
    return this.debug.watches(linearLow, linearHigh, bytes, write);
  }
  watchesPage(linearLow: number, linearHigh: number): boolean {
    return this.debug.watchesPage(linearLow, linearHigh);
  }

  /** Paging is on. */
  get isPaging(): boolean {
    return (this.registers.get32(State.cr0) & Cr0.PG) !== 0;
  }
  get longModeEnabled(): boolean {
    return (this.registers.get32(State.efer) & Efer.LME) !== 0;
  }
}

const IDLE_RESULTS = {
  [Activity.ACTIVE]: 'budget',
  [Activity.HALTED]: 'halted',
  [Activity.SHUTDOWN]: 'shutdown',
  [Activity.WAIT_FOR_SIPI]: 'wait-for-sipi',
} as const;
