import { add, type Expr, type FunctionBuilder, i32, load } from '@minusone/wasm';
import { State } from '../state/layout.ts';

/**
 * Where the core keeps unpacked numbers: in `State.scratch`, so that nothing is shared between CPUs.
 *
 * A number is sign * significand * 2^(exponent - 63): the significand of a finite one has its top bit set, unless it is a result below the format's normal range,
 * whose exponent is then the least. A NaN's significand is left-aligned, with the integer bit (63) set; bit 62 says that it is quiet.
 */

/** What an unpacked number is. Everything from NAN on is no number. */
export const Kind = { ZERO: 0, FINITE: 1, INFINITY: 2, NAN: 3, SIGNALLING: 4, UNSUPPORTED: 5 } as const;

/** Offsets of the unpacked numbers: two operands and a result. */
export const Slot = { A: 0, B: 24, R: 48 } as const;
export type Slot = (typeof Slot)[keyof typeof Slot];
const Field = { significand: 0, exponent: 8, sign: 12, kind: 16, denormal: 20 } as const;

/** Other places: a second result (quotient, low half), and whether the last rounding increased the magnitude (C1). */
export const Place = { EXTRA: 72, EXTRA_HIGH: 80, ROUNDED_UP: 116 } as const;

/** An unpacked number. `denormal`: it was an operand with the least exponent and counts for DE. */
export interface Unpacked {
  readonly significand: Expr;
  readonly exponent: Expr;
  readonly sign: Expr;
  readonly kind: Expr;
  readonly denormal: Expr;
}

const at = (slot: number, field: keyof typeof Field): { offset: number } => ({ offset: State.scratch + slot + Field[field] });

/** Reads all of a slot, now. */
export function readSlot(f: FunctionBuilder, cpu: Expr, slot: Slot): Unpacked {
  return {
    significand: f.let(load('i64', cpu, at(slot, 'significand'))),
    exponent: f.let(load('i32', cpu, at(slot, 'exponent'))),
    sign: f.let(load('i32', cpu, at(slot, 'sign'))),
    kind: f.let(load('i32', cpu, at(slot, 'kind'))),
    denormal: f.let(load('i32', cpu, at(slot, 'denormal'))),
  };
}

/** Writes a slot; what is left out stays as it was. */
export function writeSlot(f: FunctionBuilder, cpu: Expr, slot: Slot, number: Partial<Unpacked>): void {
  for (const field of Object.keys(Field) as (keyof Unpacked)[]) {
    const value = number[field];
    if (value !== undefined) f.store(cpu, value, at(slot, field));
  }
}

/** What unpacking subroutines take as their first argument, so that one serves every slot: the CPU's address moved by the slot. */
export function slotPointer(cpu: Expr, slot: Slot): Expr {
  return add(cpu, i32(slot));
}

export function readPlace(f: FunctionBuilder, cpu: Expr, place: number, type: 'i32' | 'i64'): Expr {
  return f.let(load(type, cpu, { offset: State.scratch + place }));
}

export function writePlace(f: FunctionBuilder, cpu: Expr, place: number, value: Expr): void {
  f.store(cpu, value, { offset: State.scratch + place });
}
