import type { Random } from './random.ts';

/**
 * Operand values: half of them corners. A value is written as bytes, little-endian, wherever an instruction will find it: a register, an image, memory.
 */

/** What kind of value the bytes of an operand are. */
export type ValueKind = 'integer' | 'f32' | 'f64' | 'f80' | 'bcd' | 'bytes';

const words = new Uint32Array(4);

/** Corners of 64-bit integers, as low and high half: signs and edges of every width, shift counts around widths, bytes and words that saturate. */
const INTEGER_CORNERS: readonly (readonly [number, number])[] = [
  [0, 0], [1, 0], [2, 0], [3, 0], [7, 0], [8, 0], [9, 0], [15, 0], [16, 0], [17, 0], [24, 0], [31, 0], [32, 0], [33, 0], [63, 0], [64, 0], [65, 0],
  [0x7f, 0], [0x80, 0], [0x81, 0], [0xff, 0], [0x100, 0], [0x7fff, 0], [0x8000, 0], [0x8001, 0], [0xffff, 0], [0x1_0000, 0],
  [0x7fff_ffff, 0], [0x8000_0000, 0], [0x8000_0001, 0], [0xffff_ffff, 0], [0, 1], [0xffff_ffff, 0x7fff_ffff], [0, 0x8000_0000], [1, 0x8000_0000],
  [0xffff_ffff, 0xffff_ffff], [0xffff_fffe, 0xffff_ffff], [0xffff_ff80, 0xffff_ffff], [0xffff_ff7f, 0xffff_ffff], [0xffff_8000, 0xffff_ffff],
  [0xffff_7fff, 0xffff_ffff], [0x8000_0000, 0xffff_ffff], [0x7fff_ffff, 0xffff_ffff], [0x7f80_7f80, 0x7f80_7f80], [0x8000_7fff, 0x7fff_8000],
  [0x0f0f_0f0f, 0x0f0f_0f0f], [0x9999_9999, 0x9999_9999], [0x5555_5555, 0x5555_5555], [0xaaaa_aaaa, 0xaaaa_aaaa], [0x0009_000a, 0x0099_009a],
]; // biome-ignore format: one list

/** Corners of binary32 without sign: zeros, denormals, edges of exponents, ties of rounding to integers and to fewer bits, integer limits, infinities, NaNs. */
const F32_CORNERS: readonly number[] = [
  0, 1, 2, 0x7fffff, 0x400000, 0x800000, 0x800001, 0xffffff, 0x1000000, 0x7f7fffff, 0x7f7ffffe, 0x7f000000, 0x7f800000, 0x7f800001, 0x7fbfffff, 0x7fc00000, 0x7fc00001,
  0x7fffffff, 0x3f800000, 0x3f7fffff, 0x3f800001, 0x3f000000, 0x3fc00000, 0x40200000, 0x40600000, 0x3effffff, 0x3f000001, 0x40000000, 0x40400000, 0x4b000000, 0x4b000001,
  0x4a800001, 0x4b7fffff, 0x4effffff, 0x4f000000, 0x4f000001, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000, 0x5f000001, 0x5f800000, 0x46fffe00, 0x46ffff00, 0x47000000,
  0x33800000, 0x34000000, 0x33ffffff, 0x1f800000, 0x20000000, 0x5f000000, 0x00c00000, 0x3eaaaaab, 0x3f317218,
]; // biome-ignore format: one list

/** Corners of binary64 without sign, as low and high half. */
const F64_CORNERS: readonly (readonly [number, number])[] = [
  [0, 0], [1, 0], [2, 0], [0xffff_ffff, 0xf_ffff], [0, 0x8_0000], [0, 0x10_0000], [1, 0x10_0000], [0xffff_ffff, 0x1f_ffff], [0xffff_ffff, 0x7fef_ffff], [0, 0x7fe0_0000],
  [0, 0x7ff0_0000], [1, 0x7ff0_0000], [0xffff_ffff, 0x7ff7_ffff], [0, 0x7ff8_0000], [1, 0x7ff8_0000], [0xffff_ffff, 0x7fff_ffff], [0, 0x3ff0_0000], [0xffff_ffff, 0x3fef_ffff],
  [1, 0x3ff0_0000], [0, 0x3fe0_0000], [0, 0x3ff8_0000], [0, 0x4004_0000], [0, 0x400c_0000], [0xffff_ffff, 0x3fdf_ffff], [1, 0x3fe0_0000], [0, 0x4000_0000], [0, 0x4008_0000],
  [0, 0x4330_0000], [1, 0x4330_0000], [1, 0x4320_0000], [0xffff_ffff, 0x433f_ffff], [0xffc0_0000, 0x41df_ffff], [0xffe0_0000, 0x41df_ffff], [0, 0x41e0_0000], [0x0010_0000, 0x41e0_0000],
  [0x0020_0000, 0x41e0_0000], [0xffe0_0000, 0x41ef_ffff], [0, 0x41f0_0000], [0xffff_ffff, 0x43df_ffff], [0, 0x43e0_0000], [1, 0x43e0_0000], [0, 0x43f0_0000], [0, 0x40df_ffc0],
  [0, 0x40df_ffe0], [0, 0x40e0_0000], [0xe000_0000, 0x47ef_ffff], [0xf000_0000, 0x47ef_ffff], [0xefff_ffff, 0x47ef_ffff], [0, 0x47f0_0000], [0, 0x3810_0000], [0xe000_0000, 0x380f_ffff],
  [0xf000_0000, 0x380f_ffff], [0, 0x36a0_0000], [0, 0x3690_0000], [1, 0x3690_0000], [0, 0x3680_0000], [0x1000_0000, 0x3ff0_0000], [0x3000_0000, 0x3ff0_0000], [0x1000_0001, 0x3ff0_0000],
  [0, 0x3ca0_0000], [0, 0x3cb0_0000], [0, 0x1ff0_0000], [0, 0x2000_0000], [0, 0x5fe0_0000],
]; // biome-ignore format: one list

