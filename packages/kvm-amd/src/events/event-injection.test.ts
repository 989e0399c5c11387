import type { VendorEvent } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { eventInjection, interruptedEvent } from './event-injection.ts';

const event = (type: VendorEvent['type'], vector: number, errorCode?: number, instructionLength = 0): VendorEvent => ({
  type,
  vector,
  errorCode,
  instructionLength,
});

test('EVENTINJ: V, EV, TYPE and VECTOR (APM Vol. 2 15.20, Figure 15-4)', () => {
  expect(eventInjection(event('interrupt', 0x31)) >>> 0).toBe(0x8000_0031);
  expect(eventInjection(event('nmi', 2)) >>> 0).toBe(0x8000_0202);
  expect(eventInjection(event('exception', 14, 5)) >>> 0).toBe(0x8000_0b0e);
  expect(eventInjection(event('exception', 6)) >>> 0).toBe(0x8000_0306);
  expect(eventInjection(event('software-interrupt', 0x80, undefined, 2)) >>> 0).toBe(0x8000_0480);
});

test('INT3, INTO and INT1 are exceptions to EVENTINJ, not software interrupts (APM Vol. 2 15.20)', () => {
  expect(eventInjection(event('software-exception', 3, undefined, 1)) >>> 0).toBe(0x8000_0303);
  expect(eventInjection(event('privileged-software-exception', 1, undefined, 1)) >>> 0).toBe(0x8000_0301);
});

test('interrupts, NMIs and exceptions that an exit interrupted come back (APM Vol. 2 15.7.2)', () => {
  expect(interruptedEvent(0x8000_0031 | 0, 0, undefined)).toEqual(event('interrupt', 0x31));
  expect(interruptedEvent(0x8000_0202 | 0, 0, undefined)).toEqual(event('nmi', 2));
  expect(interruptedEvent(0x8000_0b0e | 0, 5, undefined)).toEqual(event('exception', 14, 5));
  expect(interruptedEvent(0x31, 0, undefined)).toBeUndefined();
});

test("a guest's own INT n or INT3 runs again instead; one that was injected comes back as it was", () => {
  expect(interruptedEvent(0x8000_0480 | 0, 0, undefined)).toBeUndefined();
  expect(interruptedEvent(0x8000_0303 | 0, 0, undefined)).toBeUndefined();
  const injected = event('software-interrupt', 0x80, undefined, 2);
  expect(interruptedEvent(0x8000_0480 | 0, 0, injected)).toBe(injected);
  expect(interruptedEvent(0x8000_0b0e | 0, 5, injected)).toEqual(event('exception', 14, 5));
});
