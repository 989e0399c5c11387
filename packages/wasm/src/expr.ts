import type { CodeBuffer } from './code-buffer.ts';
import type { ValType } from './types.ts';

/**
 * An expression tree. It emits its code where a statement of a {@link FunctionBuilder} uses it, as often as it is used:
 * what is dear, or reads what may change in between (a local, memory), or has an effect (a call), belongs into
 * `FunctionBuilder.let`, whose result can be used any number of times.
 */
export abstract class Expr {
  // `declare`, here and in every node: fields that the constructor alone creates. A class field proper would be defined as `undefined` first,
  // and in a base class of many subclasses that definition is megamorphic, which made building trees some six times slower.
  declare readonly type: ValType;
  /** Computing it has no effect and cannot trap, so that it may be left out if its value is not needed. */
  declare readonly pure: boolean;

  constructor(type: ValType, pure: boolean) {
    this.type = type;
    this.pure = pure;
  }

  /** The value of a constant: i32 as a signed number, i64 as a signed bigint, f32 and f64 as a number. Else, and for v128, undefined. */
  get constant(): number | bigint | undefined {
    return undefined;
  }

  /** How many low bits can be other than zero (i32, i64): 8 for an unsigned byte load, 1 for a comparison. */
  get significantBits(): number {
    return this.type === 'i32' ? 32 : 64;
  }

  abstract emit(code: CodeBuffer): void;
}

/** An instruction of one operand. */
export class Unary extends Expr {
  declare readonly opcode: number;
  declare readonly operand: Expr;

  constructor(type: ValType, opcode: number, operand: Expr) {
    super(type, operand.pure);
    this.opcode = opcode;
    this.operand = operand;
  }

  override get significantBits(): number {
    switch (this.opcode) {
      case 0x45: // i32.eqz, i64.eqz
      case 0x50:
        return 1;
      case 0xa7: // i32.wrap_i64, i64.extend_i32_u
      case 0xad:
        return Math.min(32, this.operand.significantBits);
      default:
        return super.significantBits;
    }
  }

  emit(code: CodeBuffer): void {
    this.operand.emit(code);
    code.op(this.opcode);
  }
}

/** An instruction of two operands. */
export class Binary extends Expr {
  declare readonly opcode: number;
  declare readonly a: Expr;
  declare readonly b: Expr;

  constructor(type: ValType, opcode: number, a: Expr, b: Expr, mayTrap: boolean = false) {
    super(type, a.pure && b.pure && !mayTrap);
    this.opcode = opcode;
    this.a = a;
    this.b = b;
  }

  override get significantBits(): number {
    const { opcode } = this;
    if (opcode >= 0x46 && opcode <= 0x66) return 1; // comparisons
    if (opcode === 0x71 || opcode === 0x83) return Math.min(this.a.significantBits, this.b.significantBits); // and
    if (opcode === 0x76 || opcode === 0x88) {
      const count = this.b.constant; // of shr_u, modulo the width
      if (count !== undefined) return this.type === 'i32' ? 32 - (Number(count) & 31) : 64 - Number(BigInt.asUintN(6, BigInt(count)));
    }
    return super.significantBits;
  }

  emit(code: CodeBuffer): void {
    this.a.emit(code);
    this.b.emit(code);
    code.op(this.opcode);
  }
}

/** An instruction of three operands (`select`, `v128.bitselect`). */
export class Ternary extends Expr {
  declare readonly opcode: number;
  declare readonly a: Expr;
  declare readonly b: Expr;
  declare readonly c: Expr;

  constructor(type: ValType, opcode: number, a: Expr, b: Expr, c: Expr) {
    super(type, a.pure && b.pure && c.pure);
    this.opcode = opcode;
    this.a = a;
    this.b = b;
    this.c = c;
  }

  emit(code: CodeBuffer): void {
    this.a.emit(code);
    this.b.emit(code);
    this.c.emit(code);
    code.op(this.opcode);
  }
}
