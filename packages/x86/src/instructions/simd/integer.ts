import { type Expr, extendU, geU, gtU, i32, i64, select, simd, wrap } from '@minusone/wasm';
import type { Emit } from '../../semantics/emit.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { lanes, low64, MMX_OPTIONS, MMX_SSE_OPTIONS, type PackedOperation, packed, readAligned, readMmx, SSE2_OPTIONS } from './packed.ts';

const { i8x16, i16x8, i32x4, i64x2, v128 } = simd;

/** a and b interleaved from their low or high halves, elements of `count` to a register (PUNPCK...). */
function interleave(count: number, high: boolean): PackedOperation {
  const first = high ? count / 2 : 0;
  return (a, b) =>
    simd.shuffle(
      a,
      b,
      lanes(count, (lane) => first + (lane >> 1) + (lane & 1 ? count : 0)),
    );
}

/** The same for MMX: the high half of an 8-byte register is the second quarter of the v128. */
function interleaveMmx(count: number, high: boolean): PackedOperation {
  const first = high ? count / 4 : 0;
  return (a, b) =>
    simd.shuffle(
      a,
      b,
      lanes(count, (lane) => (lane < count / 2 ? first + (lane >> 1) + (lane & 1 ? count : 0) : lane)),
    );
}

/** The low halves of a and b side by side: the operands of an MMX pack. */
/** The MMX forms that unpack low halves read no more than that of memory (SDM Vol. 2B, PUNPCKLBW ...). */
const LOW_HALF = 'Nq/Md';

const joined = (a: Expr, b: Expr): Expr => i64x2.replaceLane(a, 1, low64(b));

/** High halves of 16-bit products. */
function multiplyHigh(signed: boolean): PackedOperation {
  return (a, b) => {
    const low = signed ? i32x4.extmulLowS(a, b) : i32x4.extmulLowU(a, b);
    const high = signed ? i32x4.extmulHighS(a, b) : i32x4.extmulHighU(a, b);
    return simd.shuffle(
      low,
      high,
      lanes(8, (lane) => lane * 2 + 1),
    );
  };
}

/** PSADBW: sums of absolute differences of eight bytes each. */
const sumOfDifferences: PackedOperation = (a, b, e) => {
  const difference = i8x16.sub(i8x16.maxU(a, b), i8x16.minU(a, b));
  const quads = e.let(i32x4.extaddPairwiseU(i16x8.extaddPairwiseU(difference)));
  const mask = i64x2.splat(i64(0xffff_ffffn));
  return i64x2.add(v128.and(quads, mask), i64x2.shrU(quads, i32(32)));
};

/** Products of the even 32-bit elements. */
const multiplyEven: PackedOperation = (a, b) => {
  const mask = i64x2.splat(i64(0xffff_ffffn));
  return i64x2.mul(v128.and(a, mask), v128.and(b, mask));
};

type Shift = (x: Expr, count: Expr) => Expr;

/** A packed shift by a 64-bit count: beyond the width logical shifts give zero, arithmetic ones the sign (SDM Vol. 2B, PSLLW, PSRAW). */
function shifted(e: Emit, bits: number, operation: Shift, arithmetic: boolean, x: Expr, count: Expr): Expr {
  if (arithmetic) return operation(x, select(gtU(count, i64(bits - 1)), i32(bits - 1), wrap(count)));
  const zero = i64x2.splat(i64(0));
  return e.ifValue(
    geU(count, i64(bits)),
    () => zero,
    () => operation(x, wrap(count)),
  );
}

