import { add, eqz, extendU, type FunctionBuilder, i32, or, select, shl, sub } from '@minusone/wasm';
import type { Insn } from '../../decode/insn.ts';
import type { ResolvedOperand } from '../../decode/operands.ts';
import type { Value } from '../../semantics/emit.ts';
import { EmitBase, type RegisterPlace } from '../../semantics/emit-base.ts';
import { FlagsInState } from '../../semantics/flags-in-state.ts';
import { stateOffsetOf } from '../../semantics/operands.ts';
import type { Runtime } from '../../semantics/runtime.ts';
import { type AccessBytes, asType, loadAt, loadSignedAt, storeTo } from '../../semantics/state-access.ts';
import { State } from '../../state/layout.ts';
import type { Mode } from '../../state/mode.ts';
import { CodeExit } from '../exit.ts';
import { enterBlock, exitAt, HANDLER_TYPE, instructionPointer, lookUp } from './dispatch.ts';
import { RECORD_BYTES, RecordField } from './record.ts';

/**
 * Projection 1: an instruction's semantics as a handler whose operands are read from a decoded record. Handlers go on to the next record, or to a record that a jump
 * leads to, by tail calls through the dispatch table.
 */
export class HandlerEmit extends EmitBase {
  readonly cpu: Value;
  readonly record: Value;
  readonly flags: FlagsInState;
  /** Addresses of the register operands in the state, by slot. */
  readonly #registers: (Value | undefined)[];
  /** Control has been transferred: nothing more can be emitted. */
  ended = false;
  #leavesAfter = false;

