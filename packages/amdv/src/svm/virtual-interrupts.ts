import { type Cpu, Eflags, InterruptShadow, State } from '@minusone/x86';
import { VIRTUAL_INTERRUPT, VIRTUAL_VECTOR, Virtual } from './words.ts';

/** V_TPR, V_IRQ and what goes with them (APM Vol. 2, 15.21 "Interrupt and Local APIC Support"), while a guest runs. */
export class VirtualInterrupts {
  readonly #cpu: Cpu;
  #control = 0;
  #vector = 0;
  #hostFlag = false;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** @param hostFlag the host's RFLAGS.IF */
  load(words: Int32Array, at: number, hostFlag: boolean): void {
    this.#control = words[at + VIRTUAL_INTERRUPT] as number;
    this.#vector = (words[at + VIRTUAL_VECTOR] as number) & 0xff;
    this.#hostFlag = hostFlag;
  }
  /** The doubleword at 60H as it is now. */
  get control(): number {
    return this.#control;
  }
  get #isMasking(): boolean {
    return (this.#control & Virtual.INTR_MASKING) !== 0;
  }

  /** With V_INTR_MASKING the host's RFLAGS.IF masks physical interrupts, whatever the guest does (15.21.1 "Physical (INTR) Interrupt Masking in EFLAGS"). */
  acceptsPhysical(unmasked: boolean): boolean {
    return this.#isMasking ? this.#hostFlag : unmasked;
  }

  /** V_IRQ. */
  get isPending(): boolean {
    return (this.#control & Virtual.IRQ) !== 0;
  }
  /** It can be taken now (15.21.4 "Injecting Virtual (INTR) Interrupts"): it is above V_TPR, the guest's RFLAGS.IF is 1, there is no shadow; physical events come first. */
  get isDue(): boolean {
    const control = this.#control;
    if ((control & Virtual.IRQ) === 0) return false;
    const priority = (control >>> Virtual.PRIO_SHIFT) & 15;
    if ((control & Virtual.IGN_TPR) === 0 && priority <= (control & 15)) return false;
    const cpu = this.#cpu;
    const unmasked = cpu.interruptShadow === InterruptShadow.NONE && (cpu.registers.get32(State.eflags) & Eflags.IF) !== 0;
    if (!unmasked) return false;
    return !(cpu.nmiPending && !cpu.nmiBlocked) && !(cpu.interruptRequested && this.acceptsPhysical(unmasked));
  }
  /** Clears V_IRQ: the processor delivers the interrupt. Gives its vector. */
  take(): number {
    this.#control &= ~Virtual.IRQ;
    return this.#vector;
  }

  /** CR8 is V_TPR with V_INTR_MASKING (15.21.2 "Virtualizing APIC.TPR"). */
  readCr8(): number | undefined {
    return this.#isMasking ? this.#control & 15 : undefined;
  }
  /** Without V_INTR_MASKING a write goes to both, V_TPR and the APIC's register: false. */
  writeCr8(priority: number): boolean {
    this.#control = (this.#control & ~Virtual.TPR) | priority;
    return this.#isMasking;
  }
}
