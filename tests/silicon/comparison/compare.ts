import { disassemble } from '@minusone/x86';
import { WINDOW_BYTES, WINDOWS, windowContents } from '../fill.ts';
import { allowance, type Case, judgeFloat } from './allowed.ts';
import { type Batch, CASE_HEADER_BYTES, CaseField, RESULT_HEADER_BYTES, ResultField } from './batch.ts';
import { type Cell, nameOf } from './cells.ts';
import type { ComparedMachine } from './machine.ts';
import type { BatchResults } from './silicon-process.ts';

/** One field that differs. */
export interface Difference {
  readonly field: string;
  readonly ours: string;
  readonly silicon: string;
}

export const Status = { OK: 0, EXCEPTION: 1, SYSTEM_CALL: 2, CRASH: 3, HANG: 4, REFUSED: 5, LIMIT: 6 } as const;
const STATUS_NAMES = ['completes', 'exception', 'system call', 'crash', 'hang', 'refused', 'limit'];
const GPR = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const FLAGS: readonly (readonly [string, number])[] = [['CF', 1], ['PF', 4], ['AF', 0x10], ['ZF', 0x40], ['SF', 0x80], ['TF', 0x100], ['DF', 0x400], ['OF', 0x800], ['NT', 0x4000], ['AC', 0x4_0000], ['ID', 0x20_0000]]; // biome-ignore format: one list
/**
 * Whether an address (its high half) may be memory of the process that runs the case on silicon: Linux puts programs at 55XX_XXXX_XXXXH to 56XX_..., libraries and the stack at 7FXX_...,
 * somewhere else each time. What an instruction finds there says nothing about the instruction.
 */
function isWorkersOwn(high: number): boolean {
  const top = high >>> 8;
  return top === 0x7f || top === 0x55 || top === 0x56;
}

/** CF PF AF ZF SF DF OF NT AC ID. */
const COMPARED_FLAGS = 0x24_4cd5;
const TF = 0x100;
const FXSAVE_DEFINED = 416;

const hex = (value: number, digits = 0): string => (value >>> 0).toString(16).padStart(digits, '0');
const hex64 = (low: number, high: number): string => `${hex(high, 8)}_${hex(low, 8)}`;
const bytesHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Compares our machines' ends with silicon's. Keeps what memory is expected to be. */
export class Comparator {
  readonly #expected: Uint8Array[];
  readonly #seeded: Uint8Array[];
  readonly #image: Uint8Array = new Uint8Array(512);
  readonly #imageView: DataView;

  constructor(seed: number) {
    this.#seeded = [windowContents('code', seed), windowContents('data', seed), windowContents('stack', seed)];
    this.#expected = this.#seeded.map((bytes) => bytes.slice());
    this.#imageView = new DataView(this.#image.buffer);
  }

  /** Runs a case on a machine and compares. Nothing: they agree. Memory is as before afterwards, in any case. */
  judge(machine: ComparedMachine, cell: Cell, batch: Batch, at: number, results: BatchResults, result: number): readonly Difference[] {
    machine.run(batch, at);
    if (machine.ended === Status.EXCEPTION && machine.vector === 14 && isWorkersOwn(machine.cr2High)) {
      this.#restoreAll(machine);
      return [];
    }
    const status = results.bytes[result + ResultField.status] as number;
    if (status !== Status.OK && status !== Status.EXCEPTION && status !== Status.LIMIT) {
      this.#restoreAll(machine);
      return [{ field: 'end', ours: STATUS_NAMES[machine.ended] as string, silicon: STATUS_NAMES[status] as string }];
    }
    const found: Difference[] = [];
    const context: Case = { cell, batch, at, results, result, machine };
    this.#compareEnd(context, found);
    this.#compareRegisters(context, found);
    const after = this.#compareFpu(context, found);
    this.#compareMemory(context, after, found);
    return found.length === 0 ? found : found.filter((difference) => !allowance(context, difference));
  }

