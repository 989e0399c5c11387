import { add, and, i32, mul, shrU } from '@minusone/wasm';
import { Segment, State, segmentOffset } from '../state/layout.ts';
import type { FpuEmit, Value } from './emit.ts';
import type { EmitBase } from './emit-base.ts';
import { MemoryOperand } from './operands.ts';
import { loadAt, storeTo } from './state-access.ts';

/** The x87 as it stands in the state: both projections leave it there. */
export class FpuInState implements FpuEmit {
  readonly #e: EmitBase;

  constructor(e: EmitBase) {
    this.#e = e;
  }
  #read(offset: number): Value {
    return this.#e.let(loadAt(this.#e.cpu, offset, 4));
  }
  #write(offset: number, value: Value): void {
    this.#e.noteWrite();
    storeTo(this.#e.f, this.#e.cpu, offset, 4, value);
  }
  get top(): Value {
    return this.#e.let(and(shrU(loadAt(this.#e.cpu, State.fsw, 4), i32(11)), i32(7)));
  }
  /** Physical register of ST(i). */
  #physical(i: number | Value): Value {
    return and(add(shrU(loadAt(this.#e.cpu, State.fsw, 4), i32(11)), typeof i === 'number' ? i32(i) : i), i32(7));
  }
  address(i: number | Value): Value {
    return this.#e.let(add(add(this.#e.cpu, i32(State.fpr)), mul(this.#physical(i), i32(16))));
  }
  isValid(i: number | Value): Value {
    return this.#e.let(and(shrU(this.ftw, this.#physical(i)), i32(1)));
  }
  get fcw(): Value {
    return this.#read(State.fcw);
  }
  get fsw(): Value {
    return this.#read(State.fsw);
  }
  get ftw(): Value {
    return this.#read(State.ftw);
  }
  setFcw(value: Value): void {
    this.#write(State.fcw, value);
  }
  setFsw(value: Value): void {
    this.#write(State.fsw, value);
  }
  setFtw(value: Value): void {
    this.#write(State.ftw, value);
  }
  /** SDM Vol. 1, 8.1.8 "x87 FPU Instruction and Data (Operand) Pointers" and 8.1.9 "Last Instruction Opcode". */
  recordInstruction(): void {
    const e = this.#e;
    const { f, cpu } = e;
    storeTo(f, cpu, State.fop, 4, e.opcodeForFpu());
    storeTo(f, cpu, State.fip, 8, e.thisIp());
    storeTo(f, cpu, State.fcs, 4, loadAt(cpu, segmentOffset(Segment.CS, 'selector'), 4));
    const operand = e.operands.find((candidate) => candidate instanceof MemoryOperand);
    if (operand === undefined) return;
    storeTo(f, cpu, State.fdp, 8, operand.offset);
    storeTo(f, cpu, State.fds, 4, loadAt(cpu, segmentOffset(operand.segment, 'selector'), 4));
  }
}
