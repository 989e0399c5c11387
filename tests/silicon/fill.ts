/** Guest-linear addresses of the windows that a case sees; nothing else is mapped. Each is `WINDOW_BYTES` long. */
export const WINDOWS = { code: 0x1000_0000, data: 0x2000_0000, stack: 0x3000_0000 } as const;
/** Two pages, so that an access or an instruction can cross from one to the next. */
export const WINDOW_BYTES = 8192;

/**
 * What a window holds before a case's code and patches are placed. The code window is all NOPs (0x90); data and stack
 * are one sequence of pseudo-random words. The same as `fill` in native/memory.c, so that an emulator can start from the same memory.
 *
 * @param seed  the case's seed, 0 to 2^32 - 1
 * @returns a new array of `WINDOW_BYTES` bytes
 */
export function windowContents(window: keyof typeof WINDOWS, seed: number): Uint8Array {
  const bytes = new Uint8Array(WINDOW_BYTES);
  if (window === 'code') return bytes.fill(0x90);
  const words = new DataView(bytes.buffer);
  const first = window === 'data' ? 0 : WINDOW_BYTES / 4;
  for (let i = 0; i < WINDOW_BYTES / 4; i++) words.setUint32(4 * i, seededWord(seed, first + i), true);
  return bytes;
}

/** MurmurHash3's 32-bit finalizer over a Weyl sequence. */
function seededWord(seed: number, index: number): number {
  let h = (seed + Math.imul(index, 0x9e3779b9)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
