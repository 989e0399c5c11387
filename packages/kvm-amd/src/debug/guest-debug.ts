import { VMCB_FIELD } from '@minusone/amdv';
import { type DebugControl, DebuggerBreakpoints, type VendorDebug } from '@minusone/kvm';
import { type Cpu, Dr6, Eflags, State, Vector } from '@minusone/x86';
import { Clean, type ControlBlock } from '../vmcb/control-block.ts';
import type { Intercepts } from '../vmcb/intercepts.ts';

/**
 * Debug registers and the trap flag: the guest's own, or a debugger's that stand in for them (KVM_SET_GUEST_DEBUG). VMRUN and #VMEXIT switch DR6 and DR7; DR0 to DR3 are
 * left in the processor (APM Vol. 2 15.5.1). A debugger's #DB leaves no trace in the guest's DR6, and the guest's moves to and from debug registers exit meanwhile.
 */
export class GuestDebug implements VendorDebug {
  readonly #block: ControlBlock;
  readonly #cpu: Cpu;
  readonly #intercepts: Intercepts;
  /** #DB is the debugger's. */
  #intercepted = false;
  #singleStep = false;
  #breakpoints: DebugControl['breakpoints'];
  /** The guest's DR7 while the debugger's is in the VMCB; its DR6 while the debugger's is in the processor. */
  #dr7 = 0x400;
  #dr6 = 0;
  readonly #debuggers: DebuggerBreakpoints;

  constructor(block: ControlBlock, cpu: Cpu, intercepts: Intercepts) {
    this.#block = block;
    this.#cpu = cpu;
    this.#debuggers = new DebuggerBreakpoints(cpu.registers);
    this.#intercepts = intercepts;
  }

  control(control: DebugControl): void {
    const dr7 = this.dr7();
    this.#intercepted = control.interceptDebug;
    this.#singleStep = control.singleStep;
    this.#breakpoints = control.breakpoints;
    this.setDr7(dr7);
    this.#intercepts.exception(Vector.DB, control.interceptDebug);
    this.#intercepts.exception(Vector.BP, control.interceptBreakpoint);
    this.#intercepts.debugRegisters(control.interceptDebug || control.breakpoints !== undefined);
    const rflags = this.#block.low(VMCB_FIELD.RFLAGS);
    this.#block.set(VMCB_FIELD.RFLAGS, Clean.NONE, control.singleStep ? rflags | Eflags.TF : rflags & ~Eflags.TF);
  }

  rflags(): number {
    const value = this.#block.low(VMCB_FIELD.RFLAGS);
    return this.#singleStep ? value & ~Eflags.TF : value;
  }
  setRflags(value: number): void {
    this.#block.set(VMCB_FIELD.RFLAGS, Clean.NONE, this.#singleStep ? value | Eflags.TF : value);
  }

  dr7(): number {
    return this.#breakpoints === undefined ? this.#block.low(VMCB_FIELD.DR7) : this.#dr7;
  }
  setDr7(value: number): void {
    this.#dr7 = value;
    this.#block.set(VMCB_FIELD.DR7, Clean.DRX, this.#breakpoints?.dr7 ?? value);
  }

  beforeEntry(): void {
    const { registers } = this.#cpu;
    this.#dr6 = registers.get32(State.dr6);
    this.#block.set(VMCB_FIELD.DR6, Clean.DRX, this.#intercepted ? Dr6.INITIAL : this.#dr6);
    if (this.#singleStep) this.#block.setBits(VMCB_FIELD.RFLAGS, Clean.NONE, Eflags.TF, Eflags.TF);
    if (this.#breakpoints !== undefined) this.#debuggers.load(this.#breakpoints.addresses);
  }
  afterExit(): void {
    const { registers } = this.#cpu;
    registers.set32(State.dr6, this.#intercepted ? this.#dr6 : this.#block.low(VMCB_FIELD.DR6));
    if (this.#breakpoints !== undefined) this.#debuggers.unload();
  }
}
