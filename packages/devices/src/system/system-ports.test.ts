import { expect, test } from 'vitest';
import { DebugConsole } from './debug-console.ts';
import { DebugExit } from './debug-exit.ts';
import { FastA20Port } from './fast-a20-port.ts';
import { PostCode } from './post-code.ts';
import { ResetControlPort } from './reset-control-port.ts';
import { ShutdownPort } from './shutdown-port.ts';

function power() {
  const events: string[] = [];
  return { events, powerOff: (status: number) => events.push(`off ${status}`), reset: (by: string) => events.push(`reset by ${by}`) };
}

test('debug console: port 0xE9 takes text and reads 0xE9', () => {
  const bytes: number[] = [];
  const console = new DebugConsole({ onByte: (byte) => bytes.push(byte) });
  for (const letter of 'Hi') console.writePort(0xe9, 1, letter.charCodeAt(0));
  console.writePort(0xe9, 4, 0x0a0b0c0d); // the bytes beyond belong to other ports
  expect([bytes, console.readPort(0xe9, 1)]).toEqual([[0x48, 0x69, 0x0d], 0xe9]);
});

test('debug exit: a write of v ends with status 2v + 1 (isa-debug-exit)', () => {
  const machine = power();
  const exit = new DebugExit({ power: machine });
  exit.writePort(0xf4, 1, 0x10);
  exit.writePort(0xf4, 4, 0);
  exit.writePort(0xf4, 4, 0xffffffff);
  expect([machine.events, exit.readPort(0xf4, 4)]).toEqual([['off 33', 'off 1', 'off 255'], 0]);
});

test('shutdown port: the eight letters in a row, a false start forgiven', () => {
  const machine = power();
  const port = new ShutdownPort({ power: machine });
  const say = (text: string) => {
    for (const letter of text) port.writePort(0x8900, 1, letter.charCodeAt(0));
  };
  say('Shutdowm');
  say('shutdown');
  say('ShutShutdow');
  expect(machine.events).toEqual([]);
  say('n');
  expect(machine.events).toEqual(['off 0']);
});

test('port 0x92: bit 1 is A20, bit 0 resets on its rising edge only', () => {
  const machine = power();
  const a20: boolean[] = [];
  const port = new FastA20Port({ power: machine, onA20: (enabled) => a20.push(enabled) });
  expect(port.readPort(0x92, 1)).toBe(0x02);
  port.writePort(0x92, 1, 0x00);
  port.writePort(0x92, 1, 0x02);
  expect([a20, machine.events]).toEqual([[false, true], []]);
  port.writePort(0x92, 1, 0x03);
  port.writePort(0x92, 1, 0x03);
  expect(machine.events).toEqual(['reset by port 0x92']);
});

test('port 0xCF9: bit 2 resets on its rising edge, as Linux drives it (0x02, then 0x06; 0x0A, then 0x0E)', () => {
  const machine = power();
  const port = new ResetControlPort({ power: machine });
  port.writePort(0xcf9, 1, 0x02);
  expect([port.readPort(0xcf9, 1), machine.events]).toEqual([0x02, []]);
  port.writePort(0xcf9, 1, 0x06);
  port.writePort(0xcf9, 1, 0x0e);
  expect(machine.events).toEqual(['reset by port 0xCF9']);
});

test('port 0x80 shows the last POST code', () => {
  const codes: number[] = [];
  const port = new PostCode({ onCode: (code) => codes.push(code) });
  port.writePort(0x80, 1, 0x55);
  port.writePort(0x80, 2, 0x1aa);
  expect([codes, port.code, port.readPort(0x80, 1)]).toEqual([[0x55, 0xaa], 0xaa, 0xaa]);
});
