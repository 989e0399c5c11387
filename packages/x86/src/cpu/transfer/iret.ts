import { Gpr, Segment, State } from '../../state/layout.ts';
import { Cr4 } from '../control-bits.ts';
import type { Cpu } from '../cpu.ts';
import { ALL_FLAGS, Eflags, iopl, readEflags, writeEflags } from '../eflags.ts';
import { raise, Vector } from '../fault.ts';
import { baseLowOf, limitOf, selectorOf, setRealModeSegment, setVirtual8086Segment } from '../segments/segment-register.ts';
import { StackCursor } from '../stack.ts';
import { loadCodeSegment } from './code-segment.ts';
import { checkReturnCode, dropInnerDataSegments, loadReturnStack } from './far-return.ts';
import { switchTask } from './task-switch.ts';

const BASIC = Eflags.CF | Eflags.PF | Eflags.AF | Eflags.ZF | Eflags.SF | Eflags.TF | Eflags.DF | Eflags.OF | Eflags.NT;

/** IRET, IRETD, IRETQ (SDM Vol. 2A, IRET "Operation"). NMIs are no longer blocked, even where it faults later (SDM Vol. 3A, 6.7.1). */
export function interruptReturn(cpu: Cpu, bytes: 2 | 4 | 8): void {
  if (cpu.layer?.iretKeepsNmiBlocking !== true) {
    cpu.nmiUnblocked = cpu.nmiBlocked;
    cpu.nmiBlocked = false;
  }
  if (cpu.isRealMode) returnReal(cpu, bytes);
  else if (cpu.isVirtual8086) returnVirtual8086(cpu, bytes);
  else if (cpu.isLongMode) returnLong(cpu, bytes);
  else returnProtected(cpu, bytes);
}

function loadFlags(cpu: Cpu, image: number, mask: number, bytes: 2 | 4 | 8): void {
  let wide = mask;
  if (bytes === 2) wide &= 0xffff;
  else {
    wide |= Eflags.RF | Eflags.AC | Eflags.ID;
    cpu.keepResumeFlag();
  }
  writeEflags(cpu.registers, image, wide);
}

function returnReal(cpu: Cpu, bytes: 2 | 4 | 8): void {
  const stack = StackCursor.current(cpu);
  const ip = stack.pop(bytes) | 0;
  const selector = stack.pop(bytes) & 0xffff;
  const flags = stack.pop(bytes) | 0;
  if (ip >>> 0 > limitOf(cpu.registers, Segment.CS)) raise(Vector.GP, 0);
  setRealModeSegment(cpu.registers, Segment.CS, selector);
  stack.commit();
  loadFlags(cpu, flags, BASIC | Eflags.IF | Eflags.IOPL, bytes);
  cpu.jumpTo(ip, 0);
  cpu.updateMode();
}

function returnVirtual8086(cpu: Cpu, bytes: 2 | 4 | 8): void {
  const { registers } = cpu;
  const ioplIs3 = iopl(registers) === 3;
  const vme = (registers.get32(State.cr4) & Cr4.VME) !== 0;
  if (!ioplIs3 && !(vme && bytes === 2)) raise(Vector.GP, 0);
  const stack = StackCursor.current(cpu);
  const ip = stack.pop(bytes) | 0;
  const selector = stack.pop(bytes) & 0xffff;
  const flags = stack.pop(bytes) | 0;
  if (ip >>> 0 > 0xffff) raise(Vector.GP, 0);
  if (!ioplIs3 && (((flags & Eflags.IF) !== 0 && (readEflags(registers) & Eflags.VIP) !== 0) || (flags & Eflags.TF) !== 0))
    raise(Vector.GP, 0);
  setVirtual8086Segment(registers, Segment.CS, selector);
  stack.commit();
  if (ioplIs3) {
    loadFlags(cpu, flags, BASIC | Eflags.IF, bytes);
  } else {
    loadFlags(cpu, flags, BASIC, bytes);
    writeEflags(registers, (flags & Eflags.IF) !== 0 ? Eflags.VIF : 0, Eflags.VIF);
  }
  cpu.jumpTo(ip, 0);
  cpu.updateMode();
}

/** Flags by the privilege that returns: IOPL, VIF and VIP only at CPL 0, IF where CPL <= IOPL. */
function flagMask(cpu: Cpu): number {
  let mask = BASIC;
  if (cpu.cpl <= iopl(cpu.registers)) mask |= Eflags.IF;
  if (cpu.cpl === 0) mask |= Eflags.IOPL | Eflags.VIF | Eflags.VIP;
  return mask;
}

