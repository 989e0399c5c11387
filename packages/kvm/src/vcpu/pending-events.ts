import { exceptionClass, hasErrorCode, isFaultClass, Vector } from '@minusone/x86';
import type { VendorEvent } from '../vendor/vendor.ts';

/** An exception on its way to the guest. */
export interface QueuedException {
  vector: number;
  hasErrorCode: boolean;
  errorCode: number;
  /** CR2 of a #PF, bits for DR6 of a #DB: written when it is injected, so that a guest that is looked at before does not see them (KVM_CAP_EXCEPTION_PAYLOAD). */
  hasPayload: boolean;
  payload: bigint;
}

function noException(): QueuedException {
  return { vector: 0, hasErrorCode: false, errorCode: 0, hasPayload: false, payload: 0n };
}

/**
 * What is on its way into a guest (KVM's `vcpu->arch`): `pending` has not been handed to hardware; `injected` has, and if an exit comes while it is delivered,
 * hardware gives it back and it is injected again. Exceptions combine as the manual says (SDM Vol. 3A, Table 6-5).
 */
export class PendingEvents {
  readonly exception: QueuedException = noException();
  exceptionPending = false;
  exceptionInjected = false;

  /** An external interrupt, or INT n, in delivery; -1: none. */
  interruptInjected = -1;
  interruptSoft = false;
  /** An interrupt of the user's (KVM_INTERRUPT), not yet injected; -1: none. */
  interruptQueued = -1;

  nmiPending = false;
  nmiInjected = false;

  initPending = false;
  /** Start-up vector; -1: none. */
  sipi = -1;
  tripleFault = false;

  /** Bytes of the instruction of a software event that is to be injected again. */
  instructionLength = 0;
  /** #BP or #OF of INT3 or INTO, #DB of INT1: injected again as what it was. */
  exceptionType: VendorEvent['type'] = 'exception';

  clear(): void {
    this.exceptionPending = this.exceptionInjected = false;
    this.exception.hasPayload = false;
    this.interruptInjected = this.interruptQueued = -1;
    this.interruptSoft = false;
    this.nmiPending = this.nmiInjected = false;
    this.initPending = false;
    this.sipi = -1;
    this.tripleFault = false;
  }

  /** Nothing that an entry would have to think of. */
  get isQuiet(): boolean {
    return (
      !this.exceptionPending &&
      !this.exceptionInjected &&
      this.interruptInjected < 0 &&
      this.interruptQueued < 0 &&
      !this.nmiPending &&
      !this.nmiInjected &&
      !this.initPending &&
      this.sipi < 0 &&
      !this.tripleFault
    );
  }

  /** Queues an exception that the guest caused; one that it caused while another was delivered combines with that to #DF, or to a triple fault. */
  queueException(vector: number, errorCode?: number, payload?: bigint): void {
    if (this.exceptionPending || this.exceptionInjected) {
      const first = this.exception.vector;
      if (first === Vector.DF && exceptionClass(vector) !== 'benign') {
        this.exceptionPending = this.exceptionInjected = false;
        this.tripleFault = true;
        return;
      }
      const before = exceptionClass(first);
      const now = exceptionClass(vector);
      if ((before === 'contributory' && now === 'contributory') || (before === 'page fault' && now !== 'benign')) {
        this.#set(Vector.DF, 0, undefined);
        return;
      }
    }
    this.#set(vector, errorCode, payload);
  }
  #set(vector: number, errorCode: number | undefined, payload: bigint | undefined): void {
    const { exception } = this;
    this.exceptionPending = true;
    this.exceptionInjected = false;
    this.exceptionType = 'exception';
    exception.vector = vector;
    exception.hasErrorCode = errorCode !== undefined;
    exception.errorCode = errorCode ?? 0;
    exception.hasPayload = payload !== undefined;
    exception.payload = payload ?? 0n;
  }

  /** #BP or #OF of an INT3 or INTO that stands at RIP, as if it had been interrupted in delivery: they return behind their instruction, of one byte. */
  resumeSoftException(vector: number): void {
    this.interrupted({ type: 'software-exception', vector, errorCode: undefined, instructionLength: 1 });
  }

  /** What hardware was delivering when an exit came between (IDT-vectoring information): it will be injected again. Whatever was injected and is not among it has been delivered. */
  interrupted(event: VendorEvent | undefined): void {
    this.exceptionInjected = false;
    this.interruptInjected = -1;
    this.nmiInjected = false;
    if (event === undefined) return;
    this.instructionLength = event.instructionLength;
    switch (event.type) {
      case 'interrupt':
      case 'software-interrupt':
        this.interruptInjected = event.vector;
        this.interruptSoft = event.type === 'software-interrupt';
        return;
      case 'nmi':
        this.nmiInjected = true;
        return;
      default: {
        const { exception } = this;
        this.exceptionInjected = true;
        this.exceptionPending = false;
        this.exceptionType = event.type;
        exception.vector = event.vector;
        exception.hasErrorCode = event.errorCode !== undefined;
        exception.errorCode = event.errorCode ?? 0;
        exception.hasPayload = false;
      }
    }
  }

  /** The exception as the vendor module is to inject it. In real-address mode none has an error code. */
  exceptionEvent(isProtected: boolean): VendorEvent {
    const { vector, errorCode, hasErrorCode: withCode } = this.exception;
    return {
      type: this.exceptionType,
      vector,
      errorCode: withCode && isProtected ? errorCode : undefined,
      instructionLength: this.exceptionType === 'exception' ? 0 : this.instructionLength,
    };
  }
  interruptEvent(): VendorEvent {
    return {
      type: this.interruptSoft ? 'software-interrupt' : 'interrupt',
      vector: this.interruptInjected,
      errorCode: undefined,
      instructionLength: this.interruptSoft ? this.instructionLength : 0,
    };
  }
}

export const NMI_EVENT: VendorEvent = Object.freeze({ type: 'nmi', vector: Vector.NMI, errorCode: undefined, instructionLength: 0 });

/** Whether delivery of the exception sets RF in the frame (faults: SDM Vol. 3B, 17.3.1.1). */
export function setsResumeFlag(vector: number): boolean {
  return isFaultClass(vector);
}

/** Whether the processor pushes an error code with it. */
export function pushesErrorCode(vector: number): boolean {
  return hasErrorCode(vector);
}
