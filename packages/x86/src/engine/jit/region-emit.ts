import { add, and, type Expr, extendU, type FunctionBuilder, i32, i64, i64hl, type Local, or, shl, shrU, wrap } from '@minusone/wasm';
import type { Insn } from '../../decode/insn.ts';
import { resolveOperands } from '../../decode/resolve-operands.ts';
import type { FlagsEmit, Value } from '../../semantics/emit.ts';
import { EmitBase, type RegisterPlace } from '../../semantics/emit-base.ts';
import { FlagsInState } from '../../semantics/flags-in-state.ts';
import type { Runtime } from '../../semantics/runtime.ts';
import { asType } from '../../semantics/state-access.ts';
import { State } from '../../state/layout.ts';
import type { Mode } from '../../state/mode.ts';
import type { KnownFlags, RegionFlags } from './region-flags.ts';

/** How an instruction hands control on. */
export type Transfer = 'next' | 'jump' | 'branch' | 'indirect';

/** What the instructions of one region share. */
export interface RegionContext {
  readonly f: FunctionBuilder;
  readonly runtime: Runtime;
  readonly mode: Mode;
  /** Address of the CPU's state. */
  readonly cpu: Expr;
  /** The general registers, i64. */
  readonly gpr: readonly Local[];
  readonly flags: RegionFlags;
  /** As in the state, where they do not change while a region runs. */
  readonly ripBase: Local;
  readonly tlb: Local;
  /** i32: the condition of a branch; i64: where an indirect jump goes. */
  readonly condition: Local;
  readonly target: Local;
  /** Registers that the region touches, and those that it writes: bit n for register n. */
  used: number;
  dirty: number;
  /** Leaves before the current instruction, which is to be interpreted; `midway`: some iterations of a REP may have been done. */
  leaveAlone(midway: boolean): void;
  /** The budget as it is after the current instruction. */
  budgetAfter(): Expr;
  /** Page offset of the current instruction. */
  offset: number;
}

/** A register's number, and whether it is the second byte of one (AH, CH, DH, BH). */
const registerOf = ({ offset }: RegisterPlace): { index: number; high: boolean } => ({
  index: (offset - State.gpr) >> 3,
  high: ((offset - State.gpr) & 7) === 1,
});

/**
 * Projection 2: an instruction's semantics as part of a region, with operands as constants, general registers as Wasm locals, and flags by what made them.
 *
 * Whatever cannot be done by a plain access to RAM (a fault, a device, a watched address, changed code) leaves the region before the instruction has left a trace;
 * the interpreter then runs that one instruction. So regions know nothing of faults and events.
 */
export class RegionEmit extends EmitBase {
  readonly cpu: Value;
  transfer: Transfer = 'next';
  endsBlock = false;
  readonly #region: RegionContext;
  /** Inside a string instruction the flags stand in the state. */
  #direct: FlagsInState | undefined;

  constructor(region: RegionContext, insn: Insn) {
    super(insn, resolveOperands(insn), region.mode, region.f, region.runtime);
    this.#region = region;
    this.cpu = region.cpu;
    region.flags.attach(this);
  }

  get flags(): FlagsEmit {
    return this.#direct ?? this.#region.flags;
  }
  override get tlb(): Value {
    return this.#region.tlb;
  }

  // Registers

