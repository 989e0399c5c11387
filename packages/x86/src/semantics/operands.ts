import { InternalError } from '@minusone/core';
import { add, and, extendS, extendU, i32, i64, ne, signExtend, simd, wrap } from '@minusone/wasm';
import { Vector } from '../cpu/fault.ts';
import type { ResolvedOperand } from '../decode/operands.ts';
import { Segment, State, segmentOffset } from '../state/layout.ts';
import type { Operand, Value } from './emit.ts';
import type { EmitBase, RegisterPlace } from './emit-base.ts';
import { type ClaimedPlace, OWN_SEGMENT } from './memory-access.ts';
import { type AccessBytes, asType, loadAt, storeTo } from './state-access.ts';

/** What all operands share: what they cannot do is a defect of the row that asks. */
abstract class OperandBase implements Operand {
  protected readonly e: EmitBase;
  abstract readonly kind: Operand['kind'];
  readonly bytes: number;
  readonly index: number;

  constructor(e: EmitBase, bytes: number, index: number) {
    this.e = e;
    this.bytes = bytes;
    this.index = index;
  }
  protected refuse(what: string): never {
    throw new InternalError(`A ${this.kind} operand of ${this.bytes} bytes has no ${what}.`, { encoding: this.e.insn.form.encoding });
  }
  protected get accessBytes(): AccessBytes {
    const { bytes } = this;
    if (bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8 || bytes === 16) return bytes;
    return this.refuse('value of one access');
  }
  abstract read(): Value;
  readSigned(as: 4 | 8 = this.bytes === 8 ? 8 : 4): Value {
    const value = this.read();
    const { bytes } = this;
    if (bytes === 8) return as === 8 ? value : wrap(value);
    const extended = bytes === 4 ? value : signExtend(value, bytes === 1 ? 8 : 16);
    return this.e.let(as === 8 ? extendS(extended) : extended);
  }
  readForWrite(): Value {
    return this.read();
  }
  write(_value: Value): void {
    this.refuse('write');
  }
  writeZeroExtended(value: Value): void {
    this.write(value);
  }
  part(_offset: number, _bytes: AccessBytes): Operand {
    return this.refuse('parts');
  }
  get offset(): Value {
    return this.refuse('offset');
  }
  get segment(): number {
    return this.refuse('segment');
  }
  requireAligned(_bytes: 16 | 32): void {}
}

/** A register of the state. */
export class RegisterOperand extends OperandBase {
  readonly kind: 'gpr' | 'vector' | 'mmx' | 'segment';
  readonly #place: RegisterPlace;

