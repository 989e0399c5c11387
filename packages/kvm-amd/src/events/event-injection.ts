import type { VendorEvent } from '@minusone/kvm';

/** EVENTINJ and EXITINTINFO, bits 31:0 (APM Vol. 2 15.20 "Event Injection", 15.7.2 "Intercepts During IDT Interrupt Delivery"); the error code is bits 63:32. */
export const EventField = { VECTOR: 0xff, TYPE_SHIFT: 8, ERROR_CODE_VALID: 0x800, VALID: -0x8000_0000 } as const;
/** TYPE. INT3 and INTO are exceptions here; only INT n is a software interrupt. */
export const EventFieldType = { INTR: 0, NMI: 2, EXCEPTION: 3, SOFTWARE_INTERRUPT: 4 } as const;

const TYPE_OF = {
  interrupt: EventFieldType.INTR,
  nmi: EventFieldType.NMI,
  exception: EventFieldType.EXCEPTION,
  'software-interrupt': EventFieldType.SOFTWARE_INTERRUPT,
  'software-exception': EventFieldType.EXCEPTION,
  'privileged-software-exception': EventFieldType.EXCEPTION,
} as const;

/** EVENTINJ's low half for an event, signed. */
export function eventInjection(event: VendorEvent): number {
  const errorCode = event.errorCode === undefined ? 0 : EventField.ERROR_CODE_VALID;
  return EventField.VALID | errorCode | (TYPE_OF[event.type] << EventField.TYPE_SHIFT) | (event.vector & EventField.VECTOR);
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
  if ((low & EventField.VALID) === 0) return undefined;
  const vector = low & EventField.VECTOR;
  if (injected !== undefined && isSoftwareEvent(injected) && injected.vector === vector) return injected;
  const code = (low & EventField.ERROR_CODE_VALID) !== 0 ? errorCode >>> 0 : undefined;
  switch ((low >>> EventField.TYPE_SHIFT) & 7) {
    case EventFieldType.INTR:
      return { type: 'interrupt', vector, errorCode: undefined, instructionLength: 0 };
    case EventFieldType.NMI:
      return { type: 'nmi', vector: 2, errorCode: undefined, instructionLength: 0 };
    case EventFieldType.EXCEPTION:
      return vector === 3 || vector === 4 ? undefined : { type: 'exception', vector, errorCode: code, instructionLength: 0 };
    default:
      return undefined;
  }
}
