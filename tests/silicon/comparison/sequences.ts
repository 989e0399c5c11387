import { type Decoder, Gpr, type Insn, instructionTable, resolveOperands } from '@minusone/x86';
import { WINDOWS } from '../fill.ts';
import { Batch, CaseField } from './batch.ts';
import { type Cell, cellsOf } from './cells.ts';
import { Comparator, describeCase } from './compare.ts';
import { encode } from './encoding.ts';
import { InstanceWriter } from './instance.ts';
import type { ComparedMachine } from './machine.ts';
import { Random } from './random.ts';
import { isCompared } from './rows.ts';
import { SiliconProcess } from './silicon-process.ts';
import { putValues } from './values.ts';

/** Registers that keep a sequence going: the counter, the stack, and the two that memory operands stand near. */
const KEPT = new Set<number>([Gpr.RCX, Gpr.RSP, Gpr.RSI, Gpr.RDI]);
const MAX_CODE_BYTES = 240;
/** Rows whose effect on those registers, or on what is compared, does not show in their operands. */
const UNFIT =
  /^(ENTER|LEAVE|PUSH|POP|XLAT|MASKMOV|LOOP|BOUND|CMPXCHG8B|LDMXCSR|FLDCW|FLDENV|FRSTOR|FNSAVE|FNSTENV|STD|LODS|STOS|MOVS\{|CMPS\{|SCAS|SH[LR]D|CVT.*PI|CVTPI)/;

export interface SequenceOptions {
  readonly mode: 64 | 32;
  readonly sequences: number;
  /** Starting states for each. */
  readonly states: number;
  readonly decoder: Decoder;
  readonly machines: Readonly<Record<string, ComparedMachine>>;
  readonly seed: number;
}

/** Cells whose instructions may stand in a sequence. */
function fitCells(mode: 64 | 32, decoder: Decoder): Cell[] {
  return instructionTable.forms
    .filter((form) => isCompared(form) && form.row.semantics !== undefined && form.flow === 'next' && !UNFIT.test(form.mnemonic))
    .filter(({ row }) => row.options.errorBound === undefined)
    .flatMap((form) => cellsOf(form, decoder, [mode]));
}

function isFit(insn: Insn): boolean {
  return resolveOperands(insn).every(
    (operand) =>
      operand.kind !== 'moffs' &&
      (operand.kind !== 'gpr' || (!KEPT.has(operand.index) && !(insn.form.mnemonic === 'CMPXCHG' && operand.index === 0))),
  );
}

/** Writes the code of a sequence: straight code, a loop with branches inside, and now and then what makes it fault in the middle. */
class SequenceWriter {
  readonly bytes: number[] = [];
  readonly #random: Random;
  readonly #cells: readonly Cell[];
  readonly #decoder: Decoder;
  readonly #mode: 64 | 32;

  constructor(random: Random, cells: readonly Cell[], decoder: Decoder, mode: 64 | 32) {
    this.#random = random;
    this.#cells = cells;
    this.#decoder = decoder;
    this.#mode = mode;
  }

  write(): Uint8Array {
    const random = this.#random;
    const instructions = 2 + random.below(11);
    const loopFrom = random.below(instructions);
    const loopTo = loopFrom + 1 + random.below(instructions - loopFrom);
    let top = -1;
    for (let n = 0; n < instructions; n++) {
      if (n === loopFrom) top = this.bytes.length;
      this.#one();
      if (n + 1 === loopTo && top >= 0) this.#closeLoop(top);
      if (this.bytes.length > MAX_CODE_BYTES - 40) break;
    }
    return Uint8Array.from(this.bytes);
  }
  #one(): void {
    const random = this.#random;
    const wide = this.#mode === 64 ? [0x48] : [];
    const choice = random.below(100);
    if (choice < 4)
      this.bytes.push(...wide, 0x81, 0xc6, random.int() & 0xff, random.below(8), 0, 0); // add rsi, up to 800H: it may leave the window
    else if (choice < 6)
      this.bytes.push(0x0f, 0x0b); // ud2
    else if (choice < 16) {
      // A branch over an instruction.
      const at = this.bytes.length;
      this.bytes.push(0x70 + random.below(16), 0);
      this.#plain();
      this.bytes[at + 1] = this.bytes.length - at - 2;
    } else this.#plain();
  }
  /** One instruction of the table. Flags that it leaves undefined are defined by a comparison after it. */
  #plain(): void {
    const random = this.#random;
    for (;;) {
      const cell = random.pick(this.#cells);
      const encoding = encode(cell, this.#decoder, random, true);
      if (encoding === undefined || !isFit(encoding.insn)) continue;
      this.bytes.push(...encoding.bytes);
      if (cell.form.row.options.undefinedFlags !== undefined) this.bytes.push(0x3c, random.int() & 0xff); // cmp al, imm8
      return;
    }
  }
  #closeLoop(top: number): void {
    if (this.#random.chance(30) && this.bytes.length - top < 120) {
      this.bytes.push(0xe2, 0);
      this.bytes[this.bytes.length - 1] = (top - this.bytes.length) & 0xff; // loop top
      return;
    }
    this.bytes.push(0xff, 0xc9, 0x0f, 0x85, 0, 0, 0, 0); // dec ecx; jnz top
    const distance = top - this.bytes.length;
    for (let i = 0; i < 4; i++) this.bytes[this.bytes.length - 4 + i] = (distance >> (8 * i)) & 0xff;
  }
}

/** Runs random sequences on silicon, free, and on the machines; returns what differs, in words, and how many ended in an exception. */
export async function runSequences(options: SequenceOptions): Promise<{ cases: number; exceptions: number; reports: string[] }> {
  const { mode, sequences, states, decoder, machines, seed } = options;
  const cells = fitCells(mode, decoder);
  const nop = cellsOf(instructionTable.forms.find(({ mnemonic }) => mnemonic === 'NOP') as Cell['form'], decoder, [mode])[0] as Cell;
  const random = new Random(seed);
  const batch = new Batch();
  const comparator = new Comparator(seed);
  const silicon = new SiliconProcess();
  const result = { cases: 0, exceptions: 0, reports: [] as string[] };
  for (const machine of Object.values(machines)) machine.freeBudget = 10_000;
  const flush = async (): Promise<void> => {
    const results = await silicon.run(batch.seal(), batch.count);
    for (let n = 0; n < batch.count; n++) {
      const at = batch.offsets[n] as number;
      const from = results.offsets[n] as number;
      result.cases++;
      if (results.bytes[from + 8] === 1) result.exceptions++;
      for (const [projection, machine] of Object.entries(machines)) {
        const differences = comparator.judge(machine, nop, batch, at, results, from);
        if (differences.length > 0) result.reports.push(describeCase({ cell: nop, batch, at }, projection, differences));
      }
    }
    batch.clear();
  };
  try {
    for (let n = 0; n < sequences; n++) {
      const code = new SequenceWriter(random, cells, decoder, mode).write();
      const rip = WINDOWS.code + (random.chance(80) ? 0x400 : 0x1000 - random.below(code.length));
      for (let state = 0; state < states; state++) {
        if (batch.isFull) await flush();
        writeState(batch, random, mode, code, rip, seed);
      }
    }
    await flush();
  } finally {
    silicon.close();
    for (const machine of Object.values(machines)) machine.freeBudget = 2;
  }
  return result;
}

function writeState(batch: Batch, random: Random, mode: 64 | 32, code: Uint8Array, rip: number, seed: number): void {
  const at = batch.begin(mode, code, rip, 0, seed, false, true);
  const { u32, view } = batch;
  const gpr = (at + CaseField.gpr) >> 2;
  putValues(random, 'integer', batch.bytes, gpr * 4, 128);
  const set = (index: number, value: number): void => {
    u32[gpr + index * 2] = value;
    u32[gpr + index * 2 + 1] = 0;
  };
  set(Gpr.RCX, 1 + random.below(5));
  set(Gpr.RSP, WINDOWS.stack + 0x800 + random.below(64) * 8);
  for (const register of [Gpr.RSI, Gpr.RDI])
    set(register, WINDOWS.data + (random.chance(85) ? 0x400 + random.below(0x1700) : 0x1e00 + random.below(0x200)));
  u32[(at + CaseField.rflags) >> 2] = 2 | (random.int() & 0x8d5);
  const image = batch.fxsaveOf(at);
  new InstanceWriter(batch, random, seed).fillFpuImage(image, random.pick(['f80', 'f32', 'f64', 'bytes']), random.chance(50));
  // All exceptions masked: what an unmasked one leaves is compared instruction by instruction.
  view.setUint16(image, view.getUint16(image, true) | 0x3f, true);
  view.setUint16(image + 2, view.getUint16(image + 2, true) & 0x7f7f, true);
  view.setUint32(image + 24, (view.getUint32(image + 24, true) | 0x1f80) & 0xffff, true);
  batch.finish();
}
