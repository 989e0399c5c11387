import { expect, test } from 'vitest';
import { EscapeKeys } from './escape-keys.ts';

/** Types text, in pieces; returns what the guest gets. */
function typed(...pieces: string[]): { guest: string; isLeaving: boolean } {
  const keys = new EscapeKeys();
  let guest = '';
  for (const piece of pieces) {
    const { forGuest, isLeaving } = keys.typed(new TextEncoder().encode(piece));
    guest += new TextDecoder().decode(forGuest);
    if (isLeaving) return { guest, isLeaving };
  }
  return { guest, isLeaving: false };
}

test('keys go to the guest, Ctrl-C and x among them', () => {
  expect(typed('ls\r\x03x')).toEqual({ guest: 'ls\r\x03x', isLeaving: false });
});

test('Ctrl-A x leaves; what was typed before still goes to the guest, what comes after does not', () => {
  expect(typed('ab\x01xcd')).toEqual({ guest: 'ab', isLeaving: true });
});

test('Ctrl-A and x may come in two pieces', () => {
  expect(typed('\x01', 'x')).toEqual({ guest: '', isLeaving: true });
});

test('Ctrl-A Ctrl-A, and Ctrl-A a, type one Ctrl-A', () => {
  expect(typed('\x01\x01x', '\x01a')).toEqual({ guest: '\x01x\x01', isLeaving: false });
});

test('Ctrl-A and any other key: both go to the guest', () => {
  expect(typed('\x01e')).toEqual({ guest: '\x01e', isLeaving: false });
});