function returnProtected(cpu: Cpu, bytes: 2 | 4 | 8): void {
  const { registers } = cpu;
  if ((registers.get32(State.eflags) & Eflags.NT) !== 0) {
    const link = cpu.linear.read16(baseLowOf(registers, Segment.TR), 0, 'supervisor');
    switchTask(cpu, link, 'iret');
    return;
  }
  const stack = StackCursor.current(cpu);
  const ip = stack.pop(bytes) | 0;
  const selector = stack.pop(bytes) & 0xffff;
  const flags = stack.pop(bytes) | 0;
  if ((flags & Eflags.VM) !== 0 && bytes === 4 && cpu.cpl === 0) {
    enterVirtual8086(cpu, stack, ip, selector, flags);
    return;
  }
  const code = checkReturnCode(cpu, selector, ip, 0);
  const mask = flagMask(cpu);
  const cpl = selector & 3;
  if (cpl > cpu.cpl) {
    const sp = stack.pop(bytes) | 0;
    const ss = stack.pop(bytes) & 0xffff;
    loadReturnStack(cpu, code, ss, cpl);
    loadCodeSegment(cpu, selector, code, cpl);
    cpu.updateMode();
    setStackPointer(cpu, sp, 0);
    dropInnerDataSegments(cpu, cpl);
  } else {
    loadCodeSegment(cpu, selector, code, cpl);
    stack.commit();
  }
  loadFlags(cpu, flags, mask, bytes);
  cpu.jumpTo(ip, 0);
  cpu.updateMode();
}

function setStackPointer(cpu: Cpu, low: number, high: number): void {
  const stack = StackCursor.current(cpu);
  stack.pointerLow = low;
  stack.pointerHigh = high;
  stack.commit();
}

function enterVirtual8086(cpu: Cpu, stack: StackCursor, ip: number, cs: number, flags: number): void {
  const { registers } = cpu;
  const sp = stack.pop(4) | 0;
  const selectors = [Segment.SS, Segment.ES, Segment.DS, Segment.FS, Segment.GS].map(
    (segment) => [segment, stack.pop(4) & 0xffff] as const,
  );
  if (ip >>> 0 > 0xffff) raise(Vector.GP, 0);
  writeEflags(registers, flags, ALL_FLAGS);
  cpu.keepResumeFlag();
  registers.set32(State.cpl, 3);
  setVirtual8086Segment(registers, Segment.CS, cs);
  for (const [segment, selector] of selectors) setVirtual8086Segment(registers, segment, selector);
  registers.setGprHalves(Gpr.RSP, sp, 0);
  cpu.jumpTo(ip, 0);
  cpu.updateMode();
}

/** IA-32e mode. 64-bit mode always pops SS:rSP; compatibility mode only when going outward. Warm: no BigInt. */
function returnLong(cpu: Cpu, bytes: 2 | 4 | 8): void {
  const { registers } = cpu;
  if ((registers.get32(State.eflags) & Eflags.NT) !== 0) raise(Vector.GP, 0);
  const stack = StackCursor.current(cpu);
  const ipLow = stack.pop(bytes) | 0;
  const ipHigh = stack.high;
  const selector = stack.pop(bytes) & 0xffff;
  const flags = stack.pop(bytes) | 0;
  const cpl = selector & 3;
  const popsStack = cpu.is64Bit || cpl > cpu.cpl;
  const spLow = popsStack ? stack.pop(bytes) | 0 : 0;
  const spHigh = stack.high;
  const ss = popsStack ? stack.pop(bytes) & 0xffff : selectorOf(registers, Segment.SS);
  const code = checkReturnCode(cpu, selector, ipLow, ipHigh);
  const mask = flagMask(cpu);
  const outward = cpl > cpu.cpl;
  if (popsStack) loadReturnStack(cpu, code, ss, cpl);
  loadCodeSegment(cpu, selector, code, cpl);
  loadFlags(cpu, flags, mask, bytes);
  if (popsStack) {
    cpu.updateMode();
    setStackPointer(cpu, spLow, spHigh);
  } else {
    stack.commit();
  }
  if (outward) dropInnerDataSegments(cpu, cpl);
  cpu.jumpTo(ipLow, ipHigh);
  cpu.updateMode();
}
