import { EventInformation, SvmEventType } from '@minusone/amdv';
import type { VendorEvent } from '@minusone/kvm';

/** TYPE (APM Vol. 2 15.20): INT3, INTO and INT1 are exceptions here; only INT n is a software interrupt. */
const TYPE_OF = {
  interrupt: SvmEventType.INTR,
  nmi: SvmEventType.NMI,
  exception: SvmEventType.EXCEPTION,
  'software-interrupt': SvmEventType.SOFTWARE_INTERRUPT,
  'software-exception': SvmEventType.EXCEPTION,
  'privileged-software-exception': SvmEventType.EXCEPTION,
} as const;

/** EVENTINJ's low half for an event, signed. */
export function eventInjection(event: VendorEvent): number {
  const errorCode = event.errorCode === undefined ? 0 : EventInformation.ERROR_CODE_VALID;
  return (
    EventInformation.VALID | errorCode | (TYPE_OF[event.type] << EventInformation.TYPE_SHIFT) | (event.vector & EventInformation.VECTOR)
  );
}

/** Events that an instruction makes: the return address that they push is the one behind it. */
export function isSoftwareEvent(event: VendorEvent): boolean {
  return event.type === 'software-interrupt' || event.type === 'software-exception' || event.type === 'privileged-software-exception';
}

/**
 * What EXITINTINFO says was interrupted, if KVM is to inject it again. INT n, INT3 and INTO of the guest itself are not: RIP still stands at the instruction, which runs
 * again. One that KVM had injected (`injected`) is given back as it was, as there may be no such instruction.
 * @param low bits 31:0, signed
 */
export function interruptedEvent(low: number, errorCode: number, injected: VendorEvent | undefined): VendorEvent | undefined {
  if ((low & EventInformation.VALID) === 0) return undefined;
  const vector = low & EventInformation.VECTOR;
  if (injected !== undefined && injected.vector === vector && (isSoftwareEvent(injected) || injected.type === 'exception')) return injected;
  const code = (low & EventInformation.ERROR_CODE_VALID) !== 0 ? errorCode >>> 0 : undefined;
  switch ((low >>> EventInformation.TYPE_SHIFT) & 7) {
    case SvmEventType.INTR:
      return { type: 'interrupt', vector, errorCode: undefined, instructionLength: 0 };
    case SvmEventType.NMI:
      return { type: 'nmi', vector: 2, errorCode: undefined, instructionLength: 0 };
    case SvmEventType.EXCEPTION:
      return vector === 3 || vector === 4 ? undefined : { type: 'exception', vector, errorCode: code, instructionLength: 0 };
    default:
      return undefined;
  }
}
