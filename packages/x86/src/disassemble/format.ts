import type { Insn } from '../decode/insn.ts';
import type { ResolvedOperand } from '../decode/operands.ts';
import { mnemonicOf, resolveOperands } from '../decode/resolve-operands.ts';

const LEGACY = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const BYTE = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const HIGH = ['ah', 'ch', 'dh', 'bh'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const SIZE_NAMES: Readonly<Record<number, string>> = {
  1: 'byte',
  2: 'word',
  4: 'dword',
  6: 'fword',
  8: 'qword',
  10: 'tword',
  16: 'oword',
  32: 'yword',
};

/** The name of a general register at a width. */
export function gprName(index: number, bytes: number, high = false): string {
  if (high) return HIGH[index] as string;
  if (index >= 8) return `r${index}${{ 1: 'b', 2: 'w', 4: 'd' }[bytes] ?? ''}`;
  if (bytes === 1) return BYTE[index] as string;
  return `${bytes === 8 ? 'r' : bytes === 4 ? 'e' : ''}${LEGACY[index] as string}`;
}

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const combine = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

/** Sizes that no operand tells are written as prefixes: `o16 push 5`, `a32 loop there`. */
function sizePrefix(insn: Insn): string {
  const { operands, byAddress, mnemonic } = insn.form;
  const hasMemory = operands.some(({ method }) => method === 'O' || ('EMRWUQN'.includes(method) && !insn.isRegisterForm));
  const isTold = hasMemory && (insn.base >= 0 || insn.index >= 0); // by the width of base or index
  const address = insn.addressBytes * 8 !== insn.codeBits && !isTold && !byAddress ? `a${insn.addressBytes * 8} ` : '';
  const plain = insn.codeBits === 64 ? (insn.form.size64 === 'normal' ? 4 : 8) : insn.codeBits / 8;
  const isSaid =
    operands.some(({ method }) => 'EGZRMBO'.includes(method)) || /[/{]/.test(mnemonic) || operands.some(({ fixed }) => /AX$/.test(fixed));
  const isUsed =
    operands.some(({ method, size }) => method === 'sI' || (method === 'I' && size === 'z') || method === 'A') ||
    (operands[0]?.fixed ?? '').endsWith('S');
  return `${address}${isUsed && !isSaid && insn.operandBytes !== plain ? `o${insn.operandBytes * 8} ` : ''}`;
}

/** What an address is called: for symbols in listings. */
export type NameAddress = (address: bigint) => string | undefined;

/**
 * Formats a decoded instruction in Intel syntax, as `@minusone/asm` reads it.
 *
 * @param address where it stands: resolves relative targets and RIP-relative addresses
 * @example formatInsn(insn, 0x1000n) // 'add rax, rbx'
 */
export function formatInsn(insn: Insn, address = 0n, name?: NameAddress): string {
  const mnemonic = mnemonicOf(insn).toLowerCase();
  const next = BigInt.asUintN(64, address + BigInt(insn.length));
  const operands = resolveOperands(insn);
  const implied = operands.some(({ kind }) => kind === 'string');
  const repeat =
    insn.form.repeat === 'none' || insn.rep === 0 ? '' : insn.form.repeat === 'repz' ? (insn.rep === 0xf3 ? 'repe ' : 'repne ') : 'rep ';
  const prefix = `${insn.lock ? 'lock ' : ''}${repeat}${sizePrefix(insn)}`;
  const override = implied && insn.segmentOverride >= 0 ? ` ; ${SEGMENTS[insn.segmentOverride]}:` : '';
  const text = implied ? [] : operands.map((operand) => formatOperand(operand, insn, next, name));
  return `${prefix}${mnemonic}${text.length > 0 ? ` ${text.join(', ')}` : ''}${override}`;
}

function formatOperand(operand: ResolvedOperand, insn: Insn, next: bigint, name: NameAddress | undefined): string {
  switch (operand.kind) {
    case 'gpr':
      return gprName(operand.index, operand.bytes, operand.high);
    case 'memory':
      return formatMemory(operand.bytes, insn, next, name);
    case 'moffs':
      return `${segmentText(insn)}[${hex(combine(insn.displacement, insn.displacementHigh))}]`.replace(
        /^\[/,
        `${SIZE_NAMES[operand.bytes]} [`,
      );
    case 'immediate':
      return hex(operand.bytes === 8 ? combine(operand.low, operand.high) : operand.low >>> 0);
    case 'relative': {
      const width = insn.operandBytes * 8;
      const target = BigInt.asUintN(width, next + BigInt(operand.displacement));
      return name?.(target) ?? hex(target);
    }
    case 'farPointer':
      return `${hex(operand.selector)}:${hex(operand.offset >>> 0)}`;
    case 'segment':
      return SEGMENTS[operand.index] ?? `segment${operand.index}`;
    case 'control':
      return `cr${operand.index}`;
    case 'debug':
      return `dr${operand.index}`;
    case 'vector':
      return `${operand.bytes === 32 ? 'ymm' : 'xmm'}${operand.index}`;
    case 'mmx':
      return `mm${operand.index}`;
    case 'st':
      return `st${operand.index}`;
    default:
      return '';
  }
}

const segmentText = (insn: Insn): string => (insn.segmentOverride >= 0 ? `${SEGMENTS[insn.segmentOverride]}:` : '');

function formatMemory(bytes: number, insn: Insn, next: bigint, name: NameAddress | undefined): string {
  const parts: string[] = [];
  if (insn.base >= 0) parts.push(gprName(insn.base, insn.addressBytes));
  if (insn.index >= 0)
    parts.push(`${gprName(insn.index, insn.addressBytes)}${insn.scale > 0 || insn.base < 0 ? `*${1 << insn.scale}` : ''}`);
  let inner = parts.join(' + ');
  if (insn.ripRelative) {
    const target = BigInt.asUintN(insn.addressBytes * 8, next + BigInt(insn.displacement));
    inner = `rel ${name?.(target) ?? hex(target)}`;
  } else if (inner === '') {
    const width = insn.addressBytes * 8;
    inner = hex(BigInt.asUintN(width, BigInt(insn.displacement)));
  } else if (insn.displacement !== 0) {
    inner += insn.displacement < 0 ? ` - ${hex(-insn.displacement)}` : ` + ${hex(insn.displacement)}`;
  }
  // A register operand of the same size letters says the size; MOVZX and shifts by CL do not.
  const letters = insn.form.operands.find(({ method }) => 'EMRWUQN'.includes(method))?.size;
  const isPlain = insn.form.operands.some(({ method, size: other }) => 'GVPZH'.includes(method) && other === letters);
  const size = bytes === 0 || isPlain ? '' : `${SIZE_NAMES[bytes] ?? ''} `;
  return `${size}${segmentText(insn)}[${inner}]`;
}
