import { formatExplanation, type Svm, SvmExit, VMCB_FIELD } from '@minusone/amdv';
import { EVERY_PRIORITY, GUEST_OWN_MSRS, VendorExit, VendorExitKind, type VendorVcpu, type VendorVcpuParts } from '@minusone/kvm';
import { type Cpu, Gpr, type Registers, State } from '@minusone/x86';
import { GuestDebug } from '../debug/guest-debug.ts';
import { GuestEvents } from '../events/guest-events.ts';
import { NmiMask } from '../events/nmi-mask.ts';
import { TaskPriority } from '../events/task-priority.ts';
import { decodeExit } from '../exits/decode-exit.ts';
import { enterHostMode } from '../host/host-state.ts';
import { ControlRegisters } from '../state/control-registers.ts';
import { GuestPdptes } from '../state/guest-pdptes.ts';
import { GuestState } from '../state/guest-state.ts';
import { Clean, ControlBlock } from '../vmcb/control-block.ts';
import { Intercepts } from '../vmcb/intercepts.ts';
import { ioPermissionMap, MsrPermissionMap } from '../vmcb/permission-maps.ts';

/** TLB_CONTROL (APM Vol. 2 15.16.2): all of this guest's entries, with FLUSHBYASID; else everything. */
const TlbControl = { NONE: 0, FLUSH_ALL: 1, FLUSH_GUEST: 3 } as const;

/** A virtual CPU in a VMCB. What the VMCB does not hold stays in the processor: the other general registers, FS GS TR LDTR, x87 and SSE state, DR0 to DR3, MSRs. */
export class AmdVcpu implements VendorVcpu {
  readonly cpu: Cpu;
  readonly exit: VendorExit = new VendorExit();
  readonly state: GuestState;
  readonly events: GuestEvents;
  readonly controlRegisters: ControlRegisters;
  readonly nmis: NmiMask;
  readonly priority: TaskPriority;
  readonly debug: GuestDebug;
  readonly intercepts: Intercepts;
  readonly msrIntercepts: MsrPermissionMap;
  readonly #svm: Svm;
  readonly #registers: Registers;
  readonly #block: ControlBlock;
  readonly #flush: number;

  constructor(parts: VendorVcpuParts, svm: Svm) {
    const { cpu, pages } = parts;
    this.cpu = cpu;
    this.#svm = svm;
    this.#registers = cpu.registers;
    enterHostMode(cpu, pages);
    svm.clgi();
    const block = new ControlBlock(pages);
    this.#block = block;
    this.intercepts = new Intercepts(block);
    this.nmis = new NmiMask(block, this.intercepts);
    this.events = new GuestEvents(block, this.intercepts, this.nmis);
    this.debug = new GuestDebug(block, cpu, this.intercepts);
    const pdptes = new GuestPdptes(pages.memory, parts.root, cpu.model.physicalBits);
    this.state = new GuestState(block, cpu, pdptes, () => this.flushTlb());
    this.controlRegisters = new ControlRegisters(block);
    this.priority = new TaskPriority(block, this.intercepts);
    this.msrIntercepts = new MsrPermissionMap(pages);
    for (const index of GUEST_OWN_MSRS) this.msrIntercepts.set(index, false, false);
    this.#flush = svm.capabilities.has('FLUSHBYASID') ? TlbControl.FLUSH_GUEST : TlbControl.FLUSH_ALL;

    block.write(VMCB_FIELD.MSRPM_BASE_PA, Clean.IOPM, BigInt(this.msrIntercepts.hpa));
    block.write(VMCB_FIELD.IOPM_BASE_PA, Clean.IOPM, BigInt(ioPermissionMap(pages)));
    // ASIDs 1 to asids - 1 (APM Vol. 2 15.16); each virtual CPU has a processor, and a TLB, of its own, so that two with the same one never meet.
    block.set(VMCB_FIELD.GUEST_ASID, Clean.ASID, 1 + ((parts.tag - 1) % (svm.capabilities.asids - 1)));
    block.set(VMCB_FIELD.V_INTR_MASKING, Clean.TPR, 1);
    // The window's virtual interrupt is taken whatever CR8 says: KVM has weighed priorities by itself.
    block.set(VMCB_FIELD.V_INTR_PRIO, Clean.TPR, 0xf);
    block.set(VMCB_FIELD.V_IGN_TPR, Clean.TPR, 1);
    block.set(VMCB_FIELD.NP_ENABLE, Clean.NP, 1);
    block.write(VMCB_FIELD.N_CR3, Clean.NP, BigInt(parts.root));
    this.reset(false);
  }

  get isInGuest(): boolean {
    return this.#svm.inGuest;
  }
  get exits(): Readonly<Record<string, number>> {
    return this.#svm.exits;
  }