  addressOf(place: RegisterPlace): { base: Value; offset: number } {
    return { base: this.cpu, offset: place.offset };
  }
  #use(index: number): Local {
    this.#region.used |= 1 << index;
    return this.#region.gpr[index] as Local;
  }
  readGpr(place: RegisterPlace, bytes: number): Value {
    const { f } = this;
    const { index, high } = registerOf(place);
    const register = this.#use(index);
    if (bytes === 8) return f.let(register);
    const low = wrap(register);
    if (bytes === 4) return f.let(low);
    return f.let(and(high ? shrU(low, i32(8)) : low, i32(bytes === 1 ? 0xff : 0xffff)));
  }
  writeGpr(place: RegisterPlace, bytes: number, value: Value): void {
    const { f } = this;
    const { index, high } = registerOf(place);
    const register = this.#use(index);
    this.#region.dirty |= 1 << index;
    if (bytes >= 4) {
      f.set(register, bytes === 8 ? asType(value, 8) : extendU(asType(value, 4)));
      return;
    }
    const mask = bytes === 1 ? 0xff : 0xffff;
    const part = extendU(and(asType(value, 4), i32(mask)));
    if (high) f.set(register, or(and(register, i64(~0xff00n)), shl(part, i64(8))));
    else f.set(register, or(and(register, i64(~BigInt(mask))), part));
  }

  // Constants

  effectiveOffset(): Value {
    const { f, insn, addressBytes } = this;
    const wide = addressBytes === 8;
    const { displacement, displacementHigh } = insn;
    const constant = wide ? i64hl(displacementHigh, displacement) : i32(displacement);
    if (insn.form.operands.some(({ method }) => method === 'O')) return this.wrapOffset(constant);
    const register = (index: number): Value => (wide ? this.#use(index) : wrap(this.#use(index)));
    let sum: Value | undefined;
    const plus = (x: Value): void => {
      sum = sum === undefined ? x : add(sum, x);
    };
    if (insn.ripRelative) plus(wide ? this.#ip(insn.length) : wrap(this.#ip(insn.length)));
    if (insn.base >= 0) plus(register(insn.base));
    if (insn.index >= 0) plus(shl(register(insn.index), wide ? i64(insn.scale) : i32(insn.scale)));
    if (sum === undefined || displacement !== 0) plus(constant);
    return f.let(this.wrapOffset(sum as unknown as Value));
  }
  immediate(which: 0 | 1, bytes: number): Value {
    const { insn } = this;
    const low = which === 0 ? insn.immediate : insn.immediate2;
    if (bytes === 8) return i64hl(which === 0 ? insn.immediateHigh : low >> 31, low);
    return i32(bytes === 1 ? low & 0xff : bytes === 2 ? low & 0xffff : low);
  }
  ownSegment(): Value {
    return i32(this.insn.segment);
  }
  opcodeForFpu(): Value {
    return i32(((this.insn.form.opcode & 7) << 8) | (this.insn.modrm & 0xff));
  }

  // Instruction pointers

  /** The offset in CS so many bytes after the start of this instruction, i64. */
  #ip(bytes: number): Value {
    const { offset, ripBase } = this.#region;
    const at = offset + bytes;
    if (this.mode.codeBits === 64) return add(ripBase, i64(at));
    return extendU(add(wrap(ripBase), i32(at | 0)));
  }
  thisIp(): Value {
    return this.#ip(0);
  }
  get nextIp(): Value {
    return this.f.let(this.#ip(this.insn.length));
  }
  relativeTarget(): Value {
    const target = this.#ip(this.insn.length + this.insn.immediate);
    if (this.mode.codeBits === 64) return this.f.let(target);
    return this.f.let(extendU(this.truncatedTarget(target)));
  }

  // Control: noted here, emitted by the region

  jump(): void {
    this.transfer = 'jump';
  }
  branch(condition: Value): void {
    this.f.set(this.#region.condition, condition);
    this.transfer = 'branch';
  }
  jumpTo(target: Value): void {
    this.f.set(this.#region.target, extendU(this.truncatedTarget(target)));
    this.transfer = 'indirect';
  }
  endBlock(): void {
    this.endsBlock = true;
  }

  // Leaving

  leaveForFault(): void {
    this.#region.leaveAlone(this.#direct !== undefined);
  }
  leaveForRepeat(): void {
    this.#region.leaveAlone(true);
  }
  leaveForSystem(condition: Value | undefined): void {
    if (condition === undefined) this.leaveForFault();
    else this.f.if(condition, () => this.leaveForFault());
  }
  get budgetAfter(): Value {
    return this.f.let(this.#region.budgetAfter());
  }
  /** The interpreter will find the fault again. */
  override raiseWith(_vector: number, _errorCode: number | undefined, condition: Value | undefined): void {
    if (condition === undefined) this.leaveForFault();
    else this.f.if(condition, () => this.leaveForFault());
  }

  // Flags where ways meet within an instruction

  override if(condition: Value, then: () => void, otherwise?: () => void): void {
    const { f } = this;
    const { flags } = this.#region;
    if (condition.constant !== undefined) {
      super.if(condition, then, otherwise);
      return;
    }
    if (otherwise !== undefined) flags.settle();
    const before: KnownFlags | undefined = flags.known;
    f.openIf(condition);
    then();
    const changed = flags.known !== before;
    if (changed) flags.settle();
    if (otherwise !== undefined) {
      f.else();
      flags.known = before;
      otherwise();
      if (flags.known !== undefined) flags.settle();
    } else if (changed && before !== undefined) {
      f.else();
      flags.store(before);
    }
    f.close();
  }

  override string(body: () => void, bulk?: 'move' | 'fill'): void {
    this.#region.flags.settle();
    this.#direct = new FlagsInState(this);
    super.string(body, bulk);
  }
}
