/**
 * A guest's exception on its way from the TypeScript code that found it to the run loop that delivers it. One preallocated object is
 * thrown again and again: throwing costs no allocation and no stack trace, and it never crosses a Wasm frame.
 */
export class GuestFault {
  vector = 0;
  errorCode = 0;
  hasErrorCode = false;
  /** CR2 of a page fault, two signed halves. */
  addressLow = 0;
  addressHigh = 0;
}

/** Exceptions by mnemonic (SDM Vol. 3A, Table 6-1). */
export const Vector = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Stands for a vector where the second stage (EPT, NPT) refused an access: no exception of the guest, but an exit; `Engine.walkResult` has the details. */
export const SECOND_STAGE_FAULT = 0x100;

/** Exceptions that push an error code (SDM Vol. 3A, Table 6-1). */
export function hasErrorCode(vector: number): boolean {
  return vector === Vector.DF || (vector >= Vector.TS && vector <= Vector.PF) || vector === Vector.AC || vector === 21;
}

/** The one object that is thrown. */
export const guestFault: GuestFault = new GuestFault();

/** Raises an exception: does not return. */
export function raise(vector: number, errorCode = 0): never {
  guestFault.vector = vector;
  guestFault.errorCode = errorCode;
  guestFault.hasErrorCode = hasErrorCode(vector);
  throw guestFault;
}
