// The numbers of the SIMD instructions behind prefix 0xFD (Core Specification 5.4.8), by shape and form.
// Names are the specification's in camel case, without the shape of the source where it is implied: `i16x8.extmul_low_i8x16_s` is `extmulLowS`.

import type { ValType } from './types.ts';

/** The operations of one shape of vector, each form a table of name and number. */
export interface ShapeTable {
  readonly lanes: number;
  readonly scalar: ValType;
  readonly splat: Readonly<Record<string, number>>;
  readonly extract: Readonly<Record<string, number>>;
  readonly replace: Readonly<Record<string, number>>;
  readonly unary: Readonly<Record<string, number>>;
  readonly binary: Readonly<Record<string, number>>;
  readonly shift: Readonly<Record<string, number>>;
  readonly test: Readonly<Record<string, number>>;
}

export const I8X16 = {
  lanes: 16,
  scalar: 'i32',
  splat: { splat: 15 },
  extract: { extractLaneS: 21, extractLaneU: 22 },
  replace: { replaceLane: 23 },
  unary: { abs: 96, neg: 97, popcnt: 98 },
  binary: {
    swizzle: 14,
    eq: 35,
    ne: 36,
    ltS: 37,
    ltU: 38,
    gtS: 39,
    gtU: 40,
    leS: 41,
    leU: 42,
    geS: 43,
    geU: 44,
    narrowS: 101,
    narrowU: 102,
    add: 110,
    addSatS: 111,
    addSatU: 112,
    sub: 113,
    subSatS: 114,
    subSatU: 115,
    minS: 118,
    minU: 119,
    maxS: 120,
    maxU: 121,
    avgrU: 123,
  },
  shift: { shl: 107, shrS: 108, shrU: 109 },
  test: { allTrue: 99, bitmask: 100 },
} as const;

export const I16X8 = {
  lanes: 8,
  scalar: 'i32',
  splat: { splat: 16 },
  extract: { extractLaneS: 24, extractLaneU: 25 },
  replace: { replaceLane: 26 },
  unary: {
    abs: 128,
    neg: 129,
    extaddPairwiseS: 124,
    extaddPairwiseU: 125,
    extendLowS: 135,
    extendHighS: 136,
    extendLowU: 137,
    extendHighU: 138,
  },
  binary: {
    eq: 45,
    ne: 46,
    ltS: 47,
    ltU: 48,
    gtS: 49,
    gtU: 50,
    leS: 51,
    leU: 52,
    geS: 53,
    geU: 54,
    q15mulrSatS: 130,
    narrowS: 133,
    narrowU: 134,
    add: 142,
    addSatS: 143,
    addSatU: 144,
    sub: 145,
    subSatS: 146,
    subSatU: 147,
    mul: 149,
    minS: 150,
    minU: 151,
    maxS: 152,
    maxU: 153,
    avgrU: 155,
    extmulLowS: 156,
    extmulHighS: 157,
    extmulLowU: 158,
    extmulHighU: 159,
  },
  shift: { shl: 139, shrS: 140, shrU: 141 },
  test: { allTrue: 131, bitmask: 132 },
} as const;

export const I32X4 = {
  lanes: 4,
  scalar: 'i32',
  splat: { splat: 17 },
  extract: { extractLane: 27 },
  replace: { replaceLane: 28 },
  unary: {
    abs: 160,
    neg: 161,
    extaddPairwiseS: 126,
    extaddPairwiseU: 127,
    extendLowS: 167,
    extendHighS: 168,
    extendLowU: 169,
    extendHighU: 170,
    /** Of f32x4; of f64x2, whose two results are followed by two zeros. */
    truncSatS: 248,
    truncSatU: 249,
    truncSatZeroS: 252,
    truncSatZeroU: 253,
  },
  binary: {
    eq: 55,
    ne: 56,
    ltS: 57,
    ltU: 58,
    gtS: 59,
    gtU: 60,
    leS: 61,
    leU: 62,
    geS: 63,
    geU: 64,
    add: 174,
    sub: 177,
    mul: 181,
    minS: 182,
    minU: 183,
    maxS: 184,
    maxU: 185,
    dotS: 186,
    extmulLowS: 188,
    extmulHighS: 189,
    extmulLowU: 190,
    extmulHighU: 191,
  },
  shift: { shl: 171, shrS: 172, shrU: 173 },
  test: { allTrue: 163, bitmask: 164 },
} as const;

export const I64X2 = {
  lanes: 2,
  scalar: 'i64',
  splat: { splat: 18 },
  extract: { extractLane: 29 },
  replace: { replaceLane: 30 },
  unary: { abs: 192, neg: 193, extendLowS: 199, extendHighS: 200, extendLowU: 201, extendHighU: 202 },
  binary: {
    eq: 214,
    ne: 215,
    ltS: 216,
    gtS: 217,
    leS: 218,
    geS: 219,
    add: 206,
    sub: 209,
    mul: 213,
    extmulLowS: 220,
    extmulHighS: 221,
    extmulLowU: 222,
    extmulHighU: 223,
  },
  shift: { shl: 203, shrS: 204, shrU: 205 },
  test: { allTrue: 195, bitmask: 196 },
} as const;

export const F32X4 = {
  lanes: 4,
  scalar: 'f32',
  splat: { splat: 19 },
  extract: { extractLane: 31 },
  replace: { replaceLane: 32 },
  unary: {
    abs: 224,
    neg: 225,
    sqrt: 227,
    ceil: 103,
    floor: 104,
    trunc: 105,
    nearest: 106,
    convertS: 250,
    convertU: 251,
    /** Of f64x2: its two results are followed by two zeros. */
    demoteZero: 94,
  },
  binary: {
    eq: 65,
    ne: 66,
    lt: 67,
    gt: 68,
    le: 69,
    ge: 70,
    add: 228,
    sub: 229,
    mul: 230,
    div: 231,
    min: 232,
    max: 233,
    pmin: 234,
    pmax: 235,
  },
  shift: {},
  test: {},
} as const;

export const F64X2 = {
  lanes: 2,
  scalar: 'f64',
  splat: { splat: 20 },
  extract: { extractLane: 33 },
  replace: { replaceLane: 34 },
  unary: {
    abs: 236,
    neg: 237,
    sqrt: 239,
    ceil: 116,
    floor: 117,
    trunc: 122,
    nearest: 148,
    /** Of the two low lanes of i32x4 and of f32x4. */
    convertLowS: 254,
    convertLowU: 255,
    promoteLow: 95,
  },
  binary: {
    eq: 71,
    ne: 72,
    lt: 73,
    gt: 74,
    le: 75,
    ge: 76,
    add: 240,
    sub: 241,
    mul: 242,
    div: 243,
    min: 244,
    max: 245,
    pmin: 246,
    pmax: 247,
  },
  shift: {},
  test: {},
} as const;

export const V128 = {
  unary: { not: 77 },
  binary: { and: 78, andnot: 79, or: 80, xor: 81 },
  test: { anyTrue: 83 },
  ternary: { bitselect: 82 },
} as const;

export const SHUFFLE = 13;
export const LOAD_EXTEND = {
  i16x8: { signed: 1, unsigned: 2 },
  i32x4: { signed: 3, unsigned: 4 },
  i64x2: { signed: 5, unsigned: 6 },
} as const;
export const LOAD_SPLAT = { 1: 7, 2: 8, 4: 9, 8: 10 } as const;
export const LOAD_LANE = { 1: 84, 2: 85, 4: 86, 8: 87 } as const;
export const STORE_LANE = { 1: 88, 2: 89, 4: 90, 8: 91 } as const;
