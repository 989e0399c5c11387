import { type Cpu, State, type TickTimer } from '@minusone/x86';

/**
 * The VMX-preemption timer (SDM Vol. 3C, 26.5.1): counts down each time bit X of the time-stamp counter changes, X from IA32_VMX_MISC[4:0]; at 0 the guest exits.
 *
 * Where time is instructions executed, its end is an exact count of instructions; otherwise the run loop asks the clock whenever it looks. A guest that halts is woken by a
 * timer of the machine's clock.
 */
export class PreemptionTimer {
  isActive = false;
  readonly #cpu: Cpu;
  /** Ticks of the TSC for each count. */
  readonly #period: number;
  /** When it ends: in ticks of the machine's time, and in instructions of this CPU (infinite where these are not time). */
  #endTicks = 0;
  #endInstructions = Number.POSITIVE_INFINITY;
  /** Made when a guest first waits. */
  #alarm: TickTimer | undefined;
  #isAlarmed = false;

  constructor(cpu: Cpu, rate: number) {
    this.#cpu = cpu;
    this.#period = 2 ** rate;
  }

  /** VM entry: starts with a value, 0 to 2^32 - 1. */
  start(value: number): void {
    const { timeStamp, registers } = this.#cpu;
    this.isActive = true;
    const now = timeStamp.ownTicks();
    const phase = (now + (registers.get32(State.tscOffset) >>> 0)) % this.#period;
    this.#endTicks = value === 0 ? now : now - phase + value * this.#period;
    const per = timeStamp.ticksPerInstruction;
    this.#endInstructions = per === 0 ? Number.POSITIVE_INFINITY : this.#cpu.instructions + Math.ceil((this.#endTicks - now) / per);
  }
  stop(): void {
    this.isActive = false;
    if (!this.#isAlarmed) return;
    this.#isAlarmed = false;
    this.#alarm?.cancel();
  }
  /** The guest executes nothing until an event, such as the end of this timer, wakes it (26.2). */
  waits(): void {
    if (!this.isActive || this.#isAlarmed) return;
    this.#isAlarmed = true;
    // What wakes is that the timer has ended by then.
    this.#alarm ??= this.#cpu.timeStamp.createTimer(() => {
      this.#isAlarmed = false;
    });
    this.#alarm.arm(this.#endTicks);
  }

  get isExpired(): boolean {
    return this.isActive && this.instructionsLeft <= 0;
  }
  /** Instructions until it ends, as far as they are known; infinite while it is not active. */
  get instructionsLeft(): number {
    if (!this.isActive) return Number.POSITIVE_INFINITY;
    const { timeStamp, instructions } = this.#cpu;
    const left = this.#endInstructions - instructions;
    return left > 0 && timeStamp.ownTicks() >= this.#endTicks ? 0 : left;
  }
  /** What a VM exit saves. */
  get value(): number {
    const { timeStamp } = this.#cpu;
    const per = timeStamp.ticksPerInstruction;
    const left = per === 0 ? this.#endTicks - timeStamp.ownTicks() : this.instructionsLeft * per;
    return left <= 0 ? 0 : Math.ceil(left / this.#period);
  }
}
