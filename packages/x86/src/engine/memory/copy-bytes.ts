/** Copies a few bytes within linear memory: for one access's worth, `copyWithin` costs more to call than to do. The ranges do not overlap. */
export function copyBytes(u8: Uint8Array, to: number, from: number, bytes: number): void {
  for (let n = 0; n < bytes; n++) u8[to + n] = u8[from + n] as number;
}
