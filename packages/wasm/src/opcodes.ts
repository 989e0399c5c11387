import type { ValType } from './types.ts';
import { typeError } from './types.ts';

/** The opcodes of one operation by the type of its operands (Core Specification 5.4.7). */
export interface Opcodes {
  readonly name: string;
  readonly i32?: number;
  readonly i64?: number;
  readonly f32?: number;
  readonly f64?: number;
}

/** Those of an operation that both integer types have. */
export interface IntOpcodes extends Opcodes {
  readonly i32: number;
  readonly i64: number;
}

/** The opcode of an operation for operands of this type. @throws {InternalError} it has none */
export function opcodeFor(operation: Opcodes, type: ValType): number {
  let opcode: number | undefined;
  switch (type) {
    case 'i32':
      opcode = operation.i32;
      break;
    case 'i64':
      opcode = operation.i64;
      break;
    case 'f32':
      opcode = operation.f32;
      break;
    case 'f64':
      opcode = operation.f64;
      break;
  }
  if (opcode !== undefined) return opcode;
  const types = (['i32', 'i64', 'f32', 'f64'] as const).filter((candidate) => operation[candidate] !== undefined);
  throw typeError(operation.name, types.join(' or '), type);
}

export const EQZ: IntOpcodes = { name: 'eqz', i32: 0x45, i64: 0x50 };
export const EQ: Opcodes = { name: 'eq', i32: 0x46, i64: 0x51, f32: 0x5b, f64: 0x61 };
export const NE: IntOpcodes = { name: 'ne', i32: 0x47, i64: 0x52, f32: 0x5c, f64: 0x62 };
export const LT_S: Opcodes = { name: 'ltS', i32: 0x48, i64: 0x53 };
export const LT_U: Opcodes = { name: 'ltU', i32: 0x49, i64: 0x54 };
export const GT_S: Opcodes = { name: 'gtS', i32: 0x4a, i64: 0x55 };
export const GT_U: Opcodes = { name: 'gtU', i32: 0x4b, i64: 0x56 };
export const LE_S: Opcodes = { name: 'leS', i32: 0x4c, i64: 0x57 };
export const LE_U: Opcodes = { name: 'leU', i32: 0x4d, i64: 0x58 };
export const GE_S: Opcodes = { name: 'geS', i32: 0x4e, i64: 0x59 };
export const GE_U: Opcodes = { name: 'geU', i32: 0x4f, i64: 0x5a };
export const LT: Opcodes = { name: 'lt', f32: 0x5d, f64: 0x63 };
export const GT: Opcodes = { name: 'gt', f32: 0x5e, f64: 0x64 };
export const LE: Opcodes = { name: 'le', f32: 0x5f, f64: 0x65 };
export const GE: Opcodes = { name: 'ge', f32: 0x60, f64: 0x66 };

export const CLZ: Opcodes = { name: 'clz', i32: 0x67, i64: 0x79 };
export const CTZ: Opcodes = { name: 'ctz', i32: 0x68, i64: 0x7a };
export const POPCNT: Opcodes = { name: 'popcnt', i32: 0x69, i64: 0x7b };
export const ADD: Opcodes = { name: 'add', i32: 0x6a, i64: 0x7c, f32: 0x92, f64: 0xa0 };
export const SUB: Opcodes = { name: 'sub', i32: 0x6b, i64: 0x7d, f32: 0x93, f64: 0xa1 };
export const MUL: Opcodes = { name: 'mul', i32: 0x6c, i64: 0x7e, f32: 0x94, f64: 0xa2 };
export const DIV_S: Opcodes = { name: 'divS', i32: 0x6d, i64: 0x7f };
export const DIV_U: Opcodes = { name: 'divU', i32: 0x6e, i64: 0x80 };
export const REM_S: Opcodes = { name: 'remS', i32: 0x6f, i64: 0x81 };
export const REM_U: Opcodes = { name: 'remU', i32: 0x70, i64: 0x82 };
export const AND: Opcodes = { name: 'and', i32: 0x71, i64: 0x83 };
export const OR: Opcodes = { name: 'or', i32: 0x72, i64: 0x84 };
export const XOR: Opcodes = { name: 'xor', i32: 0x73, i64: 0x85 };
export const SHL: Opcodes = { name: 'shl', i32: 0x74, i64: 0x86 };
export const SHR_S: Opcodes = { name: 'shrS', i32: 0x75, i64: 0x87 };
export const SHR_U: Opcodes = { name: 'shrU', i32: 0x76, i64: 0x88 };
export const ROTL: Opcodes = { name: 'rotl', i32: 0x77, i64: 0x89 };
export const ROTR: Opcodes = { name: 'rotr', i32: 0x78, i64: 0x8a };

export const ABS: Opcodes = { name: 'abs', f32: 0x8b, f64: 0x99 };
export const NEG: Opcodes = { name: 'neg', f32: 0x8c, f64: 0x9a };
export const CEIL: Opcodes = { name: 'ceil', f32: 0x8d, f64: 0x9b };
export const FLOOR: Opcodes = { name: 'floor', f32: 0x8e, f64: 0x9c };
export const TRUNC: Opcodes = { name: 'trunc', f32: 0x8f, f64: 0x9d };
export const NEAREST: Opcodes = { name: 'nearest', f32: 0x90, f64: 0x9e };
export const SQRT: Opcodes = { name: 'sqrt', f32: 0x91, f64: 0x9f };
export const DIV: Opcodes = { name: 'div', f32: 0x95, f64: 0xa3 };
export const MIN: Opcodes = { name: 'min', f32: 0x96, f64: 0xa4 };
export const MAX: Opcodes = { name: 'max', f32: 0x97, f64: 0xa5 };
export const COPYSIGN: Opcodes = { name: 'copysign', f32: 0x98, f64: 0xa6 };

export const SIGN_EXTEND_8: Opcodes = { name: 'signExtend', i32: 0xc0, i64: 0xc2 };
export const SIGN_EXTEND_16: Opcodes = { name: 'signExtend', i32: 0xc1, i64: 0xc3 };

export const I32_WRAP_I64 = 0xa7;
export const I64_EXTEND_I32_S = 0xac;
export const I64_EXTEND_I32_U = 0xad;
export const F32_DEMOTE_F64 = 0xb6;
export const F64_PROMOTE_F32 = 0xbb;
export const I64_EXTEND32_S = 0xc4;

/** Conversions, by the type of the operand. */
export const REINTERPRET: Opcodes = { name: 'reinterpret', f32: 0xbc, f64: 0xbd, i32: 0xbe, i64: 0xbf };
export const F32_CONVERT_S: Opcodes = { name: 'convertS', i32: 0xb2, i64: 0xb4 };
export const F32_CONVERT_U: Opcodes = { name: 'convertU', i32: 0xb3, i64: 0xb5 };
export const F64_CONVERT_S: Opcodes = { name: 'convertS', i32: 0xb7, i64: 0xb9 };
export const F64_CONVERT_U: Opcodes = { name: 'convertU', i32: 0xb8, i64: 0xba };
export const I32_TRUNC_SAT_S: Opcodes = { name: 'truncSatS', f32: 0xfc0000, f64: 0xfc0002 };
export const I32_TRUNC_SAT_U: Opcodes = { name: 'truncSatU', f32: 0xfc0001, f64: 0xfc0003 };
export const I64_TRUNC_SAT_S: Opcodes = { name: 'truncSatS', f32: 0xfc0004, f64: 0xfc0006 };
export const I64_TRUNC_SAT_U: Opcodes = { name: 'truncSatU', f32: 0xfc0005, f64: 0xfc0007 };
