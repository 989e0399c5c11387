import { InternalError } from '@minusone/core';
import type { OperandSpec } from '../table/form.ts';
import type { Insn } from './insn.ts';
import { operandBytesOf } from './operand-size.ts';
import type { ResolvedOperand } from './operands.ts';

const SEGMENT_NAMES = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'];
type Width = 1 | 2 | 4 | 8;

/** Resolves the operands of a decoded instruction, in Intel order. */
export function resolveOperands(insn: Insn): ResolvedOperand[] {
  return insn.form.operands.map((operand) => resolve(operand, insn));
}

/** Byte registers 4 to 7 without REX are AH, CH, DH, BH (SDM Vol. 2A, Table 2-2). */
function gpr(index: number, bytes: number, insn: Insn): ResolvedOperand {
  const high = bytes === 1 && insn.rex === 0 && index >= 4;
  return { kind: 'gpr', index: high ? index - 4 : index, bytes: bytes as Width, high };
}

/** An immediate of the given width from a sign-extended field. */
function immediate(bytes: number, low: number, high: number): ResolvedOperand {
  if (bytes === 8) return { kind: 'immediate', bytes: 8, low, high };
  return { kind: 'immediate', bytes: bytes as Width, low: bytes === 1 ? low & 0xff : bytes === 2 ? low & 0xffff : low, high: 0 };
}

function resolve(operand: OperandSpec, insn: Insn): ResolvedOperand {
  const bytes = operandBytesOf(operand.size, insn);
  const memory: ResolvedOperand = { kind: 'memory', bytes: operand.memorySize === '' ? bytes : operandBytesOf(operand.memorySize, insn) };
  switch (operand.method) {
    case 'E':
    case 'R':
      return insn.isRegisterForm ? gpr(insn.rm, bytes, insn) : memory;
    case 'M':
      return memory;
    case 'G':
      return gpr(insn.reg, bytes, insn);
    case 'Z':
      return gpr(insn.rm, bytes, insn);
    case 'B':
      return { kind: 'gpr', index: insn.vvvv, bytes: bytes as Width, high: false };
    case 'O':
      return { kind: 'moffs', bytes: bytes as Width };
    case 'X':
      return { kind: 'string', which: 'source', bytes: bytes as Width };
    case 'Y':
      return { kind: 'string', which: 'destination', bytes: bytes as Width };
    case 'I': {
      const isSecond = insn.form.operands.findIndex(({ method }) => method === 'I') !== insn.form.operands.indexOf(operand);
      if (isSecond) return immediate(bytes, insn.immediate2, insn.immediate2 >> 31);
      return immediate(operand.size === 'z' ? insn.operandBytes : bytes, insn.immediate, insn.immediateHigh);
    }
    case 'sI':
      return immediate(insn.operandBytes, insn.immediate, insn.immediateHigh);
    case 'J':
      return { kind: 'relative', displacement: insn.immediate };
    case 'A':
      return { kind: 'farPointer', selector: insn.immediate2, offset: insn.immediate, bytes: insn.operandBytes as 2 | 4 };
    case 'S':
      return { kind: 'segment', index: insn.reg & 7 };
    case 'C':
      return { kind: 'control', index: insn.reg };
    case 'D':
      return { kind: 'debug', index: insn.reg };
    case 'V':
      return { kind: 'vector', index: insn.reg, bytes };
    case 'W':
    case 'U':
      return insn.isRegisterForm ? { kind: 'vector', index: insn.rm, bytes } : memory;
    case 'H':
      return { kind: 'vector', index: insn.vvvv, bytes };
    case 'L':
      return { kind: 'vector', index: (insn.immediate >> 4) & (insn.codeBits === 64 ? 15 : 7), bytes };
    case 'P':
      return { kind: 'mmx', index: insn.reg & 7, bytes };
    case 'Q':
    case 'N':
      return insn.isRegisterForm ? { kind: 'mmx', index: insn.rm & 7, bytes } : memory;
    case 'ST0':
      return { kind: 'st', index: 0 };
    case 'ST':
      return { kind: 'st', index: insn.modrm & 7 };
    case 'fixed':
      return fixed(operand.fixed, insn);
    default:
      throw new InternalError(`Operand method ${String(operand.method)} is unknown.`);
  }
}

function fixed(name: string, insn: Insn): ResolvedOperand {
  const accumulator = (bytes: number): ResolvedOperand => ({ kind: 'gpr', index: 0, bytes: bytes as Width, high: false });
  switch (name) {
    case 'AL':
      return accumulator(1);
    case 'AX':
      return accumulator(2);
    case 'eAX':
      return accumulator(operandBytesOf('z', insn));
    case 'rAX':
      return accumulator(insn.operandBytes);
    case 'CL':
      return { kind: 'gpr', index: 1, bytes: 1, high: false };
    case 'DX':
      return { kind: 'gpr', index: 2, bytes: 2, high: false };
    case '1':
    case '3':
      return { kind: 'immediate', bytes: 1, low: Number(name), high: 0 };
    default:
      return { kind: 'segment', index: SEGMENT_NAMES.indexOf(name) };
  }
}

/** The mnemonic of a decoded instruction: alternatives by size resolved. */
export function mnemonicOf(insn: Insn): string {
  const { mnemonic, byAddress } = insn.form;
  if (mnemonic.includes('{size}')) {
    const string = resolveOperands(insn).find(({ kind }) => kind === 'string');
    const bytes = string !== undefined && 'bytes' in string ? string.bytes : insn.operandBytes;
    return mnemonic.replace('{size}', bytes === 1 ? 'B' : bytes === 2 ? 'W' : bytes === 4 ? 'D' : 'Q');
  }
  if (!mnemonic.includes('/')) return mnemonic;
  const size = byAddress ? insn.addressBytes : insn.operandBytes;
  return mnemonic.split('/')[size === 2 ? 0 : size === 4 ? 1 : 2] as string;
}
