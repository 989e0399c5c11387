import { InternalError } from '@minusone/core';
import type { CodeBuffer } from './code-buffer.ts';
import { Expr } from './expr.ts';
import type { ValType } from './types.ts';
import { requireType, typeBytes } from './types.ts';

/** How many bytes a memory access can have. */
export type AccessBytes = 1 | 2 | 4 | 8 | 16;

export interface MemoryOptions {
  /** Bytes added to the pointer without wrap-around, 0 to 2^32 - 1 (default 0). */
  offset?: number;
  /** Bytes accessed (default: the whole type). */
  bytes?: AccessBytes;
  /** Base-2 logarithm of the alignment that the engine may expect (default 0: none). Never a promise: misaligned accesses work. */
  align?: number;
}

export interface LoadOptions extends MemoryOptions {
  /** Whether a narrow integer is extended with its sign (default: with zeros). */
  signed?: boolean;
}

interface Access {
  readonly bytes: AccessBytes;
  readonly load: number;
  readonly loadSigned?: number;
  readonly store: number;
}

// Core Specification 5.4.6 and 5.4.8. A narrow vector is its low bytes: loaded with zeros above, stored as lane 0.
const ACCESSES: Readonly<Record<ValType, readonly Access[]>> = {
  i32: [
    { bytes: 4, load: 0x28, store: 0x36 },
    { bytes: 1, load: 0x2d, loadSigned: 0x2c, store: 0x3a },
    { bytes: 2, load: 0x2f, loadSigned: 0x2e, store: 0x3b },
  ],
  i64: [
    { bytes: 8, load: 0x29, store: 0x37 },
    { bytes: 1, load: 0x31, loadSigned: 0x30, store: 0x3c },
    { bytes: 2, load: 0x33, loadSigned: 0x32, store: 0x3d },
    { bytes: 4, load: 0x35, loadSigned: 0x34, store: 0x3e },
  ],
  f32: [{ bytes: 4, load: 0x2a, store: 0x38 }],
  f64: [{ bytes: 8, load: 0x2b, store: 0x39 }],
  v128: [
    { bytes: 16, load: 0xfd0000, store: 0xfd000b },
    { bytes: 4, load: 0xfd005c, store: 0xfd005a },
    { bytes: 8, load: 0xfd005d, store: 0xfd005b },
  ],
};

function accessOf(type: ValType, bytes: AccessBytes, where: string): Access {
  for (const access of ACCESSES[type]) if (access.bytes === bytes) return access;
  throw new InternalError(`${where} cannot access ${bytes} bytes as ${type}.`, { type, bytes });
}

/** @throws {InternalError} not an unsigned 32-bit number */
export function checkOffset(offset: number, where: string): void {
  if (offset >>> 0 !== offset) throw new InternalError(`${where} needs an offset from 0 to 2^32 - 1, not ${offset}.`, { offset });
}

/** The `memarg` of an access: alignment, then offset (Core Specification 5.4.6). */
export function emitMemoryArgument(code: CodeBuffer, align: number, offset: number): void {
  code.byte(align);
  code.u32(offset);
}

/** A read of memory 0. */
export class Load extends Expr {
  declare readonly opcode: number;
  declare readonly pointer: Expr;
  declare readonly offset: number;
  declare readonly bytes: AccessBytes;
  declare readonly signed: boolean;
  declare readonly align: number;

  constructor(type: ValType, opcode: number, pointer: Expr, offset: number, bytes: AccessBytes, signed: boolean, align: number) {
    super(type, false); // it traps outside the memory, and reads what others write
    this.opcode = opcode;
    this.pointer = pointer;
    this.offset = offset;
    this.bytes = bytes;
    this.signed = signed;
    this.align = align;
  }

  override get significantBits(): number {
    return this.signed ? super.significantBits : this.bytes * 8;
  }

  emit(code: CodeBuffer): void {
    this.pointer.emit(code);
    code.op(this.opcode);
    emitMemoryArgument(code, this.align, this.offset);
  }
}

/**
 * Reads memory at `pointer` (an i32, unsigned) plus `offset`; traps if any byte lies outside the memory.
 *
 * @throws {InternalError} `pointer` is not an i32, the type cannot be read with so many bytes, or the offset is out of range
 */
export function load(type: ValType, pointer: Expr, options?: LoadOptions): Expr {
  requireType(pointer.type, 'i32', 'load');
  const whole = typeBytes(type);
  const bytes = options?.bytes ?? whole;
  const offset = options?.offset ?? 0;
  const access = accessOf(type, bytes, 'load');
  checkOffset(offset, 'load');
  const signed = options?.signed === true && access.loadSigned !== undefined;
  return new Load(type, signed ? access.loadSigned! : access.load, pointer, offset, bytes, signed, options?.align ?? 0);
}

/** Emits a write of `value` to memory at `pointer` plus an offset; see `FunctionBuilder.store`. */
export function emitStore(code: CodeBuffer, pointer: Expr, value: Expr, options?: MemoryOptions): void {
  requireType(pointer.type, 'i32', 'store');
  const access = accessOf(value.type, options?.bytes ?? typeBytes(value.type), 'store');
  const offset = options?.offset ?? 0;
  checkOffset(offset, 'store');
  pointer.emit(code);
  value.emit(code);
  code.op(access.store);
  emitMemoryArgument(code, options?.align ?? 0, offset);
  if (value.type === 'v128' && access.bytes !== 16) code.byte(0);
}
