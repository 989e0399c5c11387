import { describe, expect, test, vi } from 'vitest';
import { TextNotSeenError } from '../errors.ts';
import { SerialConsole } from './serial-console.ts';

/** A console, and the guest's side of it. */
function consoleWithGuest() {
  const onInput = vi.fn();
  const serial = new SerialConsole(onInput);
  const guestSends = (text: string) => {
    for (const byte of new TextEncoder().encode(text)) serial.transmitted(byte);
    serial.flush();
  };
  return { serial, onInput, guestSends };
}

describe('waitFor', () => {
  test('text that has come before', async () => {
    const { serial, guestSends } = consoleWithGuest();
    guestSends('boot\nlogin: ');
    expect(await serial.waitFor('login: ')).toBe('boot\nlogin: ');
  });

  test('text that comes in pieces', async () => {
    const { serial, guestSends } = consoleWithGuest();
    const seen = serial.waitFor('login: ');
    for (const piece of ['bo', 'ot\nlo', 'gi', 'n', ': and more']) guestSends(piece);
    expect(await seen).toBe('boot\nlogin: ');
  });

  test('each looks after what the one before has found', async () => {
    const { serial, guestSends } = consoleWithGuest();
    guestSends('# one\n# two\n');
    expect(await serial.waitFor('# ')).toBe('# ');
    expect(await serial.waitFor('# ')).toBe('one\n# ');
    const third = serial.waitFor('# ');
    guestSends('# ');
    expect(await third).toBe('two\n# ');
  });

  test('two that wait at once are answered in the order of asking', async () => {
    const { serial, guestSends } = consoleWithGuest();
    const both = Promise.all([serial.waitFor('a'), serial.waitFor('b')]);
    guestSends('-a-b');
    expect(await both).toEqual(['-a', '-b']);
  });

  test('a character that is split between two flushes', async () => {
    const { serial } = consoleWithGuest();
    const seen = serial.waitFor('é!');
    for (const byte of new TextEncoder().encode('é!')) {
      serial.transmitted(byte);
      serial.flush();
    }
    expect(await seen).toBe('é!');
  });

  test('the time is up: says what was asked and what came instead', async () => {
    const { serial, guestSends } = consoleWithGuest();
    guestSends('Kernel panic');
    const error = await serial.waitFor('login: ', { timeoutMs: 5 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(TextNotSeenError);
    expect(error).toMatchObject({ code: 'TEXT_NOT_SEEN', details: { text: 'login: ', tail: 'Kernel panic' } });
    guestSends('login: '); // too late, and nobody minds
  });

  test('the machine ends first, or has ended', async () => {
    const { serial, guestSends } = consoleWithGuest();
    const waiting = expect(serial.waitFor('never')).rejects.toThrow(/the machine ended \(reset\)/);
    guestSends('bye');
    serial.end('the machine ended (reset)');
    await waiting;
    await expect(serial.waitFor('never')).rejects.toThrow(/the machine ended \(reset\)/);
    expect(await serial.waitFor('bye')).toBe('bye');
  });

  test('looks back on a million characters, and keeps no more than twice that', async () => {
    const { serial, guestSends } = consoleWithGuest();
    guestSends('lost');
    for (let i = 0; i < 3; i++) guestSends('x'.repeat(2 ** 20));
    guestSends('found');
    expect(serial.recentOutput.length).toBeLessThanOrEqual(2 ** 21 + 10);
    expect(serial.recentOutput.startsWith('lost')).toBe(false);
    expect((await serial.waitFor('found')).endsWith('xfound')).toBe(true);
    const next = serial.waitFor('again');
    guestSends('again');
    expect(await next).toBe('again');
  });
});

test('readable yields what the guest sends, and closes with the machine', async () => {
  const { serial, guestSends } = consoleWithGuest();
  guestSends('a');
  guestSends('b');
  serial.end('done');
  const pieces: string[] = [];
  const reader = serial.readable.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read())
    pieces.push(new TextDecoder().decode(value));
  expect(pieces).toEqual(['a', 'b']);
});

test('a reader that goes away stops nothing', async () => {
  const { serial, guestSends } = consoleWithGuest();
  await serial.readable.cancel();
  guestSends('still');
  expect(await serial.waitFor('still')).toBe('still');
  serial.end('done');
});

test('listeners hear of the bytes once, at each flush', () => {
  const { serial, guestSends } = consoleWithGuest();
  const heard: number[][] = [];
  serial.onOutput((bytes) => heard.push([...bytes]));
  guestSends('ab');
  serial.flush();
  guestSends('c');
  expect(heard).toEqual([[97, 98], [99]]);
});

test('input comes out byte by byte, from send and from writable alike, and wakes the machine', async () => {
  const { serial, onInput } = consoleWithGuest();
  serial.send('é');
  const writer = serial.writable.getWriter();
  await writer.write(Uint8Array.of(1, 255));
  expect(onInput).toHaveBeenCalledTimes(2);
  expect(serial.hasInput).toBe(true);
  expect([serial.nextInput(), serial.nextInput(), serial.nextInput(), serial.nextInput(), serial.nextInput()]).toEqual([
    0xc3,
    0xa9,
    1,
    255,
    undefined,
  ]);
  expect(serial.hasInput).toBe(false);
});
