import { InvalidStateError, WrongOrderError } from '../errors.ts';
import type { VcpuCore } from './core.ts';

/** An interrupt of a controller that is the user's: see `Vcpu.interrupt`. */
export function userInterrupt(core: VcpuCore, vector: number): void {
  const { events, lapic, vm } = core;
  if (!Number.isInteger(vector) || vector < 0 || vector > 255) {
    throw new InvalidStateError(`There is no interrupt vector ${vector}.`, 'Vectors are 0 to 255.', { vector });
  }
  if (vm.irqchip?.kind === 'full') {
    throw new WrongOrderError('The interrupt controllers are in KVM.', 'Use irqLine or signalMsi, or make no irqchip.', { vector });
  }
  const isTaken = lapic === undefined ? events.interruptQueued < 0 : (vm.irqchip?.interrupt(lapic, vector) ?? false);
  if (!isTaken) {
    throw new WrongOrderError('An interrupt waits already.', 'Wait for `readyForInterruptInjection` (or `irqWindowOpen`).', { vector });
  }
  if (lapic === undefined) events.interruptQueued = vector;
  core.attention();
}
