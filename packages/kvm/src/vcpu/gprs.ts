import { Gpr } from '@minusone/x86';
import type { VcpuCore } from './core.ts';

/** Puts the result of IN into AL, AX or EAX: a doubleword clears the upper half. */
export function setResult(core: VcpuCore, size: 1 | 2 | 4, value: number): void {
  const { registers } = core.cpu;
  if (size === 4) {
    registers.setGprHalves(Gpr.RAX, value | 0, 0);
    return;
  }
  const mask = size === 1 ? 0xff : 0xffff;
  registers.setGprHalves(Gpr.RAX, (registers.gprLow(Gpr.RAX) & ~mask) | (value & mask), registers.gprHigh(Gpr.RAX));
}

/** EDX:EAX, as RDMSR leaves it: the upper halves of both registers are cleared. */
export function setHalves(core: VcpuCore, low: number, high: number): void {
  const { registers } = core.cpu;
  registers.setGprHalves(Gpr.RAX, low, 0);
  registers.setGprHalves(Gpr.RDX, high, 0);
}
