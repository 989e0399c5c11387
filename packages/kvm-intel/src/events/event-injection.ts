import type { VendorEvent } from '@minusone/kvm';
import { InterruptionType } from '@minusone/vtx';

/** Bits of the interruption-information fields (SDM Vol. 3C, 25.8.3, 25.9.2, 25.9.3). Bit 12: "NMI unblocking due to IRET", of VM exits only. */
export const Interruption = {
  VECTOR: 0xff,
  TYPE_SHIFT: 8,
  TYPE: 7,
  ERROR_CODE: 0x800,
  NMI_UNBLOCKED: 0x1000,
  VALID: -0x8000_0000,
} as const;

const TYPE_OF = {
  interrupt: InterruptionType.EXTERNAL_INTERRUPT,
  nmi: InterruptionType.NMI,
  exception: InterruptionType.HARDWARE_EXCEPTION,
  'software-interrupt': InterruptionType.SOFTWARE_INTERRUPT,
  'software-exception': InterruptionType.SOFTWARE_EXCEPTION,
  'privileged-software-exception': InterruptionType.PRIVILEGED_SOFTWARE_EXCEPTION,
} as const;

const EVENT_OF: Readonly<Record<number, VendorEvent['type']>> = Object.fromEntries(
  Object.entries(TYPE_OF).map(([event, type]) => [type, event]),
) as Record<number, VendorEvent['type']>;

/** Events that an instruction makes: they have its length, for the return address. */
export function isSoftwareEvent(event: VendorEvent): boolean {
  return TYPE_OF[event.type] >= InterruptionType.SOFTWARE_INTERRUPT;
}

/** VM-entry interruption information of an event, signed. */
export function entryInterruption(event: VendorEvent): number {
  const errorCode = event.errorCode === undefined ? 0 : Interruption.ERROR_CODE;
  return Interruption.VALID | errorCode | (TYPE_OF[event.type] << Interruption.TYPE_SHIFT) | (event.vector & Interruption.VECTOR);
}

/**
 * The event whose delivery an exit interrupted. RIP of a software event still stands at its instruction.
 * @param information IDT-vectoring information, signed
 */
export function interruptedEvent(information: number, errorCode: number, instructionLength: number): VendorEvent | undefined {
  if (information >= 0) return undefined;
  const type = (information >>> Interruption.TYPE_SHIFT) & Interruption.TYPE;
  const event = EVENT_OF[type];
  if (event === undefined) return undefined;
  return {
    type: event,
    vector: information & Interruption.VECTOR,
    errorCode: (information & Interruption.ERROR_CODE) !== 0 ? errorCode >>> 0 : undefined,
    instructionLength: type >= InterruptionType.SOFTWARE_INTERRUPT ? instructionLength : 0,
  };
}
