import type { SecondStage } from '@minusone/mmu';
import { Activity, Eflags, type InterceptEvent, InterruptShadow, type Layer, Layered, State } from '@minusone/x86';
import { ExitReason } from '../exit/reasons.ts';
import { PinBased, Primary, Secondary } from './controls.ts';
import { vmExit } from './exit.ts';
import { ResumeFlag } from './guest-state.ts';
import { intercept } from './intercepts/intercept.ts';
import type { VmxOperation } from './operation.ts';
import { readVirtualTpr, writeVirtualTpr } from './tpr-shadow.ts';

/** The layer above the machine while a guest runs in VMX non-root operation (SDM Vol. 3C, chapter 26). */
export class VmxLayer implements Layer {
  readonly #op: VmxOperation;

  constructor(op: VmxOperation) {
    this.#op = op;
  }

  get stage(): SecondStage | null {
    return this.#op.controls.stage;
  }
  get addressSpaceTag(): number {
    return this.#op.controls.tag;
  }
  get slowRows(): number {
    const { controls } = this.#op;
    let rows = 0;
    if (controls.hasPrimary(Primary.interruptWindowExiting)) rows |= Layered.FLAGS;
    if (controls.hasPrimary(Primary.rdtscExiting) || !controls.hasSecondary(Secondary.enableRdtscp)) rows |= Layered.TIME;
    if (controls.hasPrimary(Primary.pauseExiting)) rows |= Layered.PAUSE;
    return rows;
  }
  get debugRegistersFirst(): boolean {
    return this.#op.controls.hasPrimary(Primary.movDrExiting);
  }
  /** 26.3 "IRET": with "NMI exiting" and without "virtual NMIs" it does not touch the blocking of NMIs. */
  get iretKeepsNmiBlocking(): boolean {
    return this.#op.controls.hasPinBased(PinBased.nmiExiting) && !this.#op.controls.hasPinBased(PinBased.virtualNmis);
  }

  intercept(event: InterceptEvent): boolean {
    return intercept(this.#op, event);
  }

  /** 26.2 "Other Causes of VM Exits": with the control, RFLAGS.IF has no say; blocking by STI and MOV SS has. */
  acceptsInterrupt(unmasked: boolean): boolean {
    const { cpu } = this.#op;
    if (cpu.activity === Activity.SHUTDOWN) return false;
    return this.#op.controls.hasPinBased(PinBased.externalInterruptExiting) ? cpu.interruptShadow === InterruptShadow.NONE : unmasked;
  }
  /** With "virtual NMIs", blocking by NMI is that of virtual NMIs: it does not hold real ones. */
  acceptsNmi(unmasked: boolean): boolean {
    const { controls, cpu } = this.#op;
    if (!controls.hasPinBased(PinBased.nmiExiting)) return unmasked;
    if (cpu.interruptShadow === InterruptShadow.MOV_SS) return false;
    return controls.hasPinBased(PinBased.virtualNmis) || !cpu.nmiBlocked;
  }

  /** 26.5.2, 27.7.7: monitor trap flag and TPR-below-threshold exits come before debug traps. */
  get boundaryFirst(): boolean {
    return this.#op.tprBelowThreshold || this.#op.cpu.instructions >= this.#op.monitorTrapAt;
  }
  get wantsBoundary(): boolean {
    return this.#op.timer.isExpired || this.#nmiWindowIsOpen || this.#interruptWindowIsOpen;
  }
  get instructionsToBoundary(): number {
    return Math.min(this.#op.timer.instructionsLeft, this.#op.monitorTrapAt - this.#op.cpu.instructions);
  }

  waits(): void {
    this.#op.timer.waits();
  }

  /** 26.5.2: the monitor trap flag's exit comes behind the first iteration of a repeated string instruction. */
  get stepsIterations(): boolean {
    return this.#op.monitorTrapAt !== Number.POSITIVE_INFINITY && this.#op.monitorTrapAt === this.#op.cpu.instructions + 1;
  }
  stepped(): void {
    this.#op.monitorTrapAt = this.#op.cpu.instructions;
  }

  get #nmiWindowIsOpen(): boolean {
    if (!this.#op.controls.hasPrimary(Primary.nmiWindowExiting)) return false;
    return !this.#op.cpu.nmiBlocked && this.#op.cpu.interruptShadow !== InterruptShadow.MOV_SS;
  }
  get #interruptWindowIsOpen(): boolean {
    const { cpu } = this.#op;
    if (!this.#op.controls.hasPrimary(Primary.interruptWindowExiting)) return false;
    if (cpu.activity === Activity.SHUTDOWN) return false;
    return (cpu.registers.get32(State.eflags) & Eflags.IF) !== 0 && cpu.interruptShadow === InterruptShadow.NONE;
  }

  /** The exits that come between instructions, by priority (26.2, 26.5): all but those of interrupts and NMIs themselves. */
  boundary(): boolean {
    const { cpu } = this.#op;
    if (this.#op.tprBelowThreshold) return vmExit(this.#op, ExitReason.TPR_BELOW_THRESHOLD, 0, 0, ResumeFlag.KEEP);
    if (cpu.instructions >= this.#op.monitorTrapAt) return vmExit(this.#op, ExitReason.MONITOR_TRAP_FLAG, 0, 0, ResumeFlag.KEEP);
    if (this.#op.timer.isExpired) return vmExit(this.#op, ExitReason.PREEMPTION_TIMER, 0, 0, ResumeFlag.KEEP);
    if (this.#nmiWindowIsOpen) return vmExit(this.#op, ExitReason.NMI_WINDOW, 0, 0, ResumeFlag.KEEP);
    // A pending NMI comes before the interrupt window.
    if (!this.#interruptWindowIsOpen || (cpu.nmiPending && this.acceptsNmi(!cpu.nmiBlocked))) return false;
    return vmExit(this.#op, ExitReason.INTERRUPT_WINDOW, 0, 0, ResumeFlag.KEEP);
  }

  /** 26.3 "MOV from CR0/CR4", "SMSW": bits of the guest/host mask come from the read shadow. */
  readControlRegister(register: 0 | 4, value: number): number {
    const { cr0Mask, cr0Shadow, cr4Mask, cr4Shadow } = this.#op.controls;
    return register === 0 ? (value & ~cr0Mask) | (cr0Shadow & cr0Mask) : (value & ~cr4Mask) | (cr4Shadow & cr4Mask);
  }
  /** 26.3 "MOV to CR0/CR4", "CLTS", "LMSW": bits of the guest/host mask do not change. */
  mergeControlRegister(register: 0 | 4, value: number): number {
    const { cr0Mask, cr4Mask } = this.#op.controls;
    const mask = register === 0 ? cr0Mask : cr4Mask;
    return (value & ~mask) | (this.#op.cpu.registers.get32(register === 0 ? State.cr0 : State.cr4) & mask);
  }
  readCr8(): number | undefined {
    return this.#op.controls.hasPrimary(Primary.useTprShadow) ? readVirtualTpr(this.#op) >>> 4 : undefined;
  }
  writeCr8(priority: number): boolean {
    if (!this.#op.controls.hasPrimary(Primary.useTprShadow)) return false;
    writeVirtualTpr(this.#op, priority << 4);
    return true;
  }
}
