import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type VmxPresetName, vmxCapabilities } from '../capabilities/presets.ts';
import { ExplainInputError, UnknownCapabilityError, UnknownVmcsFieldError, VmcsValueError } from '../errors.ts';
import { soundVmcs } from '../states/sound-states.ts';
import { fieldBytes } from '../vmcs/encoding.ts';
import { FIELD, VMCS_FIELD_NAMES } from '../vmcs/fields.ts';
import { explainEntry } from './explain-entry.ts';
import { explainJson } from './explain-json.ts';
import { formatExplanation } from './format.ts';

test('absent fields are those of a sound 64-bit guest: an empty object enters', () => {
  expect(explainJson('{}')).toEqual({ ok: true, failed: [] });
  expect(formatExplanation(explainJson('{}'))).toBe('VM entry succeeds.');
});

test('numbers and strings of digits are values; what fails is named with section, values and suggestion', () => {
  const { failure, failed } = explainJson('{ "GUEST_RFLAGS": 0, "HOST_CS_SELECTOR": "0x13", "GUEST_RIP": "4096" }');
  expect(failure).toBe('VMfailValid 8');
  expect(failed.map(({ id, section, values, suggestion }) => ({ id, section, values, suggestion }))).toEqual([
    { id: 'host.cs.selector-rpl-ti', section: '27.2.3', values: { HOST_CS_SELECTOR: 0x13n }, suggestion: { HOST_CS_SELECTOR: 0x10n } },
    { id: 'guest.rflags.bit-1', section: '27.3.1.4', values: { GUEST_RFLAGS: 0n }, suggestion: { GUEST_RFLAGS: 2n } },
  ]);
});

test('the text has a line for each part', () => {
  expect(formatExplanation(explainJson('{ "GUEST_RFLAGS": 0 }')).split('\n')).toEqual([
    'VM entry fails: exit reason 33, qualification 0 (VM-entry failure due to invalid guest state).',
    '  guest.rflags.bit-1: SDM Vol. 3C 27.3.1.4, "Checks on Guest RIP, RFLAGS, and SSP"',
    '    GUEST_RFLAGS is 0x0: bit 1 must be 1',
    '    values:  GUEST_RFLAGS = 0x0',
    '    suggest: GUEST_RFLAGS = 0x2',
  ]);
});

describe('bad input is a named error', () => {
  test.each(['', '{', 'nonsense', '[1]', '3', 'null', '"GUEST_RIP"'])('%j', (text) => {
    expect(() => explainJson(text)).toThrow(ExplainInputError);
  });
  test('an unknown name, with those that resemble it', () => {
    expect(() => explainJson('{ "GUEST_RIPP": 1 }')).toThrow(UnknownVmcsFieldError);
    expect(() => explainJson('{ "guest_cs_access_bytes": 1 }')).toThrow(/Did you mean GUEST_CS_AR_BYTES/);
    expect(() => explainJson('{ "__proto__": 1, "toString": 2 }')).toThrow(UnknownVmcsFieldError);
  });
  test.each(['-1', '1.5', '1e300', 'true', 'null', '[]', '{}', '"0xfoo"', '""', '"-1"', '9007199254740993', '"0x10000000000000000"'])(
    'GUEST_RIP: %s',
    (value) => {
      expect(() => explainJson(`{ "GUEST_RIP": ${value} }`)).toThrow(VmcsValueError);
    },
  );
  test('a value wider than its field', () => {
    expect(() => explainJson('{ "GUEST_CS_SELECTOR": "0x10000" }')).toThrow(/GUEST_CS_SELECTOR.*0xffff/);
  });
  test('an unknown processor', () => {
    expect(() => explainJson('{}', { capabilities: 'vmx:none' as VmxPresetName })).toThrow(UnknownCapabilityError);
  });
});

test('whatever the fields hold, every failed check has words and a suggestion that fits its fields', () => {
  const capabilities = vmxCapabilities('vmx:manual');
  const value = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1n, 2n ** 64n - 1n, 2n ** 31n, 2n ** 63n));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...VMCS_FIELD_NAMES), value), { maxLength: 60 }), (writes) => {
      const vmcs = soundVmcs('64-bit', capabilities);
      for (const [name, raw] of writes) vmcs.write(FIELD[name], BigInt.asUintN(fieldBytes(FIELD[name]) * 8, raw));
      const { ok, failed, failure } = explainEntry(vmcs, capabilities);
      expect(ok).toBe(failed.length === 0);
      expect(failure).toBe(failed[0]?.failure);
      for (const check of failed) {
        expect(check.says).not.toBe('');
        expect(Object.keys(check.suggestion)).not.toEqual([]);
        vmcs.clone().assign(check.suggestion);
      }
    }),
    { numRuns: 200 },
  );
});
