import { expect, test } from 'vitest';
import { fromVmcbAttributes, toVmcbAttributes } from './segments.ts';

test('a flat 64-bit code segment, accessed: G, L, P, S, type 11 (APM Vol. 2 15.5.1)', () => {
  expect(toVmcbAttributes(0xa09b)).toBe(0xa9b);
  expect(fromVmcbAttributes(0xa9b)).toBe(0xa09b);
});

test('every usable segment comes back as it was', () => {
  for (const rights of [0x93, 0xf3, 0x809b, 0xc093, 0xc0f3, 0xa0fb, 0x8b, 0x82, 0x1093]) {
    expect(fromVmcbAttributes(toVmcbAttributes(rights))).toBe(rights);
  }
});

test('an unusable segment is one that is not present, and keeps its DPL, which SS in 64-bit mode needs', () => {
  expect(toVmcbAttributes(0x1_0000) & 0x80).toBe(0);
  expect(toVmcbAttributes(0x1_0093) & 0x80).toBe(0);
  expect(fromVmcbAttributes(toVmcbAttributes(0x1_0060))).toBe(0x1_0060);
});