  constructor(insn: Insn, resolved: readonly ResolvedOperand[], mode: Mode, f: FunctionBuilder, runtime: Runtime) {
    super(insn, resolved, mode, f, runtime);
    this.record = f.params[0] as Value;
    this.cpu = f.params[1] as Value;
    this.flags = new FlagsInState(this);
    this.#registers = resolved.map((operand, slot) => {
      const inRecord = ['gpr', 'vector', 'mmx', 'segment'].includes(operand.kind) && insn.form.operands[slot]?.method !== 'fixed';
      return inRecord ? f.let(add(this.cpu, loadAt(this.record, RecordField.operand + slot * 2, 2))) : undefined;
    });
  }

  addressOf(place: RegisterPlace): { base: Value; offset: number } {
    const base = place.slot < 0 ? undefined : this.#registers[place.slot];
    if (base === undefined) return { base: this.cpu, offset: place.offset };
    // What the record names is the register; a part of it lies beyond.
    return { base, offset: place.offset - stateOffsetOf(this.resolved[place.slot] as ResolvedOperand) };
  }
  readGpr(place: RegisterPlace, bytes: number): Value {
    const { base, offset } = this.addressOf(place);
    return this.f.let(loadAt(base, offset, bytes as AccessBytes));
  }
  writeGpr(place: RegisterPlace, bytes: number, value: Value): void {
    const { base, offset } = this.addressOf(place);
    if (bytes === 4) storeTo(this.f, base, offset, 8, extendU(asType(value, 4)));
    else storeTo(this.f, base, offset, bytes as AccessBytes, value);
  }

  effectiveOffset(): Value {
    const { f, insn, record, cpu, addressBytes } = this;
    const wide = addressBytes === 8;
    const bytes = wide ? 8 : 4;
    if (insn.form.operands.some(({ method }) => method === 'O')) return f.let(loadAt(record, RecordField.immediate, bytes));
    const register = (field: number): Value => loadAt(add(cpu, loadAt(record, field, 2)), 0, bytes);
    let sum: Value = wide ? loadSignedAt(record, RecordField.displacement, 4) : loadAt(record, RecordField.displacement, 4);
    if (insn.ripRelative) sum = add(this.#ipAfter(wide), sum);
    else sum = add(register(RecordField.base), sum);
    if (insn.index >= 0) {
      const scale = loadAt(record, RecordField.scale, 1);
      sum = add(sum, shl(register(RecordField.index), wide ? extendU(scale) : scale));
    }
    return f.let(this.wrapOffset(sum));
  }
  #ipAfter(wide: boolean): Value {
    const next = loadAt(this.record, RecordField.next, 2);
    return wide ? add(loadAt(this.cpu, State.ripBase, 8), extendU(next)) : add(loadAt(this.cpu, State.ripBase, 4), next);
  }
  immediate(which: 0 | 1, bytes: number): Value {
    const { f, record } = this;
    if (which === 0) return f.let(loadAt(record, RecordField.immediate, bytes as AccessBytes));
    return f.let(
      bytes === 8 ? loadSignedAt(record, RecordField.immediate2, 4) : loadAt(record, RecordField.immediate2, bytes as AccessBytes),
    );
  }
  ownSegment(): Value {
    return loadAt(this.record, RecordField.segment, 1);
  }
  opcodeForFpu(): Value {
    return loadAt(this.record, RecordField.immediate2, 4);
  }

  // Instruction pointers

  #ip(field: number): Value {
    return instructionPointer(this.record, this.cpu, field, this.mode.codeBits === 64);
  }
  thisIp(): Value {
    return this.f.let(this.#ip(RecordField.offset));
  }
  get nextIp(): Value {
    return this.f.let(this.#ip(RecordField.next));
  }
  relativeTarget(): Value {
    const target = add(this.#ip(RecordField.next), loadAt(this.record, RecordField.immediate, 8));
    if (this.mode.codeBits === 64) return this.f.let(target);
    return this.f.let(extendU(this.truncatedTarget(target)));
  }

  // Control

  #exit(code: number): void {
    exitAt(this.f, this.cpu, code, this.record);
  }
  override beforeSlowPath(): void {
    storeTo(this.f, this.cpu, State.ahead, 4, sub(loadAt(this.record, RecordField.count, 2), i32(1)));
  }
  leaveForFault(): void {
    this.#exit(CodeExit.FAULT);
  }
  leaveForRepeat(): void {
    this.#exit(CodeExit.REPEAT);
  }
  leaveForSystem(condition?: Value): void {
    if (condition === undefined) {
      this.#exit(CodeExit.SYSTEM);
      this.ended = true;
    } else this.f.if(condition, () => this.#exit(CodeExit.SYSTEM));
  }
  get budgetAfter(): Value {
    const { cpu, record } = this;
    const left = add(loadAt(cpu, State.budget, 4), loadAt(cpu, State.held, 4));
    return this.f.let(add(left, sub(loadAt(record, RecordField.count, 2), i32(1))));
  }
  endBlock(): void {
    this.#leavesAfter = true;
  }

  /** Whether the targets of relative jumps may be linked: a page offset says where they are, whatever base and limit CS has. */
  get #links(): boolean {
    return this.mode.flatCode && this.operandBytes >= 4;
  }
  jump(): void {
    this.#leaveIfAsked(() => this.relativeTarget());
    if (this.#links) {
      const target = this.f.let(loadAt(this.record, RecordField.taken, 4));
      this.f.if(target, () => enterBlock(this.f, this.cpu, target));
    }
    lookUp(this.f, this.cpu, this.relativeTarget(), this.record);
    this.ended = true;
  }
  branch(condition: Value): void {
    const { f, record } = this;
    const notTaken = f.let(eqz(condition));
    this.#leaveIfAsked(() => select(notTaken, this.nextIp, this.relativeTarget()));
    if (this.#links) {
      const target = f.let(loadAt(add(record, shl(notTaken, i32(2))), RecordField.taken, 4));
      f.if(target, () => enterBlock(this.f, this.cpu, target));
    }
    lookUp(this.f, this.cpu, f.let(select(notTaken, this.nextIp, this.relativeTarget())), or(record, notTaken));
    this.ended = true;
  }
  jumpTo(target: Value): void {
    const full = this.f.let(extendU(this.truncatedTarget(target)));
    this.#leaveIfAsked(() => full);
    lookUp(this.f, this.cpu, full, i32(0));
    this.ended = true;
  }
  /** After an access that a slow path may have made: leave if it asks for it, going on at `target`. */
  #leaveIfAsked(target: () => Value): void {
    if (!this.accessesMemory) return;
    const { f, cpu } = this;
    f.if(loadAt(cpu, State.leave, 4), () => {
      storeTo(f, cpu, State.rip, 8, target());
      this.#exit(CodeExit.LEAVE_AT_RIP);
    });
  }

  /** What follows the effect of an instruction that does not transfer control. */
  finish(): void {
    if (this.ended) return;
    const { f, cpu, record } = this;
    if (this.#leavesAfter) {
      this.#exit(CodeExit.LEAVE);
      return;
    }
    if (this.accessesMemory) f.if(loadAt(cpu, State.leave, 4), () => this.#exit(CodeExit.LEAVE));
    f.returnCallIndirect(HANDLER_TYPE, loadAt(record, RECORD_BYTES + RecordField.handler, 4), add(record, i32(RECORD_BYTES)), cpu);
  }
}
