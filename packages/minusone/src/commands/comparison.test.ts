import { expect, test } from 'vitest';
import { comparison } from './comparison.ts';

test('side by side: time is relative to the first, exits are named and ordered by frequency, nothing is a dash', () => {
  expect(
    comparison([
      { title: 'bare CPU', instructions: 1_234_567, seconds: 0.5, exits: {} },
      { title: 'VT-x', instructions: 1_234_567, seconds: 0.55, exits: { CPUID: 3, HLT: 1200, 'EPT violation': 0 } },
      { title: 'AMD-V', instructions: 1_234_600, seconds: 0.6, exits: { CPUID: 3, NPF: 40 } },
    ]),
  ).toBe(`\
                    bare CPU         VT-x        AMD-V
instructions       1,234,567    1,234,567    1,234,600
time                  0.50 s       0.55 s       0.60 s
time / bare CPU         1.00         1.10         1.20
exits                      -        1,203           43
  HLT                      -        1,200            -
  NPF                      -            -           40
  CPUID                    -            3            3
`);
});

test('one alone has neither relative time nor, on the bare CPU, exits', () => {
  expect(comparison([{ title: 'bare CPU', instructions: 10, seconds: 1, exits: {} }])).toBe(`\
                bare CPU
instructions          10
time              1.00 s
`);
});
