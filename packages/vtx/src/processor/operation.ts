import type { SecondStage } from '@minusone/mmu';
import { Activity, type Cpu, Eflags, type InterceptEvent, InterruptShadow, type Layer, Layered, State } from '@minusone/x86';
import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { ExitReason } from '../exit/reasons.ts';
import { Controls, PinBased, Primary, Secondary } from './controls.ts';
import { vmExit } from './exit.ts';
import { isUnrestricted, ResumeFlag } from './guest-state.ts';
import { intercept } from './intercepts/intercept.ts';
import { pageModificationLog } from './page-modification-log.ts';
import { PagingCache } from './paging-cache.ts';
import { PreemptionTimer } from './preemption-timer.ts';
import { type Region, Regions } from './region.ts';
import { ResidentGuest } from './resident-guest.ts';
import { Tags } from './tags.ts';
import { readVirtualTpr, writeVirtualTpr } from './tpr-shadow.ts';

/** VMX operation of one logical processor (SDM Vol. 3C, 24.3 "Introduction to VMX Operation"); the layer above the machine while its guest runs. */
export class VmxOperation implements Layer {
  readonly cpu: Cpu;
  readonly capabilities: VmxCapabilities;
  readonly regions: Regions = new Regions();
  readonly tags: Tags;
  readonly timer: PreemptionTimer;
  readonly controls: Controls = new Controls();
  /** The host's paging while the guest runs. */
  readonly hostPaging: PagingCache = new PagingCache();
  readonly resident: ResidentGuest;
  /** False: the host is TypeScript alone, and its state is not loaded. */
  readonly hostExecutes: boolean;
  /** Exits by basic reason. */
  readonly exitCounts: Float64Array = new Float64Array(128);
  /** IA32_VMX_MISC[5]. */
  readonly storesEferLma: boolean;

  /** IA32_FEATURE_CONTROL. */
  featureControl: number = 0;
  on = false;
  /** Physical addresses, bytes. */
  vmxonPointer = -1;
  current: Region | undefined;
  nonRoot = false;
  /** The entry was made by TypeScript: its exit stops the CPU. */
  enteredByFace = false;
  /** `Cpu.instructions` at which a monitor trap flag exit is due; infinite: none. */
  monitorTrapAt: number = Number.POSITIVE_INFINITY;
  /** A TPR-below-threshold exit is due. */
  tprBelowThreshold = false;
  /** What the exit under way says of the event that caused it (28.2.3); consumed by `vmExit`. */
  interruptionInfo = 0;
  interruptionError = 0;
  /** Halves of a 64-bit value that a helper hands back. */
  low = 0;
  high = 0;
  /** Bits 31:0 of the CR0 values that must be 1, and may be 1; likewise CR4. */
  readonly #cr0Fixed0: number;
  readonly #cr0Fixed1: number;
  readonly #cr4Fixed0: number;
  readonly #cr4Fixed1: number;

  constructor(cpu: Cpu, capabilities: VmxCapabilities, hostExecutes: boolean) {
    this.cpu = cpu;
    this.hostExecutes = hostExecutes;
    this.resident = new ResidentGuest(cpu);
    this.capabilities = capabilities;
    this.tags = new Tags(cpu, capabilities, pageModificationLog(this));
    const misc = Number((capabilities.msrs.IA32_VMX_MISC ?? 0n) & 0xffff_ffffn);
    this.timer = new PreemptionTimer(cpu, misc & 31);
    this.storesEferLma = (misc & 32) !== 0;
    const low = (value: bigint | undefined): number => Number(BigInt.asIntN(32, value ?? 0n));
    this.#cr0Fixed0 = low(capabilities.msrs.IA32_VMX_CR0_FIXED0);
    this.#cr0Fixed1 = low(capabilities.msrs.IA32_VMX_CR0_FIXED1);
    this.#cr4Fixed0 = low(capabilities.msrs.IA32_VMX_CR4_FIXED0);
    this.#cr4Fixed1 = low(capabilities.msrs.IA32_VMX_CR4_FIXED1);
  }

