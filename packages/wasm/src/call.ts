import type { CodeBuffer } from './code-buffer.ts';
import { Expr } from './expr.ts';
import type { FunctionType, ValType } from './types.ts';

/** A function of a module, imported or defined; made by `ModuleBuilder`. */
export class FunctionRef {
  /** In the module's function index space (imports first). */
  readonly index: number;
  readonly name: string;
  readonly type: FunctionType;

  constructor(index: number, name: string, type: FunctionType) {
    this.index = index;
    this.name = name;
    this.type = type;
  }
}

/** A global variable of a module, made by `ModuleBuilder`; as an expression it is `global.get`. */
export class Global extends Expr {
  declare readonly index: number;
  declare readonly mutable: boolean;

  constructor(type: ValType, index: number, mutable: boolean) {
    super(type, !mutable);
    this.index = index;
    this.mutable = mutable;
  }

  emit(code: CodeBuffer): void {
    code.byte(0x23);
    code.u32(this.index);
  }
}

export const CALL = 0x10;
export const CALL_INDIRECT = 0x11;
export const RETURN_CALL = 0x12;
export const RETURN_CALL_INDIRECT = 0x13;

/** Emits a call or a tail call of a known function. */
export function emitCall(code: CodeBuffer, opcode: number, fn: FunctionRef, args: readonly Expr[]): void {
  for (const arg of args) arg.emit(code);
  code.byte(opcode);
  code.u32(fn.index);
}

/** Emits a call or a tail call through table 0. */
export function emitCallIndirect(code: CodeBuffer, opcode: number, typeIndex: number, index: Expr, args: readonly Expr[]): void {
  for (const arg of args) arg.emit(code);
  index.emit(code);
  code.byte(opcode);
  code.u32(typeIndex);
  code.byte(0);
}

/** A call with one result. */
export class Call extends Expr {
  declare readonly fn: FunctionRef;
  declare readonly args: readonly Expr[];

  constructor(fn: FunctionRef, args: readonly Expr[]) {
    super(fn.type.results[0]!, false);
    this.fn = fn;
    this.args = args;
  }

  emit(code: CodeBuffer): void {
    emitCall(code, CALL, this.fn, this.args);
  }
}

/** A call through table 0 with one result. */
export class CallIndirect extends Expr {
  declare readonly typeIndex: number;
  declare readonly index: Expr;
  declare readonly args: readonly Expr[];

  constructor(result: ValType, typeIndex: number, index: Expr, args: readonly Expr[]) {
    super(result, false);
    this.typeIndex = typeIndex;
    this.index = index;
    this.args = args;
  }

  emit(code: CodeBuffer): void {
    emitCallIndirect(code, CALL_INDIRECT, this.typeIndex, this.index, this.args);
  }
}
