import { InternalError } from '@minusone/core';

/** The value types of WebAssembly that can be computed with (WebAssembly Core Specification 2.3.1, 2.3.2). */
export type ValType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** The integer value types. */
export type IntType = 'i32' | 'i64';

/** The floating-point value types. */
export type FloatType = 'f32' | 'f64';

/** What a function takes and gives back (Core Specification 2.3.6). */
export interface FunctionType {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
}

/** The binary code of a value type (Core Specification 5.3.1, 5.3.2). */
export function typeCode(type: ValType): number {
  switch (type) {
    case 'i32':
      return 0x7f;
    case 'i64':
      return 0x7e;
    case 'f32':
      return 0x7d;
    case 'f64':
      return 0x7c;
    case 'v128':
      return 0x7b;
  }
}

/** The size of a value of this type in memory, in bytes. */
export function typeBytes(type: ValType): 4 | 8 | 16 {
  switch (type) {
    case 'i32':
    case 'f32':
      return 4;
    case 'i64':
    case 'f64':
      return 8;
    case 'v128':
      return 16;
  }
}

/** Whether two lists of types are the same, element by element. */
export function sameTypes(a: readonly ValType[], b: readonly ValType[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** @throws {InternalError} `actual` is not `expected`; `where` names the builder that was called. */
export function requireType(actual: ValType, expected: ValType, where: string): void {
  if (actual !== expected) throw typeError(where, expected, actual);
}

/** @throws {InternalError} the arguments are not of the function's parameter types. */
export function requireTypes(actual: readonly { readonly type: ValType }[], expected: readonly ValType[], where: string): void {
  if (actual.length !== expected.length) {
    throw new InternalError(`${where} needs ${expected.length} values, not ${actual.length}.`, { where, expected });
  }
  for (let i = 0; i < expected.length; i++) requireType(actual[i]!.type, expected[i]!, where);
}

/** The error of every builder that is handed an operand of the wrong type. */
export function typeError(where: string, expected: string, actual: string): InternalError {
  return new InternalError(`${where} needs an operand of type ${expected}, not ${actual}.`, { where, expected, actual });
}
