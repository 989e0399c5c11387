/**
 * What the interruption-information fields have in common: the one for VM entry (SDM Vol. 3C, 25.8.3), the one of VM exits (25.9.2) and the IDT-vectoring information
 * (25.9.3).
 */
export const INTERRUPTION_TYPES = {
  0: 'external interrupt',
  1: 'reserved',
  2: 'non-maskable interrupt (NMI)',
  3: 'hardware exception',
  4: 'software interrupt',
  5: 'privileged software exception',
  6: 'software exception',
  7: 'other event',
} as const;

/** Bits 10:8. */
export type InterruptionType = keyof typeof INTERRUPTION_TYPES;

/** The types by name, for code. */
export const InterruptionType = {
  EXTERNAL_INTERRUPT: 0,
  NMI: 2,
  HARDWARE_EXCEPTION: 3,
  SOFTWARE_INTERRUPT: 4,
  PRIVILEGED_SOFTWARE_EXCEPTION: 5,
  SOFTWARE_EXCEPTION: 6,
  OTHER_EVENT: 7,
} as const;

/** An interruption-information field, taken apart. */
export interface InterruptionInfo {
  /** Bits 7:0. */
  readonly vector: number;
  readonly type: InterruptionType;
  /** Bit 11: an error code is (to be) delivered. */
  readonly errorCodeValid: boolean;
  /** Bit 12, in VM-exit information only: NMI unblocking due to IRET. Reserved at VM entry. */
  readonly nmiUnblockingDueToIret: boolean;
  /** Bit 31. */
  readonly valid: boolean;
}

/** Takes an interruption-information field apart. */
export function decodeInterruptionInfo(value: number): InterruptionInfo {
  return {
    vector: value & 0xff,
    type: ((value >>> 8) & 7) as InterruptionType,
    errorCodeValid: (value & 0x800) !== 0,
    nmiUnblockingDueToIret: (value & 0x1000) !== 0,
    valid: value < 0 || value >= 0x8000_0000,
  };
}

/** Puts an interruption-information field together; unsigned. What is left out is 0, but `valid` is true. */
export function encodeInterruptionInfo(
  info: Partial<InterruptionInfo> & { readonly vector: number; readonly type: InterruptionType },
): number {
  const flags = (info.errorCodeValid === true ? 0x800 : 0) | (info.nmiUnblockingDueToIret === true ? 0x1000 : 0);
  return ((info.valid === false ? 0 : 0x8000_0000) | flags | (info.type << 8) | (info.vector & 0xff)) >>> 0;
}

/** Exceptions that deliver an error code (SDM Vol. 3A, 6.3): #DF, #TS, #NP, #SS, #GP, #PF, #AC; #CP on processors with CET. */
export function hasErrorCode(vector: number, cet: boolean): boolean {
  return vector < 32 && ((0x0002_7d00 >>> vector) & 1) === 1 ? true : cet && vector === 21;
}

/** Activity states (SDM Vol. 3C, 25.4.2). */
export const ActivityState = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
