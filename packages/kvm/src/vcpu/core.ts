import { type ApicHost, type Cpu, type CpuidResult, type LocalApic, type RoundMember, State } from '@minusone/x86';
import type { VcpuClock } from '../clock/kvm-clock.ts';
import { CpuidTable } from '../cpuid/cpuid-table.ts';
import { AccessLog } from '../emulation/access-log.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { OwnedPages } from '../host/owned-pages.ts';
import type { GuestMsrs } from '../msrs/guest-msrs.ts';
import type { SegmentState, VendorVcpu } from '../vendor/vendor.ts';
import type { VmContext } from '../vm/vm-context.ts';
import { complete } from './completion.ts';
import { Completion } from './completion-kinds.ts';
import { handleExit } from './exit-handlers.ts';
import { GuestDebug } from './guest-debug.ts';
import { injectEvents } from './inject-events.ts';
import type { MpState } from './mp-state.ts';
import { PendingEvents } from './pending-events.ts';
import { acceptInit, acceptStartUp, resetVcpu } from './reset.ts';

/** What a virtual CPU has done. */
export interface VcpuStatistics {
  readonly instructions: number;
  /** VM exits by the manual's names, counted where the hardware makes them. */
  readonly exits: Readonly<Record<string, number>>;
  /** Exits that KVM has dealt with, and those that the user has seen. */
  readonly handledInKvm: number;
  readonly handledByUser: number;
}

const INTR: VcpuExit = Object.freeze({ reason: 'intr' });
const IRQ_WINDOW_OPEN: VcpuExit = Object.freeze({ reason: 'irqWindowOpen' });

/**
 * One virtual CPU from the inside: what KVM keeps of it beside the vendor module's control block, and the loop that enters the guest (`vcpu_enter_guest`,
 * `inject_pending_event`). What its exits mean stands in the modules beside this one; the calls of the API, in `Vcpu`.
 */
export class VcpuCore implements RoundMember, ApicHost {
  readonly id: number;
  readonly vm: VmContext;
  readonly cpu: Cpu;
  readonly vendor: VendorVcpu;
  readonly events: PendingEvents = new PendingEvents();
  readonly log: AccessLog = new AccessLog();
  readonly cpuid: CpuidTable = new CpuidTable();
  readonly debug: GuestDebug = new GuestDebug();
  /** Set right after the core is made: they need it. */
  lapic: LocalApic | undefined;
  msrs!: GuestMsrs;
  clock!: VcpuClock;

  mpState: MpState = 'runnable';
  readonly isBootstrap: boolean;

  // What the user says and sees (`struct kvm_run`)

  immediateExit = false;
  requestInterruptWindow = false;

  // Completion of exits

  completion: Completion = Completion.NONE;
  /** The exit that the completion is for. */
  completes: VcpuExit | undefined;
  /** RIP of the instruction whose exit the user sees: if the user moves it, nothing is completed. */
  completesLow = 0;
  completesHigh = 0;
  /** The emulated instruction waits for an answer: it runs again. Otherwise the user is only told what it wrote. */
  reruns = false;
  /** The last emulated instruction was an iteration of a REP that is not through. */
  isPartial = false;
  /** The hardware has counted the emulated instruction already. */
  countedByHardware = false;
  /** A debugger's single step is to be reported before the guest goes on. */
  stepped = false;

  /** An exit that something else made for this virtual CPU's user. */
  pendingExit: VcpuExit | undefined;
  /** The last run came back because the guest waits. */
  wasIdle = false;

  // Statistics

  handledInKvm = 0;
  handledByUser = 0;
  /** Instructions that the emulator executed for the guest. */
  extraInstructions = 0;

  /** It has run: CPUID may no longer be set. */
  hasRun = false;
  /** Added to the host's TSC for the guest, modulo 2^64. */
  tscOffset = 0n;
  /** TSC frequency that the guest is shown, Hz. */
  tscHz: number;

  readonly cpuidResult: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  readonly cpuidRuntime: { cr4: number; xcr0: number; apicEnabled: boolean } = { cr4: 0, xcr0: 1, apicEnabled: false };
  readonly segment: SegmentState = { selector: 0, base: 0n, limit: 0, attributes: 0 };

  /** The local APIC asks for an interrupt. */
  #interruptRequest = false;
  /** Something is new that an entry has to think of: a guest that is in has to come out. */
  #attention = true;
  /** The guest was made to leave, or left, and `vendor.exit` has not been looked at. */
  #exitWaits = false;
  #end = 0;
  #stopRequested = false;
  #isRunning = false;
  #interruptWindow = false;
  #nmiWindow = false;
  #taskPriority = -1;
  #threshold = -1;
  readonly #pages: OwnedPages;
  #statistics: VcpuStatistics | undefined;

  constructor(parts: {
    readonly id: number;
    readonly vm: VmContext;
    readonly vendor: VendorVcpu;
    readonly pages: OwnedPages;
    readonly isBootstrap: boolean;
  }) {
    this.id = parts.id;
    this.vm = parts.vm;
    this.vendor = parts.vendor;
    this.#pages = parts.pages;
    this.cpu = parts.vendor.cpu;
    this.isBootstrap = parts.isBootstrap;
    this.tscHz = parts.vm.host.model.tscHz;
  }

