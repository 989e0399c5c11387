import { SvmCapabilityError, svmCapabilities } from '@minusone/amdv';
import { InvalidArgumentError } from '@minusone/core';
import { intel } from '@minusone/x86';
import { expect, test } from 'vitest';
import { amd } from './amd.ts';

test.each(['NP', 'NRIPS'] as const)(
  'an AMD-V without %s is refused: no shadow paging, no decoding of instructions that exited',
  (feature) => {
    const capabilities = svmCapabilities('svm:max').without(feature);
    expect(() => amd({ capabilities })).toThrow(SvmCapabilityError);
    expect(() => amd({ capabilities })).toThrow(feature);
  },
);

test('the least of the presets lacks both', () => {
  expect(() => amd({ capabilities: 'svm:minimal' })).toThrow(/NP and NRIPS/);
});

test("a model that is not there, or not AMD's, is refused", () => {
  expect(() => amd({ model: 'k5' })).toThrow(InvalidArgumentError);
  expect(() => amd({ model: intel })).toThrow(/not AMD's/);
});
