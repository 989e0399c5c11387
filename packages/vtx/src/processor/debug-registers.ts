import { type Cpu, State } from '@minusone/x86';

const CR4_DE = 8;
/** DR7.L0 to G3. */
export const BREAKPOINTS = 0xff;

/** Tells the breakpoints, where there are any, of another DR7 or CR4.DE. */
export function debugRegistersLoaded(cpu: Cpu, oldDr7: number, oldCr4: number): void {
  const dr7 = cpu.registers.get32(State.dr7);
  const changed = dr7 !== oldDr7 || ((cpu.registers.get32(State.cr4) ^ oldCr4) & CR4_DE) !== 0;
  if (changed && ((dr7 | oldDr7) & BREAKPOINTS) !== 0) cpu.debug.changed();
}
