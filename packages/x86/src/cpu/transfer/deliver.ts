import { State } from '../../state/layout.ts';
import { Cr4 } from '../control-bits.ts';
import type { Cpu } from '../cpu.ts';
import { iopl } from '../eflags.ts';
import { type DeliveredEvent, EventType } from '../event.ts';
import { raise, Vector } from '../fault.ts';
import { readInterruptRedirection } from '../io-permission.ts';
import { deliverLong, flagsForFrame } from './deliver-long.ts';
import { deliverProtected } from './deliver-protected.ts';
import { deliverReal, deliverRedirected } from './deliver-real.ts';

/**
 * Takes the CPU to the handler of an event, or throws the fault that arose on the way, nothing of the CPU's state having changed.
 * `resume`: the frame's RF is set.
 */
export function deliver(cpu: Cpu, event: DeliveredEvent, resume: boolean): void {
  cpu.ext = event.isSoftware ? 0 : 1;
  if (cpu.isRealMode) deliverReal(cpu, event);
  else if (cpu.isLongMode) deliverLong(cpu, event, flagsForFrame(cpu, resume));
  else if (!redirect(cpu, event)) deliverProtected(cpu, event, flagsForFrame(cpu, resume));
  cpu.ext = 0;
  cpu.updateMode();
}

/**
 * INT n in virtual-8086 mode: IOPL and VME decide (SDM Vol. 3A, Table 20-2); VME alone where it is injected (Vol. 3C, 27.6.1.1). True where it went to the 8086
 * program's handler.
 */
function redirect(cpu: Cpu, event: DeliveredEvent): boolean {
  if (!cpu.isVirtual8086 || event.type !== EventType.SOFTWARE_INTERRUPT) return false;
  const ioplIs3 = iopl(cpu.registers) === 3;
  const vme = (cpu.registers.get32(State.cr4) & Cr4.VME) !== 0;
  if (vme && !readInterruptRedirection(cpu, event.vector)) {
    deliverRedirected(cpu, event, ioplIs3);
    return true;
  }
  if (!ioplIs3 && !event.isInjected) raise(Vector.GP, 0);
  return false;
}
