import { State, Vector } from '@minusone/x86';
import { InvalidStateError } from '../../errors.ts';
import type { VcpuCore } from '../core.ts';

/** `struct kvm_debugregs` (api.rst, 4.33 KVM_GET_DEBUGREGS). */
export interface KvmDebugRegs {
  db: readonly [bigint, bigint, bigint, bigint];
  dr6: bigint;
  dr7: bigint;
}

/** `struct kvm_vcpu_events` (api.rst, 4.31 KVM_GET_VCPU_EVENTS). */
export interface KvmVcpuEvents {
  exception: {
    injected: boolean;
    /** With KVM_CAP_EXCEPTION_PAYLOAD. */
    pending: boolean;
    nr: number;
    hasErrorCode: boolean;
    errorCode: number;
    hasPayload: boolean;
    payload: bigint;
  };
  /** `shadow`: KVM_X86_SHADOW_INT_*: 1 MOV SS, 2 STI. */
  interrupt: { injected: boolean; nr: number; soft: boolean; shadow: number };
  nmi: { injected: boolean; pending: boolean; masked: boolean };
  sipiVector: number;
  /** With KVM_CAP_X86_TRIPLE_FAULT_EVENT. */
  tripleFault: { pending: boolean };
}

export function getDebugRegs(core: VcpuCore): KvmDebugRegs {
  const { registers } = core.cpu;
  const db = (n: number): bigint => registers.get64(State.dr + n * 8);
  return {
    db: [db(0), db(1), db(2), db(3)],
    dr6: BigInt(registers.get32(State.dr6) >>> 0),
    dr7: BigInt(core.vendor.debug.dr7() >>> 0),
  };
}

export function setDebugRegs(core: VcpuCore, { db, dr6, dr7 }: KvmDebugRegs): void {
  const { registers } = core.cpu;
  db.forEach((value, n) => {
    registers.set64(State.dr + n * 8, BigInt.asUintN(64, value));
  });
  registers.set32(State.dr6, Number(BigInt.asIntN(32, dr6)));
  core.vendor.debug.setDr7(Number(BigInt.asIntN(32, dr7)));
  core.stateChanged();
}

/** KVM's numbers of what the vendor module calls 1 (STI) and 2 (MOV SS). */
const SHADOWS = [0, 2, 1] as const;

export function getVcpuEvents(core: VcpuCore): KvmVcpuEvents {
  const { events, vendor } = core;
  const { exception } = events;
  const { capabilities } = core.vm;
  const payloads = capabilities.exceptionPayload;
  const isPending = events.exceptionPending;
  return {
    exception: {
      // Without KVM_CAP_EXCEPTION_PAYLOAD what is pending is shown as injected.
      injected: events.exceptionInjected || (!payloads && isPending),
      pending: payloads && isPending,
      nr: events.exceptionInjected || isPending ? exception.vector : 0,
      hasErrorCode: exception.hasErrorCode,
      errorCode: exception.errorCode,
      hasPayload: payloads && exception.hasPayload,
      payload: payloads && exception.hasPayload ? exception.payload : 0n,
    },
    interrupt: {
      injected: events.interruptInjected >= 0 && !events.interruptSoft,
      nr: Math.max(0, events.interruptInjected),
      soft: false,
      shadow: SHADOWS[vendor.events.shadow()],
    },
    nmi: { injected: events.nmiInjected, pending: events.nmiPending, masked: vendor.nmis.masked },
    sipiVector: Math.max(0, events.sipi),
    tripleFault: { pending: capabilities.tripleFaultEvent && events.tripleFault },
  };
}

/** @throws {InvalidStateError} vectors that are none, or what a capability has to be enabled for; nothing is changed then */
export function setVcpuEvents(core: VcpuCore, state: KvmVcpuEvents): void {
  check(core, state);
  const { events, vendor } = core;
  const { exception, interrupt, nmi } = state;
  events.exceptionInjected = exception.injected;
  events.exceptionPending = !exception.injected && exception.pending;
  // #BP and #OF are those of the instruction at RIP.
  const isSoft = exception.injected && (exception.nr === Vector.BP || exception.nr === Vector.OF);
  events.exceptionType = isSoft ? 'software-exception' : 'exception';
  if (isSoft) events.instructionLength = 1;
  Object.assign(events.exception, {
    vector: exception.nr,
    hasErrorCode: exception.hasErrorCode,
    errorCode: exception.errorCode,
    hasPayload: exception.hasPayload,
    payload: exception.payload,
  });
  events.interruptInjected = interrupt.injected ? interrupt.nr : -1;
  events.interruptSoft = interrupt.soft;
  const shadow = SHADOWS.indexOf((interrupt.shadow & 3) as 0 | 1 | 2);
  vendor.events.setShadow(Math.max(0, shadow) as 0 | 1 | 2);
  events.nmiInjected = nmi.injected;
  events.nmiPending = nmi.pending;
  vendor.nmis.set(nmi.masked);
  if (core.mpState === 'initReceived' && state.sipiVector !== 0) events.sipi = state.sipiVector;
  if (core.vm.capabilities.tripleFaultEvent) events.tripleFault = state.tripleFault.pending;
  core.stateChanged();
}

/** What KVM refuses with EINVAL. */
function check(core: VcpuCore, { exception, interrupt, tripleFault }: KvmVcpuEvents): void {
  const { capabilities } = core.vm;
  const refuse = (message: string, hint: string): never => {
    throw new InvalidStateError(message, hint, {});
  };
  // 2 is the NMI's.
  if ((exception.injected || exception.pending) && (!isVector(exception.nr, 31) || exception.nr === 2)) {
    refuse(`There is no exception ${exception.nr}.`, 'Exceptions are 0 to 31; an NMI stands apart.');
  }
  if (interrupt.injected && !isVector(interrupt.nr, 255)) refuse(`There is no interrupt vector ${interrupt.nr}.`, 'Vectors are 0 to 255.');
  if ((exception.pending || exception.hasPayload) && !capabilities.exceptionPayload) {
    refuse('A pending exception cannot be told from an injected one.', 'Enable KVM_CAP_EXCEPTION_PAYLOAD, or say that it is injected.');
  }
  if (exception.pending && exception.injected) refuse('An exception cannot be pending and injected.', 'It is one or the other.');
  if (tripleFault.pending && !capabilities.tripleFaultEvent) {
    refuse('A triple fault cannot be set.', 'Enable KVM_CAP_X86_TRIPLE_FAULT_EVENT first.');
  }
}

function isVector(nr: number, highest: number): boolean {
  return Number.isInteger(nr) && nr >= 0 && nr <= highest;
}
