import { type Expr, extendU, i32, i64, or, shl, shrU, simd, wrap } from '@minusone/wasm';
import type { Emit } from '../../semantics/emit.ts';
import type { Subroutine } from '../../semantics/subroutine.ts';
import * as soft from '../../softfloat/index.ts';
import { type InstructionRow, instruction, type RowOptions, type Semantics } from '../../table/row.ts';
import { DOUBLE, type Format, SINGLE, vectorOf, withExceptions } from './float.ts';
import { readAligned, SSE_OPTIONS, SSE2_OPTIONS } from './packed.ts';

/** Converts one value. */
const converted = (e: Emit, subroutine: Subroutine, x: Expr): Expr => e.call(subroutine, x, e.mxcsr, e.cpu);

/** Scalar conversion; the destination's other bits stay (a vector register) or are cleared (a general one). */
const scalar =
  (subroutine: Subroutine): Semantics =>
  (e) => {
    const source = e.src.read();
    e.dst.write(withExceptions(e, () => converted(e, subroutine, source)));
  };

/** To or from an integer of 32 or 64 bits, by the size of the general-register operand. */
const scalarInteger =
  (which: 'dst' | 'src', narrow: Subroutine, wide: Subroutine): Semantics =>
  (e) =>
    scalar(e[which].bytes === 8 ? wide : narrow)(e);

/** The low (0) or high (1) 32 bits of an i64. */
const half = (x: Expr, n: 0 | 1): Expr => wrap(n === 0 ? x : shrU(x, i64(32)));
const pair = (low: Expr, high: Expr): Expr => or(shl(extendU(high), i64(32)), extendU(low));

/** Lane by lane from one format to one of the same width. */
const lanewise =
  (from: Format, subroutine: Subroutine): Semantics =>
  (e) => {
    const source = readAligned(e.src);
    e.dst.write(
      vectorOf(
        SINGLE,
        withExceptions(e, () => [0, 1, 2, 3].map((lane) => converted(e, subroutine, from.shape.extractLane(source, lane)))),
      ),
    );
  };

/** Two 32-bit values from 64 bits to two 64-bit ones. */
const widening =
  (subroutine: Subroutine): Semantics =>
  (e) => {
    const source = e.src.read();
    e.dst.write(
      vectorOf(
        DOUBLE,
        withExceptions(e, () => [converted(e, subroutine, half(source, 0)), converted(e, subroutine, half(source, 1))]),
      ),
    );
  };

/** Two 64-bit values to two 32-bit ones in the low half; the high half is cleared. */
const narrowing =
  (subroutine: Subroutine): Semantics =>
  (e) => {
    const source = readAligned(e.src);
    const values = withExceptions(e, () => [0, 1].map((lane) => converted(e, subroutine, simd.i64x2.extractLane(source, lane))));
    e.dst.write(vectorOf(SINGLE, [...values, i32(0), i32(0)]));
  };

/** Two lanes from or to an MMX register (or 64 bits of memory). */
const toMmx =
  (subroutine: Subroutine, isDouble: boolean): Semantics =>
  (e) => {
    const source = isDouble ? readAligned(e.src) : e.src.read();
    const value = (n: 0 | 1): Expr => (isDouble ? simd.i64x2.extractLane(source, n) : half(source, n));
    const [low, high] = withExceptions(e, () => [converted(e, subroutine, value(0)), converted(e, subroutine, value(1))] as const);
    e.dst.write(pair(low, high));
  };
const fromMmx =
  (subroutine: Subroutine): Semantics =>
  (e) => {
    const source = e.src.read();
    const [low, high] = withExceptions(
      e,
      () => [converted(e, subroutine, half(source, 0)), converted(e, subroutine, half(source, 1))] as const,
    );
    e.dst.write(low.type === 'i32' ? pair(low, high) : vectorOf(DOUBLE, [low, high]));
  };
const MMX_AND_SSE: RowOptions = { unit: 'mmx', features: ['SSE'] };
const MMX_AND_SSE2: RowOptions = { unit: 'mmx', features: ['SSE2'] };

