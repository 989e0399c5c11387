import { InternalError } from '@minusone/core';
import { add, and, extendU, type FunctionBuilder, gtU, i32, i64, type Local, ne, or, shl, shrS, shrU, wrap, xor } from '@minusone/wasm';
import { Vector } from '../cpu/fault.ts';
import type { Insn } from '../decode/insn.ts';
import type { ResolvedOperand } from '../decode/operands.ts';
import { Gpr, Segment, State, segmentOffset } from '../state/layout.ts';
import type { Mode } from '../state/mode.ts';
import type { Emit, FlagsEmit, FpuEmit, Operand, Value } from './emit.ts';
import { FpuInState } from './fpu-in-state.ts';
import {
  type ClaimedPlace,
  claimLinear,
  emitSegmentAccess,
  OWN_SEGMENT,
  probeLinear,
  readLinear,
  writeClaimed,
  writeLinear,
} from './memory-access.ts';
import { MemoryOperand, operandOf, RegisterOperand } from './operands.ts';
import type { Runtime } from './runtime.ts';
import { type AccessBytes, loadAt, storeTo } from './state-access.ts';
import { emitString } from './string.ts';
import type { Subroutine } from './subroutine.ts';

/** Where a register of the state lies: `slot` is the operand it comes from, or -1 where the semantics name it. */
export interface RegisterPlace {
  readonly slot: number;
  /** Offset in `State`. */
  readonly offset: number;
}

/**
 * What both projections share: effective addresses, segmentation, memory through the TLB, the stack, strings, x87 and SSE state, and the order of faults and
 * writes. A projection says where registers, flags and constants come from, and how code leaves.
 */
export abstract class EmitBase implements Emit {
  readonly insn: Insn;
  readonly mode: Mode;
  readonly f: FunctionBuilder;
  readonly runtime: Runtime;
  readonly resolved: readonly ResolvedOperand[];
  readonly operands: readonly Operand[];
  readonly fpu: FpuEmit;
  abstract readonly flags: FlagsEmit;
  abstract readonly cpu: Value;
  abstract readonly nextIp: Value;
  /** Whether the instruction being emitted touches memory: then it may have to leave afterwards. */
  accessesMemory = false;
  #wrote = false;
  readonly #claims: { segment: number; offset: Value }[] = [];
  readonly #loads: { segment: number; offset: Value }[] = [];

  protected constructor(insn: Insn, resolved: readonly ResolvedOperand[], mode: Mode, f: FunctionBuilder, runtime: Runtime) {
    this.insn = insn;
    this.mode = mode;
    this.f = f;
    this.runtime = runtime;
    this.resolved = resolved;
    this.operands = resolved.map((operand, slot) => operandOf(this, operand, slot));
    this.fpu = new FpuInState(this);
  }

  // What a projection provides

  /** Reads a general register (part of it, where `bytes` is less), now. */
  abstract readGpr(place: RegisterPlace, bytes: number): Value;
  /** Writes it as the instruction set has it: 4 bytes clear the upper half, 1 and 2 keep the rest. `value` is i64 for 8 bytes and otherwise i32. */
  abstract writeGpr(place: RegisterPlace, bytes: number, value: Value): void;
  /** Address of another register of the state, for loads and stores with an offset: `base + offset`. */
  abstract addressOf(place: RegisterPlace): { base: Value; offset: number };
  /** Offset of the memory operand at address size: i32 or i64. */
  abstract effectiveOffset(): Value;
  /** An immediate of the instruction: 0 the first, 1 the second; i32 or i64 by `bytes`. */
  abstract immediate(which: 0 | 1, bytes: number): Value;
  /** Offset in CS of the `J` operand's target, i64. */
  abstract relativeTarget(): Value;
  /** Offset in CS of this instruction, i64. */
  abstract thisIp(): Value;
  /** The segment register of the memory operand, as i32: asked for where it is flat. */
  abstract ownSegment(): Value;
  /** FOP: the low three bits of the opcode, and ModRM. */
  abstract opcodeForFpu(): Value;
  /** Leaves without a trace: the fault's fields are set. */
  abstract leaveForFault(): void;
  /** Leaves in the middle of a REP, with the state as it is, to come back to the same instruction. */
  abstract leaveForRepeat(): void;
  abstract jump(): void;
  abstract branch(condition: Value): void;
  abstract jumpTo(target: Value): void;
  abstract endBlock(): void;
  /** Has the row's TypeScript do the whole instruction. */
  abstract leaveForSystem(condition: Value | undefined): void;
  abstract readonly budgetAfter: Value;

  // The instruction

