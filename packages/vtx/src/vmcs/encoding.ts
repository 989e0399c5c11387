/** Width of a field: bits 14:13 of its encoding. */
export type VmcsWidth = '16-bit' | '64-bit' | '32-bit' | 'natural-width';
/** What a field holds: bits 11:10 of its encoding. */
export type VmcsFieldType = 'control' | 'read-only data' | 'guest state' | 'host state';

const WIDTHS: readonly VmcsWidth[] = ['16-bit', '64-bit', '32-bit', 'natural-width'];
const TYPES: readonly VmcsFieldType[] = ['control', 'read-only data', 'guest state', 'host state'];

/** Bits of an encoding that must be 0: bit 12 and bits 31:15. */
export const ENCODING_RESERVED = 0xffff_9000;

/** The parts of an encoding (SDM Vol. 3C, 25.11.2, "Structure of VMCS Component Encoding"). */
export interface VmcsEncoding {
  /** Bit 0: full access, or the high 32 bits of a 64-bit field. */
  readonly access: 'full' | 'high';
  /** Bits 9:1. */
  readonly index: number;
  readonly type: VmcsFieldType;
  readonly width: VmcsWidth;
}

/**
 * Takes an encoding apart.
 *
 * @param encoding bits 14:0 count; whether the reserved ones are clear is `isWellFormedEncoding`'s question
 * @example decodeEncoding(0x2803).access // 'high': the upper half of GUEST_IA32_DEBUGCTL
 */
export function decodeEncoding(encoding: number): VmcsEncoding {
  return {
    access: (encoding & 1) === 1 ? 'high' : 'full',
    index: (encoding >> 1) & 0x1ff,
    type: TYPES[(encoding >> 10) & 3]!,
    width: WIDTHS[(encoding >> 13) & 3]!,
  };
}

/** Puts an encoding together: the inverse of `decodeEncoding`. `index` is 0 to 511. */
export function encodeEncoding({ access, index, type, width }: VmcsEncoding): number {
  return (access === 'high' ? 1 : 0) | (index << 1) | (TYPES.indexOf(type) << 10) | (WIDTHS.indexOf(width) << 13);
}

/** Whether the reserved bits are 0, and access type "high" names a 64-bit field (SDM Vol. 3C, 25.11.2). */
export function isWellFormedEncoding(encoding: number): boolean {
  return (encoding & ENCODING_RESERVED) === 0 && ((encoding & 1) === 0 || (encoding & 0x6000) === 0x2000);
}

/** Whether an encoding names VM-exit information (type 1), which is read-only on processors that do not set IA32_VMX_MISC[29]. */
export function isReadOnlyData(encoding: number): boolean {
  return (encoding & 0xc00) === 0x400;
}

/** Bytes that the value of a field takes: 2, 4 or 8 (natural width is 8 on processors with Intel 64). */
export function fieldBytes(encoding: number): 2 | 4 | 8 {
  const width = (encoding >> 13) & 3;
  return width === 0 ? 2 : width === 2 ? 4 : 8;
}
