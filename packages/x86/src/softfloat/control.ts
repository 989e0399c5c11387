import { and, type Expr, eq, i32, or, select, shl, shrU } from '@minusone/wasm';

/**
 * How to round, in one i32 that the core's subroutines pass along: bits 0-1 RC as in MXCSR and the x87 control word (nearest, down, up, zero), single bits below,
 * the format's exponent range in bits 8-9 and its precision in bits in bits 16-23.
 */
export const Control = {
  RC_MASK: 3,
  /** Underflow and overflow are masked. */
  UM: 0x4,
  OM: 0x8,
  /** Flush to zero: what would be a denormal result is zero. */
  FTZ: 0x10,
  /** NaN operands by the rule of SSE (the first) rather than the x87's (the larger). */
  FIRST_NAN: 0x20,
  /** Denormal operands are zeros. */
  DAZ: 0x40,
} as const;

/** Formats: exponent range and precision, as they stand in the control. */
export const Format = { X80: 0x40_0000, BINARY32: 0x18_0100, BINARY64: 0x35_0200 } as const;

/** The control of an SSE operation, from MXCSR (SDM Vol. 1, 10.2.3): RC bits 13-14, UM bit 11, OM bit 10, FTZ bit 15, DAZ bit 6. */
export function controlOfMxcsr(mxcsr: Expr, format: number): Expr {
  const rc = and(shrU(mxcsr, i32(13)), i32(3));
  const masks = or(and(shrU(mxcsr, i32(9)), i32(Control.UM)), and(shrU(mxcsr, i32(7)), i32(Control.OM)));
  const modes = or(and(shrU(mxcsr, i32(11)), i32(Control.FTZ)), and(mxcsr, i32(Control.DAZ)));
  return or(or(or(rc, masks), modes), i32(Control.FIRST_NAN | format));
}

/** RC, UM and OM of the x87 control word (SDM Vol. 1, 8.1.5): bits 10-11, 4 and 3; for a result in the given format. */
export function controlOfFcw(fcw: Expr, format: number): Expr {
  const rc = and(shrU(fcw, i32(10)), i32(3));
  const masks = or(and(shrU(fcw, i32(2)), i32(Control.UM)), and(fcw, i32(Control.OM)));
  return or(or(rc, masks), i32(format));
}

/** The control of x87 arithmetic, whose precision is PC (bits 8-9): 24, 53 or 64 bits. PC = 01 is reserved, and means 64. */
export function controlOfFcwPrecision(fcw: Expr): Expr {
  const pc = and(fcw, i32(0x300));
  const precision = select(eq(pc, i32(0)), i32(24), select(eq(pc, i32(0x200)), i32(53), i32(64)));
  return or(controlOfFcw(fcw, 0), shl(precision, i32(16)));
}
