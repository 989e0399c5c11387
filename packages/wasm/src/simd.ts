// The fixed-width SIMD operations (Core Specification 4.3.2): the few forms they have, and the tables of simd-opcodes.ts turned into functions.

import { InternalError } from '@minusone/core';
import type { CodeBuffer } from './code-buffer.ts';
import { Binary, Expr, Ternary, Unary } from './expr.ts';
import { checkOffset, emitMemoryArgument, type MemoryOptions } from './memory-access.ts';
import {
  F32X4,
  F64X2,
  I8X16,
  I16X8,
  I32X4,
  I64X2,
  LOAD_EXTEND,
  LOAD_LANE,
  LOAD_SPLAT,
  SHUFFLE,
  type ShapeTable,
  STORE_LANE,
  V128,
} from './simd-opcodes.ts';
import type { ValType } from './types.ts';
import { requireType } from './types.ts';

/** v128 -> v128 */
export type VectorUnary = (x: Expr) => Expr;
/** v128, v128 -> v128 */
export type VectorBinary = (a: Expr, b: Expr) => Expr;
/** v128, i32 -> v128; the count is taken modulo the width of a lane. */
export type VectorShift = (x: Expr, count: Expr) => Expr;
/** v128 -> i32 */
export type VectorTest = (x: Expr) => Expr;
/** A lane's scalar in every lane. */
export type VectorSplat = (x: Expr) => Expr;
/** One lane as a scalar. */
export type VectorExtractLane = (x: Expr, lane: number) => Expr;
/** The vector with one lane replaced. */
export type VectorReplaceLane = (x: Expr, lane: number, value: Expr) => Expr;

/** The operations of a shape, by the forms in its table. */
export type VectorShape<T extends ShapeTable> = { readonly [K in keyof T['splat']]: VectorSplat } & {
  readonly [K in keyof T['extract']]: VectorExtractLane;
} & { readonly [K in keyof T['replace']]: VectorReplaceLane } & { readonly [K in keyof T['unary']]: VectorUnary } & {
  readonly [K in keyof T['binary']]: VectorBinary;
} & { readonly [K in keyof T['shift']]: VectorShift } & { readonly [K in keyof T['test']]: VectorTest };

/** The width of a lane that is loaded or stored alone, in bytes. */
export type LaneBytes = 1 | 2 | 4 | 8;

/** `MemoryOptions` without the width, which the operation itself gives. */
export type VectorMemoryOptions = Omit<MemoryOptions, 'bytes'>;

const opcodeOf = (number: number): number => 0xfd0000 | number;

/** An instruction with an immediate byte: the number of a lane. */
class LaneOperation extends Expr {
  declare readonly opcode: number;
  declare readonly operand: Expr;
  declare readonly lane: number;
  declare readonly value: Expr | undefined;

  constructor(type: ValType, opcode: number, operand: Expr, lane: number, value: Expr | undefined) {
    super(type, operand.pure && (value === undefined || value.pure));
    this.opcode = opcode;
    this.operand = operand;
    this.lane = lane;
    this.value = value;
  }

  emit(code: CodeBuffer): void {
    this.operand.emit(code);
    this.value?.emit(code);
    code.op(this.opcode);
    code.byte(this.lane);
  }
}

/** `i8x16.shuffle`. */
class Shuffle extends Expr {
  declare readonly a: Expr;
  declare readonly b: Expr;
  declare readonly lanes: Uint8Array;

  constructor(a: Expr, b: Expr, lanes: Uint8Array) {
    super('v128', a.pure && b.pure);
    this.a = a;
    this.b = b;
    this.lanes = lanes;
  }

  emit(code: CodeBuffer): void {
    this.a.emit(code);
    this.b.emit(code);
    code.op(opcodeOf(SHUFFLE));
    code.bytes(this.lanes);
  }
}

/** A load that extends, splats, or replaces one lane of a vector. */
class VectorLoad extends Expr {
  declare readonly opcode: number;
  declare readonly pointer: Expr;
  declare readonly offset: number;
  declare readonly align: number;
  declare readonly vector: Expr | undefined;
  declare readonly lane: number;

  constructor(opcode: number, pointer: Expr, options: VectorMemoryOptions | undefined, vector?: Expr, lane = 0) {
    super('v128', false);
    this.opcode = opcode;
    this.pointer = pointer;
    this.offset = options?.offset ?? 0;
    this.align = options?.align ?? 0;
    this.vector = vector;
    this.lane = lane;
  }

