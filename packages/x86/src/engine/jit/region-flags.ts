import { and, type Expr, extendU, type FunctionBuilder, i32, type Local, or, shl } from '@minusone/wasm';
import type { FlagsEmit, Value } from '../../semantics/emit.ts';
import type { EmitBase } from '../../semantics/emit-base.ts';
import { FlagsInState, signExtended } from '../../semantics/flags-in-state.ts';
import {
  conditionOf,
  conditionOfImage,
  FLAG_BIT,
  type FlagName,
  flagOf,
  flagOfImage,
  imageOf,
  type LazyFlags,
} from '../../semantics/lazy-flags.ts';
import { asType, storeTo } from '../../semantics/state-access.ts';
import { ARITHMETIC_MASK, FlagKind } from '../../state/arithmetic-flags.ts';
import { State } from '../../state/layout.ts';

/** What is known at compile time of the arithmetic flags: the kind and size of what made them. The values are in the region's locals for flags. */
export interface KnownFlags {
  readonly kind: FlagKind;
  readonly bytes: number;
}

/**
 * The arithmetic flags of a region. Where the instruction that made them is known they stand in locals, and a condition is a formula over those; where it is not
 * (at the region's entry, where ways meet) they stand in the state.
 */
export class RegionFlags implements FlagsEmit {
  /** Undefined: they stand in the state. */
  known: KnownFlags | undefined;
  readonly #f: FunctionBuilder;
  readonly #cpu: Expr;
  readonly #a32: Local;
  readonly #b32: Local;
  readonly #r32: Local;
  readonly #a64: Local;
  readonly #b64: Local;
  readonly #r64: Local;
  readonly #cf: Local;
  readonly #of: Local;
  readonly #af: Local;
  readonly #image: Local;
  #e: EmitBase | undefined;
  #inState: FlagsInState | undefined;

