import { Cr0, Cr4 } from '../../cpu/control-bits.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { AVX_BYTES, AVX_OFFSET, supportedXcr0, XSAVE_HEADER_END } from '../../cpu/cpuid/xsave-leaf.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import type { Insn } from '../../decode/insn.ts';
import { Gpr, State } from '../../state/layout.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { summarized } from '../x87/stack.ts';
import { locate } from './operand-access.ts';

/** FXSAVE, FXRSTOR, XSAVE and its kin, XGETBV, XSETBV (SDM Vol. 1, chapter 13; 10.5). Images are built and taken apart as bytes: plain copying. */

/** MXCSR_MASK: every bit but DAZ's absence: all sixteen low ones exist. */
const MXCSR_MASK = 0xffff;
const X87 = 1;
const SSE = 2;
const AVX = 4;

function checkUsable(cpu: Cpu, insn: Insn, alignment: number): void {
  const cr0 = cpu.registers.get32(State.cr0);
  if ((cr0 & (Cr0.TS | (insn.form.opcode === 0xae && alignment === 16 ? Cr0.EM : 0))) !== 0) raise(Vector.NM);
  locate(cpu, insn, 1, false);
  if ((cpu.linearLow & (alignment - 1)) !== 0) raise(Vector.GP, 0);
}

function checkXsaveEnabled(cpu: Cpu): void {
  if ((cpu.registers.get32(State.cr4) & Cr4.OSXSAVE) === 0) raise(Vector.UD);
}

