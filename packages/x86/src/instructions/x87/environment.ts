import type { Cpu } from '../../cpu/cpu.ts';
import type { Insn } from '../../decode/insn.ts';
import { State } from '../../state/layout.ts';
import type { Registers } from '../../state/registers.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { locate, readMemory } from '../system/operand-access.ts';
import { FCW_BITS, FCW_ONE } from './control.ts';
import { Fsw, summarized } from './stack.ts';

/**
 * The x87's environment (14 or 28 bytes) and whole state (94 or 108) in memory, in four formats: 16 or 32 bits by operand size, with selectors in protected mode or with
 * linear addresses in real-address and virtual-8086 mode (SDM Vol. 1, 8.1.10, Figures 8-9 to 8-12). 64-bit mode uses those of protected mode.
 */

const REGISTER_BYTES = 10;
/** Two bits a register in the tag word. */
const Tag = { VALID: 0, ZERO: 1, SPECIAL: 2, EMPTY: 3 } as const;

/** Address of physical register `n` in the state. */
const register = (n: number): number => State.fpr + 16 * n;

function tagOf(registers: Registers, n: number): number {
  if (((registers.get32(State.ftw) >> n) & 1) === 0) return Tag.EMPTY;
  const low = registers.get32(register(n));
  const high = registers.get32(register(n) + 4);
  const exponent = registers.get32(register(n) + 8) & 0x7fff;
  if (exponent === 0 && low === 0 && high === 0) return Tag.ZERO;
  return exponent === 0 || exponent === 0x7fff || high >= 0 ? Tag.SPECIAL : Tag.VALID;
}

/** The tag word in full, from the registers' contents. */
export function fullTagWord(registers: Registers): number {
  let word = 0;
  for (let n = 7; n >= 0; n--) word = (word << 2) | tagOf(registers, n);
  return word;
}

/** The abridged tag word: 1 where a register is not empty. */
export function abridgedTagWord(word: number): number {
  let abridged = 0;
  for (let n = 0; n < 8; n++) if (((word >> (2 * n)) & 3) !== Tag.EMPTY) abridged |= 1 << n;
  return abridged;
}

const topOf = (registers: Registers): number => (registers.get32(State.fsw) >> 11) & 7;

/** The environment's items, from the control word on, 2 or 4 bytes each. */
function environmentOf(cpu: Cpu, wide: boolean): number[] {
  const { registers } = cpu;
  const [fip, fdp, fop] = [registers.get32(State.fip), registers.get32(State.fdp), registers.get32(State.fop) & 0x7ff];
  const [fcs, fds] = [registers.get32(State.fcs) & 0xffff, registers.get32(State.fds) & 0xffff];
  const words = [registers.get32(State.fcw), registers.get32(State.fsw), fullTagWord(registers)];
  if (cpu.isProtected) {
    if (!wide) return [...words, fip, fcs, fdp, fds];
    return [...words.map(withOnes), fip, fcs | (fop << 16), fdp, withOnes(fds)];
  }
  const instruction = (fcs << 4) + fip;
  const operand = (fds << 4) + fdp;
  const high = (address: number): number => (address >>> 16) << 12;
  if (!wide) return [...words, instruction, (high(instruction) & 0xf000) | fop, operand, high(operand) & 0xf000];
  return [
    ...words.map(withOnes),
    withOnes(instruction),
    (high(instruction) & 0x0fff_f000) | fop,
    withOnes(operand),
    high(operand) & 0x0fff_f000,
  ];
}

/** What is reserved above 16 bits is stored as ones. */
function withOnes(word: number): number {
  return (word & 0xffff) | -0x10000;
}

function setEnvironment(cpu: Cpu, items: readonly number[], wide: boolean): void {
  const { registers } = cpu;
  const [fcw, fsw, ftw, word3, word4, word5, word6] = items as [number, number, number, number, number, number, number];
  registers.set32(State.fcw, (fcw & FCW_BITS) | FCW_ONE);
  registers.set32(State.ftw, abridgedTagWord(ftw));
  registers.set32(State.fsw, summarized(fsw, fcw));
  let [fip, fdp, fop, fcs, fds] = [word3, word5, 0, 0, 0];
  if (cpu.isProtected) {
    fcs = word4 & 0xffff;
    fop = wide ? (word4 >>> 16) & 0x7ff : 0;
    fds = word6 & 0xffff;
  } else {
    const high = (item: number): number => (wide ? (item & 0x0fff_f000) << 4 : (item & 0xf000) << 4);
    fip = (word3 & 0xffff) | high(word4);
    fop = word4 & 0x7ff;
    fdp = (word5 & 0xffff) | high(word6);
  }
  registers.set32(State.fop, fop);
  registers.set32(State.fip, fip);
  registers.set32(State.fip + 4, 0);
  registers.set32(State.fcs, fcs);
  registers.set32(State.fdp, fdp);
  registers.set32(State.fdp + 4, 0);
  registers.set32(State.fds, fds);
}

