import {
  and,
  type Expr,
  eq,
  eqz,
  geS,
  geU,
  gtS,
  gtU,
  i32,
  i64,
  leS,
  leU,
  ltS,
  ltU,
  ne,
  or,
  popcnt,
  shl,
  shrU,
  wrap,
  xor,
} from '@minusone/wasm';
import { FlagKind } from '../state/arithmetic-flags.ts';

/**
 * The arithmetic flags as formulas over what made them (SDM Vol. 1, 3.4.3.1 "Status Flags"; Appendix A "EFLAGS Cross-Reference", B "EFLAGS Condition Codes").
 * Written once: the JIT applies them to values in locals of the operation's own size, the interpreter to the sign-extended copies in the state.
 */
export type FlagName = 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of';

/** Bit numbers in EFLAGS. */
export const FLAG_BIT: Readonly<Record<FlagName, number>> = { cf: 0, pf: 2, af: 4, zf: 6, sf: 7, of: 11 };

/** What made the flags. Operands and result are i64 for 8 bytes and otherwise i32, of which only the low bits count. */
export interface LazyFlags {
  readonly kind: FlagKind;
  readonly bytes: number;
  readonly a: Expr;
  readonly b: Expr;
  readonly r: Expr;
  /** RESULT: the flags that the result does not give, each i32 0 or 1. */
  readonly given?: { readonly cf: Expr; readonly of: Expr; readonly af: Expr };
}

const ones = (bytes: number): Expr => (bytes === 8 ? i64(-1) : i32(-1));
const zero = (bytes: number): Expr => (bytes === 8 ? i64(0) : i32(0));
const not = (bytes: number, x: Expr): Expr => xor(x, ones(bytes));
const low32 = (x: Expr): Expr => (x.type === 'i64' ? wrap(x) : x);

/** The most significant bit as i32 0 or 1. */
function sign(bytes: number, x: Expr): Expr {
  if (bytes === 8) return wrap(shrU(x, i64(63)));
  return bytes === 4 ? shrU(x, i32(31)) : and(shrU(x, i32(bytes * 8 - 1)), i32(1));
}

/** The low bits, zero-extended. */
function unsigned(bytes: number, x: Expr): Expr {
  return bytes >= 4 ? x : and(x, i32(bytes === 1 ? 0xff : 0xffff));
}

/** The low bits moved to the top of an i32: keeps the order of signed values. */
function aligned(bytes: number, x: Expr): Expr {
  return bytes >= 4 ? x : shl(x, i32(32 - bytes * 8));
}

function carries({ kind, bytes, a, b, r }: LazyFlags): Expr {
  if (kind === FlagKind.ADD) return or(and(a, b), and(or(a, b), not(bytes, r)));
  return or(and(not(bytes, a), b), and(not(bytes, xor(a, b)), r));
}

/** One flag as i32 0 or 1. Not for `FlagKind.IMAGE`. */
export function flagOf(x: LazyFlags, flag: FlagName): Expr {
  const { kind, bytes, a, b, r } = x;
  switch (flag) {
    case 'zf':
      return eqz(unsigned(bytes, r));
    case 'sf':
      return sign(bytes, r);
    case 'pf':
      return xor(and(popcnt(and(low32(r), i32(0xff))), i32(1)), i32(1));
    case 'cf':
      if (kind === FlagKind.LOGIC) return i32(0);
      if (x.given !== undefined) return x.given.cf;
      if (kind === FlagKind.SUB) return ltU(unsigned(bytes, a), unsigned(bytes, b));
      return sign(bytes, carries(x));
    case 'of':
      if (kind === FlagKind.LOGIC) return i32(0);
      if (x.given !== undefined) return x.given.of;
      return sign(bytes, kind === FlagKind.ADD ? and(xor(a, r), xor(b, r)) : and(xor(a, b), xor(a, r)));
    case 'af':
      if (kind === FlagKind.LOGIC) return i32(0);
      if (x.given !== undefined) return x.given.af;
      return and(shrU(low32(xor(xor(a, b), r)), i32(4)), i32(1));
  }
}

/** The six flags as in EFLAGS. Not for `FlagKind.IMAGE`. */
export function imageOf(x: LazyFlags): Expr {
  const names: FlagName[] = x.kind === FlagKind.LOGIC ? ['pf', 'zf', 'sf'] : ['cf', 'pf', 'af', 'zf', 'sf', 'of'];
  return names.map((name) => (name === 'cf' ? flagOf(x, name) : shl(flagOf(x, name), i32(FLAG_BIT[name])))).reduce(or);
}

/** The even conditions, by half the condition number (SDM Vol. 1, Appendix B). */
const Condition = { O: 0, B: 1, Z: 2, BE: 3, S: 4, P: 5, L: 6, LE: 7 } as const;

type Compare = (a: Expr, b: Expr) => Expr;
const UNSIGNED: Readonly<Record<number, readonly [Compare, Compare]>> = {
  [Condition.B]: [ltU, geU],
  [Condition.Z]: [eq, ne],
  [Condition.BE]: [leU, gtU],
};
const SIGNED: Readonly<Record<number, readonly [Compare, Compare]>> = { [Condition.L]: [ltS, geS], [Condition.LE]: [leS, gtS] };

/** Condition `cc` of Jcc, SETcc, CMOVcc as i32 0 or 1. After a subtraction it is one comparison of the operands. Not for `FlagKind.IMAGE`. */
export function conditionOf(x: LazyFlags, cc: number): Expr {
  const { kind, bytes } = x;
  const negated = (cc & 1) as 0 | 1;
  const condition = cc >> 1;
  if (kind === FlagKind.SUB) {
    const byUnsigned = UNSIGNED[condition];
    if (byUnsigned !== undefined) return byUnsigned[negated](unsigned(bytes, x.a), unsigned(bytes, x.b));
    const bySigned = SIGNED[condition];
    if (bySigned !== undefined) return bySigned[negated](aligned(bytes, x.a), aligned(bytes, x.b));
  }
  if (kind === FlagKind.LOGIC && (condition === Condition.L || condition === Condition.LE)) {
    return (SIGNED[condition] as readonly [Compare, Compare])[negated](aligned(bytes, x.r), zero(bytes));
  }
  if (condition === Condition.Z && negated === 1) return ne(unsigned(bytes, x.r), zero(bytes));
  const positive = evenCondition(condition, (flag) => flagOf(x, flag));
  return negated === 1 ? xor(positive, i32(1)) : positive;
}

function evenCondition(condition: number, flag: (name: FlagName) => Expr): Expr {
  switch (condition) {
    case Condition.O:
      return flag('of');
    case Condition.B:
      return flag('cf');
    case Condition.Z:
      return flag('zf');
    case Condition.BE:
      return or(flag('cf'), flag('zf'));
    case Condition.S:
      return flag('sf');
    case Condition.P:
      return flag('pf');
    case Condition.L:
      return xor(flag('sf'), flag('of'));
    default:
      return or(flag('zf'), xor(flag('sf'), flag('of')));
  }
}

/** One flag of an EFLAGS image (i32), as i32 0 or 1. */
export function flagOfImage(image: Expr, flag: FlagName): Expr {
  return and(shrU(image, i32(FLAG_BIT[flag])), i32(1));
}

/** Condition `cc` from an EFLAGS image. */
export function conditionOfImage(image: Expr, cc: number): Expr {
  const positive = evenCondition(cc >> 1, (flag) => flagOfImage(image, flag));
  return (cc & 1) === 1 ? xor(positive, i32(1)) : positive;
}
