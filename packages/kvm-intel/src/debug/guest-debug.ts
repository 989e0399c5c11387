import { type DebugControl, DebuggerBreakpoints, type VendorDebug } from '@minusone/kvm';
import { FIELD } from '@minusone/vtx';
import { type Cpu, Eflags, Vector } from '@minusone/x86';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import type { ExecutionControls } from '../vmcs/execution-controls.ts';

/**
 * Debug registers and the trap flag: the guest's own, or a debugger's that stand in for them (KVM_SET_GUEST_DEBUG). VM entry and exit switch DR7; DR0 to DR3 and DR6 are
 * left in the processor, and an intercepted #DB does not write DR6 (SDM Vol. 3C, 28.1 "Architectural State Before a VM Exit"). The guest's moves to and from debug
 * registers exit while a debugger's are there.
 */
export class GuestDebug implements VendorDebug {
  readonly #structure: ControlStructure;
  readonly #controls: ExecutionControls;
  #singleStep = false;
  #breakpoints: DebugControl['breakpoints'];
  /** The guest's DR7 while the debugger's is in the VMCS. */
  #dr7 = 0x400;
  readonly #debuggers: DebuggerBreakpoints;

  constructor(structure: ControlStructure, cpu: Cpu, controls: ExecutionControls) {
    this.#structure = structure;
    this.#debuggers = new DebuggerBreakpoints(cpu.registers);
    this.#controls = controls;
  }

  control(control: DebugControl): void {
    const dr7 = this.dr7();
    this.#singleStep = control.singleStep;
    this.#breakpoints = control.breakpoints;
    this.setDr7(dr7);
    this.#controls.exception(Vector.DB, control.interceptDebug);
    this.#controls.exception(Vector.BP, control.interceptBreakpoint);
    this.#controls.debugRegisters(control.interceptDebug || control.breakpoints !== undefined);
    this.#structure.setBits(FIELD.GUEST_RFLAGS, Eflags.TF, control.singleStep ? Eflags.TF : 0);
  }

  get singleStep(): boolean {
    return this.#singleStep;
  }
  rflags(): number {
    const value = this.#structure.low(FIELD.GUEST_RFLAGS);
    return this.#singleStep ? value & ~Eflags.TF : value;
  }
  setRflags(value: number): void {
    this.#structure.set(FIELD.GUEST_RFLAGS, this.#singleStep ? value | Eflags.TF : value);
  }

  dr7(): number {
    return this.#breakpoints === undefined ? this.#structure.low(FIELD.GUEST_DR7) : this.#dr7;
  }
  setDr7(value: number): void {
    this.#dr7 = value;
    this.#structure.set(FIELD.GUEST_DR7, this.#breakpoints?.dr7 ?? value);
  }

  beforeEntry(): void {
    if (this.#singleStep) this.#structure.setBits(FIELD.GUEST_RFLAGS, Eflags.TF, Eflags.TF);
    if (this.#breakpoints !== undefined) this.#debuggers.load(this.#breakpoints.addresses);
  }
  afterExit(): void {
    if (this.#breakpoints !== undefined) this.#debuggers.unload();
  }
}
