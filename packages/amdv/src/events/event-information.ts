/** Event types of EVENTINJ and EXITINTINFO (APM Vol. 2, 15.20 "Event Injection", field TYPE). */
export const SvmEventType = {
  /** External or virtual interrupt. */
  INTR: 0,
  NMI: 2,
  /** Fault or trap; INT3, INTO and INT1 too. */
  EXCEPTION: 3,
  /** INT n. */
  SOFTWARE_INTERRUPT: 4,
} as const;
export type SvmEventType = (typeof SvmEventType)[keyof typeof SvmEventType];

/** Bits of EVENTINJ and EXITINTINFO (APM Vol. 2, 15.20 "Event Injection", 15.7.2 "EXITINTINFO"). */
export const EventInformation = {
  VECTOR: 0xff,
  TYPE_SHIFT: 8,
  TYPE_MASK: 0x700,
  /** EV: the error code in bits 63:32 is meant. */
  ERROR_CODE_VALID: 0x800,
  /** V. */
  VALID: -0x8000_0000,
} as const;

/** An event, taken apart. */
export interface SvmEvent {
  readonly vector: number;
  readonly type: SvmEventType;
  /** Undefined: it pushes none. */
  readonly errorCode?: number;
}

/** An event as EVENTINJ or EXITINTINFO hold it. */
export function encodeEvent({ vector, type, errorCode }: SvmEvent): bigint {
  const low = BigInt((vector & 0xff) | (type << EventInformation.TYPE_SHIFT)) | 0x8000_0000n;
  return errorCode === undefined ? low : low | 0x800n | (BigInt(errorCode >>> 0) << 32n);
}

/** What EVENTINJ or EXITINTINFO say; undefined where V is 0. The type may be a reserved one. */
export function decodeEvent(value: bigint): SvmEvent | undefined {
  const low = Number(BigInt.asIntN(32, value));
  if ((low & EventInformation.VALID) === 0) return undefined;
  const vector = low & EventInformation.VECTOR;
  const type = ((low & EventInformation.TYPE_MASK) >>> EventInformation.TYPE_SHIFT) as SvmEventType;
  return (low & EventInformation.ERROR_CODE_VALID) === 0 ? { vector, type } : { vector, type, errorCode: Number(value >> 32n) };
}
