import { Gpr, Segment, State } from '../../state/layout.ts';
import { addHigh, isCanonical } from '../address.ts';
import type { Cpu } from '../cpu.ts';
import { Eflags, readEflags, writeEflags } from '../eflags.ts';
import type { DeliveredEvent } from '../event.ts';
import { raise, Vector } from '../fault.ts';
import { SystemType } from '../segments/descriptor.ts';
import { isNull, markAccessed, readDescriptor, selectorFault } from '../segments/descriptor-tables.ts';
import { baseHighOf, baseLowOf, limitOf, selectorOf, setNullSegment, setSegmentFromDescriptor } from '../segments/segment-register.ts';

/** Interrupt and exception delivery in IA-32e mode (SDM Vol. 3A, 6.14). Warm: timer ticks, page faults; no BigInt. */
export function deliverLong(cpu: Cpu, event: DeliveredEvent, flagsImage: number): void {
  const { registers, linear } = cpu;
  const index = event.vector * 16;
  const gateError = event.vector * 8 + 2 + cpu.ext;
  if (index + 15 > registers.get32(State.idtrLimit)) raise(Vector.GP, gateError);
  const idtLow = registers.get32(State.idtrBase);
  const gateLow = (idtLow + index) | 0;
  const gateHigh = addHigh(idtLow, registers.get32(State.idtrBase + 4), index, 0);
  linear.probe(gateLow, gateHigh, 16, false, 'supervisor');
  const word0 = linear.read32(gateLow, gateHigh, 'supervisor');
  const word1 = linear.read32((gateLow + 4) | 0, addHigh(gateLow, gateHigh, 4, 0), 'supervisor');
  const targetHigh = linear.read32((gateLow + 8) | 0, addHigh(gateLow, gateHigh, 8, 0), 'supervisor') | 0;
  const targetLow = (word0 & 0xffff) | (word1 & 0xffff0000);
  const type = (word1 >>> 8) & 0x1f;
  if (type !== SystemType.INTERRUPT_GATE && type !== SystemType.TRAP_GATE) raise(Vector.GP, gateError);
  if (event.isSoftware && ((word1 >>> 13) & 3) < cpu.cpl) raise(Vector.GP, gateError);
  if ((word1 & 0x8000) === 0) raise(Vector.NP, gateError);

  const selector = word0 >>> 16;
  if (isNull(selector)) raise(Vector.GP, cpu.ext);
  const code = readDescriptor(cpu, selector, Vector.GP);
  if (!code.isCode || code.dpl > cpu.cpl || !code.isLong || code.isBig) selectorFault(cpu, Vector.GP, selector);
  if (!code.isPresent) selectorFault(cpu, Vector.NP, selector);
  const cpl = code.isConforming ? cpu.cpl : code.dpl;
  const inner = cpl < cpu.cpl;
  if (!isCanonical(cpu, targetHigh)) raise(Vector.GP, cpu.ext);

  // The stack: IST entry, RSP of the inner level, or the current one; aligned to 16.
  const ist = word1 & 7;
  let low = registers.gprLow(Gpr.RSP);
  let high = registers.gprHigh(Gpr.RSP);
  if (ist !== 0 || inner) {
    readTssStack(cpu, ist !== 0 ? 28 + ist * 8 : 4 + cpl * 8);
    low = cpu.linearLow;
    high = cpu.linearHigh;
  }
  low &= ~15;
  const bytes = event.hasErrorCode ? 48 : 40;
  const frameLow = (low - bytes) | 0;
  const frameHigh = addHigh(low, high, -bytes, -1);
  if (!isCanonical(cpu, frameHigh) || !isCanonical(cpu, addHigh(low, high, -1, -1))) raise(Vector.SS, cpu.ext);
  const rights = cpl === 3 ? 'user' : 'supervisor';
  // SS is pushed first: a page that is missing is reported with that address.
  linear.probe((low - 8) | 0, addHigh(low, high, -8, -1), 8, true, rights);
  linear.probe(frameLow, frameHigh, bytes, true, rights);

  let atLow = frameLow;
  let atHigh = frameHigh;
  const store = (valueLow: number, valueHigh: number): void => {
    linear.write32(atLow, atHigh, valueLow, rights);
    linear.write32((atLow + 4) | 0, atHigh, valueHigh, rights);
    atHigh = addHigh(atLow, atHigh, 8, 0);
    atLow = (atLow + 8) | 0;
  };
  if (event.hasErrorCode) store(event.errorCode, 0);
  store(event.returnLow, event.returnHigh);
  store(selectorOf(registers, Segment.CS), 0);
  store(flagsImage, 0);
  store(registers.gprLow(Gpr.RSP), registers.gprHigh(Gpr.RSP));
  store(selectorOf(registers, Segment.SS), 0);

  markAccessed(cpu, code);
  setSegmentFromDescriptor(registers, Segment.CS, (selector & 0xfffc) | cpl, code);
  registers.set32(State.cpl, cpl);
  if (inner) setNullSegment(registers, Segment.SS, cpl, cpl);
  registers.setGprHalves(Gpr.RSP, frameLow, frameHigh);
  clearFlagsForHandler(cpu, type === SystemType.INTERRUPT_GATE);
  cpu.jumpTo(targetLow, targetHigh);
}

/** Reads a stack pointer of the 64-bit TSS (SDM Vol. 3A, Figure 7-11) into `cpu.linearLow/High`; #TS beyond its limit. */
export function readTssStack(cpu: Cpu, offset: number): void {
  const { registers, linear } = cpu;
  if (offset + 7 > limitOf(registers, Segment.TR)) selectorFault(cpu, Vector.TS, selectorOf(registers, Segment.TR));
  const baseLow = baseLowOf(registers, Segment.TR);
  const low = (baseLow + offset) | 0;
  const high = addHigh(baseLow, baseHighOf(registers, Segment.TR), offset, 0);
  const pointerLow = linear.read32(low, high, 'supervisor') | 0;
  const pointerHigh = linear.read32((low + 4) | 0, addHigh(low, high, 4, 0), 'supervisor') | 0;
  if (!isCanonical(cpu, pointerHigh)) raise(Vector.SS, cpu.ext);
  cpu.linearLow = pointerLow;
  cpu.linearHigh = pointerHigh;
}

/** TF, NT, RF and VM are cleared on the way into a handler, IF by an interrupt gate (SDM Vol. 3A, 6.12.1.3). */
export function clearFlagsForHandler(cpu: Cpu, interruptGate: boolean): void {
  writeEflags(cpu.registers, 0, Eflags.TF | Eflags.NT | Eflags.RF | Eflags.VM | (interruptGate ? Eflags.IF : 0));
}

/** EFLAGS as the frame gets it. */
export function flagsForFrame(cpu: Cpu, resume: boolean): number {
  return readEflags(cpu.registers) | (resume ? Eflags.RF : 0);
}