  emit(code: CodeBuffer): void {
    this.pointer.emit(code);
    this.vector?.emit(code);
    code.op(this.opcode);
    emitMemoryArgument(code, this.align, this.offset);
    if (this.vector) code.byte(this.lane);
  }
}

function checkLane(lane: number, lanes: number, where: string): void {
  if (!Number.isInteger(lane) || lane < 0 || lane >= lanes) {
    throw new InternalError(`${where} needs a lane from 0 to ${lanes - 1}, not ${lane}.`, { lane, lanes });
  }
}

const unary =
  (name: string, number: number): VectorUnary =>
  (x) => {
    requireType(x.type, 'v128', name);
    return new Unary('v128', opcodeOf(number), x);
  };

const binary =
  (name: string, number: number): VectorBinary =>
  (a, b) => {
    requireType(a.type, 'v128', name);
    requireType(b.type, 'v128', name);
    return new Binary('v128', opcodeOf(number), a, b);
  };

const shift =
  (name: string, number: number): VectorShift =>
  (x, count) => {
    requireType(x.type, 'v128', name);
    requireType(count.type, 'i32', name);
    return new Binary('v128', opcodeOf(number), x, count);
  };

const test =
  (name: string, number: number): VectorTest =>
  (x) => {
    requireType(x.type, 'v128', name);
    return new Unary('i32', opcodeOf(number), x);
  };

const splat =
  (name: string, number: number, scalar: ValType): VectorSplat =>
  (x) => {
    requireType(x.type, scalar, name);
    return new Unary('v128', opcodeOf(number), x);
  };

const extract =
  (name: string, number: number, scalar: ValType, lanes: number): VectorExtractLane =>
  (x, lane) => {
    requireType(x.type, 'v128', name);
    checkLane(lane, lanes, name);
    return new LaneOperation(scalar, opcodeOf(number), x, lane, undefined);
  };

const replace =
  (name: string, number: number, scalar: ValType, lanes: number): VectorReplaceLane =>
  (x, lane, value) => {
    requireType(x.type, 'v128', name);
    requireType(value.type, scalar, name);
    checkLane(lane, lanes, name);
    return new LaneOperation('v128', opcodeOf(number), x, lane, value);
  };

/** Makes one function of every row of a table. */
function build<F>(prefix: string, table: Readonly<Record<string, number>>, form: (name: string, number: number) => F): Record<string, F> {
  return Object.fromEntries(Object.entries(table).map(([name, number]) => [name, form(`${prefix}.${name}`, number)]));
}

function shape<T extends ShapeTable>(name: string, table: T): VectorShape<T> {
  const { scalar, lanes } = table;
  return {
    ...build(name, table.splat, (where, number) => splat(where, number, scalar)),
    ...build(name, table.extract, (where, number) => extract(where, number, scalar, lanes)),
    ...build(name, table.replace, (where, number) => replace(where, number, scalar, lanes)),
    ...build(name, table.unary, unary),
    ...build(name, table.binary, binary),
    ...build(name, table.shift, shift),
    ...build(name, table.test, test),
  } as unknown as VectorShape<T>; // the mapped type says row by row what the spreads have made
}

/** `a` where the bit of `mask` is 1, `b` where it is 0. */
function bitselect(a: Expr, b: Expr, mask: Expr): Expr {
  for (const operand of [a, b, mask]) requireType(operand.type, 'v128', 'v128.bitselect');
  return new Ternary('v128', opcodeOf(V128.ternary.bitselect), a, b, mask);
}

/** Picks 16 bytes from the 32 of `a` (0 to 15) and `b` (16 to 31) by constant numbers. */
function shuffle(a: Expr, b: Expr, lanes: ArrayLike<number>): Expr {
  requireType(a.type, 'v128', 'shuffle');
  requireType(b.type, 'v128', 'shuffle');
  if (lanes.length !== 16) throw new InternalError(`shuffle needs 16 lanes, not ${lanes.length}.`, { lanes });
  for (let i = 0; i < 16; i++) checkLane(lanes[i]!, 32, 'shuffle');
  return new Shuffle(a, b, Uint8Array.from(lanes));
}

function pointerOf(pointer: Expr, options: VectorMemoryOptions | undefined, where: string): Expr {
  requireType(pointer.type, 'i32', where);
  checkOffset(options?.offset ?? 0, where);
  return pointer;
}

