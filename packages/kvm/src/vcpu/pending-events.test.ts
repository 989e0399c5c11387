import { Vector } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { PendingEvents } from './pending-events.ts';

function combined(first: number, second: number): number | 'triple fault' {
  const events = new PendingEvents();
  events.interrupted({ type: 'exception', vector: first, errorCode: undefined, instructionLength: 0 });
  events.queueException(second, 0);
  return events.tripleFault ? 'triple fault' : events.exception.vector;
}

describe('exceptions during the delivery of exceptions (SDM Vol. 3A, Table 6-5)', () => {
  test.each([
    ['contributory after contributory', Vector.GP, Vector.NP, Vector.DF],
    ['contributory after page fault', Vector.PF, Vector.GP, Vector.DF],
    ['page fault after page fault', Vector.PF, Vector.PF, Vector.DF],
    ['page fault after contributory', Vector.GP, Vector.PF, Vector.PF],
    ['benign after contributory', Vector.GP, Vector.DB, Vector.DB],
    ['contributory after benign', Vector.DB, Vector.GP, Vector.GP],
  ] as const)('%s', (_name, first, second, result) => {
    expect(combined(first, second)).toBe(result);
  });
  test('any but a benign one after a double fault shuts the processor down', () => {
    expect(combined(Vector.DF, Vector.PF)).toBe('triple fault');
    expect(combined(Vector.DF, Vector.DB)).toBe(Vector.DB);
  });
});

test('what hardware was delivering is injected again as what it was (SDM Vol. 3C, 27.2.4)', () => {
  const events = new PendingEvents();
  events.interrupted({ type: 'software-interrupt', vector: 0x80, errorCode: undefined, instructionLength: 2 });
  expect(events.interruptEvent()).toEqual({ type: 'software-interrupt', vector: 0x80, errorCode: undefined, instructionLength: 2 });
  events.interrupted({ type: 'software-exception', vector: 3, errorCode: undefined, instructionLength: 1 });
  expect(events.interruptInjected).toBe(-1);
  expect(events.exceptionEvent(true)).toEqual({ type: 'software-exception', vector: 3, errorCode: undefined, instructionLength: 1 });
  events.interrupted(undefined);
  expect(events.isQuiet).toBe(true);
});

test('in real-address mode no exception has an error code (SDM Vol. 3A, 20.1.4)', () => {
  const events = new PendingEvents();
  events.queueException(Vector.GP, 0x10);
  expect(events.exceptionEvent(false).errorCode).toBeUndefined();
  expect(events.exceptionEvent(true).errorCode).toBe(0x10);
});
