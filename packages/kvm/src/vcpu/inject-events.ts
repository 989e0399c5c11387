import { Cr0, Eflags, State, Vector } from '@minusone/x86';
import { explainGuest } from '../emulation/explain.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { VcpuCore } from './core.ts';
import { NMI_EVENT, setsResumeFlag } from './pending-events.ts';

const DR7_GD = 0x2000;
const DR6_BITS = 0xe00f;

/**
 * Hands the vendor module what the next entry is to inject: what was interrupted in delivery goes first, then exceptions, NMIs, interrupts; what cannot be injected yet gets a window
 * (KVM's `inject_pending_event`).
 */
export function injectEvents(core: VcpuCore): VcpuExit | undefined {
  const { events, vendor } = core;
  if (events.tripleFault) {
    events.tripleFault = false;
    return shutdown(core);
  }
  if (events.isQuiet && !core.hasInterrupt) {
    core.setWindows(wantsUserWindow(core), false);
    return undefined;
  }
  let isFree = true;
  const isProtected = (vendor.controlRegisters.cr0() & Cr0.PE) !== 0;
  if (events.exceptionInjected) {
    vendor.events.inject(events.exceptionEvent(isProtected));
    isFree = false;
  } else if (events.exceptionPending) {
    injectException(core, isProtected);
    isFree = false;
  } else if (events.nmiInjected) {
    vendor.events.inject(NMI_EVENT);
    isFree = false;
  } else if (events.interruptInjected >= 0) {
    vendor.events.inject(events.interruptEvent());
    isFree = false;
  }
  if (events.nmiPending && isFree && vendor.events.nmiAllowed()) {
    events.nmiPending = false;
    events.nmiInjected = true;
    vendor.nmis.set(true);
    vendor.events.inject(NMI_EVENT);
    isFree = false;
  }
  if (isFree && core.hasInterrupt && vendor.events.interruptAllowed()) {
    events.interruptInjected = core.takeInterrupt();
    events.interruptSoft = false;
    vendor.events.inject(events.interruptEvent());
  }
  core.setWindows(core.hasInterrupt || wantsUserWindow(core), events.nmiPending);
  return undefined;
}

function wantsUserWindow(core: VcpuCore): boolean {
  return core.requestInterruptWindow && core.vm.irqchip?.kind !== 'full';
}

/** A new exception: CR2 or DR6 are written now, and faults set RF in the frame. */
function injectException(core: VcpuCore, isProtected: boolean): void {
  const { events, vendor } = core;
  const { exception } = events;
  applyPayload(core);
  if (setsResumeFlag(exception.vector)) vendor.debug.setRflags(vendor.debug.rflags() | Eflags.RF);
  if (exception.vector === Vector.DB && (vendor.debug.dr7() & DR7_GD) !== 0) vendor.debug.setDr7(vendor.debug.dr7() & ~DR7_GD);
  events.exceptionPending = false;
  events.exceptionInjected = true;
  vendor.events.inject(events.exceptionEvent(isProtected));
}

/** Writes CR2 of a #PF, DR6 of a #DB (SDM Vol. 3B, 17.2.3: B0-B3 are replaced, the others stay). */
export function applyPayload(core: VcpuCore): void {
  const { exception } = core.events;
  if (!exception.hasPayload) return;
  exception.hasPayload = false;
  const { registers } = core.cpu;
  if (exception.vector === Vector.PF) registers.set64(State.cr2, exception.payload);
  else if (exception.vector === Vector.DB) {
    const kept = registers.get32(State.dr6) & ~0xf;
    registers.set32(State.dr6, kept | (Number(exception.payload) & DR6_BITS));
  }
}

/** KVM_EXIT_SHUTDOWN; the address of the last page fault is walked, if there was one. */
export function shutdown(core: VcpuCore): VcpuExit {
  const { emulator, physical } = core.vm;
  const cr2 = core.cpu.registers.get64(State.cr2);
  const about = 'Triple fault: the guest could not deliver a double fault.';
  return { reason: 'shutdown', explanation: explainGuest(emulator, physical, core.vendor, about, cr2 === 0n ? undefined : cr2) };
}
