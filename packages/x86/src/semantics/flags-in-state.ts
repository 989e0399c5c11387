import { and, type Expr, eq, extendS, extendU, i32, type Local, leU, or, shl, shrU, signExtend, wrap } from '@minusone/wasm';
import { ARITHMETIC_MASK, FlagKind } from '../state/arithmetic-flags.ts';
import { State } from '../state/layout.ts';
import type { FlagsEmit, Value } from './emit.ts';
import type { EmitBase } from './emit-base.ts';
import { conditionOf, conditionOfImage, FLAG_BIT, type FlagName, flagOf, flagOfImage, imageOf, type LazyFlags } from './lazy-flags.ts';
import { loadAt, storeTo } from './state-access.ts';
import { type Subroutine, subroutine } from './subroutine.ts';

/** The lazy flags as they stand in the state, taken to be of one kind. */
function stored(cpu: Expr, kind: FlagKind): LazyFlags {
  const a = loadAt(cpu, State.ccA, 8);
  const image = loadAt(cpu, State.ccA, 4);
  const lazy = { kind, bytes: 8, a, b: loadAt(cpu, State.ccB, 8), r: loadAt(cpu, State.ccR, 8) };
  if (kind !== FlagKind.RESULT) return lazy;
  return { ...lazy, given: { cf: flagOfImage(image, 'cf'), of: flagOfImage(image, 'of'), af: flagOfImage(image, 'af') } };
}

/** (cpu) -> the six arithmetic flags as in EFLAGS. */
export const readFlags: Subroutine = subroutine('readFlags', { params: ['i32'], results: ['i32'] }, (f) => {
  const [cpu] = f.params as unknown as readonly [Local];
  const kind = f.let(loadAt(cpu, State.ccOp, 4));
  f.if(eq(kind, i32(FlagKind.IMAGE)), () => f.return(loadAt(cpu, State.ccA, 4)));
  for (const known of [FlagKind.SUB, FlagKind.LOGIC, FlagKind.ADD, FlagKind.RESULT]) {
    f.if(eq(kind, i32(known)), () => f.return(imageOf(stored(cpu, known))));
  }
  f.return(imageOf(stored(cpu, FlagKind.BORROW)));
});

/** O B Z BE S P L LE: which of them the result alone decides, for every kind but IMAGE. */
const BY_RESULT = [false, false, true, false, true, true, false, false];
const BY_RESULT_FLAGS: readonly FlagName[] = ['zf', 'sf', 'pf'];

/** Lazy flags that live in the state: what the interpreter uses, and what a region leaves behind. */
export class FlagsInState implements FlagsEmit {
  readonly #e: EmitBase;

  constructor(e: EmitBase) {
    this.#e = e;
  }