  get operandBytes(): 2 | 4 | 8 {
    return this.insn.operandBytes;
  }
  get addressBytes(): 2 | 4 | 8 {
    return this.insn.addressBytes;
  }
  get stackBytes(): 2 | 4 | 8 {
    return (this.mode.stackBits / 8) as 2 | 4 | 8;
  }
  get cc(): number {
    return this.insn.form.cc;
  }
  get dst(): Operand {
    return this.#operand(0);
  }
  get src(): Operand {
    return this.#operand(1);
  }
  get src2(): Operand {
    return this.#operand(2);
  }
  #operand(index: number): Operand {
    const operand = this.operands[index];
    if (operand === undefined) throw new InternalError(`${this.insn.form.encoding} has no operand ${index}.`);
    return operand;
  }

  /** To be called once before the row's function: computes the place of a memory operand. */
  prepareOperands(): void {
    for (const operand of this.operands) {
      if (operand instanceof MemoryOperand && operand.string === undefined) operand.moveTo(this.effectiveOffset());
    }
  }

  // Structure

  let(x: Value): Value {
    return this.f.let(x);
  }
  if(condition: Value, then: () => void, otherwise?: () => void): void {
    this.f.if(condition, then, otherwise);
  }
  ifValue(condition: Value, then: () => Value, otherwise: () => Value): Value {
    const { f } = this;
    let result: Local | undefined;
    const keep = (value: Value): void => {
      result ??= f.local(value.type);
      f.set(result, value);
    };
    f.if(
      condition,
      () => keep(then()),
      () => keep(otherwise()),
    );
    return f.let(result as unknown as Local);
  }
  call(subroutine: Subroutine, ...args: Value[]): Value {
    return this.f.let(this.f.call(this.runtime.link(subroutine), ...args));
  }
  callVoid(subroutine: Subroutine, ...args: Value[]): void {
    this.f.callVoid(this.runtime.link(subroutine), ...args);
  }

  // The order of faults and writes

  /** To be called where the machine's state is written. */
  noteWrite(): void {
    this.#wrote = true;
  }
  /** To be called where a fault may happen. */
  noteFault(what: string): void {
    if (this.#wrote) throw new InternalError(`${what} of ${this.insn.form.encoding} may fault after a write to the machine's state.`);
  }
  /** A new iteration of a string instruction: what is written stays written. */
  startIteration(): void {
    this.#wrote = false;
  }

  // Registers

  gpr(index: number, bytes: 1 | 2 | 4 | 8 = this.operandBytes): Operand {
    return new RegisterOperand(this, 'gpr', index, bytes, { slot: -1, offset: State.gpr + index * 8 });
  }
  get ah(): Operand {
    return new RegisterOperand(this, 'gpr', Gpr.RAX, 1, { slot: -1, offset: State.gpr + 1 });
  }
  xmm(index: number): Operand {
    return new RegisterOperand(this, 'vector', index, 16, { slot: -1, offset: State.ymm + index * 32 });
  }
  stateField(offset: number): Value {
    return this.f.let(loadAt(this.cpu, offset, 4));
  }
  setStateField(offset: number, value: Value): void {
    this.noteWrite();
    storeTo(this.f, this.cpu, offset, 4, value);
  }

  // Memory

  segmentBase(segment: number): Value {
    if (this.mode.codeBits === 64 ? segment < Segment.FS : this.isFlat(segment)) return i64(0);
    return this.f.let(loadAt(this.cpu, segmentOffset(segment, 'base'), 8));
  }
  /** Before a call of a slow path, which may ask for the time: makes the count of executed instructions exact. */
  beforeSlowPath(): void {}
  /** Address of the TLB set in force. */
  get tlb(): Value {
    return loadAt(this.cpu, State.tlb, 4);
  }
  /** Whether an access through the segment needs neither base nor limit. */
  isFlat(segment: number): boolean {
    if (segment === OWN_SEGMENT) return true;
    if (this.mode.codeBits === 64) return segment !== Segment.FS && segment !== Segment.GS;
    return this.mode.flatData && (segment === Segment.DS || segment === Segment.ES || segment === Segment.SS);
  }

  load(segment: number, offset: Value, bytes: AccessBytes): Value {
    // What has been read can be read again, also after a write.
    if (!this.#loads.some((known) => known.segment === segment && known.offset === offset)) this.noteFault('A load');
    this.#loads.push({ segment, offset });
    this.accessesMemory = true;
    return readLinear(this, emitSegmentAccess(this, segment, offset, bytes, false), bytes, segment);
  }
  store(segment: number, offset: Value, value: Value, bytes: AccessBytes): void {
    if (!this.#claims.some((claim) => claim.segment === segment && claim.offset === offset)) this.noteFault('A store');
    this.accessesMemory = true;
    writeLinear(this, emitSegmentAccess(this, segment, offset, bytes, true), bytes, value, segment);
    this.noteWrite();
  }
  /** Reads a place that is going to be written: the value, and where to write it. */
  loadForUpdate(segment: number, offset: Value, bytes: AccessBytes): { value: Value; place: ClaimedPlace } {
    this.noteFault('A read for writing');
    this.accessesMemory = true;
    return claimLinear(this, emitSegmentAccess(this, segment, offset, bytes, true), bytes, segment);
  }
  writeClaimed(place: ClaimedPlace, value: Value): void {
    writeClaimed(this, place, value);
    this.noteWrite();
  }
  probeWrite(segment: number, offset: Value, bytes: number): void {
    this.noteFault('A probe');
    this.accessesMemory = true;
    this.#claims.push({ segment, offset });
    const linear = emitSegmentAccess(this, segment, offset, bytes, true);
    probeLinear(this, linear, bytes, segment);
  }
  memory(offset: Value, bytes: AccessBytes, segment: number = this.insn.segment): Operand {
    return new MemoryOperand(this, bytes, segment, this.f.let(offset));
  }
  /** An offset cut to the address size. */
  wrapOffset(offset: Value): Value {
    return this.addressBytes === 2 ? and(offset, i32(0xffff)) : offset;
  }

  // Stack

  #stackPointer(): Value {
    return this.readGpr({ slot: -1, offset: State.gpr + Gpr.RSP * 8 }, this.stackBytes);
  }
  /** A stack offset moved by a constant (or i64/i32 value), wrapped to the width of the stack pointer. */
  stackOffset(pointer: Value, by: Value): Value {
    const moved = add(pointer, this.stackBytes === 8 ? extendU(by) : by);
    return this.f.let(this.stackBytes === 2 ? and(moved, i32(0xffff)) : moved);
  }
  push(value: Value, bytes: 2 | 4 | 8 = this.operandBytes): void {
    const pointer = this.stackOffset(this.#stackPointer(), this.stackBytes === 8 ? i64(-bytes) : i32(-bytes));
    this.store(Segment.SS, pointer, value, bytes);
    this.#setStackPointer(pointer);
  }
  popRead(bytes: 2 | 4 | 8 = this.operandBytes): Value {
    return this.load(Segment.SS, this.#stackPointer(), bytes);
  }
  popCommit(bytes: 2 | 4 | 8 = this.operandBytes, extra?: Value): void {
    const by = this.stackBytes === 8 ? i64(bytes) : i32(bytes);
    const moved = add(this.#stackPointer(), by);
    const total = extra === undefined ? moved : add(moved, this.stackBytes === 8 ? extendU(extra) : extra);
    this.#setStackPointer(this.f.let(total));
  }
  #setStackPointer(pointer: Value): void {
    this.noteWrite();
    this.writeGpr({ slot: -1, offset: State.gpr + Gpr.RSP * 8 }, this.stackBytes, pointer);
  }

  // Faults

  exitToSystem(condition?: Value): void {
    this.noteFault('Leaving it to TypeScript');
    this.leaveForSystem(condition);
  }
  raise(vector: number, errorCode?: number, condition?: Value): void {
    this.noteFault('An exception');
    this.raiseWith(vector, errorCode, condition);
  }
  /** Raises whatever was written before: for exceptions that come with changes. */
  raiseWith(vector: number, errorCode: number | undefined, condition: Value | undefined): void {
    const leave = (): void => {
      const { f, cpu } = this;
      f.callVoid(this.runtime.slow.raise, cpu, i32(vector), i32(errorCode ?? -1));
      this.leaveForFault();
    };
    if (condition === undefined) leave();
    else this.f.if(condition, leave);
  }
  checkTarget(target?: Value): void {
    const { mode } = this;
    if (mode.codeBits === 64) {
      // A relative branch cannot reach beyond the canonical addresses but from their very end; fetching raises #GP there.
      if (target === undefined) return;
      this.raise(Vector.GP, 0, nonCanonical(target, mode.la57 ? 57 : 48));
      return;
    }
    if (mode.flatCode) return;
    const offset = target === undefined ? wrap(this.relativeTarget()) : this.truncatedTarget(target);
    const limit = loadAt(this.cpu, segmentOffset(Segment.CS, 'limit'), 4);
    this.raise(Vector.GP, 0, gtU(offset, limit));
  }
  /** A target cut to the operand size, i32 outside 64-bit mode. */
  truncatedTarget(target: Value): Value {
    if (this.mode.codeBits === 64) return extendU(target);
    const low = wrap(target);
    return this.operandBytes === 2 ? and(low, i32(0xffff)) : low;
  }

  string(body: () => void, bulk?: 'move' | 'fill'): void {
    emitString(this, body, bulk);
  }

  // SSE

  get mxcsr(): Value {
    return this.stateField(State.mxcsr);
  }
  simdExceptions(flags: Value): void {
    const { f, cpu } = this;
    const raised = f.let(and(flags, i32(0x3f)));
    const mxcsr = f.let(loadAt(cpu, State.mxcsr, 4));
    storeTo(f, cpu, State.mxcsr, 4, or(mxcsr, raised));
    const masks = shrU(mxcsr, i32(7));
    const unmasked = and(raised, xor(masks, i32(0x3f)));
    f.if(unmasked, () => {
      // SDM Vol. 1, 11.5.1: without CR4.OSXMMEXCPT (bit 10) an unmasked exception is #UD.
      const offered = and(loadAt(cpu, State.cr4, 4), i32(1 << 10));
      f.if(
        offered,
        () => this.raiseWith(Vector.XM, undefined, undefined),
        () => this.raiseWith(Vector.UD, undefined, undefined),
      );
    });
  }
}

/** Whether a 64-bit address is not canonical: the bits above the linear address (of 48 or 57 bits) are not all like its highest (SDM Vol. 1, 3.3.7.1). */
function nonCanonical(target: Value, bits: 48 | 57): Value {
  const above = i64(64 - bits);
  return ne(shrS(shl(target, above), above), target);
}
