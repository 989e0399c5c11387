import { FIELD, type VmcsFieldName } from '../vmcs/fields.ts';
import { fieldOffset } from '../vmcs/layout.ts';
import type { Region } from './region.ts';

/** Where a field stands in its region, in words of 4 bytes (fields of 32 and 64 bits). */
export function wordOf(name: VmcsFieldName): number {
  return fieldOffset(FIELD[name]) >>> 2;
}

/** Writes a field of 32 bits where it differs, from its place: the compare is what happens nearly always. */
export function update32(region: Region, i32: Int32Array, word: number, encoding: number, value: number): void {
  if (i32[region.word + word] !== value) region.vmcs.set(encoding, value);
}

/** The same for fields of 64 bits and natural width. */
export function update64(region: Region, i32: Int32Array, word: number, encoding: number, low: number, high: number): void {
  const at = region.word + word;
  if (i32[at] !== low || i32[at + 1] !== high) region.vmcs.set(encoding, low, high);
}