  #store(kind: FlagKind, bytes: number, a: Value | undefined, b: Value | undefined, r: Value): void {
    const { f, cpu } = this.#e;
    this.#e.noteWrite();
    if (a !== undefined) storeTo(f, cpu, State.ccA, 8, signExtended(bytes, a));
    if (b !== undefined) storeTo(f, cpu, State.ccB, 8, signExtended(bytes, b));
    storeTo(f, cpu, State.ccR, 8, signExtended(bytes, r));
    storeTo(f, cpu, State.ccOp, 4, i32(kind));
  }
  add(bytes: number, a: Value, b: Value, result: Value): void {
    this.#store(FlagKind.ADD, bytes, a, b, result);
  }
  sub(bytes: number, a: Value, b: Value, result: Value, borrow?: Value): void {
    this.#store(borrow === undefined ? FlagKind.SUB : FlagKind.BORROW, bytes, a, b, result);
  }
  logic(bytes: number, result: Value): void {
    this.#store(FlagKind.LOGIC, bytes, undefined, undefined, result);
  }
  result(bytes: number, result: Value, given: { cf: Value; of: Value; af?: Value }): void {
    const { f, cpu } = this.#e;
    let image = or(given.cf, shl(given.of, i32(FLAG_BIT.of)));
    if (given.af !== undefined) image = or(image, shl(given.af, i32(FLAG_BIT.af)));
    storeTo(f, cpu, State.ccA, 8, extendU(image));
    this.#store(FlagKind.RESULT, bytes, undefined, undefined, result);
  }

  set(flags: { cf?: Value; pf?: Value; af?: Value; zf?: Value; sf?: Value; of?: Value }): void {
    let image = this.read();
    for (const [name, value] of Object.entries(flags) as [FlagName, Value][]) {
      image = or(and(image, i32(~(1 << FLAG_BIT[name]))), shl(value, i32(FLAG_BIT[name])));
    }
    this.write(image);
  }
  read(): Value {
    return this.#e.call(readFlags, this.#e.cpu);
  }
  write(image: Value): void {
    const { f, cpu } = this.#e;
    this.#e.noteWrite();
    storeTo(f, cpu, State.ccA, 8, extendU(and(image, i32(ARITHMETIC_MASK))));
    storeTo(f, cpu, State.ccOp, 4, i32(FlagKind.IMAGE));
  }

  get(flag: FlagName): Value {
    const e = this.#e;
    const { f, cpu } = e;
    const kind = f.let(loadAt(cpu, State.ccOp, 4));
    const image = loadAt(cpu, State.ccA, 4);
    if (BY_RESULT_FLAGS.includes(flag)) {
      return f.ifExpr(
        'i32',
        eq(kind, i32(FlagKind.IMAGE)),
        () => flagOfImage(image, flag),
        () => flagOf(stored(cpu, FlagKind.LOGIC), flag),
      );
    }
    return f.ifExpr(
      'i32',
      leU(kind, i32(FlagKind.RESULT)),
      () => flagOfImage(image, flag),
      () =>
        f.ifExpr(
          'i32',
          eq(kind, i32(FlagKind.SUB)),
          () => flagOf(stored(cpu, FlagKind.SUB), flag),
          () => flagOfImage(this.read(), flag),
        ),
    );
  }
  condition(cc: number): Value {
    const { f, cpu } = this.#e;
    const kind = f.let(loadAt(cpu, State.ccOp, 4));
    if (BY_RESULT[cc >> 1] === true) {
      return f.ifExpr(
        'i32',
        eq(kind, i32(FlagKind.IMAGE)),
        () => conditionOfImage(loadAt(cpu, State.ccA, 4), cc),
        // Whatever the kind: ZF, SF and PF go by the result.
        () => conditionOf(stored(cpu, FlagKind.LOGIC), cc),
      );
    }
    return f.ifExpr(
      'i32',
      eq(kind, i32(FlagKind.SUB)),
      () => conditionOf(stored(cpu, FlagKind.SUB), cc),
      () =>
        f.ifExpr(
          'i32',
          eq(kind, i32(FlagKind.LOGIC)),
          () => conditionOf(stored(cpu, FlagKind.LOGIC), cc),
          () => conditionOfImage(f.let(this.read()), cc),
        ),
    );
  }

  get df(): Value {
    const { f, cpu } = this.#e;
    return f.let(and(shrU(loadAt(cpu, State.eflags, 4), i32(10)), i32(1)));
  }
  setDf(value: 0 | 1): void {
    const { f, cpu } = this.#e;
    this.#e.noteWrite();
    const flags = loadAt(cpu, State.eflags, 4);
    storeTo(f, cpu, State.eflags, 4, value === 1 ? or(flags, i32(1 << 10)) : and(flags, i32(~(1 << 10))));
  }
}

/** A quantity of `bytes` sign-extended to i64. */
export function signExtended(bytes: number, x: Expr): Expr {
  if (x.type === 'i64') return bytes === 8 ? x : signExtended(bytes, wrap(x));
  if (bytes === 8) return extendU(x);
  return extendS(bytes === 4 ? x : signExtend(x, bytes === 1 ? 8 : 16));
}