/** Corners of double extended precision: significand low, high; exponent without sign. With pseudo-denormals, unnormals, pseudo-infinities and pseudo-NaNs (SDM Vol. 1, Table 8-3). */
const F80_CORNERS: readonly (readonly [number, number, number])[] = [
  [0, 0, 0], [1, 0, 0], [0xffff_ffff, 0x7fff_ffff, 0], [0, 0x8000_0000, 0], [0xffff_ffff, 0xffff_ffff, 0], [0, 0x4000_0000, 0], [0, 0x8000_0000, 1], [1, 0x8000_0000, 1],
  [0xffff_ffff, 0xffff_ffff, 1], [0xffff_ffff, 0xffff_ffff, 0x7ffe], [0, 0x8000_0000, 0x7ffe], [0, 0x8000_0000, 0x7fff], [0, 0, 0x7fff], [1, 0, 0x7fff], [0, 0x4000_0000, 0x7fff],
  [1, 0x8000_0000, 0x7fff], [0xffff_ffff, 0xbfff_ffff, 0x7fff], [0, 0xc000_0000, 0x7fff], [1, 0xc000_0000, 0x7fff], [0xffff_ffff, 0xffff_ffff, 0x7fff], [0, 0, 1], [1, 0, 0x3fff],
  [0xffff_ffff, 0x7fff_ffff, 0x4010], [0, 0x8000_0000, 0x3fff], [1, 0x8000_0000, 0x3fff], [0xffff_ffff, 0xffff_ffff, 0x3ffe], [0, 0x8000_0000, 0x3ffe], [0, 0xc000_0000, 0x3fff],
  [0, 0xa000_0000, 0x4000], [0, 0xe000_0000, 0x4000], [0, 0x8000_0000, 0x4000], [0xffff_ffff, 0xffff_ffff, 0x3ffd], [1, 0x8000_0000, 0x3ffe], [0, 0xfffe_0000, 0x400d],
  [0, 0xffff_0000, 0x400d], [0, 0x8000_0000, 0x400e], [0, 0xffff_fffe, 0x401d], [0, 0xffff_ffff, 0x401d], [0, 0x8000_0000, 0x401e], [0x8000_0000, 0x8000_0000, 0x401e],
  [0xffff_fffe, 0xffff_ffff, 0x403d], [0xffff_ffff, 0xffff_ffff, 0x403d], [0, 0x8000_0000, 0x403e], [1, 0x8000_0000, 0x403e], [0xa763_ffff, 0xde0b_6b3a, 0x403a],
  [0xa764_0000, 0xde0b_6b3a, 0x403a], [0x1_0000, 0xde0b_6b3a, 0x403a], [0x400, 0x8000_0000, 0x3fff], [0xc00, 0x8000_0000, 0x3fff], [0x7ff, 0x8000_0000, 0x3fff], [0x401, 0x8000_0000, 0x3fff],
  [0, 0x8000_0080, 0x3fff], [0, 0x8000_0180, 0x3fff], [0xffff_ffff, 0x8000_007f, 0x3fff], [0xffff_f800, 0xffff_ffff, 0x43fe], [0xffff_fc00, 0xffff_ffff, 0x43fe], [0, 0x8000_0000, 0x43ff],
  [0, 0xffff_ff00, 0x407e], [0, 0xffff_ff80, 0x407e], [0, 0x8000_0000, 0x407f], [0, 0x8000_0000, 0x3c01], [0xffff_f800, 0xffff_ffff, 0x3c00], [0xffff_fc00, 0xffff_ffff, 0x3c00],
  [0, 0x8000_0000, 0x3bcd], [0, 0x8000_0000, 0x3bcc], [1, 0x8000_0000, 0x3bcc], [0, 0x8000_0000, 0x3bcb], [0, 0x8000_0000, 0x3f81], [0, 0xffff_ff00, 0x3f80], [0, 0xffff_ff80, 0x3f80],
  [0, 0x8000_0000, 0x3f6a], [0, 0x8000_0000, 0x3f69], [1, 0x8000_0000, 0x3f69], [0, 0x8000_0000, 0x3fbf], [0, 0x8000_0000, 0x3fc0], [0x2168_c235, 0xc90f_daa2, 0x3fff],
  [0x2168_c235, 0xc90f_daa2, 0x4000], [0x2168_c234, 0xc90f_daa2, 0x3ffe], [0xd1cf_79ac, 0xb172_17f7, 0x3ffe], [0, 0xaaaa_aaaa, 0x3ffd], [0, 0x9000_0000, 0x4002], [0, 0x8000_0000, 0x401f],
]; // biome-ignore format: one list

