import { GUEST_OWN_MSRS, VendorExit, VendorExitKind, type VendorVcpu, type VendorVcpuParts } from '@minusone/kvm';
import { FIELD, formatExplanation, type Vmx } from '@minusone/vtx';
import { type Cpu, Dr6, Dr7, Efer, Gpr, type Registers, State } from '@minusone/x86';
import { GuestDebug } from '../debug/guest-debug.ts';
import { Translations } from '../ept/translations.ts';
import { GuestEvents } from '../events/guest-events.ts';
import { NmiMask } from '../events/nmi-mask.ts';
import { TaskPriority } from '../events/task-priority.ts';
import { decodeExit } from '../exits/decode-exit.ts';
import { unblockedByIret } from '../exits/nmi-unblocking.ts';
import { enterVmxOperation, writeHostState } from '../host/host-state.ts';
import { ControlRegisters } from '../state/control-registers.ts';
import { GuestState } from '../state/guest-state.ts';
import { ControlStructure } from '../vmcs/control-structure.ts';
import { ExecutionControls } from '../vmcs/execution-controls.ts';
import { MsrBitmap } from '../vmcs/msr-bitmap.ts';

/** CS.L. */
const LONG_CODE = 0x2000;

/** A virtual CPU in a VMCS. What the VMCS does not hold stays in the processor: general registers but RSP, x87 and SSE state, CR2, DR0 to DR3, DR6, MSRs. */
export class IntelVcpu implements VendorVcpu {
  readonly cpu: Cpu;
  readonly exit: VendorExit = new VendorExit();
  readonly intercepts: ExecutionControls;
  readonly controlRegisters: ControlRegisters;
  readonly state: GuestState;
  readonly events: GuestEvents;
  readonly nmis: NmiMask;
  readonly priority: TaskPriority;
  readonly debug: GuestDebug;
  readonly msrIntercepts: MsrBitmap;
  readonly #vmx: Vmx;
  readonly #registers: Registers;
  readonly #structure: ControlStructure;
  readonly #translations: Translations;
  #launched = false;

  /** @throws {UnsupportedProcessorError} the processor lacks a control that is needed */
  constructor(parts: VendorVcpuParts, vmx: Vmx) {
    const { cpu, pages, root, tag } = parts;
    this.cpu = cpu;
    this.#vmx = vmx;
    this.#registers = cpu.registers;
    enterVmxOperation(vmx, pages);
    const structure = new ControlStructure(pages, vmx);
    const { capabilities } = vmx;
    this.#structure = structure;
    this.intercepts = new ExecutionControls(structure, capabilities);
    writeHostState(structure, vmx, pages);
    this.controlRegisters = new ControlRegisters(structure, capabilities);
    this.state = new GuestState(structure);
    this.nmis = new NmiMask(structure, this.intercepts);
    this.events = new GuestEvents(structure, this.intercepts, this.nmis);
    this.priority = new TaskPriority(structure, this.intercepts, pages);
    this.debug = new GuestDebug(structure, cpu, this.intercepts);
    this.#translations = new Translations(structure, vmx, root, tag);
    this.msrIntercepts = new MsrBitmap(pages);
    structure.write(FIELD.MSR_BITMAP, BigInt(this.msrIntercepts.hpa));
    for (const index of GUEST_OWN_MSRS) this.msrIntercepts.set(index, false, false);
    this.reset(false);
  }

  get isInGuest(): boolean {
    return this.#vmx.inNonRootOperation;
  }
  get exits(): Readonly<Record<string, number>> {
    return this.#vmx.exits;
  }

  enter(instructions: number): boolean {
    const vmx = this.#vmx;
    const { cpu } = this;
    const end = cpu.instructions + instructions;
    if (!vmx.inNonRootOperation && !this.#vmEntry()) return true;
    if (vmx.inNonRootOperation) {
      const left = end - cpu.instructions;
      if (left > 0) cpu.run(left);
      if (vmx.inNonRootOperation) return false;
    }
    this.#exited();
    return true;
  }

  leave(): void {
    const vmx = this.#vmx;
    if (!vmx.inNonRootOperation) return;
    this.cpu.setInterruptRequest(true);
    // What the guest does first (an injection that is still to be delivered, an exit of its own) comes first.
    while (vmx.inNonRootOperation) this.cpu.run(1);
    this.cpu.setInterruptRequest(false);
    this.#exited();
  }

  /** VMLAUNCH or VMRESUME. False: it failed at the controls or the host's state, and nothing was loaded. */
  #vmEntry(): boolean {
    const registers = this.#registers;
    this.#structure.set(FIELD.GUEST_RSP, registers.gprLow(Gpr.RSP), registers.gprHigh(Gpr.RSP));
    this.debug.beforeEntry();
    this.events.beforeEntry(this.debug.singleStep);
    this.nmis.beforeEntry();
    const outcome = this.#launched ? this.#vmx.vmresume() : this.#vmx.vmlaunch();
    if (outcome.ok) return true;
    this.debug.afterExit();
    this.events.entryFailed();
    const { exit } = this;
    exit.kind = VendorExitKind.ENTRY_FAILED;
    exit.hardwareReason = outcome.error;
    exit.instructionLength = 0;
    return false;
  }

  /** The guest is out: its registers to where KVM looks for them, and why. */
  #exited(): void {
    const structure = this.#structure;
    this.#registers.setGprHalves(Gpr.RSP, structure.low(FIELD.GUEST_RSP), structure.high(FIELD.GUEST_RSP));
    this.debug.afterExit();
    decodeExit(structure, this.exit);
    if (this.exit.kind === VendorExitKind.ENTRY_FAILED) {
      this.events.entryFailed();
      return;
    }
    this.#launched = true;
    this.events.exited();
    this.nmis.exited(unblockedByIret(structure));
  }

  explainEntry(): string {
    return formatExplanation(this.#vmx.explainEntry());
  }

  /** Outside 64-bit code the instruction pointer has 32 bits. */
  skipInstruction(): void {
    const { state } = this;
    const low = (state.ripLow() >>> 0) + this.exit.instructionLength;
    const carries = low > 0xffff_ffff && this.#is64Bit();
    state.setRip(low | 0, carries ? (state.ripHigh() + 1) | 0 : state.ripHigh());
    this.events.setShadow(0);
  }
  #is64Bit(): boolean {
    return (this.#structure.low(FIELD.GUEST_CS_AR_BYTES) & LONG_CODE) !== 0 && (this.controlRegisters.efer() & Efer.LMA) !== 0;
  }

  flushTlb(): void {
    this.#translations.flushSecondStage();
  }
  flushGuestTlb(): void {
    this.#translations.flushGuest();
  }

  reset(init: boolean): void {
    this.state.reset(init);
    this.controlRegisters.reset(init);
    this.#registers.set32(State.dr6, Dr6.INITIAL);
    this.debug.setDr7(Dr7.FIXED);
    this.debug.setRflags(2);
    this.events.reset();
    this.priority.set(0, 0);
    this.#translations.flushGuest();
  }
}
