import type { Clock, InterruptAcknowledge, InterruptLine, Snapshotable } from '@minusone/core';
import type { ApicBus } from './apic-bus.ts';
import { ApicTimer, type ApicTimerState } from './apic-timer.ts';
import { APIC_VERSION, APIC_VERSION_SUPPRESSES_EOI, ApicError, ApicRegister, DeliveryMode, Lvt, lvtWritable } from './registers.ts';
import { VectorSet } from './vector-set.ts';

/** The processor that a local APIC belongs to, as the APIC sees it. */
export interface ApicHost {
  /** INTR: the level of the processor's interrupt request. */
  setInterruptRequest(asserted: boolean): void;
  raiseNmi(): void;
  raiseInit(): void;
  raiseStartUp(vector: number): void;
}

/** The processor's time-stamp counter, for TSC-deadline mode. */
export interface TimeStamp {
  read(): bigint;
  readonly hz: number;
}

export interface LocalApicOptions {
  readonly id: number;
  readonly bus: ApicBus;
  readonly host: ApicHost;
  readonly clock: Clock;
  readonly timeStamp: TimeStamp;
  /** The 8259 pair behind LINT0 in ExtINT mode, if any. */
  readonly external?: InterruptAcknowledge;
  readonly isBootstrap?: boolean;
  /** LVT LINT0 after RESET and INIT. Default: masked, as the manual says; a hypervisor that boots without firmware may have ExtINT there. */
  readonly lint0AtReset?: number;
  /** Bit 24 of the version register, and SVR bit 12: EOI broadcasts can be suppressed. Default true. */
  readonly suppressesEoiBroadcast?: boolean;
}

/** All state of a local APIC. */
export interface LocalApicState {
  readonly base: number;
  readonly id: number;
  readonly tpr: number;
  readonly ldr: number;
  readonly dfr: number;
  readonly svr: number;
  readonly esr: number;
  /** Errors since ESR was last written. */
  readonly pendingErrors: number;
  readonly icrLow: number;
  readonly icrHigh: number;
  /** Eight doublewords each. */
  readonly isr: Uint32Array;
  readonly tmr: Uint32Array;
  readonly irr: Uint32Array;
  /** By offset of the register. */
  readonly lvt: ReadonlyMap<number, number>;
  readonly lint0: boolean;
  readonly timer: ApicTimerState;
}

const ICR_MSR = 0x830;
const DEFAULT_BASE = 0xfee00000;
const BASE_BSP = 1 << 8;
const BASE_X2APIC = 1 << 10;
const BASE_ENABLE = 1 << 11;
const SVR_ENABLE = 1 << 8;
const SVR_SUPPRESS_EOI = 1 << 12;

/**
 * One local APIC, xAPIC and x2APIC (SDM Vol. 3A, chapter 10). It knows no CPU: it signals its host, takes messages from its bus, and is reached
 * by register offset, from the memory-mapped page and from the MSRs alike.
 */
export class LocalApic implements InterruptAcknowledge, Snapshotable<LocalApicState> {
  readonly initialId: number;
  readonly #bus: ApicBus;
  readonly #host: ApicHost;
  readonly #external: InterruptAcknowledge | undefined;
  readonly #isBootstrap: boolean;
  readonly #lint0AtReset: number;
  readonly #version: number;
  readonly #svrWritable: number;
  readonly #timer: ApicTimer;
  readonly #isr: VectorSet = new VectorSet();
  readonly #tmr: VectorSet = new VectorSet();
  readonly #irr: VectorSet = new VectorSet();
  readonly #lvt = new Map<number, number>();
  #base = 0;
  #id = 0;
  #tpr = 0;
  #ldr = 0;
  #dfr = 0;
  #svr = 0;
  #esr = 0;
  #pendingErrors = 0;
  #icrLow = 0;
  #icrHigh = 0;
  #lint0 = false;

