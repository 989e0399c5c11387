import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SVM_PRESETS, type SvmPresetName, svmCapabilities } from '../capabilities/capabilities.ts';
import { explainVmcb } from '../explain/explain-vmcb.ts';
import { SOUND_VMCBS, type SoundVmcb, soundVmcb } from '../states/sound-states.ts';
import { VMCB_FIELD, VMCB_FIELD_NAMES, VMCB_FIELDS } from '../vmcb/fields.ts';
import { VMRUN_CHECKS } from './all-checks.ts';
import { breakCheck } from './break-check.ts';
import { VmrunView } from './view.ts';
import { VmrunChecker } from './vmrun-checker.ts';

describe('a sound VMCB passes every check of VMRUN (APM Vol. 2, 15.5.1)', () => {
  for (const preset of Object.keys(SVM_PRESETS) as SvmPresetName[]) {
    for (const state of Object.keys(SOUND_VMCBS) as SoundVmcb[]) {
      test(`${state} on ${preset}`, () => {
        const capabilities = svmCapabilities(preset);
        expect(explainVmcb(soundVmcb(state, capabilities), capabilities)).toEqual({ ok: true, failed: [] });
      });
    }
  }
});

describe('each rule, broken alone, is the only one that fails, and its suggestion mends it', () => {
  for (const check of VMRUN_CHECKS) {
    test(`${check.section} ${check.id}`, () => {
      const { vmcb, capabilities, environment } = breakCheck(check);
      const { failed, failure } = explainVmcb(vmcb, capabilities, environment);
      expect(failed.map(({ id }) => id)).toEqual([check.id]);
      expect(failure).toBe('VMEXIT_INVALID');
      expect(failed[0]!.says).toMatch(/\w{3}/);
      vmcb.assign(failed[0]!.suggestion);
      expect(explainVmcb(vmcb, capabilities, environment).failed).toEqual([]);
    });
  }
});

test('ids are unique, and there are not more than a word has bits', () => {
  const ids = VMRUN_CHECKS.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeLessThanOrEqual(32);
});

test('what nobody announced is ignored: nested paging fields without NP (APM Vol. 2, 15.25.3)', () => {
  const capabilities = svmCapabilities('svm:minimal');
  const vmcb = soundVmcb('64-bit', capabilities);
  vmcb.assign({ NP_ENABLE: 1n, N_CR3: 1n << 63n, G_PAT: 0x0202n });
  expect(explainVmcb(vmcb, capabilities).ok).toBe(true);
});

test('an incremental check says what all the rules say', () => {
  const capabilities = svmCapabilities('svm:max');
  const write = fc.record({
    name: fc.constantFrom(...VMCB_FIELD_NAMES),
    bit: fc.nat(63),
    isReset: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 40 }), fc.array(fc.boolean(), { maxLength: 5 }), (writes, hosts) => {
      const vmcb = soundVmcb('64-bit', capabilities);
      const sound = vmcb.clone();
      const checker = new VmrunChecker(new VmrunView(vmcb, capabilities));
      for (const [i, { name, bit, isReset }] of writes.entries()) {
        const field = VMCB_FIELD[name];
        vmcb.write(field, isReset ? sound.read(field) : BigInt.asUintN(VMCB_FIELDS[name].bits, vmcb.read(field) ^ (1n << BigInt(bit))));
        const hostPaging = hosts[i % 5] ?? true;
        expect(checker.firstFailure(hostPaging)?.id).toBe(explainVmcb(vmcb, capabilities, { hostPaging }).failed[0]?.id);
      }
    }),
    { numRuns: 200 },
  );
});

test('mending one failure after the other ends in a VMRUN that succeeds', () => {
  const capabilities = svmCapabilities('svm:max');
  const write = fc.record({ name: fc.constantFrom(...VMCB_FIELD_NAMES), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
      const vmcb = soundVmcb('64-bit', capabilities);
      for (const { name, value } of writes) vmcb.write(VMCB_FIELD[name], BigInt.asUintN(VMCB_FIELDS[name].bits, value));
      for (let steps = 0; steps < 40; steps++) {
        const first = explainVmcb(vmcb, capabilities).failed[0];
        if (first === undefined) return;
        vmcb.assign(first.suggestion);
      }
      expect(explainVmcb(vmcb, capabilities).failed.map(({ id }) => id)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