const isWide = (insn: Insn): boolean => insn.operandBytes !== 2;
const environmentBytes = (insn: Insn): number => (isWide(insn) ? 28 : 14);

/** Raises now what writing all the operand's bytes could. */
function probe(cpu: Cpu, insn: Insn, bytes: number): void {
  locate(cpu, insn, bytes, true);
  cpu.linear.probe(cpu.linearLow, cpu.linearHigh, bytes, true);
}

function write(cpu: Cpu, insn: Insn, at: number, bytes: 2 | 4, value: number): void {
  locate(cpu, insn, bytes, true, at);
  if (bytes === 2) cpu.linear.write16(cpu.linearLow, cpu.linearHigh, value & 0xffff);
  else cpu.linear.write32(cpu.linearLow, cpu.linearHigh, value);
}

function storeEnvironment(cpu: Cpu, insn: Insn): void {
  const bytes = isWide(insn) ? 4 : 2;
  for (const [n, item] of environmentOf(cpu, isWide(insn)).entries()) write(cpu, insn, n * bytes, bytes, item);
}

function readEnvironment(cpu: Cpu, insn: Insn): number[] {
  const bytes = isWide(insn) ? 4 : 2;
  return Array.from({ length: 7 }, (_, n) => readMemory(cpu, insn, bytes, n * bytes));
}

/** FNSTENV: then all exceptions are masked, so that none is pending. */
function fnstenv(cpu: Cpu, insn: Insn): void {
  probe(cpu, insn, environmentBytes(insn));
  storeEnvironment(cpu, insn);
  const { registers } = cpu;
  registers.set32(State.fcw, registers.get32(State.fcw) | 0x3f);
  registers.set32(State.fsw, registers.get32(State.fsw) & ~(Fsw.ES | Fsw.B));
}

function fldenv(cpu: Cpu, insn: Insn): void {
  setEnvironment(cpu, readEnvironment(cpu, insn), isWide(insn));
}

/*
 * With alignment checking it is the image that has to be aligned, by 4, or by 2 with 16-bit operands (SDM Vol. 3A, Table 6-7 "Alignment Requirements by Data Type"); the registers in
 * it then stand on even addresses, and are accessed by words.
 */
type Five = [number, number, number, number, number];

/** FNSAVE: environment, then ST(0) to ST(7); then as FNINIT. */
function fnsave(cpu: Cpu, insn: Insn): void {
  const { registers } = cpu;
  const start = environmentBytes(insn);
  probe(cpu, insn, start + 8 * REGISTER_BYTES);
  storeEnvironment(cpu, insn);
  for (let i = 0; i < 8; i++) {
    const from = register((topOf(registers) + i) & 7);
    const to = start + i * REGISTER_BYTES;
    for (let at = 0; at < REGISTER_BYTES; at += 2) write(cpu, insn, to + at, 2, registers.get32(from + (at & ~3)) >>> ((at & 2) * 8));
  }
  registers.set32(State.fcw, 0x37f);
  for (const field of [State.fsw, State.ftw, State.fop, State.fip, State.fip + 4, State.fcs, State.fdp, State.fdp + 4, State.fds]) {
    registers.set32(field, 0);
  }
}

function frstor(cpu: Cpu, insn: Insn): void {
  const { registers } = cpu;
  const start = environmentBytes(insn);
  const environment = readEnvironment(cpu, insn);
  const contents = Array.from({ length: 8 }, (_, i) => {
    const [a, b, c, d, e] = Array.from({ length: 5 }, (_, n) => readMemory(cpu, insn, 2, start + i * REGISTER_BYTES + n * 2)) as Five;
    return [a | (b << 16), c | (d << 16), e] as const;
  });
  setEnvironment(cpu, environment, isWide(insn));
  for (const [i, [low, high, signExponent]] of contents.entries()) {
    const to = register((topOf(registers) + i) & 7);
    registers.set32(to, low);
    registers.set32(to + 4, high);
    registers.set32(to + 8, signExponent);
  }
}

/** FLDENV, FNSTENV, FNSAVE and FRSTOR (SDM Vol. 1, 8.3.11): copying only. */
export const environmentRows: readonly InstructionRow[] = [
  system('FLDENV', ['D9 /4 M'], fldenv),
  system('FNSTENV', ['D9 /6 M nowait'], fnstenv),
  system('FRSTOR', ['DD /4 M'], frstor),
  system('FNSAVE', ['DD /6 M nowait'], fnsave),
];