/** Loads 8 bytes as half as wide lanes, each extended to the shape's lane. */
function loadExtend(to: keyof typeof LOAD_EXTEND, pointer: Expr, options?: VectorMemoryOptions & { signed?: boolean }): Expr {
  const number = LOAD_EXTEND[to][options?.signed ? 'signed' : 'unsigned'];
  return new VectorLoad(opcodeOf(number), pointerOf(pointer, options, 'loadExtend'), options);
}

/** Loads one lane into every lane. */
function loadSplat(bytes: LaneBytes, pointer: Expr, options?: VectorMemoryOptions): Expr {
  return new VectorLoad(opcodeOf(LOAD_SPLAT[bytes]), pointerOf(pointer, options, 'loadSplat'), options);
}

/** The vector with one lane loaded. */
function loadLane(bytes: LaneBytes, pointer: Expr, vector: Expr, lane: number, options?: VectorMemoryOptions): Expr {
  requireType(vector.type, 'v128', 'loadLane');
  checkLane(lane, 16 / bytes, 'loadLane');
  return new VectorLoad(opcodeOf(LOAD_LANE[bytes]), pointerOf(pointer, options, 'loadLane'), options, vector, lane);
}

/** Emits the store of one lane; see `FunctionBuilder.storeLane`. */
export function emitStoreLane(
  code: CodeBuffer,
  bytes: LaneBytes,
  pointer: Expr,
  vector: Expr,
  lane: number,
  options?: VectorMemoryOptions,
): void {
  requireType(vector.type, 'v128', 'storeLane');
  checkLane(lane, 16 / bytes, 'storeLane');
  pointerOf(pointer, options, 'storeLane').emit(code);
  vector.emit(code);
  code.op(opcodeOf(STORE_LANE[bytes]));
  emitMemoryArgument(code, options?.align ?? 0, options?.offset ?? 0);
  code.byte(lane);
}

/** Every SIMD operation, by shape. Whole vectors are loaded and stored by `load('v128', ...)` and `FunctionBuilder.store`. */
export const simd: {
  readonly i8x16: VectorShape<typeof I8X16>;
  readonly i16x8: VectorShape<typeof I16X8>;
  readonly i32x4: VectorShape<typeof I32X4>;
  readonly i64x2: VectorShape<typeof I64X2>;
  readonly f32x4: VectorShape<typeof F32X4>;
  readonly f64x2: VectorShape<typeof F64X2>;
  readonly v128: {
    readonly not: VectorUnary;
    readonly and: VectorBinary;
    /** `a & ~b` */
    readonly andnot: VectorBinary;
    readonly or: VectorBinary;
    readonly xor: VectorBinary;
    readonly bitselect: (a: Expr, b: Expr, mask: Expr) => Expr;
    readonly anyTrue: VectorTest;
  };
  readonly shuffle: (a: Expr, b: Expr, lanes: ArrayLike<number>) => Expr;
  /** Picks bytes of `a` by those of `b`; 0 where that is 16 or more. */
  readonly swizzle: VectorBinary;
  readonly loadExtend: (to: 'i16x8' | 'i32x4' | 'i64x2', pointer: Expr, options?: VectorMemoryOptions & { signed?: boolean }) => Expr;
  readonly loadSplat: (bytes: LaneBytes, pointer: Expr, options?: VectorMemoryOptions) => Expr;
  readonly loadLane: (bytes: LaneBytes, pointer: Expr, vector: Expr, lane: number, options?: VectorMemoryOptions) => Expr;
} = {
  i8x16: shape('i8x16', I8X16),
  i16x8: shape('i16x8', I16X8),
  i32x4: shape('i32x4', I32X4),
  i64x2: shape('i64x2', I64X2),
  f32x4: shape('f32x4', F32X4),
  f64x2: shape('f64x2', F64X2),
  v128: {
    not: unary('v128.not', V128.unary.not),
    and: binary('v128.and', V128.binary.and),
    andnot: binary('v128.andnot', V128.binary.andnot),
    or: binary('v128.or', V128.binary.or),
    xor: binary('v128.xor', V128.binary.xor),
    bitselect,
    anyTrue: test('v128.anyTrue', V128.test.anyTrue),
  },
  shuffle,
  swizzle: binary('i8x16.swizzle', I8X16.binary.swizzle),
  loadExtend,
  loadSplat,
  loadLane,
};
