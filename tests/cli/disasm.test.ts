import { main } from 'minusone';
import { afterAll, expect, test } from 'vitest';
import { memoryIo } from './memory-io.ts';
import { GuestFiles } from './small-guests.ts';

const files = new GuestFiles();
afterAll(() => files.remove());

async function listing(...args: string[]): Promise<string[][]> {
  const io = memoryIo();
  expect(await main(['disasm', ...args], io)).toBe(0);
  return io.stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
}

test('one line an instruction: address, bytes, text', async () => {
  const file = files.write('code', Uint8Array.from([0x48, 0x01, 0xd8, 0x90, 0xc3]));
  expect(await listing(file)).toEqual([
    ['00000000', '4801d8', 'add rax, rbx'],
    ['00000003', '90', 'nop'],
    ['00000004', 'c3', 'ret'],
  ]);
});

test('--bits changes what bytes mean: 40 is INC AX without 64-bit mode (SDM Vol. 2A, REX Prefixes)', async () => {
  const file = files.write('code', Uint8Array.from([0x40, 0x50]));
  expect((await listing('--bits', '16', file)).map((line) => line[2])).toEqual(['inc ax', 'push ax']);
  expect((await listing('--bits', '32', file)).map((line) => line[2])).toEqual(['inc eax', 'push eax']);
  expect((await listing('--bits', '64', file)).map((line) => line[2])).toEqual(['push rax']);
});

test('--address is where the first byte shown stands: targets are addresses', async () => {
  const file = files.write('code', Uint8Array.from([0xf4, 0xeb, 0xfd])); // hlt; jmp to it
  expect(await listing('--address', '0xffffffff81000000', file)).toEqual([
    ['ffffffff81000000', 'f4', 'hlt'],
    ['ffffffff81000001', 'ebfd', 'jmp 0xffffffff81000000'],
  ]);
});

test('--offset and --length choose a part; bytes that are no instruction are a line each', async () => {
  const file = files.write('code', Uint8Array.from([0xcc, 0x90, 0x06, 0x90, 0xcc]));
  expect(await listing('--offset', '1', '--length', '3', file)).toEqual([
    ['00000000', '90', 'nop'],
    ['00000001', '06', '(bad)'],
    ['00000002', '90', 'nop'],
  ]);
});

test("FILE '-' is standard input", async () => {
  const io = memoryIo({ stdin: ['\x90', '\x90'] });
  expect(await main(['disasm', '-'], io)).toBe(0);
  expect(io.stdout.split('\n')).toHaveLength(3);
});