  constructor(e: EmitBase, kind: 'gpr' | 'vector' | 'mmx' | 'segment', index: number, bytes: number, place: RegisterPlace) {
    super(e, bytes, index);
    this.kind = kind;
    this.#place = place;
  }
  read(): Value {
    const { e } = this;
    if (this.kind === 'gpr') return e.readGpr(this.#place, this.bytes);
    const { base, offset } = e.addressOf(this.#place);
    return e.let(loadAt(base, offset, this.accessBytes));
  }
  override write(value: Value): void {
    const { e, bytes } = this;
    if (this.kind === 'segment') this.refuse('write');
    e.noteWrite();
    if (this.kind === 'gpr') {
      e.writeGpr(this.#place, bytes, asType(value, bytes));
      return;
    }
    const { base, offset } = e.addressOf(this.#place);
    storeTo(e.f, base, offset, this.accessBytes, value);
    // SDM Vol. 1, 9.6.2: writing an MMX register sets the sign and exponent of its x87 register to ones.
    if (this.kind === 'mmx') storeTo(e.f, base, offset + 8, 2, i32(0xffff));
  }
  override writeZeroExtended(value: Value): void {
    const { e } = this;
    this.write(value);
    if (this.kind !== 'vector') return;
    const { base, offset } = e.addressOf(this.#place);
    for (let at = this.bytes; at < 16; at *= 2) storeTo(e.f, base, offset + at, at as AccessBytes, at === 8 ? i64(0) : i32(0));
    // A VEX-encoded instruction clears the rest of the register (SDM Vol. 1, 14.1.3); a write of 32 bytes has none.
    if (e.insn.vectorBytes !== 0 && this.bytes < 32) storeTo(e.f, base, offset + 16, 16, simd.i64x2.splat(i64(0)));
  }
  override part(offset: number, bytes: AccessBytes): Operand {
    if (this.kind === 'gpr' || this.kind === 'segment') return this.refuse('parts');
    return new RegisterOperand(this.e, this.kind, this.index, bytes, { slot: this.#place.slot, offset: this.#place.offset + offset });
  }
}

/** Memory: where it is, is computed before the instruction's effect begins (or, for strings, before each iteration). */
export class MemoryOperand extends OperandBase {
  readonly kind = 'memory';
  /** As accesses name it: OWN_SEGMENT where it is flat. */
  readonly #segment: number;
  readonly #register: number;
  #offset: Value | undefined;
  #claim: ClaimedPlace | undefined;
  /** For X and Y operands. */
  readonly string: 'source' | 'destination' | undefined;

  constructor(e: EmitBase, bytes: number, segment: number, offset: Value | undefined, string?: 'source' | 'destination') {
    super(e, bytes, -1);
    this.#register = segment;
    this.#segment = string === undefined && segment === e.insn.segment && e.isFlat(segment) ? OWN_SEGMENT : segment;
    this.#offset = offset;
    this.string = string;
  }
  /** Says where the operand is, anew. */
  moveTo(offset: Value): void {
    this.#offset = offset;
    this.#claim = undefined;
  }
  override get segment(): number {
    return this.#register;
  }
  override get offset(): Value {
    if (this.#offset === undefined) throw new InternalError('A memory operand is used before its place is known.');
    return this.#offset;
  }
  read(): Value {
    return this.e.load(this.#segment, this.offset, this.accessBytes);
  }
  override readForWrite(): Value {
    const { value, place } = this.e.loadForUpdate(this.#segment, this.offset, this.accessBytes);
    this.#claim = place;
    return value;
  }
  override write(value: Value): void {
    if (this.#claim === undefined) this.e.store(this.#segment, this.offset, value, this.accessBytes);
    else this.e.writeClaimed(this.#claim, value);
  }
  override part(offset: number, bytes: AccessBytes): Operand {
    const { e } = this;
    const moved = offset === 0 ? this.offset : e.let(e.wrapOffset(add(this.offset, e.addressBytes === 8 ? i64(offset) : i32(offset))));
    return new MemoryOperand(e, bytes, this.#register, moved);
  }
  override requireAligned(bytes: 16 | 32): void {
    const { e } = this;
    const linear = wrap(add(e.segmentBase(this.#register), extendU(this.offset)));
    e.raise(Vector.GP, 0, ne(and(linear, i32(bytes - 1)), i32(0)));
  }
}

class ImmediateOperand extends OperandBase {
  readonly kind: 'immediate' | 'relative';
  readonly #read: () => Value;

  constructor(e: EmitBase, kind: 'immediate' | 'relative', bytes: number, read: () => Value) {
    super(e, bytes, -1);
    this.kind = kind;
    this.#read = read;
  }
  read(): Value {
    return this.#read();
  }
}

/** ST(i): the x87 semantics go by its number. */
class OtherOperand extends OperandBase {
  readonly kind: 'st' | 'other';

  constructor(e: EmitBase, kind: 'st' | 'other', index: number) {
    super(e, 0, index);
    this.kind = kind;
  }
  read(): Value {
    return this.refuse('value');
  }
}

/** Makes the operand in position `slot` of an instruction. */
export function operandOf(e: EmitBase, resolved: ResolvedOperand, slot: number): Operand {
  const { insn } = e;
  const isFixed = insn.form.operands[slot]?.method === 'fixed';
  const register = (kind: 'gpr' | 'vector' | 'mmx' | 'segment', index: number, bytes: number, offset: number): Operand =>
    new RegisterOperand(e, kind, index, bytes, { slot: isFixed ? -1 : slot, offset });
  switch (resolved.kind) {
    case 'gpr':
    case 'vector':
    case 'mmx':
      return register(resolved.kind, resolved.index, resolved.bytes, stateOffsetOf(resolved));
    case 'segment':
      return register('segment', resolved.index, 2, stateOffsetOf(resolved));
    case 'memory':
    case 'moffs':
      return new MemoryOperand(e, resolved.bytes, insn.segment, undefined);
    case 'string':
      return new MemoryOperand(e, resolved.bytes, resolved.which === 'source' ? insn.segment : Segment.ES, undefined, resolved.which);
    case 'immediate': {
      const { low, bytes } = resolved;
      const { operands } = insn.form;
      if (isFixed) return new ImmediateOperand(e, 'immediate', bytes, () => asType(i32(low), bytes));
      const which = operands.slice(0, slot).some(({ method }) => method === 'I' || method === 'sI') ? 1 : 0;
      return new ImmediateOperand(e, 'immediate', bytes, () => e.immediate(which, bytes));
    }
    case 'relative':
      return new ImmediateOperand(e, 'relative', 8, () => e.relativeTarget());
    case 'st':
      return new OtherOperand(e, 'st', resolved.index);
    default:
      return new OtherOperand(e, 'other', 'index' in resolved ? resolved.index : -1);
  }
}

/** Offset in the state of a register operand. */
export function stateOffsetOf(operand: ResolvedOperand): number {
  switch (operand.kind) {
    case 'gpr':
      return State.gpr + operand.index * 8 + (operand.high ? 1 : 0);
    case 'vector':
      return State.ymm + operand.index * 32;
    case 'mmx':
      return State.fpr + operand.index * 16;
    case 'segment':
      return segmentOffset(operand.index, 'selector');
    case 'st':
      return operand.index;
    default:
      return State.zero;
  }
}
