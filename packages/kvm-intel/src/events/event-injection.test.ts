import type { VendorEvent } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { entryInterruption, interruptedEvent } from './event-injection.ts';

const event = (type: VendorEvent['type'], vector: number, errorCode?: number, instructionLength = 0): VendorEvent => ({
  type,
  vector,
  errorCode,
  instructionLength,
});

/** Interruption information (SDM Vol. 3C, 25.8.3, "Format of the VM-Entry Interruption-Information Field"): vector, type, error code, valid. */
const events: readonly (readonly [information: number, event: VendorEvent])[] = [
  [0x8000_0031, event('interrupt', 0x31)],
  [0x8000_0202, event('nmi', 2)],
  [0x8000_0b0e, event('exception', 14, 5)],
  [0x8000_0306, event('exception', 6)],
  [0x8000_0480, event('software-interrupt', 0x80, undefined, 2)],
  [0x8000_0501, event('privileged-software-exception', 1, undefined, 1)],
  [0x8000_0603, event('software-exception', 3, undefined, 1)],
];

test.each(events)('%i stands for an event, both ways', (information, expected) => {
  expect(entryInterruption(expected) >>> 0).toBe(information);
  expect(interruptedEvent(information | 0, expected.errorCode ?? 0, 2)).toEqual({
    ...expected,
    instructionLength: expected.instructionLength === 0 ? 0 : 2,
  });
});

test('without bit 31, and of a reserved type, there is no event', () => {
  expect(interruptedEvent(0x0000_0b0e, 5, 0)).toBeUndefined();
  expect(interruptedEvent(0x8000_0131 | 0, 5, 0)).toBeUndefined();
});