  // RoundMember

  get instructions(): number {
    return this.cpu.instructions + this.extraInstructions;
  }
  stopAt(instructions: number): void {
    if (instructions < this.#end) this.#end = instructions;
    this.cpu.stopAt(instructions - this.extraInstructions);
  }
  stop(): void {
    this.#stopRequested = true;
    this.cpu.stop();
  }
  get isRunnable(): boolean {
    if (this.immediateExit || this.completion !== Completion.NONE || this.pendingExit !== undefined || this.stepped) return true;
    switch (this.mpState) {
      case 'runnable':
        return this.cpu.isRunnable || !this.vendor.isInGuest || this.#attention;
      case 'halted':
        return this.#wakes();
      case 'sipiReceived':
        return true;
      case 'initReceived':
        return this.events.sipi >= 0 || this.events.initPending;
      case 'uninitialized':
        return this.events.initPending;
      default:
        return false;
    }
  }
  #wakes(): boolean {
    const { events, vendor } = this;
    if (events.isQuiet && !this.#interruptRequest) return false;
    if (events.initPending || events.exceptionPending || events.tripleFault) return true;
    if (events.nmiPending && vendor.events.nmiAllowed()) return true;
    return this.hasInterrupt && vendor.events.interruptAllowed();
  }

  // ApicHost

  setInterruptRequest(asserted: boolean): void {
    this.#interruptRequest = asserted;
    if (asserted) this.attention();
  }
  raiseNmi(): void {
    this.events.nmiPending = true;
    this.attention();
  }
  raiseInit(): void {
    this.events.initPending = true;
    this.events.sipi = -1;
    this.attention();
  }
  raiseStartUp(vector: number): void {
    this.events.sipi = vector;
    this.attention();
  }

  /** Something has happened that the next entry has to think of. */
  attention(): void {
    this.#attention = true;
    this.vm.wake();
  }

  /** A maskable interrupt waits to be injected: the user's, or the local APIC's. */
  get hasInterrupt(): boolean {
    return this.events.interruptQueued >= 0 || this.#interruptRequest;
  }
  /** Its vector: the INTA cycle. */
  takeInterrupt(): number {
    const { events } = this;
    if (events.interruptQueued >= 0) {
      const vector = events.interruptQueued;
      events.interruptQueued = -1;
      return vector;
    }
    return this.lapic?.acknowledge() ?? 0xff;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** The guest comes out, if it is in, so that its state can be read and written. What it exited for is handled by the next run. */
  out(): void {
    if (!this.vendor.isInGuest) return;
    this.vendor.leave();
    this.#left();
  }
  #left(): void {
    this.#exitWaits = true;
    this.#attention = true;
    this.events.interrupted(this.vendor.events.takeInterruptedEvent());
    this.#takePriority();
  }

  /**
   * Runs the guest for at most so many instructions. Undefined: they are used up, it waits, or `stop` was called; otherwise the user is to see the exit.
   * @param budget at least 1
   */
  run(budget: number): VcpuExit | undefined {
    this.#end = this.instructions + budget;
    this.#stopRequested = false;
    this.#isRunning = true;
    this.hasRun = true;
    try {
      const exit = this.#run();
      if (exit !== undefined) this.handledByUser++;
      return exit;
    } finally {
      this.#isRunning = false;
    }
  }

  #run(): VcpuExit | undefined {
    const { vendor } = this;
    for (;;) {
      if (this.completion !== Completion.NONE) {
        const exit = complete(this);
        if (exit !== undefined) return exit;
      }
      if (this.stepped) return this.#stepExit();
      if (this.pendingExit !== undefined) {
        const exit = this.pendingExit;
        this.pendingExit = undefined;
        return exit;
      }
      if (this.immediateExit) return INTR;
      if (this.#stopRequested) return undefined;
      if (this.#exitWaits) {
        this.#exitWaits = false;
        const exit = this.#handle();
        if (exit !== undefined) return exit;
        continue;
      }
      const left = this.#end - this.instructions;
      if (left <= 0) return undefined;
      if (this.#attention) {
        if (vendor.isInGuest) {
          vendor.leave();
          this.#left();
          continue;
        }
        this.#attention = false;
        const exit = this.#prepare();
        if (exit !== undefined) return exit;
        if (this.mpState !== 'runnable') return undefined;
      }
      const halted = !this.#enter(left);
      if (halted) return undefined;
    }
  }

  /** False: the guest waits inside (HLT does not exit), or its time is up. */
  #enter(instructions: number): boolean {
    if (this.vendor.enter(instructions)) {
      this.events.interrupted(this.vendor.events.takeInterruptedEvent());
      this.#takePriority();
      this.#exitWaits = true;
      this.#attention = true;
      return true;
    }
    this.#delivered();
    return this.cpu.isRunnable;
  }
  /** What was injected is in the guest now. */
  #delivered(): void {
    if (!this.events.isQuiet) this.events.interrupted(undefined);
  }

  #handle(): VcpuExit | undefined {
    const exit = handleExit(this);
    if (exit !== undefined) return exit;
    this.handledInKvm++;
    if (this.requestInterruptWindow && this.isReadyForInterrupt) return IRQ_WINDOW_OPEN;
    return undefined;
  }

  /** What is to be done before the guest goes in: INIT and SIPI, waiting, events, windows, priority. */
  #prepare(): VcpuExit | undefined {
    const { events } = this;
    if (events.initPending) {
      events.initPending = false;
      acceptInit(this);
    }
    if (events.sipi >= 0) {
      if (this.mpState === 'initReceived') acceptStartUp(this, events.sipi);
      events.sipi = -1;
    }
    if (this.mpState === 'sipiReceived') this.mpState = 'runnable';
    if (this.mpState === 'halted' && this.#wakes()) this.mpState = 'runnable';
    if (this.mpState !== 'runnable') {
      this.#attention = true;
      return undefined;
    }
    const exit = injectEvents(this);
    this.#givePriority();
    return exit;
  }

  /** Asks for an exit as soon as a maskable interrupt, or an NMI, can be injected. */
  setWindows(interrupt: boolean, nmi: boolean): void {
    if (interrupt !== this.#interruptWindow) {
      this.#interruptWindow = interrupt;
      this.vendor.events.setInterruptWindow(interrupt);
    }
    if (nmi !== this.#nmiWindow) {
      this.#nmiWindow = nmi;
      this.vendor.nmis.setWindow(nmi);
    }
  }

  /** CR8 is the local APIC's task priority, which the extension keeps while the guest runs. */
  #takePriority(): void {
    const { lapic } = this;
    if (lapic === undefined) return;
    const priority = this.vendor.priority.get();
    if (priority === this.#taskPriority) return;
    this.#taskPriority = priority;
    if (lapic.taskPriority >>> 4 !== priority) lapic.taskPriority = priority << 4;
  }
  #givePriority(): void {
    const { lapic } = this;
    if (lapic === undefined) return;
    const priority = lapic.taskPriority >>> 4;
    const requested = lapic.highestRequested >>> 4;
    // An interrupt that the task priority holds back comes when that falls below its class.
    const threshold = requested > 0 && requested <= priority ? requested : 0;
    if (priority === this.#taskPriority && threshold === this.#threshold) return;
    this.#taskPriority = priority;
    this.#threshold = threshold;
    this.vendor.priority.set(priority, threshold);
  }

  #stepExit(): VcpuExit {
    this.stepped = false;
    return this.debug.exit(this, 1, SINGLE_STEP);
  }

  /** `ready_for_interrupt_injection`: an interrupt of the user's could be injected now, and none waits. */
  get isReadyForInterrupt(): boolean {
    const { events } = this;
    return events.interruptQueued < 0 && events.interruptInjected < 0 && !events.exceptionPending && this.vendor.events.interruptAllowed();
  }

  /** RESET or INIT. */
  reset(init: boolean): void {
    resetVcpu(this, init);
    this.#taskPriority = this.#threshold = -1;
  }

  /** The entry that comes is to think of everything anew: the user has written state. */
  stateChanged(): void {
    this.#attention = true;
  }

  get statistics(): VcpuStatistics {
    const { instructions, handledInKvm, handledByUser, vendor } = this;
    return this.#statistics ?? { instructions, exits: vendor.exits, handledInKvm, handledByUser };
  }
  /** Gives back the processor and the pages that served it; what it has done can still be asked for. */
  dispose(): void {
    this.#statistics = this.statistics;
    this.cpu.dispose();
    this.#pages.freeAll();
  }

  // Short ways for the modules beside

  /** Ends the instruction that exited; a guest that single-steps gets its trap. */
  skip(): void {
    const { vendor } = this;
    vendor.skipInstruction();
    if (this.debug.singleSteps) this.stepped = true;
    else if ((vendor.debug.rflags() & TF) !== 0) this.events.queueException(1, undefined, BigInt(SINGLE_STEP));
  }
  /** RIP of the instruction that exited, for its completion. */
  rememberRip(): void {
    this.completesLow = this.vendor.state.ripLow();
    this.completesHigh = this.vendor.state.ripHigh();
  }
  get isAtRememberedRip(): boolean {
    return this.vendor.state.ripLow() === this.completesLow && this.vendor.state.ripHigh() === this.completesHigh;
  }
  /** The guest's time-stamp counter now. */
  tsc(): bigint {
    return BigInt.asUintN(64, BigInt(this.cpu.timeStamp.ticks()) + this.tscOffset);
  }
  /** The same at a moment of the VM's clock. */
  tscAt(ns: number): bigint {
    return BigInt.asUintN(64, BigInt(Math.floor((ns * this.cpu.timeStamp.hz) / 1e9)) + this.tscOffset);
  }
  get xcr0(): number {
    return this.cpu.registers.get32(State.xcr0);
  }
}

const TF = 0x100;
/** DR6.BS. */
const SINGLE_STEP = 0x4000;