  #compareEnd({ machine, results, result, batch, at }: Case, found: Difference[]): void {
    const { bytes, u32 } = results;
    const status = bytes[result + ResultField.status] as number;
    const vector = bytes[result + ResultField.vector] as number;
    const isException = status === Status.EXCEPTION;
    if (machine.ended !== status || machine.vector !== (isException ? vector : 0)) {
      const name = (ended: number, by: number): string =>
        ended === Status.EXCEPTION ? `exception ${by}` : (STATUS_NAMES[ended] as string);
      found.push({ field: 'end', ours: name(machine.ended, machine.vector), silicon: name(status, vector) });
      return;
    }
    const low = u32[(result + ResultField.rip) >> 2] as number;
    const high = u32[((result + ResultField.rip) >> 2) + 1] as number;
    if (machine.ripLow !== low || (batch.bytes[at + 8] === 64 && machine.ripHigh !== high))
      found.push({ field: 'rip', ours: hex64(machine.ripLow, machine.ripHigh), silicon: hex64(low, high) });
    if (!isException) return;
    const error = u32[(result + ResultField.errorCode) >> 2] as number;
    const cr2Low = u32[(result + ResultField.cr2) >> 2] as number;
    const cr2High = u32[((result + ResultField.cr2) >> 2) + 1] as number;
    // Linux reports faults on its own half of the address space as protection violations, so as not to tell where it is mapped.
    const isKernels = cr2High >>> 15 !== 0 || (cr2High === 0x7fff && cr2Low >= 0xffff_f000);
    const hidden = vector === 14 && isKernels ? 1 : 0;
    if ((machine.errorCode | hidden) !== (error | hidden))
      found.push({ field: 'error code', ours: hex(machine.errorCode), silicon: hex(error) });
    if (vector === 14 && (machine.cr2Low !== cr2Low || machine.cr2High !== cr2High))
      found.push({ field: 'cr2', ours: hex64(machine.cr2Low, machine.cr2High), silicon: hex64(cr2Low, cr2High) });
  }

  #compareRegisters(context: Case, found: Difference[]): void {
    const { machine, results, result, batch, at } = context;
    const { u32 } = results;
    const { registers } = machine.cpu;
    const is64 = batch.bytes[at + 8] === 64;
    const from = (result + ResultField.gpr) >> 2;
    for (let n = 0; n < (is64 ? 16 : 8); n++) {
      const low = registers.gprLow(n) >>> 0;
      const high = registers.gprHigh(n) >>> 0;
      const expectedLow = u32[from + n * 2] as number;
      const expectedHigh = u32[from + n * 2 + 1] as number;
      if (low !== expectedLow || (is64 && high !== expectedHigh))
        found.push({ field: GPR[n] as string, ours: hex64(low, high), silicon: hex64(expectedLow, expectedHigh) });
    }
    const mask = COMPARED_FLAGS | ((batch.u32[(at + 16) >> 2] as number) === 0 ? TF : 0);
    const flags = machine.eflags;
    const expected = u32[(result + ResultField.rflags) >> 2] as number;
    if (((flags ^ expected) & mask) === 0) return;
    for (const [name, bit] of FLAGS) {
      if (((flags ^ expected) & mask & bit) !== 0)
        found.push({ field: name, ours: (flags & bit) === 0 ? '0' : '1', silicon: (expected & bit) === 0 ? '0' : '1' });
    }
  }

  /** Returns where the result's patches begin. */
  #compareFpu(context: Case, found: Difference[]): number {
    const { machine, results, result, batch, at } = context;
    const image = result + RESULT_HEADER_BYTES;
    if (batch.fxsaveOf(at) === 0) return image;
    const ours = this.#image;
    machine.saveFpu(this.#imageView);
    const { bytes, view } = results;
    const expected = bytes.subarray(image, image + FXSAVE_DEFINED);
    const end = image + 512;
    if (
      Buffer.compare(ours.subarray(24, 28), expected.subarray(24, 28)) === 0 &&
      Buffer.compare(ours.subarray(0, 24), expected.subarray(0, 24)) === 0 &&
      Buffer.compare(ours.subarray(32, FXSAVE_DEFINED), expected.subarray(32)) === 0
    )
      return end;
    const word = (field: string, offset: number): void => {
      const [a, b] = [this.#imageView.getUint16(offset, true), view.getUint16(image + offset, true)];
      if (a !== b) found.push({ field, ours: hex(a, 4), silicon: hex(b, 4) });
    };
    word('fcw', 0);
    word('fsw', 2);
    word('ftw', 4);
    word('fop', 6);
    const range = (field: string, offset: number, count: number): void => {
      const a = ours.slice(offset, offset + count);
      const b = expected.slice(offset, offset + count);
      if (Buffer.compare(a, b) === 0 || judgeFloat(context, field, a, b)) return;
      found.push({ field, ours: bytesHex(a.reverse()), silicon: bytesHex(b.reverse()) });
    };
    range('fip', 8, 8);
    range('fdp', 16, 8);
    range('mxcsr', 24, 4);
    for (let n = 0; n < 8; n++) range(`st${n}`, 32 + n * 16, 10);
    for (let n = 0; n < 16; n++) range(`xmm${n}`, 160 + n * 16, 16);
    return end;
  }

  #compareMemory(context: Case, patches: number, found: Difference[]): void {
    const { machine, results, result, batch, at } = context;
    const expected = this.#expected;
    machine.placePatches(batch, at, expected);
    this.#placeCode(batch, at);
    const count = results.view.getUint16(result + ResultField.patchCount, true);
    let patch = patches;
    for (let left = count; left > 0; left--) {
      const address = results.u32[patch >> 2] as number;
      const bytes = results.u32[(patch >> 2) + 1] as number;
      (expected[(address >>> 28) - 1] as Uint8Array).set(results.bytes.subarray(patch + 8, patch + 8 + bytes), address & 0xfff_ffff);
      patch += 8 + ((bytes + 7) & ~7);
    }
    for (let n = 0; n < 3; n++) {
      const wanted = expected[n] as Uint8Array;
      const { bytes, base } = machine.windows[n] as { bytes: Uint8Array; base: number };
      if (Buffer.compare(bytes, wanted) !== 0) this.#describe(bytes, wanted, base, found);
    }
    this.#restoreAll(machine);
  }
  #describe(ours: Uint8Array, wanted: Uint8Array, base: number, found: Difference[]): void {
    for (let n = 0; n < WINDOW_BYTES; n++) {
      if (ours[n] === wanted[n]) continue;
      let end = n + 1;
      while (end < WINDOW_BYTES && end < n + 32 && (ours[end] !== wanted[end] || ours[end + 1] !== wanted[end + 1])) end++;
      found.push({ field: `[${hex(base + n)}]`, ours: bytesHex(ours.subarray(n, end)), silicon: bytesHex(wanted.subarray(n, end)) });
      n = end;
      if (found.length > 24) return;
    }
  }
  #placeCode(batch: Batch, at: number): void {
    const count = batch.u16[(at + 10) >> 1] as number;
    const offset = (batch.u32[(at + CaseField.rip) >> 2] as number) - WINDOWS.code;
    const code = this.#expected[0] as Uint8Array;
    code.set(batch.bytes.subarray(at + CASE_HEADER_BYTES, at + CASE_HEADER_BYTES + count), offset);
    if ((batch.u32[(at + 16) >> 2] as number) === 0) code[offset + count] = 0xcc;
  }
  /** Windows of the machine and of what is expected become the seed's again; the machine keeps its code. */
  #restoreAll(machine: ComparedMachine): void {
    for (let n = 1; n < 3; n++) {
      const seeded = this.#seeded[n] as Uint8Array;
      (this.#expected[n] as Uint8Array).set(seeded);
      machine.restore(n, seeded);
    }
    const code = this.#expected[0] as Uint8Array;
    machine.restoreCode();
    code.set(this.#seeded[0] as Uint8Array);
  }
}

