import { type Decoder, type Insn, operandBytesOf } from '@minusone/x86';
import { WINDOW_BYTES, WINDOWS } from '../fill.ts';
import type { Cell } from './cells.ts';
import type { Random } from './random.ts';
import { putValues } from './values.ts';

/** Instruction bytes of a cell, and where they stand. Many instances, with other operands, share one encoding. */
export interface Encoding {
  readonly cell: Cell;
  readonly bytes: Uint8Array;
  readonly insn: Insn;
  /** Linear address. */
  readonly rip: number;
  /** Single-stepped because it may go elsewhere than to the next instruction; otherwise it runs free to a breakpoint behind it. */
  readonly stepped: boolean;
  /** DS, ES and SS are segments of one window each. */
  readonly windowSegments: boolean;
}

const SEGMENT_PREFIX_BYTES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const scratch = new Uint8Array(16);

/** Where a memory operand with a fixed address points: inside the data window, now and then across its pages or its end. */
export function pickDataOffset(random: Random, bytes: number): number {
  const place = random.below(100);
  const within = Math.max(0, WINDOW_BYTES - bytes);
  if (place < 35) return random.below(within + 1) & -Math.max(16, Math.min(64, bytes));
  if (place < 75) return random.below(within + 1);
  if (place < 86) return 0x1000 - 1 - random.below(Math.max(1, Math.min(bytes, 64) - 1));
  if (place < 94) return within;
  return within + 1 + random.below(Math.max(1, bytes));
}

/**
 * Makes random instruction bytes for a cell: registers, addressing form, immediates, and prefixes that the form allows.
 * `pinned`: plain, and memory operands stand near rSI or rDI, for sequences. Undefined: the bytes are another instruction (a prefix belongs to another form) or none.
 */
export function encode(cell: Cell, decoder: Decoder, random: Random, pinned = false): Encoding | undefined {
  for (let attempt = 0; attempt < 24; attempt++) {
    const encoding = tryEncode(cell, decoder, random, pinned);
    if (encoding !== undefined) return encoding;
  }
  return undefined;
}