  /** Leaves VMX operation, or forgets it at a reset. */
  leave(): void {
    this.on = false;
    this.resident.drop();
    this.vmxonPointer = -1;
    this.current = undefined;
    this.nonRoot = false;
    this.enteredByFace = false;
    this.timer.stop();
    this.monitorTrapAt = Number.POSITIVE_INFINITY;
    this.tprBelowThreshold = false;
  }

  /** Whether VMXON may be executed with these values of CR0 and CR4 (24.8). */
  hasFixedBits(cr0: number, cr4: number): boolean {
    const hasCr0 = (cr0 & this.#cr0Fixed0) === this.#cr0Fixed0 && (cr0 & ~this.#cr0Fixed1) === 0;
    return hasCr0 && (cr4 & this.#cr4Fixed0) === this.#cr4Fixed0 && (cr4 & ~this.#cr4Fixed1) === 0;
  }

  /** SDM Vol. 3C, 24.8 "Restrictions on VMX Operation": bits of CR0 and CR4 that are fixed; an unrestricted guest is free of CR0.PE and PG. */
  refusesControlRegister(register: 0 | 4, value: number): boolean {
    if (!this.on) return false;
    if (register === 4) return (value & this.#cr4Fixed0) !== this.#cr4Fixed0 || (value & ~this.#cr4Fixed1) !== 0;
    const fixed0 = isUnrestricted(this) ? this.#cr0Fixed0 & 0x7fff_fffe : this.#cr0Fixed0;
    return (value & fixed0) !== fixed0 || (value & ~this.#cr0Fixed1) !== 0;
  }

  // Layer

  get stage(): SecondStage | null {
    return this.controls.stage;
  }
  get addressSpaceTag(): number {
    return this.controls.tag;
  }
  get slowRows(): number {
    const { controls } = this;
    let rows = 0;
    if (controls.hasPrimary(Primary.interruptWindowExiting)) rows |= Layered.FLAGS;
    if (controls.hasPrimary(Primary.rdtscExiting) || !controls.hasSecondary(Secondary.enableRdtscp)) rows |= Layered.TIME;
    if (controls.hasPrimary(Primary.pauseExiting)) rows |= Layered.PAUSE;
    return rows;
  }
  get debugRegistersFirst(): boolean {
    return this.controls.hasPrimary(Primary.movDrExiting);
  }
  /** 26.3 "IRET": with "NMI exiting" and without "virtual NMIs" it does not touch the blocking of NMIs. */
  get iretKeepsNmiBlocking(): boolean {
    return this.controls.hasPinBased(PinBased.nmiExiting) && !this.controls.hasPinBased(PinBased.virtualNmis);
  }

  intercept(event: InterceptEvent): boolean {
    return intercept(this, event);
  }

  /** 26.2 "Other Causes of VM Exits": with the control, RFLAGS.IF has no say; blocking by STI and MOV SS has. */
  acceptsInterrupt(unmasked: boolean): boolean {
    const { cpu } = this;
    if (cpu.activity === Activity.SHUTDOWN) return false;
    return this.controls.hasPinBased(PinBased.externalInterruptExiting) ? cpu.interruptShadow === InterruptShadow.NONE : unmasked;
  }
  /** With "virtual NMIs", blocking by NMI is that of virtual NMIs: it does not hold real ones. */
  acceptsNmi(unmasked: boolean): boolean {
    const { controls, cpu } = this;
    if (!controls.hasPinBased(PinBased.nmiExiting)) return unmasked;
    if (cpu.interruptShadow === InterruptShadow.MOV_SS) return false;
    return controls.hasPinBased(PinBased.virtualNmis) || !cpu.nmiBlocked;
  }

  /** 26.5.2, 27.7.7: monitor trap flag and TPR-below-threshold exits come before debug traps. */
  get boundaryFirst(): boolean {
    return this.tprBelowThreshold || this.cpu.instructions >= this.monitorTrapAt;
  }
  get wantsBoundary(): boolean {
    return this.timer.isExpired || this.#nmiWindowIsOpen || this.#interruptWindowIsOpen;
  }
  get instructionsToBoundary(): number {
    return Math.min(this.timer.instructionsLeft, this.monitorTrapAt - this.cpu.instructions);
  }

  waits(): void {
    this.timer.waits();
  }

  /** 26.5.2: the monitor trap flag's exit comes behind the first iteration of a repeated string instruction. */
  get stepsIterations(): boolean {
    return this.monitorTrapAt !== Number.POSITIVE_INFINITY && this.monitorTrapAt === this.cpu.instructions + 1;
  }
  stepped(): void {
    this.monitorTrapAt = this.cpu.instructions;
  }

  get #nmiWindowIsOpen(): boolean {
    if (!this.controls.hasPrimary(Primary.nmiWindowExiting)) return false;
    return !this.cpu.nmiBlocked && this.cpu.interruptShadow !== InterruptShadow.MOV_SS;
  }
  get #interruptWindowIsOpen(): boolean {
    const { cpu } = this;
    if (!this.controls.hasPrimary(Primary.interruptWindowExiting)) return false;
    if (cpu.activity === Activity.SHUTDOWN) return false;
    return (cpu.registers.get32(State.eflags) & Eflags.IF) !== 0 && cpu.interruptShadow === InterruptShadow.NONE;
  }

  /** The exits that come between instructions, by priority (26.2, 26.5): all but those of interrupts and NMIs themselves. */
  boundary(): boolean {
    const { cpu } = this;
    if (this.tprBelowThreshold) return vmExit(this, ExitReason.TPR_BELOW_THRESHOLD, 0, 0, ResumeFlag.KEEP);
    if (cpu.instructions >= this.monitorTrapAt) return vmExit(this, ExitReason.MONITOR_TRAP_FLAG, 0, 0, ResumeFlag.KEEP);
    if (this.timer.isExpired) return vmExit(this, ExitReason.PREEMPTION_TIMER, 0, 0, ResumeFlag.KEEP);
    if (this.#nmiWindowIsOpen) return vmExit(this, ExitReason.NMI_WINDOW, 0, 0, ResumeFlag.KEEP);
    // A pending NMI comes before the interrupt window.
    if (!this.#interruptWindowIsOpen || (cpu.nmiPending && this.acceptsNmi(!cpu.nmiBlocked))) return false;
    return vmExit(this, ExitReason.INTERRUPT_WINDOW, 0, 0, ResumeFlag.KEEP);
  }

  /** 26.3 "MOV from CR0/CR4", "SMSW": bits of the guest/host mask come from the read shadow. */
  readControlRegister(register: 0 | 4, value: number): number {
    const { cr0Mask, cr0Shadow, cr4Mask, cr4Shadow } = this.controls;
    return register === 0 ? (value & ~cr0Mask) | (cr0Shadow & cr0Mask) : (value & ~cr4Mask) | (cr4Shadow & cr4Mask);
  }
  /** 26.3 "MOV to CR0/CR4", "CLTS", "LMSW": bits of the guest/host mask do not change. */
  mergeControlRegister(register: 0 | 4, value: number): number {
    const { cr0Mask, cr4Mask } = this.controls;
    const mask = register === 0 ? cr0Mask : cr4Mask;
    return (value & ~mask) | (this.cpu.registers.get32(register === 0 ? State.cr0 : State.cr4) & mask);
  }
  readCr8(): number | undefined {
    return this.controls.hasPrimary(Primary.useTprShadow) ? readVirtualTpr(this) >>> 4 : undefined;
  }
  writeCr8(priority: number): boolean {
    if (!this.controls.hasPrimary(Primary.useTprShadow)) return false;
    writeVirtualTpr(this, priority << 4);
    return true;
  }
}
