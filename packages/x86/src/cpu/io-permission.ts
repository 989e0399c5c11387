import { Segment } from '../state/layout.ts';
import { addHigh } from './address.ts';
import type { Cpu } from './cpu.ts';
import { iopl } from './eflags.ts';
import { raise, Vector } from './fault.ts';
import { baseHighOf, baseLowOf, limitOf } from './segments/segment-register.ts';
import { hasTss, tssIs32 } from './transfer/tss.ts';

const IO_MAP_BASE = 102;

/** Raises #GP(0) unless IN, OUT, INS or OUTS may access these ports (SDM Vol. 1, 19.5 "Protected-Mode I/O"). */
export function checkIoPermission(cpu: Cpu, port: number, bytes: number): void {
  if (cpu.isRealMode) return;
  if (!cpu.isVirtual8086 && cpu.cpl <= iopl(cpu.registers)) return;
  const limit = limitOf(cpu.registers, Segment.TR);
  if (!hasTss(cpu) || !tssIs32(cpu) || IO_MAP_BASE + 1 > limit) raise(Vector.GP, 0);
  const offset = readTss16(cpu, IO_MAP_BASE) + (port >>> 3);
  // Two bytes are always read, so that the map needs a byte of ones at its end.
  if (offset + 1 > limit) raise(Vector.GP, 0);
  const bits = readTss16(cpu, offset) >>> (port & 7);
  if ((bits & ((1 << bytes) - 1)) !== 0) raise(Vector.GP, 0);
}

/** The bit of a vector in the software interrupt redirection map, the 32 bytes below the I/O map (SDM Vol. 3A, 20.3.3): true means through the IDT. */
export function readInterruptRedirection(cpu: Cpu, vector: number): boolean {
  const limit = limitOf(cpu.registers, Segment.TR);
  if (!hasTss(cpu) || !tssIs32(cpu) || IO_MAP_BASE + 1 > limit) raise(Vector.GP, 0);
  const offset = readTss16(cpu, IO_MAP_BASE) - 32 + (vector >>> 3);
  if (offset < 0 || offset > limit) raise(Vector.GP, 0);
  const low = (baseLowOf(cpu.registers, Segment.TR) + offset) | 0;
  return (cpu.linear.read8(low, 0, 'supervisor') & (1 << (vector & 7))) !== 0;
}

function readTss16(cpu: Cpu, offset: number): number {
  const baseLow = baseLowOf(cpu.registers, Segment.TR);
  const high = cpu.isLongMode ? addHigh(baseLow, baseHighOf(cpu.registers, Segment.TR), offset, 0) : 0;
  return cpu.linear.read16((baseLow + offset) | 0, high, 'supervisor');
}