function tryEncode(cell: Cell, decoder: Decoder, random: Random, pinned: boolean): Encoding | undefined {
  const { form, mode, kind } = cell;
  if (form.vex !== undefined) throw new Error(`The comparison does not encode VEX yet: ${form.mnemonic} ${form.encoding}`);
  const bytes: number[] = [];
  const windowSegments = !pinned && (mode === 16 ? random.chance(70) : mode === 32 && random.chance(15));
  const usesMemory =
    kind === 'memory' ||
    form.operands.some(({ method }) => method === 'O' || method === 'X' || method === 'Y') ||
    isImplicitMemory(form.mnemonic);
  // Addresses of 16 bits reach a window only where a segment begins there.
  const plainAddressBytes = mode === 64 ? 8 : mode === 32 ? 4 : 2;
  const otherAddressPercent = mode === 64 ? 10 : mode === 32 ? (windowSegments ? 40 : 3) : windowSegments ? 30 : usesMemory ? 90 : 10;
  const isAddressPrefix = !pinned && (usesMemory || form.flow !== 'next' || form.byAddress) && random.chance(otherAddressPercent);
  const addressBytes = !isAddressPrefix ? plainAddressBytes : mode === 32 ? 2 : 4;
  if (form.flow === 'branch' && random.chance(10)) bytes.push(random.pick([0x2e, 0x3e]));
  if (usesMemory && !pinned && random.chance(15)) bytes.push(random.pick(SEGMENT_PREFIX_BYTES));
  if (isAddressPrefix) bytes.push(0x67);
  if (cell.operandPrefix) bytes.push(0x66);
  if (form.lock && kind === 'memory' && random.chance(25)) bytes.push(0xf0);
  if (form.repeat !== 'none' && !pinned && random.chance(60)) bytes.push(random.pick([0xf2, 0xf3]));
  if (typeof form.mandatoryPrefix === 'number') bytes.push(form.mandatoryPrefix);
  if (mode === 64) {
    const extensions = random.below(8) & (pinned && kind === 'memory' ? 4 : 7);
    if (cell.rexW || random.chance(50)) bytes.push(0x40 | (cell.rexW ? 8 : 0) | extensions);
  }
  if (form.map > 0) bytes.push(0x0f);
  if (form.map > 1) bytes.push(form.map === 2 ? 0x38 : 0x3a);
  bytes.push(form.opcode + (form.opcodeCount === 8 ? random.below(8) : 0));
  let ripRelativeAt = -1;
  let target = 0;
  if (form.hasModrm) {
    if (form.fixedModrm >= 0) bytes.push(form.fixedModrm + (form.modrmCount === 8 ? random.below(8) : 0));
    else {
      const reg = form.digit >= 0 ? form.digit : random.below(8);
      if (kind === 'register') bytes.push(0xc0 | (reg << 3) | random.below(8));
      else if (pinned) {
        bytes.push(0x80 | (reg << 3) | (6 + random.below(2)));
        pushNumber(bytes, random.below(0x400) - 0x200, 4);
      } else {
        target = pickDataOffset(random, 8) + (windowSegments ? 0 : WINDOWS.data);
        ripRelativeAt = pushMemory(bytes, reg, addressBytes, mode, target, random);
      }
    }
  }
  for (const operand of form.operands) {
    const size = immediateSize(operand.method, operand.size, cell, addressBytes);
    if (size === 0) continue;
    if (operand.method === 'O')
      pushNumber(
        bytes,
        pickDataOffset(random, operandBytesOf(operand.size, { operandBytes: cell.operandBytes, vectorBytes: 0 })) +
          (windowSegments ? 0 : WINDOWS.data),
        size,
      );
    else if (operand.method === 'J' && size > 1 && random.chance(60)) pushNumber(bytes, random.below(0xa00) - 0x500, size);
    else {
      putValues(random, 'integer', scratch, 0, 8);
      for (let i = 0; i < size; i++) bytes.push(scratch[i] as number);
    }
  }
  const place = random.below(100);
  const offset =
    place < 60 ? 0x800 : place < 85 || bytes.length < 2 ? 0x100 + random.below(0xe00) : 0x1000 - 1 - random.below(bytes.length - 1);
  const rip = WINDOWS.code + offset;
  if (ripRelativeAt >= 0) {
    const displacement = target - (rip + bytes.length);
    for (let i = 0; i < 4; i++) bytes[ripRelativeAt + i] = (displacement >> (8 * i)) & 0xff;
  }
  const code = Uint8Array.from(bytes);
  const insn = decoder.decode(code, 0, code.length, mode);
  if (typeof insn === 'string' || insn.form !== form || insn.length !== code.length) return undefined;
  return { cell, bytes: code, insn, rip, stepped: form.flow !== 'next' && form.flow !== 'stop', windowSegments };
}

const isImplicitMemory = (mnemonic: string): boolean => mnemonic === 'XLAT' || mnemonic.startsWith('MASKMOV');

function immediateSize(method: string, letters: string, cell: Cell, addressBytes: number): number {
  if (method === 'sI' || method === 'L') return 1;
  if (method === 'I' || method === 'J') return operandBytesOf(letters, { operandBytes: cell.operandBytes, vectorBytes: 0 });
  if (method === 'O') return addressBytes;
  return method === 'A' ? cell.operandBytes + 2 : 0;
}

function pushNumber(bytes: number[], value: number, size: number): void {
  for (let i = 0; i < size; i++) bytes.push(i < 4 ? (value >> (8 * i)) & 0xff : 0);
}

/** ModRM, SIB and displacement of a random addressing form. Returns where a RIP-relative displacement is to be put, or -1. */
function pushMemory(bytes: number[], reg: number, addressBytes: number, mode: number, target: number, random: Random): number {
  const mod = random.below(3);
  const rm = random.below(8);
  bytes.push((mod << 6) | (reg << 3) | rm);
  if (addressBytes === 2) {
    if (mod === 0 && rm === 6) pushNumber(bytes, target, 2);
    else if (mod === 1) bytes.push(random.int() & 0xff);
    else if (mod === 2) pushNumber(bytes, random.int(), 2);
    return -1;
  }
  let isAbsolute = mod === 0 && rm === 5;
  let hasBase = true;
  if (rm === 4) {
    const sib = random.int() & 0xff;
    bytes.push(sib);
    if (mod === 0 && (sib & 7) === 5) {
      hasBase = false;
      isAbsolute = true;
    }
  }
  if (isAbsolute) {
    pushNumber(bytes, target, 4);
    return mode === 64 && hasBase ? bytes.length - 4 : -1;
  }
  if (mod === 1) bytes.push(random.int() & 0xff);
  else if (mod === 2) pushNumber(bytes, random.chance(50) ? random.int() >> 20 : random.int(), 4);
  return -1;
}
