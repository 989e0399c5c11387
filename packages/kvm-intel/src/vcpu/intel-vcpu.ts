import {
  type DebugControl,
  type DescriptorTableState,
  GUEST_OWN_MSRS,
  type SegmentState,
  type VendorEvent,
  VendorExit,
  VendorExitKind,
  type VendorVcpu,
  type VendorVcpuParts,
} from '@minusone/kvm';
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
  readonly #vmx: Vmx;
  readonly #registers: Registers;
  readonly #structure: ControlStructure;
  readonly #controls: ExecutionControls;
  readonly #controlRegisters: ControlRegisters;
  readonly #state: GuestState;
  readonly #events: GuestEvents;
  readonly #nmi: NmiMask;
  readonly #priority: TaskPriority;
  readonly #debug: GuestDebug;
  readonly #msrBitmap: MsrBitmap;
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
    this.#controls = new ExecutionControls(structure, capabilities);
    writeHostState(structure, vmx, pages);
    this.#controlRegisters = new ControlRegisters(structure, capabilities);
    this.#state = new GuestState(structure);
    this.#nmi = new NmiMask(structure, this.#controls);
    this.#events = new GuestEvents(structure, this.#controls, this.#nmi);
    this.#priority = new TaskPriority(structure, this.#controls, pages);
    this.#debug = new GuestDebug(structure, cpu, this.#controls);
    this.#translations = new Translations(structure, vmx, root, tag);
    this.#msrBitmap = new MsrBitmap(pages);
    structure.write(FIELD.MSR_BITMAP, BigInt(this.#msrBitmap.hpa));
    for (const index of GUEST_OWN_MSRS) this.#msrBitmap.set(index, false, false);
    this.reset(false);
  }

  // Entry and exit

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
    this.#debug.beforeEntry();
    this.#events.beforeEntry(this.#debug.singleStep);
    this.#nmi.beforeEntry();
    const outcome = this.#launched ? this.#vmx.vmresume() : this.#vmx.vmlaunch();
    if (outcome.ok) return true;
    this.#debug.afterExit();
    this.#events.entryFailed();
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
    this.#debug.afterExit();
    decodeExit(structure, this.exit);
    if (this.exit.kind === VendorExitKind.ENTRY_FAILED) {
      this.#events.entryFailed();
      return;
    }
    this.#launched = true;
    this.#events.exited();
    this.#nmi.exited(unblockedByIret(structure));
  }

  explainEntry(): string {
    return formatExplanation(this.#vmx.explainEntry());
  }

  // Registers in the control structure

  ripLow(): number {
    return this.#structure.low(FIELD.GUEST_RIP);
  }
  ripHigh(): number {
    return this.#structure.high(FIELD.GUEST_RIP);
  }
  setRip(low: number, high: number): void {
    this.#structure.set(FIELD.GUEST_RIP, low, high);
  }
  rflags(): number {
    return this.#debug.rflags();
  }
  setRflags(value: number): void {
    this.#debug.setRflags(value);
  }
  cpl(): number {
    return this.#state.cpl();
  }
  segment(index: number, into: SegmentState): SegmentState {
    return this.#state.segment(index, into);
  }
  setSegment(index: number, value: SegmentState): void {
    this.#state.setSegment(index, value);
  }
  gdtr(): DescriptorTableState {
    return this.#state.gdtr();
  }
  setGdtr(value: DescriptorTableState): void {
    this.#state.setGdtr(value);
  }
  idtr(): DescriptorTableState {
    return this.#state.idtr();
  }
  setIdtr(value: DescriptorTableState): void {
    this.#state.setIdtr(value);
  }
  cr0(): number {
    return this.#controlRegisters.cr0();
  }
  setCr0(value: number): void {
    this.#controlRegisters.setCr0(value);
  }
  cr3(): bigint {
    return this.#controlRegisters.cr3();
  }
  setCr3(value: bigint): void {
    this.#controlRegisters.setCr3(value);
  }
  cr4(): number {
    return this.#controlRegisters.cr4();
  }
  setCr4(value: number): void {
    this.#controlRegisters.setCr4(value);
  }
  efer(): number {
    return this.#controlRegisters.efer();
  }
  setEfer(value: number): void {
    this.#controlRegisters.setEfer(value);
  }
  dr7(): number {
    return this.#debug.dr7();
  }
  setDr7(value: number): void {
    this.#debug.setDr7(value);
  }
  pdptes(): readonly [bigint, bigint, bigint, bigint] {
    return this.#state.pdptes();
  }
  setPdptes(values: readonly [bigint, bigint, bigint, bigint]): void {
    this.#state.setPdptes(values);
  }
  msr(index: number): bigint | undefined {
    return this.#state.msr(index);
  }
  setMsr(index: number, value: bigint): boolean {
    return this.#state.setMsr(index, value);
  }
  setTscOffset(ticks: bigint): void {
    this.#structure.write(FIELD.TSC_OFFSET, ticks);
  }
  /** Outside 64-bit code the instruction pointer has 32 bits. */
  skipInstruction(): void {
    const low = (this.ripLow() >>> 0) + this.exit.instructionLength;
    const carries = low > 0xffff_ffff && this.#is64Bit();
    this.setRip(low | 0, carries ? (this.ripHigh() + 1) | 0 : this.ripHigh());
    this.#events.setShadow(0);
  }
  #is64Bit(): boolean {
    return (this.#structure.low(FIELD.GUEST_CS_AR_BYTES) & LONG_CODE) !== 0 && (this.efer() & Efer.LMA) !== 0;
  }

  // Events

  interruptShadow(): 0 | 1 | 2 {
    return this.#events.shadow();
  }
  setInterruptShadow(shadow: 0 | 1 | 2): void {
    this.#events.setShadow(shadow);
  }
  nmiMasked(): boolean {
    return this.#nmi.masked;
  }
  setNmiMasked(masked: boolean): void {
    this.#nmi.set(masked);
  }
  interruptAllowed(): boolean {
    return this.#events.interruptAllowed();
  }
  nmiAllowed(): boolean {
    return this.#events.nmiAllowed();
  }
  inject(event: VendorEvent): void {
    this.#events.inject(event);
  }
  takeInterruptedEvent(): VendorEvent | undefined {
    return this.#events.takeInterruptedEvent();
  }
  setInterruptWindow(wanted: boolean): void {
    this.#events.setInterruptWindow(wanted);
  }
  setNmiWindow(wanted: boolean): void {
    this.#nmi.setWindow(wanted);
  }
  taskPriority(): number {
    return this.#priority.get();
  }
  setTaskPriority(priority: number, threshold: number): void {
    this.#priority.set(priority, threshold);
  }

  // What exits

  setDebug(control: DebugControl): void {
    this.#debug.control(control);
  }
  get msrsLetThrough(): readonly number[] {
    return GUEST_OWN_MSRS;
  }
  setMsrIntercept(index: number, read: boolean, write: boolean): void {
    this.#msrBitmap.set(index, read, write);
  }
  setIdleExits(exits: { readonly hlt: boolean; readonly pause: boolean; readonly mwait: boolean }): void {
    this.#controls.idle(exits);
  }
  setExceptionIntercept(vector: number, intercept: boolean): void {
    this.#controls.exception(vector, intercept);
  }

  // Memory

  flushTlb(): void {
    this.#translations.flushSecondStage();
  }
  flushGuestTlb(): void {
    this.#translations.flushGuest();
  }

  reset(init: boolean): void {
    this.#state.reset(init);
    this.#controlRegisters.reset(init);
    this.#registers.set32(State.dr6, Dr6.INITIAL);
    this.#debug.setDr7(Dr7.FIXED);
    this.#debug.setRflags(2);
    this.#events.reset();
    this.#priority.set(0, 0);
    this.#translations.flushGuest();
  }
}
