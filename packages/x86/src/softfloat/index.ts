/**
 * IEEE 754 arithmetic in Wasm subroutines: one core on an unpacked form (sign, exponent, 64-bit significand with 64 more bits below it) serves binary32,
 * binary64 and the x87's 80-bit format, with every rounding mode, precision control, and the exceptions of x86 (tininess after rounding, DAZ, FTZ).
 *
 * ## For SSE rows
 *
 * Values are bit patterns (binary32: i32, binary64: i64). Every entry point takes, after its operands, `mxcsr` (i32) and `cpu` (i32, the address of the CPU's
 * state), and returns the result. Exception flags (bits 0-5: IE DE ZE OE UE PE, as in MXCSR) are **ORed into** `State.scratch + FLAGS_OFFSET`:
 *
 * ```ts
 * e.callVoid(clearFlags, e.cpu);
 * const lanes = [...].map((lane) => e.call(f32Add, a, b, mxcsr, e.cpu));   // any number of lanes
 * e.simdExceptions(e.call(simdFlags, mxcsr, e.cpu));                       // raises #XM before anything is written
 * ```
 *
 * `simdFlags` returns the flags that the instruction sets: where an unmasked IE, DE or ZE is among them, no lane is computed and OE, UE and PE are not reported
 * (SDM Vol. 1, 11.5.2 and E.4.2). A memory operand has to be read before `clearFlags` or after, but not kept in `State.scratch`.
 *
 * | entry points | parameters | result |
 * |---|---|---|
 * | `f32Add f32Sub f32Mul f32Div f32Min f32Max` | a, b, mxcsr, cpu | i32 |
 * | `f64Add f64Sub f64Mul f64Div f64Min f64Max` | a, b, mxcsr, cpu | i64 |
 * | `f32Sqrt`, `f64Sqrt` | a, mxcsr, cpu | as the operand |
 * | `f32Compare`, `f64Compare` | a, b, mxcsr, cpu | i32, signalling: IE for any NaN (COMISS, CMPLT ...) |
 * | `f32CompareQuiet`, `f64CompareQuiet` | a, b, mxcsr, cpu | i32: IE for a signalling NaN only (UCOMISS, CMPEQ, CMPUNORD ...) |
 * | `f32ToF64`, `f64ToF32` | a, mxcsr, cpu | i64, i32 |
 * | `f32ToI32 f32ToI64 f64ToI32 f64ToI64` | a, mxcsr, cpu | i32 or i64, rounded as MXCSR.RC says; the integer indefinite with IE |
 * | `f32ToI32Truncate f32ToI64Truncate f64ToI32Truncate f64ToI64Truncate` | a, mxcsr, cpu | the same, towards zero |
 * | `i32ToF32 i64ToF32 i32ToF64 i64ToF64` | a, mxcsr, cpu | i32 or i64 |
 * | `f32Round`, `f64Round` | a, imm8, mxcsr, cpu | as the operand: ROUNDSS with imm8 (i32) as the manual has it |
 *
 * Comparisons give the flags of COMISS: 0 greater, 0x01 (CF) less, 0x40 (ZF) equal, 0x45 (ZF PF CF) unordered.
 */
export { clearFlags, FLAGS_OFFSET, simdFlags } from './flags.ts';
export {
  f32Add,
  f32Compare,
  f32CompareQuiet,
  f32Div,
  f32Max,
  f32Min,
  f32Mul,
  f32Round,
  f32Sqrt,
  f32Sub,
  f32ToF64,
  f32ToI32,
  f32ToI32Truncate,
  f32ToI64,
  f32ToI64Truncate,
  f64Add,
  f64Compare,
  f64CompareQuiet,
  f64Div,
  f64Max,
  f64Min,
  f64Mul,
  f64Round,
  f64Sqrt,
  f64Sub,
  f64ToF32,
  f64ToI32,
  f64ToI32Truncate,
  f64ToI64,
  f64ToI64Truncate,
  i32ToF32,
  i32ToF64,
  i64ToF32,
  i64ToF64,
} from './sse.ts';
