import fc from 'fast-check';
import { expect, test } from 'vitest';
import { vmxCapabilities } from '../capabilities/presets.ts';
import { explainEntry } from '../explain/explain-entry.ts';
import { soundVmcs } from '../states/sound-states.ts';
import { fieldBytes } from '../vmcs/encoding.ts';
import { FIELD, VMCS_FIELD_NAMES } from '../vmcs/fields.ts';
import { ENTRY_CHECKS } from './all-checks.ts';
import { EntryChecker } from './entry-checker.ts';
import { EntryView } from './view.ts';

const capabilities = vmxCapabilities('vmx:manual');

test('checking only what changed finds the same first failure as asking every rule', () => {
  // A write of a field: a sound value again, a rule's broken value, or any.
  const step = fc.oneof(
    fc.record({ name: fc.constantFrom(...VMCS_FIELD_NAMES), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    fc.record({ rule: fc.constantFrom(...ENTRY_CHECKS) }),
    fc.constant('sound' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const vmcs = soundVmcs('64-bit', capabilities);
      const sound = vmcs.clone();
      const view = new EntryView(vmcs, capabilities);
      const checker = new EntryChecker(view);
      for (const item of steps) {
        if (item === 'sound') for (const name of VMCS_FIELD_NAMES) vmcs.write(FIELD[name], sound.read(FIELD[name]));
        else if ('rule' in item) vmcs.assign(item.rule.breakIt.change(view));
        else vmcs.write(FIELD[item.name], BigInt.asUintN(fieldBytes(FIELD[item.name]) * 8, item.value));
        expect(checker.firstFailure()?.id).toBe(explainEntry(vmcs, capabilities).failed[0]?.id);
      }
    }),
    { numRuns: 60 },
  );
});

test('after a success nothing is left to look at; a failure is found again until it is mended', () => {
  const vmcs = soundVmcs('64-bit', capabilities);
  const checker = new EntryChecker(new EntryView(vmcs, capabilities));
  expect(checker.firstFailure()).toBeUndefined();
  expect(vmcs.changedCount).toBe(0);
  vmcs.write(FIELD.GUEST_RFLAGS, 0n);
  expect([checker.firstFailure()?.id, checker.firstFailure()?.id]).toEqual(['guest.rflags.bit-1', 'guest.rflags.bit-1']);
  vmcs.write(FIELD.GUEST_RFLAGS, 2n);
  expect(checker.firstFailure()).toBeUndefined();
});

test('a rule that names only some bits of a field does not care for the others', () => {
  for (const check of ENTRY_CHECKS) {
    for (const [name, mask] of Object.entries(check.onlyBits ?? {}) as [keyof typeof FIELD, number][]) {
      for (const state of ['64-bit', 'protected', 'v86'] as const) {
        const vmcs = soundVmcs(state, capabilities);
        const view = new EntryView(vmcs, capabilities);
        if ((check.breakIt.state ?? '64-bit') === state) vmcs.assign(check.breakIt.change(view));
        const before = check.holds(view);
        const value = vmcs.read(FIELD[name]);
        for (let bit = 0; bit < 32; bit++) {
          if (((mask >>> bit) & 1) === 1) continue;
          vmcs.write(FIELD[name], value ^ (1n << BigInt(bit)));
          expect([check.id, name, bit, check.holds(view)]).toEqual([check.id, name, bit, before]);
        }
      }
    }
  }
});

test('processor state and memory that changed are asked for again, though no field did', () => {
  const vmcs = soundVmcs('64-bit', capabilities);
  const view = new EntryView(vmcs, capabilities);
  const checker = new EntryChecker(view);
  vmcs.write(FIELD.VM_ENTRY_MSR_LOAD_COUNT, 1n);
  expect(checker.firstFailure()).toBeUndefined();
  let index = 0x277;
  view.environment = { inIa32eMode: true, inSmm: false, read32: (hpa) => (hpa % 16 === 0 ? index : 0) };
  expect(checker.firstFailure()).toBeUndefined();
  index = 0x808;
  expect(checker.firstFailure()?.id).toBe('msr-load.x2apic');
  view.environment = { inIa32eMode: false, inSmm: false };
  expect(checker.firstFailure()?.id).toBe('host.address-space-size-is-ia32e-mode');
});
