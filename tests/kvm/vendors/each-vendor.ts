import { amd } from '@minusone/kvm-amd';
import { intel } from '@minusone/kvm-intel';
import { amd as amdModel, intel as intelModel } from '@minusone/x86';
import { describe } from 'vitest';
import { VendorMachine } from './vendor-machine.ts';

const machines: readonly (readonly [name: string, machine: () => VendorMachine])[] = [
  ['kvm_amd', () => new VendorMachine(amd({ model: amdModel.with('MONITOR') }))],
  ['kvm_intel', () => new VendorMachine(intel({ model: intelModel.with('MONITOR') }))],
];

/** What `VendorVcpu` promises holds for either vendor module. */
export function onEachVendor(rules: (machine: () => VendorMachine) => void): void {
  describe.each(machines)('%s', (_name, machine) => rules(machine));
}