/** A report that says all that is needed to look at a difference. */
export function describeCase(context: Pick<Case, 'cell' | 'batch' | 'at'>, projection: string, differences: readonly Difference[]): string {
  const { cell, batch, at } = context;
  const { bytes, u32, view } = batch;
  const mode = bytes[at + 8] as 16 | 32 | 64;
  const code = bytes.slice(at + CASE_HEADER_BYTES, at + CASE_HEADER_BYTES + (batch.u16[(at + 10) >> 1] as number));
  const rip = u32[(at + CaseField.rip) >> 2] as number;
  const text = [...disassemble(code, { bits: mode, address: mode === 16 ? rip - WINDOWS.code : rip })].map((line) => line.text).join('; ');
  const lines = [
    `${nameOf(cell)} [${projection}]`,
    `  ${bytesHex(code)}  ${text}   at ${hex(rip)}${(bytes[at + 9] as number) & 8 ? ', segments are windows' : ''}`,
  ];
  for (const { field, ours, silicon } of differences) lines.push(`  ${field}: ours ${ours}, silicon ${silicon}`);
  const gpr = GPR.slice(0, mode === 64 ? 16 : 8).map((name, n) => {
    const low = u32[((at + CaseField.gpr) >> 2) + n * 2] as number;
    return `${name}=${mode === 64 ? hex64(low, u32[((at + CaseField.gpr) >> 2) + n * 2 + 1] as number) : hex(low)}`;
  });
  lines.push(`  in: ${gpr.join(' ')} flags=${hex(u32[(at + CaseField.rflags) >> 2] as number)}`);
  const fxsave = batch.fxsaveOf(at);
  if (fxsave > 0) {
    const word = (offset: number): string => hex(view.getUint16(fxsave + offset, true), 4);
    lines.push(`  in: fcw=${word(0)} fsw=${word(2)} ftw=${word(4)} mxcsr=${hex(view.getUint32(fxsave + 24, true))}`);
    const range = (offset: number, count: number): string => bytesHex(bytes.slice(fxsave + offset, fxsave + offset + count).reverse());
    lines.push(`  in: ${Array.from({ length: 8 }, (_, n) => `st${n}=${range(32 + n * 16, 10)}`).join(' ')}`);
    if (cell.form.unit === 'sse' || cell.form.unit === 'mmx')
      lines.push(`  in: ${Array.from({ length: 16 }, (_, n) => `xmm${n}=${range(160 + n * 16, 16)}`).join(' ')}`);
  }
  let patch = batch.patchesOf(at);
  for (let left = batch.u16[(at + 12) >> 1] as number; left > 0; left--) {
    const count = u32[(patch >> 2) + 1] as number;
    lines.push(
      `  in: [${hex(u32[patch >> 2] as number)}]=${bytesHex(bytes.slice(patch + 8, patch + 8 + Math.min(count, 32)))}${count > 32 ? '...' : ''}`,
    );
    patch += 8 + ((count + 7) & ~7);
  }
  return lines.join('\n');
}