  constructor(f: FunctionBuilder, cpu: Expr) {
    this.#f = f;
    this.#cpu = cpu;
    [this.#a64, this.#b64, this.#r64] = [f.local('i64'), f.local('i64'), f.local('i64')];
    [this.#a32, this.#b32, this.#r32] = [f.local('i32'), f.local('i32'), f.local('i32')];
    [this.#cf, this.#of, this.#af, this.#image] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  }

  /** The instruction whose semantics use the flags from now on. */
  attach(e: EmitBase): void {
    this.#e = e;
    this.#inState = undefined;
  }
  get #state(): FlagsInState {
    this.#inState ??= new FlagsInState(this.#e as EmitBase);
    return this.#inState;
  }

  #lazy({ kind, bytes }: KnownFlags): LazyFlags {
    const wide = bytes === 8;
    const lazy = { kind, bytes, a: wide ? this.#a64 : this.#a32, b: wide ? this.#b64 : this.#b32, r: wide ? this.#r64 : this.#r32 };
    return kind === FlagKind.RESULT ? { ...lazy, given: { cf: this.#cf, of: this.#of, af: this.#af } } : lazy;
  }
  #know(kind: FlagKind, bytes: number, a: Value | undefined, b: Value | undefined, r: Value): void {
    this.#e?.noteWrite();
    const f = this.#f;
    const wide = bytes === 8;
    if (a !== undefined) f.set(wide ? this.#a64 : this.#a32, asType(a, bytes));
    if (b !== undefined) f.set(wide ? this.#b64 : this.#b32, asType(b, bytes));
    f.set(wide ? this.#r64 : this.#r32, asType(r, bytes));
    this.known = { kind, bytes };
  }

  /** Puts the flags where TypeScript and the interpreter look for them, if they are not there. What is known stays known. */
  store(known: KnownFlags | undefined = this.known): void {
    if (known === undefined) return;
    const f = this.#f;
    const cpu = this.#cpu;
    const { kind, bytes } = known;
    if (kind === FlagKind.IMAGE) storeTo(f, cpu, State.ccA, 8, extendU(this.#image));
    else {
      const { a, b, r } = this.#lazy(known);
      if (kind === FlagKind.RESULT) {
        storeTo(f, cpu, State.ccA, 8, extendU(or(or(this.#cf, shl(this.#of, i32(FLAG_BIT.of))), shl(this.#af, i32(FLAG_BIT.af)))));
      } else if (kind !== FlagKind.LOGIC) {
        storeTo(f, cpu, State.ccA, 8, signExtended(bytes, a));
        storeTo(f, cpu, State.ccB, 8, signExtended(bytes, b));
      }
      storeTo(f, cpu, State.ccR, 8, signExtended(bytes, r));
    }
    storeTo(f, cpu, State.ccOp, 4, i32(kind));
  }
  /** Puts the flags into the state and forgets what made them. */
  settle(): void {
    this.store();
    this.known = undefined;
  }

  add(bytes: number, a: Value, b: Value, result: Value): void {
    this.#know(FlagKind.ADD, bytes, a, b, result);
  }
  sub(bytes: number, a: Value, b: Value, result: Value, borrow?: Value): void {
    this.#know(borrow === undefined ? FlagKind.SUB : FlagKind.BORROW, bytes, a, b, result);
  }
  logic(bytes: number, result: Value): void {
    this.#know(FlagKind.LOGIC, bytes, undefined, undefined, result);
  }
  result(bytes: number, result: Value, given: { cf: Value; of: Value; af?: Value }): void {
    const f = this.#f;
    f.set(this.#cf, given.cf);
    f.set(this.#of, given.of);
    f.set(this.#af, given.af ?? i32(0));
    this.#know(FlagKind.RESULT, bytes, undefined, undefined, result);
  }
  set(flags: { cf?: Value; pf?: Value; af?: Value; zf?: Value; sf?: Value; of?: Value }): void {
    const { known } = this;
    const byResult = flags.pf !== undefined || flags.zf !== undefined || flags.sf !== undefined;
    if (known !== undefined && known.kind !== FlagKind.IMAGE && !byResult) {
      // The result stays; the other three become explicit.
      const f = this.#f;
      this.#e?.noteWrite();
      const lazy = this.#lazy(known);
      const [cf, of, af] = (['cf', 'of', 'af'] as const).map((flag) => f.let(flags[flag] ?? flagOf(lazy, flag))) as [Expr, Expr, Expr];
      f.set(this.#cf, cf);
      f.set(this.#of, of);
      f.set(this.#af, af);
      this.known = { kind: FlagKind.RESULT, bytes: known.bytes };
      return;
    }
    let image = this.read();
    for (const [name, value] of Object.entries(flags) as [FlagName, Value][]) {
      image = or(and(image, i32(~(1 << FLAG_BIT[name]))), shl(value, i32(FLAG_BIT[name])));
    }
    this.write(image);
  }
  write(image: Value): void {
    this.#e?.noteWrite();
    this.#f.set(this.#image, and(image, i32(ARITHMETIC_MASK)));
    this.known = { kind: FlagKind.IMAGE, bytes: 4 };
  }

  read(): Value {
    const { known } = this;
    if (known === undefined) return this.#state.read();
    return this.#f.let(known.kind === FlagKind.IMAGE ? this.#image : imageOf(this.#lazy(known)));
  }
  get(flag: FlagName): Value {
    const { known } = this;
    if (known === undefined) return this.#state.get(flag);
    return this.#f.let(known.kind === FlagKind.IMAGE ? flagOfImage(this.#image, flag) : flagOf(this.#lazy(known), flag));
  }
  condition(cc: number): Value {
    const { known } = this;
    if (known === undefined) return this.#state.condition(cc);
    return this.#f.let(known.kind === FlagKind.IMAGE ? conditionOfImage(this.#image, cc) : conditionOf(this.#lazy(known), cc));
  }
  get df(): Value {
    return this.#state.df;
  }
  setDf(value: 0 | 1): void {
    this.#state.setDf(value);
  }
}
