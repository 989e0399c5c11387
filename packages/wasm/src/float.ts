// Floating-point arithmetic beyond add, sub and mul (arithmetic.ts) and comparisons (comparison.ts), as IEEE 754 has it with round to nearest even.
// Nothing is folded: which bits a NaN result has is left to the engine (Core Specification 4.3.3).

import { Binary, type Expr, Unary } from './expr.ts';
import * as op from './opcodes.ts';
import { type Opcodes, opcodeFor } from './opcodes.ts';
import { requireType } from './types.ts';

function unary(operation: Opcodes, x: Expr): Expr {
  return new Unary(x.type, opcodeFor(operation, x.type), x);
}

function binary(operation: Opcodes, a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, operation.name);
  return new Binary(a.type, opcodeFor(operation, a.type), a, b);
}

/** Floating-point quotient (of integers: `divS`, `divU`). */
export function div(a: Expr, b: Expr): Expr {
  return binary(op.DIV, a, b);
}

/** The lesser; NaN if either is NaN, and -0 is less than +0. */
export function min(a: Expr, b: Expr): Expr {
  return binary(op.MIN, a, b);
}

/** The greater; NaN if either is NaN, and +0 is greater than -0. */
export function max(a: Expr, b: Expr): Expr {
  return binary(op.MAX, a, b);
}

/** `a` with the sign bit of `b`. */
export function copysign(a: Expr, b: Expr): Expr {
  return binary(op.COPYSIGN, a, b);
}

/** Square root. */
export function sqrt(x: Expr): Expr {
  return unary(op.SQRT, x);
}

/** Clears the sign bit, of a NaN too. */
export function abs(x: Expr): Expr {
  return unary(op.ABS, x);
}

/** Inverts the sign bit, of a NaN too. */
export function neg(x: Expr): Expr {
  return unary(op.NEG, x);
}

/** Rounds to an integral value towards +infinity. */
export function ceil(x: Expr): Expr {
  return unary(op.CEIL, x);
}

/** Rounds to an integral value towards -infinity. */
export function floor(x: Expr): Expr {
  return unary(op.FLOOR, x);
}

/** Rounds to an integral value towards zero. */
export function trunc(x: Expr): Expr {
  return unary(op.TRUNC, x);
}

/** Rounds to the nearest integral value, ties to even. */
export function nearest(x: Expr): Expr {
  return unary(op.NEAREST, x);
}
