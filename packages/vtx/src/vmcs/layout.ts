/**
 * Where the parts of a VMCS region stand. The manual fixes the first eight bytes (SDM Vol. 3C, 25.2, "Format of the VMCS Region"); the rest, "VMCS data", is the
 * processor's own. Ours is computed from the encoding, so that reading a field needs no table: one block for each width, in it one row for each type, in it the index.
 */
export const REGION_BYTES = 4096;
/** Bits 30:0 the VMCS revision identifier, bit 31 the shadow-VMCS indicator. */
export const REVISION_OFFSET = 0;
/** The VMX-abort indicator. */
export const ABORT_OFFSET = 4;
/** Our own: the launch state (0 clear, 1 launched). */
export const LAUNCH_STATE_OFFSET = 8;

/** How many indices of each type have a place. The largest index in the tables is 41 (64-bit), 23 (natural). */
export const MAX_INDEX = { '16-bit': 16, '64-bit': 64, '32-bit': 32, 'natural-width': 32 } as const;

const BASE_16 = 64;
const BASE_64 = BASE_16 + 4 * 16 * 2;
const BASE_32 = BASE_64 + 4 * 64 * 8;
const BASE_NATURAL = BASE_32 + 4 * 32 * 4;

/** Byte offset in the region of a field's value (of a 64-bit field's low half, for either access type). The encoding must be one of the table. */
export function fieldOffset(encoding: number): number {
  const index = (encoding >> 1) & 0x1ff;
  const type = (encoding >> 10) & 3;
  switch ((encoding >> 13) & 3) {
    case 0:
      return BASE_16 + ((type << 4) | index) * 2;
    case 1:
      return BASE_64 + ((type << 6) | index) * 8;
    case 2:
      return BASE_32 + ((type << 5) | index) * 4;
    default:
      return BASE_NATURAL + ((type << 5) | index) * 8;
  }
}