  enter(instructions: number): boolean {
    const svm = this.#svm;
    const { cpu } = this;
    const end = cpu.instructions + instructions;
    for (;;) {
      if (!svm.inGuest) this.#vmrun();
      if (svm.inGuest) {
        const begun = cpu.instructions;
        if (begun >= end) return false;
        if (this.nmis.stepsOne(cpu.interruptShadow !== 0)) {
          cpu.run(1);
          if (svm.inGuest && cpu.instructions === begun) return false;
          if (svm.inGuest) this.nmis.stepped();
        } else if (!this.nmis.windowOpen) {
          cpu.run(end - begun);
          if (svm.inGuest) return false;
        }
        if (svm.inGuest) {
          if (!this.nmis.windowOpen) continue;
          this.leave();
          if (this.exit.kind === VendorExitKind.INTERRUPT) this.exit.kind = VendorExitKind.NMI_WINDOW;
          return true;
        }
      }
      if (this.#exited()) return true;
    }
  }

  leave(): void {
    const svm = this.#svm;
    if (!svm.inGuest) return;
    this.cpu.setInterruptRequest(true);
    // What the guest does first (an injection that is still to be delivered, an exit of its own) comes first.
    while (svm.inGuest) this.cpu.run(1);
    this.cpu.setInterruptRequest(false);
    if (!this.#exited()) this.exit.kind = VendorExitKind.INTERRUPT;
  }

  #vmrun(): void {
    const registers = this.#registers;
    const block = this.#block;
    block.set(VMCB_FIELD.RAX, Clean.NONE, registers.gprLow(Gpr.RAX), registers.gprHigh(Gpr.RAX));
    block.set(VMCB_FIELD.RSP, Clean.NONE, registers.gprLow(Gpr.RSP), registers.gprHigh(Gpr.RSP));
    block.set(VMCB_FIELD.CR2, Clean.CR2, registers.get32(State.cr2), registers.get32(State.cr2 + 4));
    this.nmis.beforeEntry();
    this.debug.beforeEntry();
    block.beforeEntry();
    this.#svm.vmrun(block.hpa);
  }

  /** The guest is out: its registers to where KVM looks for them, and why. False: KVM need not know. */
  #exited(): boolean {
    const registers = this.#registers;
    const block = this.#block;
    registers.setGprHalves(Gpr.RAX, block.low(VMCB_FIELD.RAX), block.high(VMCB_FIELD.RAX));
    registers.setGprHalves(Gpr.RSP, block.low(VMCB_FIELD.RSP), block.high(VMCB_FIELD.RSP));
    registers.set32(State.cr2, block.low(VMCB_FIELD.CR2));
    registers.set32(State.cr2 + 4, block.high(VMCB_FIELD.CR2));
    this.debug.afterExit();
    const { exit } = this;
    decodeExit(block, exit);
    if (exit.kind === VendorExitKind.ENTRY_FAILED) {
      block.forget();
      this.events.entryFailed();
      return true;
    }
    block.set(VMCB_FIELD.TLB_CONTROL, Clean.NONE, TlbControl.NONE);
    this.events.exited();
    if (exit.hardwareReason === SvmExit.IRET) {
      this.nmis.iretReached();
      return false;
    }
    if (exit.hardwareReason === SvmExit.CR8_WRITE) return this.#cr8Written();
    return true;
  }

  /** MOV to CR8 while its value matters: done here, and news for KVM only where it went below the threshold. A value that is #GP(0) is left to KVM, and so is each where KVM wants to hear of all. */
  #cr8Written(): boolean {
    const { exit } = this;
    const registers = this.#registers;
    if (exit.gpr < 0 || exit.instructionLength === 0 || this.priority.threshold === EVERY_PRIORITY) return true;
    const value = registers.gprLow(exit.gpr);
    if (value >>> 0 > 15 || registers.gprHigh(exit.gpr) !== 0) return true;
    this.#block.set(VMCB_FIELD.V_TPR, Clean.TPR, value);
    this.skipInstruction();
    if (value >= this.priority.threshold) return false;
    exit.kind = VendorExitKind.TASK_PRIORITY;
    exit.instructionLength = 0;
    return true;
  }

  explainEntry(): string {
    return formatExplanation(this.#svm.explainEntry(this.#block.hpa));
  }

  skipInstruction(): void {
    const { state } = this;
    const low = (state.ripLow() >>> 0) + this.exit.instructionLength;
    state.setRip(low | 0, low > 0xffff_ffff ? (state.ripHigh() + 1) | 0 : state.ripHigh());
    this.events.setShadow(0);
  }

  flushTlb(): void {
    this.#block.set(VMCB_FIELD.TLB_CONTROL, Clean.NONE, this.#flush);
  }
  /** ASIDs name both stages' translations together: what is forgotten of one is forgotten of the other. */
  flushGuestTlb(): void {
    this.flushTlb();
  }

  reset(init: boolean): void {
    this.state.reset(init);
    this.controlRegisters.reset(init);
    this.debug.setDr7(this.#block.low(VMCB_FIELD.DR7));
    this.events.reset();
    this.priority.set(0, 0);
    this.flushTlb();
  }
}