/** Conversions (SDM Vol. 1, 10.4.3 and 11.4.1.6). */
export const simdConvertRows: readonly InstructionRow[] = [
  instruction('CVTSI2SS', ['F3 0F 2A /r Vss,Ey'], scalarInteger('src', soft.i32ToF32, soft.i64ToF32), SSE_OPTIONS),
  instruction('CVTSI2SD', ['F2 0F 2A /r Vsd,Ey'], scalarInteger('src', soft.i32ToF64, soft.i64ToF64), SSE2_OPTIONS),
  instruction('CVTTSS2SI', ['F3 0F 2C /r Gy,Wss'], scalarInteger('dst', soft.f32ToI32Truncate, soft.f32ToI64Truncate), SSE_OPTIONS),
  instruction('CVTTSD2SI', ['F2 0F 2C /r Gy,Wsd'], scalarInteger('dst', soft.f64ToI32Truncate, soft.f64ToI64Truncate), SSE2_OPTIONS),
  instruction('CVTSS2SI', ['F3 0F 2D /r Gy,Wss'], scalarInteger('dst', soft.f32ToI32, soft.f32ToI64), SSE_OPTIONS),
  instruction('CVTSD2SI', ['F2 0F 2D /r Gy,Wsd'], scalarInteger('dst', soft.f64ToI32, soft.f64ToI64), SSE2_OPTIONS),
  instruction('CVTSS2SD', ['F3 0F 5A /r Vsd,Wss'], scalar(soft.f32ToF64), SSE2_OPTIONS),
  instruction('CVTSD2SS', ['F2 0F 5A /r Vss,Wsd'], scalar(soft.f64ToF32), SSE2_OPTIONS),
  instruction('CVTPS2PD', ['NP 0F 5A /r Vdq,Wq'], widening(soft.f32ToF64), SSE2_OPTIONS),
  instruction('CVTPD2PS', ['66 0F 5A /r Vdq,Wdq'], narrowing(soft.f64ToF32), SSE2_OPTIONS),
  instruction('CVTDQ2PS', ['NP 0F 5B /r Vdq,Wdq'], lanewise(SINGLE, soft.i32ToF32), SSE2_OPTIONS),
  instruction('CVTPS2DQ', ['66 0F 5B /r Vdq,Wdq'], lanewise(SINGLE, soft.f32ToI32), SSE2_OPTIONS),
  instruction('CVTTPS2DQ', ['F3 0F 5B /r Vdq,Wdq'], lanewise(SINGLE, soft.f32ToI32Truncate), SSE2_OPTIONS),
  instruction('CVTDQ2PD', ['F3 0F E6 /r Vdq,Wq'], widening(soft.i32ToF64), SSE2_OPTIONS),
  instruction('CVTPD2DQ', ['F2 0F E6 /r Vdq,Wdq'], narrowing(soft.f64ToI32), SSE2_OPTIONS),
  instruction('CVTTPD2DQ', ['66 0F E6 /r Vdq,Wdq'], narrowing(soft.f64ToI32Truncate), SSE2_OPTIONS),
  instruction('CVTPI2PS', ['NP 0F 2A /r Vq,Qq'], fromMmx(soft.i32ToF32), MMX_AND_SSE),
  instruction('CVTPI2PD', ['66 0F 2A /r Vdq,Nq'], fromMmx(soft.i32ToF64), MMX_AND_SSE2),
  // With memory it has nothing to do with MMX state (SDM Vol. 2A, CVTPI2PD).
  instruction('CVTPI2PD', ['66 0F 2A /r Vdq,Mq'], fromMmx(soft.i32ToF64), SSE2_OPTIONS),
  instruction('CVTTPS2PI', ['NP 0F 2C /r Pq,Wq'], toMmx(soft.f32ToI32Truncate, false), MMX_AND_SSE),
  instruction('CVTPS2PI', ['NP 0F 2D /r Pq,Wq'], toMmx(soft.f32ToI32, false), MMX_AND_SSE),
  instruction('CVTTPD2PI', ['66 0F 2C /r Pq,Wdq'], toMmx(soft.f64ToI32Truncate, true), MMX_AND_SSE2),
  instruction('CVTPD2PI', ['66 0F 2D /r Pq,Wdq'], toMmx(soft.f64ToI32, true), MMX_AND_SSE2),
];