  constructor(options: LocalApicOptions) {
    this.initialId = options.id;
    this.#bus = options.bus;
    this.#host = options.host;
    this.#external = options.external;
    this.#isBootstrap = options.isBootstrap ?? options.id === 0;
    this.#lint0AtReset = options.lint0AtReset ?? Lvt.MASKED;
    const suppresses = options.suppressesEoiBroadcast ?? true;
    this.#version = suppresses ? APIC_VERSION : APIC_VERSION & ~APIC_VERSION_SUPPRESSES_EOI;
    this.#svrWritable = suppresses ? 0x1ff | SVR_SUPPRESS_EOI : 0x1ff;
    this.#timer = new ApicTimer(options.clock, options.timeStamp, () => this.#signalLvt(ApicRegister.LVT_TIMER));
    this.reset();
    this.#bus.attach(this);
  }

  /** Power-up or RESET (10.4.7.1), IA32_APIC_BASE included. */
  reset(): void {
    const before = this.#base;
    this.#base = DEFAULT_BASE + BASE_ENABLE + (this.#isBootstrap ? BASE_BSP : 0);
    this.#id = this.initialId;
    this.init();
    // Not when it is made: it is on no bus yet.
    if (before !== 0 && before !== this.#base) this.#bus.moved();
  }

  /** INIT (10.4.7.3): as after RESET, but for the APIC ID and IA32_APIC_BASE. */
  init(): void {
    for (const set of [this.#isr, this.#tmr, this.#irr]) set.clear();
    for (const register of lvtWritable.keys()) this.#lvt.set(register, Lvt.MASKED);
    this.#lvt.set(ApicRegister.LVT_LINT0, this.#lint0AtReset);
    this.#timer.reset();
    this.#tpr = 0;
    this.#ldr = 0;
    this.#dfr = -1;
    this.#svr = 0xff;
    this.#esr = this.#pendingErrors = 0;
    this.#icrLow = this.#icrHigh = 0;
    this.#update();
  }

  // IA32_APIC_BASE

  get isEnabled(): boolean {
    return (this.#base & BASE_ENABLE) !== 0;
  }
  get isX2apic(): boolean {
    return (this.#base & BASE_X2APIC) !== 0;
  }
  /** Guest-physical address of the page. */
  get baseAddress(): number {
    return this.#base - (this.#base % 4096);
  }
  get baseMsr(): bigint {
    return BigInt(this.#base);
  }
  /** @returns false where the transition is not allowed (10.12.5, Figure 10-27): #GP(0) */
  writeBaseMsr(value: bigint): boolean {
    const next = Number(value);
    const enable = (next & BASE_ENABLE) !== 0;
    const x2 = (next & BASE_X2APIC) !== 0;
    if ((next & 0x2ff) !== 0 || (x2 && !enable)) return false;
    if (this.isX2apic && enable && !x2) return false;
    if (!this.isEnabled && x2) return false;
    const wasX2 = this.isX2apic;
    const wasEnabled = this.isEnabled;
    this.#base = next - (next & BASE_BSP) + (this.#isBootstrap ? BASE_BSP : 0);
    if (!enable && wasEnabled) {
      this.#id = this.initialId;
      this.init();
    }
    if (x2 && !wasX2) {
      this.#id = this.initialId;
      this.#ldr = this.#x2apicLdr;
    }
    this.#bus.moved();
    this.#update();
    return true;
  }

  /**
   * IA32_APIC_BASE is set from outside, whatever it was: no transition is refused (one of KVM's host-initiated writes).
   * @returns false for a state that does not exist: x2APIC mode of a disabled APIC
   */
  loadBaseMsr(value: bigint): boolean {
    const next = Number(value);
    const x2 = (next & BASE_X2APIC) !== 0;
    if ((next & 0x2ff) !== 0 || (x2 && (next & BASE_ENABLE) === 0)) return false;
    const wasX2 = this.isX2apic;
    this.#base = next;
    if (x2 !== wasX2) this.#id = this.initialId;
    if (x2) this.#ldr = this.#x2apicLdr;
    this.#bus.moved();
    this.#update();
    return true;
  }

  /** Physical APIC ID. */
  get id(): number {
    return this.#id;
  }
  /** Local APICs on the bus. */
  get count(): number {
    return this.#bus.apics.length;
  }
  get #x2apicLdr(): number {
    return ((this.initialId >>> 4) << 16) | (1 << (this.initialId & 15));
  }
  get isSoftwareEnabled(): boolean {
    return (this.#svr & SVR_ENABLE) !== 0;
  }

  // Priorities (10.8.3)

  get taskPriority(): number {
    return this.#tpr;
  }
  set taskPriority(value: number) {
    this.#tpr = value & 0xff;
    this.#update();
  }
  get processorPriority(): number {
    const inService = Math.max(this.#isr.highest(), 0);
    return this.#tpr >>> 4 >= inService >>> 4 ? this.#tpr : inService & 0xf0;
  }

  /** The vector that INTA would yield, or -1; ExtINT from LINT0 comes after the APIC's own. */
  #pending(): number {
    const vector = this.#irr.highest();
    return vector >= 0 && vector >>> 4 > this.processorPriority >>> 4 ? vector : -1;
  }

  get #externalPending(): boolean {
    if (!this.#lint0 || this.#external === undefined) return false;
    // Globally disabled, LINT0 is the processor's INTR pin (10.4.3).
    if (!this.isEnabled) return true;
    const lvt = this.#lvt.get(ApicRegister.LVT_LINT0) as number;
    return (lvt & Lvt.MASKED) === 0 && ((lvt >>> Lvt.MODE_SHIFT) & 7) === DeliveryMode.EXT_INT;
  }

  #update(): void {
    this.#host.setInterruptRequest((this.isEnabled && this.#pending() >= 0) || this.#externalPending);
  }

  /** The INTA cycle: moves the vector from IRR to ISR; an ExtINT asks the 8259; otherwise the spurious vector (10.9). */
  acknowledge(): number {
    const vector = this.isEnabled ? this.#pending() : -1;
    if (vector >= 0) {
      this.#irr.delete(vector);
      this.#isr.add(vector);
      this.#update();
      return vector;
    }
    if (this.#externalPending && this.#external !== undefined) {
      const external = this.#external.acknowledge();
      this.#update();
      return external;
    }
    this.#update();
    return this.#svr & 0xff;
  }

  /** The highest vector in IRR, whatever holds it back; -1: none. */
  get highestRequested(): number {
    return this.#irr.highest();
  }

  /** True while a fixed interrupt could be taken now, were IF set. */
  get hasPending(): boolean {
    return this.#pending() >= 0 || this.#externalPending;
  }

  #endOfInterrupt(): void {
    const vector = this.#isr.highest();
    if (vector < 0) return;
    this.#isr.delete(vector);
    this.#bus.endOfInterrupt(vector, this);
    if (this.#tmr.has(vector)) {
      this.#clearRemoteIrr(vector);
      if ((this.#svr & SVR_SUPPRESS_EOI) === 0) this.#bus.broadcastEoi(vector);
    }
    this.#update();
  }

  // Interrupts coming in

  /** A message for this APIC (10.5, 10.6). @returns whether it was accepted */
  receive(vector: number, mode: number, level: boolean): boolean {
    switch (mode) {
      case DeliveryMode.FIXED:
      case DeliveryMode.LOWEST_PRIORITY:
        return this.#accept(vector, level);
      case DeliveryMode.NMI:
        this.#host.raiseNmi();
        return true;
      case DeliveryMode.INIT:
        this.#host.raiseInit();
        return true;
      case DeliveryMode.START_UP:
        this.#host.raiseStartUp(vector);
        return true;
      case DeliveryMode.EXT_INT:
        this.lint0.set(true);
        return true;
    }
    return false;
  }

  #accept(vector: number, level: boolean): boolean {
    if (!this.isSoftwareEnabled || !this.isEnabled) return false;
    if (vector < 16) {
      this.#error(ApicError.RECEIVE_ILLEGAL_VECTOR);
      return false;
    }
    this.#irr.add(vector);
    if (level) this.#tmr.add(vector);
    else this.#tmr.delete(vector);
    this.#update();
    return true;
  }

  /** The last interrupt accepted with this vector was a level-triggered one (TMR). */
  isLevel(vector: number): boolean {
    return this.#tmr.has(vector);
  }
  /** The vector is requested or in service, as a level-triggered one. */
  holdsLevel(vector: number): boolean {
    return this.#tmr.has(vector) && (this.#irr.has(vector) || this.#isr.has(vector));
  }

  /** The pin that the 8259 pair (or anything ExtINT) is wired to. */
  readonly lint0: InterruptLine = {
    set: (asserted) => {
      const rises = asserted && !this.#lint0;
      this.#lint0 = asserted;
      const lvt = this.#lvt.get(ApicRegister.LVT_LINT0) as number;
      if (rises && this.isEnabled && ((lvt >>> Lvt.MODE_SHIFT) & 7) !== DeliveryMode.EXT_INT) this.#signalLvt(ApicRegister.LVT_LINT0);
      this.#update();
    },
  };

  /** The pin of the NMI. */
  readonly lint1: InterruptLine = {
    set: (asserted) => {
      if (!asserted) return;
      if (this.isEnabled) this.#signalLvt(ApicRegister.LVT_LINT1);
      else this.#host.raiseNmi();
    },
  };

  #signalLvt(register: number): void {
    const lvt = this.#lvt.get(register) as number;
    if ((lvt & Lvt.MASKED) !== 0) return;
    const hasMode = register !== ApicRegister.LVT_TIMER && register !== ApicRegister.LVT_ERROR;
    const mode = hasMode ? (lvt >>> Lvt.MODE_SHIFT) & 7 : DeliveryMode.FIXED;
    const isPin = register === ApicRegister.LVT_LINT0 || register === ApicRegister.LVT_LINT1;
    const level = isPin && mode === DeliveryMode.FIXED && (lvt & Lvt.LEVEL) !== 0;
    if (level) this.#lvt.set(register, lvt | Lvt.REMOTE_IRR);
    this.receive(lvt & Lvt.VECTOR, mode, level);
  }

  #clearRemoteIrr(vector: number): void {
    for (const register of [ApicRegister.LVT_LINT0, ApicRegister.LVT_LINT1]) {
      const lvt = this.#lvt.get(register) as number;
      if ((lvt & Lvt.VECTOR) === vector) this.#lvt.set(register, lvt & ~Lvt.REMOTE_IRR);
    }
  }

  #error(bit: number): void {
    if ((this.#pendingErrors & bit) !== 0) return;
    this.#pendingErrors |= bit;
    this.#signalLvt(ApicRegister.LVT_ERROR);
  }

  // Destinations (10.6.2)

  /** Whether a logical destination names this APIC. */
  matchesLogical(destination: number): boolean {
    if (this.isX2apic) {
      if (destination === 0xffffffff) return true;
      return destination >>> 16 === this.#ldr >>> 16 && (destination & this.#ldr & 0xffff) !== 0;
    }
    const mda = destination & 0xff;
    if (mda === 0xff) return true;
    const logical = this.#ldr >>> 24;
    if (this.#dfr >>> 28 === 0xf) return (mda & logical) !== 0;
    return mda >>> 4 === logical >>> 4 && (mda & logical & 15) !== 0;
  }

  matchesPhysical(destination: number): boolean {
    return destination === this.#id || destination === 0xffffffff || (!this.isX2apic && (destination & 0xff) === 0xff);
  }

  #sendIpi(): void {
    const low = this.#icrLow;
    const vector = low & 0xff;
    const mode = (low >>> 8) & 7;
    const isLevel = (low & (1 << 15)) !== 0;
    const asserts = (low & (1 << 14)) !== 0;
    // INIT level de-assert: no effect on this processor (10.6.1, Table 10-3 note).
    if (mode === DeliveryMode.INIT && isLevel && !asserts) return;
    if ((mode === DeliveryMode.FIXED || mode === DeliveryMode.LOWEST_PRIORITY) && vector < 16) {
      this.#error(ApicError.SEND_ILLEGAL_VECTOR);
      return;
    }
    const destination = this.isX2apic ? this.#icrHigh >>> 0 : this.#icrHigh >>> 24;
    const shorthand = (low >>> 18) & 3;
    if (shorthand === 0) {
      this.#bus.send(vector, mode, destination, (low & (1 << 11)) !== 0, false);
    } else {
      this.#bus.deliverShorthand(this, shorthand as 1 | 2 | 3, vector, mode);
    }
  }

  // Registers

  /** Reads a register by its offset in the page; undefined where there is none. */
  readRegister(offset: number): number | undefined {
    if (offset >= ApicRegister.ISR && offset < ApicRegister.ESR) {
      const set = offset < ApicRegister.TMR ? this.#isr : offset < ApicRegister.IRR ? this.#tmr : this.#irr;
      return set.words[(offset >>> 4) & 7];
    }
    switch (offset) {
      case ApicRegister.ID:
        return this.isX2apic ? this.#id : (this.#id << 24) >>> 0;
      case ApicRegister.VERSION:
        return this.#version;
      case ApicRegister.TPR:
        return this.#tpr;
      case ApicRegister.PPR:
        return this.processorPriority;
      case ApicRegister.APR:
      case ApicRegister.RRD:
      case ApicRegister.EOI:
        return 0;
      case ApicRegister.LDR:
        return this.#ldr >>> 0;
      case ApicRegister.DFR:
        return this.#dfr >>> 0;
      case ApicRegister.SVR:
        return this.#svr;
      case ApicRegister.ESR:
        return this.#esr;
      case ApicRegister.ICR_LOW:
        return this.#icrLow >>> 0;
      case ApicRegister.ICR_HIGH:
        return this.#icrHigh >>> 0;
      case ApicRegister.TIMER_INITIAL:
        return this.#timer.initial;
      case ApicRegister.TIMER_CURRENT:
        return this.#timer.current;
      case ApicRegister.TIMER_DIVIDE:
        return this.#timer.divide;
    }
    return this.#lvt.get(offset);
  }

  /** Writes a register by its offset in the page. @returns false where there is none that may be written */
  writeRegister(offset: number, value: number): boolean {
    const writable = lvtWritable.get(offset);
    if (writable !== undefined) {
      this.#writeLvt(offset, value & writable);
      return true;
    }
    switch (offset) {
      case ApicRegister.ID:
        if (!this.isX2apic) this.#id = value >>> 24;
        return true;
      case ApicRegister.TPR:
        this.taskPriority = value;
        return true;
      case ApicRegister.EOI:
        this.#endOfInterrupt();
        return true;
      case ApicRegister.LDR:
        this.#ldr = value & 0xff000000;
        return true;
      case ApicRegister.DFR:
        this.#dfr = value | 0x0fffffff;
        return true;
      case ApicRegister.SVR:
        this.#svr = value & this.#svrWritable;
        // 10.4.7.2: while software-disabled, every LVT entry is masked.
        if (!this.isSoftwareEnabled) for (const [register, lvt] of this.#lvt) this.#lvt.set(register, lvt | Lvt.MASKED);
        this.#update();
        return true;
      case ApicRegister.ESR:
        // 10.5.3: a write makes the register show what has happened since the last one.
        this.#esr = this.#pendingErrors;
        this.#pendingErrors = 0;
        return true;
      case ApicRegister.ICR_LOW:
        this.#icrLow = value & 0xccfff;
        this.#sendIpi();
        return true;
      case ApicRegister.ICR_HIGH:
        this.#icrHigh = this.isX2apic ? value : value & 0xff000000;
        return true;
      case ApicRegister.TIMER_INITIAL:
        this.#timer.initial = value;
        return true;
      case ApicRegister.TIMER_DIVIDE:
        this.#timer.divide = value;
        return true;
    }
    return false;
  }

  #writeLvt(register: number, value: number): void {
    const kept = (this.#lvt.get(register) as number) & Lvt.REMOTE_IRR;
    this.#lvt.set(register, (this.isSoftwareEnabled ? value : value | Lvt.MASKED) | kept);
    if (register === ApicRegister.LVT_TIMER) this.#timer.setLvt(value);
    this.#update();
  }

  /** A register that does not exist was accessed through the page (10.5.3, illegal register address). */
  illegalRegister(): void {
    this.#error(ApicError.ILLEGAL_REGISTER);
  }

  // x2APIC MSRs (10.12.1.2)

  /** undefined: #GP(0). */
  readMsr(index: number): bigint | undefined {
    const low = this.readMsrLow(index);
    if (low === undefined) return undefined;
    return index === ICR_MSR ? (BigInt(this.#icrHigh >>> 0) << 32n) | BigInt(low) : BigInt(low);
  }

  /** The low half, unsigned; undefined: #GP(0). Of all these registers only ICR has another half: `interruptDestination`. */
  readMsrLow(index: number): number | undefined {
    const offset = (index - 0x800) << 4;
    if (!this.isX2apic || offset === ApicRegister.DFR || offset === ApicRegister.ICR_HIGH || offset === ApicRegister.EOI) return undefined;
    if (offset === ApicRegister.APR || offset === ApicRegister.RRD) return undefined;
    const value = this.readRegister(offset);
    return value === undefined ? undefined : value >>> 0;
  }
  /** ICR's high half. */
  get interruptDestination(): number {
    return this.#icrHigh >>> 0;
  }

  /** @returns false for #GP(0): not there, read-only, or reserved bits set */
  writeMsr(index: number, value: bigint): boolean {
    return this.writeMsrHalves(index, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** As `writeMsr`, with the value in two halves of 32 bits. */
  writeMsrHalves(index: number, low: number, high: number): boolean {
    const offset = (index - 0x800) << 4;
    if (!this.isX2apic) return false;
    if (offset === ApicRegister.ICR_LOW) {
      if ((low & ~0xccfff) !== 0) return false;
      this.#icrHigh = high;
      return this.writeRegister(offset, low);
    }
    if (high !== 0) return false;
    if (offset === ApicRegister.SELF_IPI) {
      if (low >>> 0 > 0xff) return false;
      this.#bus.deliverShorthand(this, 1, low, DeliveryMode.FIXED);
      return true;
    }
    const readOnly =
      offset === ApicRegister.ID || offset === ApicRegister.LDR || offset === ApicRegister.DFR || offset === ApicRegister.ICR_HIGH;
    if (readOnly || ((offset === ApicRegister.EOI || offset === ApicRegister.ESR) && low !== 0)) return false;
    if (offset === ApicRegister.TPR && low >>> 0 > 0xff) return false;
    const writable = lvtWritable.get(offset);
    // Delivery status and, of the LINT pins, remote IRR are read-only: not reserved, what is written there does not matter.
    const readOnlyBits =
      Lvt.DELIVERY_STATUS | (offset === ApicRegister.LVT_LINT0 || offset === ApicRegister.LVT_LINT1 ? Lvt.REMOTE_IRR : 0);
    if (writable !== undefined && (low & ~(writable | readOnlyBits)) !== 0) return false;
    return this.writeRegister(offset, low);
  }

  readTscDeadline(): bigint {
    return this.#timer.deadline;
  }
  writeTscDeadline(value: bigint): void {
    this.#timer.deadline = value;
  }
  timeStampChanged(): void {
    this.#timer.timeStampChanged();
  }

  // State

  /** The timer counts on from `current` as of now (KVM_SET_LAPIC, whose page has no times); a periodic one that stands at 0 begins anew. */
  resumeTimer(current: number): void {
    this.#timer.resume(current);
  }

  save(): LocalApicState {
    return {
      base: this.#base,
      id: this.#id,
      tpr: this.#tpr,
      ldr: this.#ldr,
      dfr: this.#dfr,
      svr: this.#svr,
      esr: this.#esr,
      pendingErrors: this.#pendingErrors,
      icrLow: this.#icrLow,
      icrHigh: this.#icrHigh,
      isr: this.#isr.words.slice(),
      tmr: this.#tmr.words.slice(),
      irr: this.#irr.words.slice(),
      lvt: new Map(this.#lvt),
      lint0: this.#lint0,
      timer: this.#timer.save(),
    };
  }

  restore(state: LocalApicState): void {
    this.#base = state.base;
    this.#id = state.id;
    this.#tpr = state.tpr;
    this.#ldr = state.ldr;
    this.#dfr = state.dfr;
    this.#svr = state.svr;
    this.#esr = state.esr;
    this.#pendingErrors = state.pendingErrors;
    this.#icrLow = state.icrLow;
    this.#icrHigh = state.icrHigh;
    this.#isr.words.set(state.isr);
    this.#tmr.words.set(state.tmr);
    this.#irr.words.set(state.irr);
    for (const [register, value] of state.lvt) if (this.#lvt.has(register)) this.#lvt.set(register, value);
    this.#lint0 = state.lint0;
    this.#timer.restore(state.timer);
    this.#bus.moved();
    this.#update();
  }
}
