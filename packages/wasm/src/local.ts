import type { CodeBuffer } from './code-buffer.ts';
import { Expr } from './expr.ts';
import type { ValType } from './types.ts';

/** A local variable or parameter of a function; as an expression it is `local.get`, of the value it has when the expression is emitted. */
export class Local extends Expr {
  declare readonly index: number;

  constructor(type: ValType, index: number) {
    super(type, true);
    this.index = index;
  }

  emit(code: CodeBuffer): void {
    code.localGet(this.index);
  }
}

/** What `FunctionBuilder.let` gives: a local that is written once, so that it knows what its value's tree knew. */
export class Snapshot extends Expr {
  declare readonly index: number;
  readonly #significantBits: number;

  constructor(type: ValType, index: number, significantBits: number) {
    super(type, true);
    this.index = index;
    this.#significantBits = significantBits;
  }

  override get significantBits(): number {
    return this.#significantBits;
  }

  emit(code: CodeBuffer): void {
    code.localGet(this.index);
  }
}
