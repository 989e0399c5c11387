import { MinusOneError } from '@minusone/core';
import { DirtyLog, type MachineMemory } from '@minusone/memory';
import { InterruptShadow } from '../../cpu/activity.ts';
import { readArithmeticFlags } from '../../state/arithmetic-flags.ts';
import { State, stateFields } from '../../state/layout.ts';
import { Registers } from '../../state/registers.ts';

/**
 * Fields that are not the guest's: how the engine works, and the lazy form of the arithmetic flags, which are compared by value. The interrupt line is a device's: at the very
 * instant of a timer's deadline one machine may have looked at the clock, and the other not yet. The shadow of an STI is noted in terms of a budget, and compared by what it means.
 */
const OF_THE_ENGINE = new Set(
  'zero ccOp ccA ccB ccR budget ripBase tlb jumpCache exitRecord faultVector faultError faultHasError faultAddress leave repeatLimit regionInstructions ahead held ticksAtEnd ticksSeen interruptPending stiBudget scratch'.split(
    ' ',
  ),
);
const COMPARED = stateFields.filter(({ name }) => !OF_THE_ENGINE.has(name));
const PAGE_BYTES = 4096;
/** A and D of a paging-structure entry (SDM Vol. 3A, 4.8): an instruction that then faults, or is only looked at, may have set them. */
const ACCESSED_AND_DIRTY = 0x60;

/** Notes which pages of RAM were written since they were last protected. */
class WriteLog extends DirtyLog {
  readonly written: number[] = [];

  override markDirty(hostOffset: number): void {
    if (this.isClean(hostOffset)) this.written.push((hostOffset - this.hostOffset) >>> 12);
    super.markDirty(hostOffset);
  }
}

/** One of the two machines: its memory, and the state of the CPU that is compared. */
export class LockstepSide {
  readonly memory: MachineMemory;
  readonly state: number;
  readonly registers: Registers;
  readonly log: WriteLog;
  readonly #notedShadow: () => number;

  /** @param notedShadow the interrupt shadow as far as TypeScript knows of it, where the CPU has one (`Cpu.interruptShadow`) */
  constructor(memory: MachineMemory, state: number, notedShadow: () => number = () => InterruptShadow.NONE) {
    this.#notedShadow = notedShadow;
    this.memory = memory;
    this.state = state;
    this.registers = new Registers(memory, state);
    this.log = new WriteLog(memory.ramOffset, memory.ramBytes / PAGE_BYTES);
    memory.marks.addLog(this.log);
  }
  /** What holds interrupts back at this boundary. */
  get interruptShadow(): number {
    const { registers } = this;
    return registers.get32(State.stiBudget) === registers.get32(State.budget) ? InterruptShadow.STI : this.#notedShadow();
  }
  /** Pages written since the last call, which are protected again. */
  takeWrittenPages(): number[] {
    const { log, memory } = this;
    const pages = log.written.splice(0);
    for (const page of pages) {
      log.clear(page, 1);
      memory.marks.protect(log, page, 1);
    }
    return pages;
  }
}

/** The two machines differ. */
export class LockstepDifferenceError extends MinusOneError {
  constructor(where: string, differences: readonly string[]) {
    super('LOCKSTEP_DIFFERENCE', `JIT and interpreter differ ${where}: ${differences.slice(0, 8).join('; ')}.`, {
      hint: 'Compile smaller regions (`limits`) to find the instruction.',
      details: { differences: differences.slice(0, 32) },
    });
  }
}

/**
 * Compares two machines that have executed the same number of instructions, one on the JIT and one on the interpreter: general and system registers, flags, RIP, vector and
 * x87 state, and every page of RAM that either has written since the last comparison.
 */
export class Lockstep {
  readonly jit: LockstepSide;
  readonly interpreter: LockstepSide;
  comparisons = 0;
  /** Pages that differ in what may be accessed or dirty flags, which one machine may have set already for an instruction that the other has yet to run. */
  readonly #early = new Set<number>();
  /** What is compared of the state: offsets in words. */
  readonly #words = Int32Array.from(COMPARED.flatMap(({ offset, count, stride }) => wordsOf(offset, count * stride)));

  constructor(jit: LockstepSide, interpreter: LockstepSide) {
    this.jit = jit;
    this.interpreter = interpreter;
  }

  /** @throws {LockstepDifferenceError} naming what differs; `where` says where the comparison is made */
  compare(where: () => string): void {
    this.comparisons++;
    const differences: string[] = [];
    this.#compareState(differences);
    this.#compareMemory(differences);
    if (differences.length > 0) throw new LockstepDifferenceError(where(), differences);
  }

  #compareState(differences: string[]): void {
    const { jit, interpreter } = this;
    const a = jit.memory.i32;
    const b = interpreter.memory.i32;
    const [from, to] = [jit.state >>> 2, interpreter.state >>> 2];
    for (const word of this.#words) {
      if (a[from + word] === b[to + word]) continue;
      differences.push(`${nameOf(word * 4)} ${hex(a[from + word] as number)}, not ${hex(b[to + word] as number)}`);
    }
    const [flags, expected] = [readArithmeticFlags(jit.registers), readArithmeticFlags(interpreter.registers)];
    if (flags !== expected) differences.push(`flags ${hex(flags)}, not ${hex(expected)}`);
    if (jit.interruptShadow !== interpreter.interruptShadow)
      differences.push(`interrupt shadow ${jit.interruptShadow}, not ${interpreter.interruptShadow}`);
  }
  #compareMemory(differences: string[]): void {
    const { jit, interpreter } = this;
    const pages = new Set([...this.#early, ...jit.takeWrittenPages(), ...interpreter.takeWrittenPages()]);
    this.#early.clear();
    const a = jit.memory.i32;
    const b = interpreter.memory.i32;
    for (const page of pages) {
      const from = (jit.memory.ramOffset + page * PAGE_BYTES) >>> 2;
      const to = (interpreter.memory.ramOffset + page * PAGE_BYTES) >>> 2;
      for (let n = 0; n < PAGE_BYTES / 4; n++) {
        const difference = (a[from + n] as number) ^ (b[to + n] as number);
        if (difference === 0) continue;
        if ((difference & ~ACCESSED_AND_DIRTY) === 0) this.#early.add(page);
        else differences.push(`memory ${hex(page * PAGE_BYTES + n * 4)} ${hex(a[from + n] as number)}, not ${hex(b[to + n] as number)}`);
      }
    }
  }

  /** The interpreter's RIP and instruction count in words. */
  place(instructions: number): string {
    return `after ${instructions} instructions, at RIP ${this.interpreter.registers.get64(State.rip).toString(16)}`;
  }
}

function wordsOf(offset: number, bytes: number): number[] {
  return Array.from({ length: Math.ceil(bytes / 4) }, (_, n) => (offset >>> 2) + n);
}

/** The field at an offset of the state, with the element and the byte in it. */
function nameOf(offset: number): string {
  for (const { name, offset: first, count, stride } of COMPARED) {
    const within = offset - first;
    if (within >= 0 && within < count * stride) return `${name}${count > 1 ? `[${Math.floor(within / stride)}]` : ''}+${within % stride}`;
  }
  return `state+${offset}`;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
