import type { VendorEvent, VendorEvents } from '@minusone/kvm';
import { ActivityState, FIELD } from '@minusone/vtx';
import { DebugCtl, Eflags } from '@minusone/x86';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import type { ExecutionControls } from '../vmcs/execution-controls.ts';
import { entryInterruption, interruptedEvent, isSoftwareEvent } from './event-injection.ts';
import { Interruptibility } from './interruptibility.ts';
import type { NmiMask } from './nmi-mask.ts';

/** Pending debug exceptions (SDM Vol. 3C, 25.4.2): BS. */
const SINGLE_STEP = 0x4000;

/** Events on their way in and out: injection and re-injection, the interrupt shadow, the interrupt window. */
export class GuestEvents implements VendorEvents {
  readonly #structure: ControlStructure;
  readonly #controls: ExecutionControls;
  readonly #nmi: NmiMask;
  #taken = true;

  constructor(structure: ControlStructure, controls: ExecutionControls, nmi: NmiMask) {
    this.#structure = structure;
    this.#controls = controls;
    this.#nmi = nmi;
  }

  /**
   * A trap by RFLAGS.TF is pending exactly when the guest is in a shadow or halted with TF set (SDM Vol. 3C, 27.3.1.5 "Checks on Guest Non-Register State"). A debugger's
   * single step sees nothing of shadows: the trap comes after each instruction, as KVM does.
   */
  beforeEntry(singleStep: boolean): void {
    const structure = this.#structure;
    if (singleStep) this.setShadow(0);
    const isActive = structure.low(FIELD.GUEST_ACTIVITY_STATE) === ActivityState.ACTIVE;
    if (isActive && (structure.low(FIELD.GUEST_INTERRUPTIBILITY_INFO) & Interruptibility.SHADOW) === 0) return;
    const steps = (structure.low(FIELD.GUEST_RFLAGS) & Eflags.TF) !== 0 && (structure.low(FIELD.GUEST_IA32_DEBUGCTL) & DebugCtl.BTF) === 0;
    structure.setBits(FIELD.GUEST_PENDING_DBG_EXCEPTIONS, SINGLE_STEP, steps ? SINGLE_STEP : 0);
  }
  /** After every exit: what was injected has been used up, the IDT-vectoring information is news. */
  exited(): void {
    this.#taken = false;
  }
  /** The entry failed: what was to be injected is still to come. */
  entryFailed(): void {
    this.#taken = true;
  }

  inject(event: VendorEvent): void {
    const structure = this.#structure;
    structure.set(FIELD.VM_ENTRY_INTR_INFO_FIELD, entryInterruption(event));
    if (event.errorCode !== undefined) structure.set(FIELD.VM_ENTRY_EXCEPTION_ERROR_CODE, event.errorCode);
    if (isSoftwareEvent(event)) structure.set(FIELD.VM_ENTRY_INSTRUCTION_LEN, event.instructionLength);
    // An event ends the guest's HLT; most cannot be injected into it (27.3.1.5).
    structure.set(FIELD.GUEST_ACTIVITY_STATE, ActivityState.ACTIVE);
    if (event.type === 'nmi') this.#nmi.injects();
  }

  takeInterruptedEvent(): VendorEvent | undefined {
    if (this.#taken) return undefined;
    this.#taken = true;
    const structure = this.#structure;
    const information = structure.low(FIELD.IDT_VECTORING_INFO_FIELD);
    if (information >= 0) return undefined;
    const event = interruptedEvent(
      information,
      structure.low(FIELD.IDT_VECTORING_ERROR_CODE),
      structure.low(FIELD.VM_EXIT_INSTRUCTION_LEN),
    );
    // An NMI that did not reach its handler blocks none yet; its next injection will.
    if (event?.type === 'nmi') this.#nmi.set(false);
    return event;
  }

  shadow(): 0 | 1 | 2 {
    const blocking = this.#structure.low(FIELD.GUEST_INTERRUPTIBILITY_INFO);
    return (blocking & Interruptibility.MOV_SS) !== 0 ? 2 : ((blocking & Interruptibility.STI) as 0 | 1);
  }
  setShadow(shadow: 0 | 1 | 2): void {
    this.#structure.setBits(FIELD.GUEST_INTERRUPTIBILITY_INFO, Interruptibility.SHADOW, shadow);
  }

  interruptAllowed(): boolean {
    return (this.#structure.low(FIELD.GUEST_RFLAGS) & Eflags.IF) !== 0 && this.shadow() === 0;
  }
  nmiAllowed(): boolean {
    return !this.#nmi.masked && this.shadow() === 0;
  }
  setInterruptWindow(wanted: boolean): void {
    this.#controls.interruptWindow(wanted);
  }

  reset(): void {
    this.#taken = true;
    this.#structure.set(FIELD.VM_ENTRY_INTR_INFO_FIELD, 0);
    this.setShadow(0);
    this.setInterruptWindow(false);
    this.#nmi.reset();
  }
}