function setInteger(random: Random): void {
  if (random.chance(50)) {
    const [low, high] = INTEGER_CORNERS[random.below(INTEGER_CORNERS.length)] as readonly [number, number];
    words[0] = low;
    words[1] = high;
  } else {
    words[0] = random.int();
    words[1] = random.int();
  }
}
function setF32(random: Random): void {
  const sign = random.chance(50) ? 0x8000_0000 : 0;
  if (random.chance(50)) words[0] = (F32_CORNERS[random.below(F32_CORNERS.length)] as number) | sign;
  // Random bits rarely have exponents that interact: half of these stand near 1.
  // biome-ignore lint/suspicious/noDuplicateElseIf: each call draws anew
  else if (random.chance(50)) words[0] = (random.int() & 0x7f_ffff) | ((127 - 26 + random.below(52)) << 23) | sign;
  else words[0] = random.int();
}
function setF64(random: Random): void {
  const sign = random.chance(50) ? 0x8000_0000 : 0;
  if (random.chance(50)) {
    const [low, high] = F64_CORNERS[random.below(F64_CORNERS.length)] as readonly [number, number];
    words[0] = low;
    words[1] = high | sign;
  } else {
    words[0] = random.chance(20) ? random.int() & 0xe000_0000 : random.int();
    words[1] = random.chance(50) ? (random.int() & 0xf_ffff) | ((1023 - 55 + random.below(110)) << 20) | sign : random.int();
  }
}
function setF80(random: Random): void {
  const sign = random.chance(50) ? 0x8000 : 0;
  if (random.chance(50)) {
    const [low, high, exponent] = F80_CORNERS[random.below(F80_CORNERS.length)] as readonly [number, number, number];
    words[0] = low;
    words[1] = high;
    words[2] = exponent | sign;
  } else {
    const zeros = random.below(4);
    words[0] = zeros === 0 ? 0 : zeros === 1 ? random.int() & 0xffff_f800 : random.int();
    words[1] = random.chance(25) ? (random.int() & 0xffff_ff00) | 0x8000_0000 : random.int() | 0x8000_0000;
    words[2] = (random.chance(70) ? 0x3fff - 70 + random.below(140) : random.below(0x8000)) | sign;
  }
}
/** Packed BCD as FBLD reads it: mostly valid digits. */
function putBcd(random: Random, bytes: Uint8Array, at: number): void {
  const all = random.pick([0x00, 0x99, 0x01, 0x90, -1, -1, -1, -1]);
  for (let i = 0; i < 9; i++) bytes[at + i] = all >= 0 ? all : random.below(10) * 16 + random.below(10);
  bytes[at + 9] = random.chance(50) ? 0x80 : 0;
  if (random.chance(10)) bytes[at + random.below(10)] = random.int();
}

/** Writes one value of a kind at `bytes[at]`: 8 bytes of an integer, 4 of a binary32, 8 of a binary64, 10 of double extended and BCD. */
function putOne(random: Random, kind: ValueKind, bytes: Uint8Array, at: number): number {
  let size = 8;
  if (kind === 'bcd') {
    putBcd(random, bytes, at);
    return 10;
  }
  if (kind === 'f32') {
    setF32(random);
    size = 4;
  } else if (kind === 'f64') setF64(random);
  else if (kind === 'f80') {
    setF80(random);
    size = 10;
  } else setInteger(random);
  for (let i = 0; i < size; i++) bytes[at + i] = (words[i >> 2] as number) >>> ((i & 3) * 8);
  return size;
}

const scratch = new Uint8Array(16);

/** Fills `count` bytes with values of a kind, one after another. `bytes`: integer lanes of one random width. */
export function putValues(random: Random, kind: ValueKind, bytes: Uint8Array, at: number, count: number): void {
  if (kind === 'bytes') {
    const lane = 1 << random.below(4);
    for (let done = 0; done < count; done += lane) {
      putOne(random, 'integer', scratch, 0);
      for (let i = 0; i < lane && done + i < count; i++) bytes[at + done + i] = scratch[i] as number;
    }
    return;
  }
  for (let done = 0; done < count; ) {
    const size = putOne(random, kind, scratch, 0);
    for (let i = 0; i < size && done + i < count; i++) bytes[at + done + i] = scratch[i] as number;
    done += size;
  }
}