function shiftRows(
  mnemonic: string,
  opcode: string,
  group: string,
  digit: number,
  bits: number,
  operation: Shift,
  arithmetic = false,
): InstructionRow[] {
  return [
    ...packed(mnemonic, opcode, (a, b, e) => shifted(e, bits, operation, arithmetic, a, e.let(low64(b)))),
    instruction(
      mnemonic,
      [`NP 0F ${group} /${digit} Nq,Ib`],
      (e) => {
        const count = e.let(i64Of(e.src.read()));
        e.dst.write(low64(shifted(e, bits, operation, arithmetic, e.let(readMmx(e.dst)), count)));
      },
      MMX_OPTIONS,
    ),
    instruction(
      mnemonic,
      [`66 0F ${group} /${digit} Udq,Ib`],
      (e) => e.dst.write(shifted(e, bits, operation, arithmetic, e.dst.read(), e.let(i64Of(e.src.read())))),
      SSE2_OPTIONS,
    ),
  ];
}

const i64Of = (x: Expr): Expr => extendU(x);

/** PSLLDQ and PSRLDQ move whole bytes; the count is an immediate. */
function byteShift(mnemonic: string, digit: number, left: boolean): InstructionRow {
  return instruction(
    mnemonic,
    [`66 0F 73 /${digit} Udq,Ib`],
    (e) => {
      const count = Math.min(e.insn.immediate & 0xff, 16);
      const zero = i64x2.splat(i64(0));
      const pick = (i: number): number => {
        const from = left ? i - count : i + count;
        return from >= 0 && from < 16 ? from : 16;
      };
      e.dst.write(
        simd.shuffle(
          e.dst.read(),
          zero,
          Array.from({ length: 16 }, (_, i) => pick(i)),
        ),
      );
    },
    { ...SSE2_OPTIONS, dependsOn: (insn) => insn.immediate & 0xff },
  );
}

/** Selects elements by the immediate's bit pairs. */
function shuffleByImmediate(
  mnemonic: string,
  encoding: string,
  pick: (lane: number, immediate: number) => number,
  count: number,
): InstructionRow {
  return instruction(
    mnemonic,
    [encoding],
    (e) => {
      const immediate = e.insn.immediate & 0xff;
      const source = e.let(readAligned(e.src));
      e.dst.write(
        simd.shuffle(
          source,
          source,
          lanes(count, (lane) => pick(lane, immediate)),
        ),
      );
    },
    { ...SSE2_OPTIONS, dependsOn: (insn) => insn.immediate & 0xff },
  );
}

const byImmediate = (insn: { immediate: number }): number => insn.immediate & 7;

