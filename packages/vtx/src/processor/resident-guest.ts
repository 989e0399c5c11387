import { Activity, type Cpu, Dr7, InterruptShadow, State } from '@minusone/x86';
import type { Region } from './region.ts';

/**
 * A guest that stays in the processor when it exits. Where the hypervisor is TypeScript alone, no instruction of a host is ever executed: then its state is not loaded (SDM Vol. 3C,
 * 28.5 "Loading Host State"), and the next entry takes from the VMCS what was written since the exit.
 */
export class ResidentGuest {
  readonly #cpu: Cpu;
  /** Whose guest it is, where all of its state stands as the exit left it. */
  #region: Region | undefined;
  #xcr0 = 0;
  #isKept = false;
  #isHostLong = false;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Whether the host was in IA-32e mode when the processor was last its own. */
  isHostLong(): boolean {
    if (!this.#isKept) this.#isHostLong = this.#cpu.isLongMode;
    return this.#isHostLong;
  }

  /** Whether nothing but what `loadPosition` loads has to be taken from the VMCS of this region. */
  isOf(region: Region): boolean {
    return this.#region === region && !region.vmcs.lastingChanged;
  }
  /** Whether the mode may be another, as XCR0 is: software switches it, not entries and exits. */
  get hasOtherXcr0(): boolean {
    return this.#cpu.registers.get32(State.xcr0) !== this.#xcr0;
  }

  /**
   * In place of loading the host's state: the processor is in shutdown, so that nothing is executed until the next entry.
   * @param region the guest's; undefined where its state is incomplete, as after a failed entry
   * @param nmiBlocked blocking by NMI after the exit
   */
  keep(region: Region | undefined, nmiBlocked: boolean): void {
    const cpu = this.#cpu;
    const { registers } = cpu;
    this.#isKept = true;
    this.#region = region;
    this.#xcr0 = registers.get32(State.xcr0);
    if (region !== undefined) region.vmcs.lastingChanged = false;
    cpu.layer = undefined;
    cpu.activity = Activity.SHUTDOWN;
    cpu.interruptShadow = InterruptShadow.NONE;
    cpu.pendingDebug = 0;
    cpu.nmiBlocked = nmiBlocked;
    cpu.monitorArmed = false;
    if ((registers.get32(State.dr7) & Dr7.BREAKPOINTS) === 0) return;
    // The hypervisor may change DR0 to DR3, which no VMCS holds: the entry is to look at them.
    this.#region = undefined;
    cpu.debug.loadControl(Dr7.FIXED, 0);
  }

  /** The processor is its own again, or another guest's. */
  drop(): void {
    this.#isKept = false;
    this.#region = undefined;
  }
}
