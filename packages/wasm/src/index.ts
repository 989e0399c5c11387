export * from './arithmetic.ts';
export { FunctionRef, Global } from './call.ts';
export { CodeBuffer } from './code-buffer.ts';
export { eq, eqz, ge, geS, geU, gt, gtS, gtU, le, leS, leU, lt, ltS, ltU, ne, select } from './comparison.ts';
export { f32, f64, i32, i64, i64hl, v128 } from './constants.ts';
export * from './conversion.ts';
export { Expr } from './expr.ts';
export * from './float.ts';
export * from './function-builder.ts';
export { Local } from './local.ts';
export { type AccessBytes, type LoadOptions, load, type MemoryOptions } from './memory-access.ts';
export * from './module-builder.ts';
export {
  type LaneBytes,
  simd,
  type VectorBinary,
  type VectorExtractLane,
  type VectorMemoryOptions,
  type VectorReplaceLane,
  type VectorShape,
  type VectorShift,
  type VectorSplat,
  type VectorTest,
  type VectorUnary,
} from './simd.ts';
export type { FloatType, FunctionType, IntType, ValType } from './types.ts';