/** Packed integers: MMX (SDM Vol. 1, 9.4), SSE (10.4.4) and SSE2 (11.4.2). */
export const simdIntegerRows: readonly InstructionRow[] = [
  ...packed('PADDB', 'FC', (a, b) => i8x16.add(a, b)),
  ...packed('PADDW', 'FD', (a, b) => i16x8.add(a, b)),
  ...packed('PADDD', 'FE', (a, b) => i32x4.add(a, b)),
  ...packed('PADDQ', 'D4', (a, b) => i64x2.add(a, b), { options: { unit: 'mmx', features: ['SSE2'] } }),
  ...packed('PADDSB', 'EC', (a, b) => i8x16.addSatS(a, b)),
  ...packed('PADDSW', 'ED', (a, b) => i16x8.addSatS(a, b)),
  ...packed('PADDUSB', 'DC', (a, b) => i8x16.addSatU(a, b)),
  ...packed('PADDUSW', 'DD', (a, b) => i16x8.addSatU(a, b)),
  ...packed('PSUBB', 'F8', (a, b) => i8x16.sub(a, b)),
  ...packed('PSUBW', 'F9', (a, b) => i16x8.sub(a, b)),
  ...packed('PSUBD', 'FA', (a, b) => i32x4.sub(a, b)),
  ...packed('PSUBQ', 'FB', (a, b) => i64x2.sub(a, b), { options: { unit: 'mmx', features: ['SSE2'] } }),
  ...packed('PSUBSB', 'E8', (a, b) => i8x16.subSatS(a, b)),
  ...packed('PSUBSW', 'E9', (a, b) => i16x8.subSatS(a, b)),
  ...packed('PSUBUSB', 'D8', (a, b) => i8x16.subSatU(a, b)),
  ...packed('PSUBUSW', 'D9', (a, b) => i16x8.subSatU(a, b)),
  ...packed('PMULLW', 'D5', (a, b) => i16x8.mul(a, b)),
  ...packed('PMULHW', 'E5', multiplyHigh(true)),
  ...packed('PMULHUW', 'E4', multiplyHigh(false), { options: MMX_SSE_OPTIONS }),
  ...packed('PMULUDQ', 'F4', multiplyEven, { options: { unit: 'mmx', features: ['SSE2'] } }),
  ...packed('PMADDWD', 'F5', (a, b) => i32x4.dotS(a, b)),
  ...packed('PSADBW', 'F6', sumOfDifferences, { options: MMX_SSE_OPTIONS }),
  ...packed('PAVGB', 'E0', (a, b) => i8x16.avgrU(a, b), { options: MMX_SSE_OPTIONS }),
  ...packed('PAVGW', 'E3', (a, b) => i16x8.avgrU(a, b), { options: MMX_SSE_OPTIONS }),
  ...packed('PMINUB', 'DA', (a, b) => i8x16.minU(a, b), { options: MMX_SSE_OPTIONS }),
  ...packed('PMAXUB', 'DE', (a, b) => i8x16.maxU(a, b), { options: MMX_SSE_OPTIONS }),
  ...packed('PMINSW', 'EA', (a, b) => i16x8.minS(a, b), { options: MMX_SSE_OPTIONS }),
  ...packed('PMAXSW', 'EE', (a, b) => i16x8.maxS(a, b), { options: MMX_SSE_OPTIONS }),
  ...packed('PCMPEQB', '74', (a, b) => i8x16.eq(a, b)),
  ...packed('PCMPEQW', '75', (a, b) => i16x8.eq(a, b)),
  ...packed('PCMPEQD', '76', (a, b) => i32x4.eq(a, b)),
  ...packed('PCMPGTB', '64', (a, b) => i8x16.gtS(a, b)),
  ...packed('PCMPGTW', '65', (a, b) => i16x8.gtS(a, b)),
  ...packed('PCMPGTD', '66', (a, b) => i32x4.gtS(a, b)),
  ...packed('PAND', 'DB', (a, b) => v128.and(a, b)),
  ...packed('PANDN', 'DF', (a, b) => v128.andnot(b, a)),
  ...packed('POR', 'EB', (a, b) => v128.or(a, b)),
  ...packed('PXOR', 'EF', (a, b) => v128.xor(a, b)),
  ...packed('PUNPCKLBW', '60', interleave(16, false), { operation: interleaveMmx(16, false), source: LOW_HALF }),
  ...packed('PUNPCKLWD', '61', interleave(8, false), { operation: interleaveMmx(8, false), source: LOW_HALF }),
  ...packed('PUNPCKLDQ', '62', interleave(4, false), { operation: interleaveMmx(4, false), source: LOW_HALF }),
  ...packed('PUNPCKHBW', '68', interleave(16, true), { operation: interleaveMmx(16, true) }),
  ...packed('PUNPCKHWD', '69', interleave(8, true), { operation: interleaveMmx(8, true) }),
  ...packed('PUNPCKHDQ', '6A', interleave(4, true), { operation: interleaveMmx(4, true) }),
  instruction(
    'PUNPCKLQDQ',
    ['66 0F 6C /r Vdq,Wdq'],
    (e) => e.dst.write(interleave(2, false)(e.dst.read(), readAligned(e.src), e)),
    SSE2_OPTIONS,
  ),
  instruction(
    'PUNPCKHQDQ',
    ['66 0F 6D /r Vdq,Wdq'],
    (e) => e.dst.write(interleave(2, true)(e.dst.read(), readAligned(e.src), e)),
    SSE2_OPTIONS,
  ),
  ...packed('PACKSSWB', '63', (a, b) => i8x16.narrowS(a, b), { operation: (a, b) => i8x16.narrowS(joined(a, b), a) }),
  ...packed('PACKUSWB', '67', (a, b) => i8x16.narrowU(a, b), { operation: (a, b) => i8x16.narrowU(joined(a, b), a) }),
  ...packed('PACKSSDW', '6B', (a, b) => i16x8.narrowS(a, b), { operation: (a, b) => i16x8.narrowS(joined(a, b), a) }),
  ...shiftRows('PSLLW', 'F1', '71', 6, 16, (x, n) => i16x8.shl(x, n)),
  ...shiftRows('PSLLD', 'F2', '72', 6, 32, (x, n) => i32x4.shl(x, n)),
  ...shiftRows('PSLLQ', 'F3', '73', 6, 64, (x, n) => i64x2.shl(x, n)),
  ...shiftRows('PSRLW', 'D1', '71', 2, 16, (x, n) => i16x8.shrU(x, n)),
  ...shiftRows('PSRLD', 'D2', '72', 2, 32, (x, n) => i32x4.shrU(x, n)),
  ...shiftRows('PSRLQ', 'D3', '73', 2, 64, (x, n) => i64x2.shrU(x, n)),
  ...shiftRows('PSRAW', 'E1', '71', 4, 16, (x, n) => i16x8.shrS(x, n), true),
  ...shiftRows('PSRAD', 'E2', '72', 4, 32, (x, n) => i32x4.shrS(x, n), true),
  byteShift('PSLLDQ', 7, true),
  byteShift('PSRLDQ', 3, false),
  shuffleByImmediate('PSHUFD', '66 0F 70 /r Vdq,Wdq,Ib', (lane, immediate) => (immediate >> (2 * lane)) & 3, 4),
  shuffleByImmediate('PSHUFLW', 'F2 0F 70 /r Vdq,Wdq,Ib', (lane, immediate) => (lane < 4 ? (immediate >> (2 * lane)) & 3 : lane), 8),
  shuffleByImmediate(
    'PSHUFHW',
    'F3 0F 70 /r Vdq,Wdq,Ib',
    (lane, immediate) => (lane < 4 ? lane : 4 + ((immediate >> (2 * (lane - 4))) & 3)),
    8,
  ),
  instruction(
    'PSHUFW',
    ['NP 0F 70 /r Pq,Qq,Ib'],
    (e) => {
      const immediate = e.insn.immediate & 0xff;
      const source = e.let(readMmx(e.src));
      e.dst.write(
        low64(
          simd.shuffle(
            source,
            source,
            lanes(8, (lane) => (immediate >> (2 * (lane & 3))) & 3),
          ),
        ),
      );
    },
    { ...MMX_SSE_OPTIONS, dependsOn: (insn) => insn.immediate & 0xff },
  ),
  instruction('PEXTRW', ['NP 0F C5 /r Gd,Nq,Ib'], (e) => e.dst.write(i16x8.extractLaneU(readMmx(e.src), e.insn.immediate & 3)), {
    ...MMX_SSE_OPTIONS,
    dependsOn: byImmediate,
  }),
  instruction('PEXTRW', ['66 0F C5 /r Gd,Udq,Ib'], (e) => e.dst.write(i16x8.extractLaneU(e.src.read(), e.insn.immediate & 7)), {
    ...SSE2_OPTIONS,
    dependsOn: byImmediate,
  }),
  instruction(
    'PINSRW',
    ['NP 0F C4 /r Pq,Rd/Mw,Ib'],
    (e) => {
      const word = e.src.read();
      e.dst.write(low64(i16x8.replaceLane(readMmx(e.dst), e.insn.immediate & 3, word)));
    },
    { ...MMX_SSE_OPTIONS, dependsOn: byImmediate },
  ),
  instruction(
    'PINSRW',
    ['66 0F C4 /r Vdq,Rd/Mw,Ib'],
    (e) => {
      const word = e.src.read();
      e.dst.write(i16x8.replaceLane(e.dst.read(), e.insn.immediate & 7, word));
    },
    { ...SSE2_OPTIONS, dependsOn: byImmediate },
  ),
];