class Area {
  readonly #cpu: Cpu;
  readonly #insn: Insn;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(cpu: Cpu, insn: Insn, bytes: number) {
    this.#cpu = cpu;
    this.#insn = insn;
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Reads a range of it from memory. */
  load(from: number, to: number): void {
    const { linear } = this.#cpu;
    for (let at = from; at < to; at += 4) {
      locate(this.#cpu, this.#insn, 4, false, at);
      this.view.setUint32(at, linear.read32(this.#cpu.linearLow, this.#cpu.linearHigh), true);
    }
  }

  /** Raises now what storing a range would. */
  claim(from: number, to: number): void {
    if (from === to) return;
    locate(this.#cpu, this.#insn, 1, true, to - 1);
    locate(this.#cpu, this.#insn, 1, true, from);
    this.#cpu.linear.probe(this.#cpu.linearLow, this.#cpu.linearHigh, to - from, true);
  }

  store(from: number, to: number): void {
    const { linear } = this.#cpu;
    for (let at = from; at < to; at += 4) {
      locate(this.#cpu, this.#insn, 4, true, at);
      linear.write32(this.#cpu.linearLow, this.#cpu.linearHigh, this.view.getUint32(at, true));
    }
  }
}

/** FOP, FIP, FDP: 64-bit with REX.W, otherwise offset and selector (SDM Vol. 1, Table 10-2). */
function putX87(cpu: Cpu, view: DataView, wide: boolean): void {
  const { registers } = cpu;
  view.setUint16(0, registers.get32(State.fcw), true);
  view.setUint16(2, registers.get32(State.fsw), true);
  view.setUint8(4, registers.get32(State.ftw));
  view.setUint8(5, 0);
  view.setUint16(6, registers.get32(State.fop), true);
  if (wide) {
    view.setBigUint64(8, registers.get64(State.fip), true);
    view.setBigUint64(16, registers.get64(State.fdp), true);
  } else {
    view.setUint32(8, registers.get32(State.fip), true);
    view.setUint32(12, registers.get32(State.fcs) & 0xffff, true);
    view.setUint32(16, registers.get32(State.fdp), true);
    view.setUint32(20, registers.get32(State.fds) & 0xffff, true);
  }
  const top = (registers.get32(State.fsw) >>> 11) & 7;
  for (let i = 0; i < 8; i++) {
    // The image is in stack order: ST(i) is physical register TOP + i.
    const register = State.fpr + ((top + i) & 7) * 16;
    view.setBigUint64(32 + i * 16, registers.get64(register), true);
    view.setBigUint64(40 + i * 16, registers.get64(register + 8) & 0xffffn, true);
  }
}

function takeX87(cpu: Cpu, view: DataView, wide: boolean): void {
  const { registers } = cpu;
  // Bit 6 of FCW always reads 1; 7 and 13 to 15 are reserved.
  registers.set32(State.fcw, (view.getUint16(0, true) & 0x1f7f) | 0x40);
  const fsw = view.getUint16(2, true);
  registers.set32(State.fsw, summarized(fsw, view.getUint16(0, true)));
  registers.set32(State.ftw, view.getUint8(4));
  registers.set32(State.fop, view.getUint16(6, true) & 0x7ff);
  registers.set64(State.fip, wide ? view.getBigUint64(8, true) : BigInt(view.getUint32(8, true)));
  registers.set64(State.fdp, wide ? view.getBigUint64(16, true) : BigInt(view.getUint32(16, true)));
  registers.set32(State.fcs, wide ? 0 : view.getUint16(12, true));
  registers.set32(State.fds, wide ? 0 : view.getUint16(20, true));
  const top = (fsw >>> 11) & 7;
  for (let i = 0; i < 8; i++) {
    const register = State.fpr + ((top + i) & 7) * 16;
    registers.set64(register, view.getBigUint64(32 + i * 16, true));
    registers.set64(register + 8, view.getBigUint64(40 + i * 16, true) & 0xffffn);
  }
}

function initX87(cpu: Cpu): void {
  const { registers } = cpu;
  registers.set32(State.fcw, 0x37f);
  for (const field of [State.fsw, State.ftw, State.fop, State.fcs, State.fds]) registers.set32(field, 0);
  for (const field of [State.fip, State.fdp]) registers.set64(field, 0n);
  for (let i = 0; i < 16; i++) registers.set64(State.fpr + i * 8, 0n);
}

/** XMM registers: 16 in 64-bit mode, 8 elsewhere. */
function xmmCount(cpu: Cpu): number {
  return cpu.is64Bit ? 16 : 8;
}

/** Copies the low (`half` 0) or high halves of the YMM registers; without a view, zeros. */
function moveVectors(cpu: Cpu, half: 0 | 1, view: DataView | undefined, offset: number, toMemory: boolean): void {
  for (let i = 0; i < xmmCount(cpu); i++) {
    for (const part of [0, 8]) {
      const register = State.ymm + i * 32 + half * 16 + part;
      const at = offset + i * 16 + part;
      if (view === undefined) cpu.registers.set64(register, 0n);
      else if (toMemory) view.setBigUint64(at, cpu.registers.get64(register), true);
      else cpu.registers.set64(register, view.getBigUint64(at, true));
    }
  }
}

function fxsave(cpu: Cpu, insn: Insn): void {
  checkUsable(cpu, insn, 16);
  const area = new Area(cpu, insn, 512);
  putX87(cpu, area.view, insn.operandBytes === 8);
  const withSse = (cpu.registers.get32(State.cr4) & Cr4.OSFXSR) !== 0;
  area.view.setUint32(24, cpu.registers.get32(State.mxcsr), true);
  area.view.setUint32(28, MXCSR_MASK, true);
  const end = withSse ? 160 + xmmCount(cpu) * 16 : 160;
  if (withSse) moveVectors(cpu, 0, area.view, 160, true);
  // All 512 bytes must be writable, also those that stay as they are.
  area.claim(0, area.bytes.length);
  area.store(0, end);
}

function fxrstor(cpu: Cpu, insn: Insn): void {
  checkUsable(cpu, insn, 16);
  const area = new Area(cpu, insn, 512);
  area.load(0, area.bytes.length);
  const mxcsr = area.view.getUint32(24, true);
  if ((mxcsr & ~MXCSR_MASK) !== 0) raise(Vector.GP, 0);
  takeX87(cpu, area.view, insn.operandBytes === 8);
  if ((cpu.registers.get32(State.cr4) & Cr4.OSFXSR) === 0) return;
  cpu.registers.set32(State.mxcsr, mxcsr);
  moveVectors(cpu, 0, area.view, 160, false);
}

/** Requested-feature bitmap: XCR0 and EDX:EAX. */
function requested(cpu: Cpu): number {
  return cpu.registers.gprLow(Gpr.RAX) & cpu.registers.get32(State.xcr0);
}

/** XSAVE and XSAVEOPT (SDM Vol. 1, 13.7, 13.9). Nothing is left out as unmodified: that is allowed. Components in initial configuration are tracked as always in use. */
function xsave(cpu: Cpu, insn: Insn): void {
  checkXsaveEnabled(cpu);
  checkUsable(cpu, insn, 64);
  const components = requested(cpu);
  const area = new Area(cpu, insn, AVX_OFFSET + AVX_BYTES);
  area.load(512, 520);
  const avxEnd = AVX_OFFSET + xmmCount(cpu) * 16;
  area.claim(0, XSAVE_HEADER_END);
  if ((components & AVX) !== 0) area.claim(AVX_OFFSET, avxEnd);
  if ((components & X87) !== 0) {
    putX87(cpu, area.view, insn.operandBytes === 8);
    area.store(0, 24);
    area.store(32, 160);
  }
  if ((components & (SSE | AVX)) !== 0) {
    area.view.setUint32(24, cpu.registers.get32(State.mxcsr), true);
    area.view.setUint32(28, MXCSR_MASK, true);
    area.store(24, 32);
  }
  if ((components & SSE) !== 0) {
    moveVectors(cpu, 0, area.view, 160, true);
    area.store(160, 160 + xmmCount(cpu) * 16);
  }
  if ((components & AVX) !== 0) {
    moveVectors(cpu, 1, area.view, AVX_OFFSET, true);
    area.store(AVX_OFFSET, avxEnd);
  }
  area.view.setUint32(512, (area.view.getUint32(512, true) & ~components) | components, true);
  area.store(512, 516);
}

function xrstor(cpu: Cpu, insn: Insn): void {
  checkXsaveEnabled(cpu);
  checkUsable(cpu, insn, 64);
  const components = requested(cpu);
  const area = new Area(cpu, insn, AVX_OFFSET + AVX_BYTES);
  area.load(512, XSAVE_HEADER_END);
  const { view } = area;
  const present = view.getUint32(512, true);
  // Standard form: XCOMP_BV and the rest of the header are 0, XSTATE_BV within XCR0 (13.8.1).
  if ((present & ~cpu.registers.get32(State.xcr0)) !== 0) raise(Vector.GP, 0);
  for (let at = 516; at < 536; at += 4) if (view.getUint32(at, true) !== 0) raise(Vector.GP, 0);
  const loads = components & present;
  if ((components & (SSE | AVX)) !== 0) {
    area.load(24, 32);
    if ((view.getUint32(24, true) & ~MXCSR_MASK) !== 0) raise(Vector.GP, 0);
  }
  if ((loads & X87) !== 0) {
    area.load(0, 24);
    area.load(32, 160);
  }
  if ((loads & SSE) !== 0) area.load(160, 160 + xmmCount(cpu) * 16);
  if ((loads & AVX) !== 0) area.load(AVX_OFFSET, AVX_OFFSET + xmmCount(cpu) * 16);

  if ((components & X87) !== 0) {
    if ((loads & X87) !== 0) takeX87(cpu, view, insn.operandBytes === 8);
    else initX87(cpu);
  }
  if ((components & (SSE | AVX)) !== 0) cpu.registers.set32(State.mxcsr, view.getUint32(24, true));
  if ((components & SSE) !== 0) moveVectors(cpu, 0, (loads & SSE) !== 0 ? view : undefined, 160, false);
  if ((components & AVX) !== 0) moveVectors(cpu, 1, (loads & AVX) !== 0 ? view : undefined, AVX_OFFSET, false);
}

function xgetbv(cpu: Cpu): void {
  checkXsaveEnabled(cpu);
  if (cpu.registers.gprLow(Gpr.RCX) !== 0) raise(Vector.GP, 0);
  cpu.registers.setGprHalves(Gpr.RAX, cpu.registers.get32(State.xcr0), 0);
  cpu.registers.setGprHalves(Gpr.RDX, cpu.registers.get32(State.xcr0 + 4), 0);
}

/** XSETBV (SDM Vol. 2D): x87 always, AVX only with SSE, nothing that the model lacks. */
function xsetbv(cpu: Cpu): void {
  checkXsaveEnabled(cpu);
  // Intel: faults by privilege come before the exit (SDM Vol. 3C, "Relative Priority of Faults and VM Exits"). AMD: the intercept comes before #GP (APM Vol. 2, 15.9).
  if (cpu.model.vendor === 'intel') cpu.requireCpl0();
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'XSETBV' });
  cpu.requireCpl0();
  const { registers } = cpu;
  const value = registers.gprLow(Gpr.RAX);
  if (registers.gprLow(Gpr.RCX) !== 0 || registers.gprLow(Gpr.RDX) !== 0) raise(Vector.GP, 0);
  if ((value & X87) === 0 || (value & ~supportedXcr0(cpu.model)) !== 0 || (value & (SSE | AVX)) === AVX) raise(Vector.GP, 0);
  registers.set32(State.xcr0, value);
  cpu.updateMode();
}

const xsaveOptions = { features: ['XSAVE'] };

export const stateImageRows: readonly InstructionRow[] = [
  system('FXSAVE', ['NP 0F AE /0 M'], fxsave, { features: ['FXSR'] }),
  system('FXRSTOR', ['NP 0F AE /1 M'], fxrstor, { features: ['FXSR'] }),
  system('XSAVE', ['NP 0F AE /4 M'], xsave, xsaveOptions),
  system('XRSTOR', ['NP 0F AE /5 M'], xrstor, xsaveOptions),
  system('XSAVEOPT', ['NP 0F AE /6 M'], xsave, { features: ['XSAVEOPT'] }),
  system('XGETBV', ['NP 0F 01 D0'], xgetbv, xsaveOptions),
  system('XSETBV', ['NP 0F 01 D1'], xsetbv, xsaveOptions),
];
