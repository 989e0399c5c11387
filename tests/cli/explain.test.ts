import { main } from 'minusone';
import { expect, test } from 'vitest';
import { memoryIo } from './memory-io.ts';

async function explain(json: string, ...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const io = memoryIo({ stdin: [json] });
  const status = await main(['explain', ...args, '-'], io);
  return { status, stdout: io.stdout, stderr: io.stderr };
}

test('fields left out are those of a sound guest: nothing said, nothing wrong', async () => {
  expect(await explain('{}')).toEqual({ status: 0, stdout: 'VM entry succeeds.\n', stderr: '' });
});

test('a failed check is named with its section, the values and what would mend it: RFLAGS bit 1 must be 1 (SDM Vol. 3C 27.3.1.4)', async () => {
  const { status, stdout } = await explain('{ "GUEST_RFLAGS": "0x0" }');
  expect(status).toBe(1);
  expect(stdout).toContain('guest.rflags.bit-1: SDM Vol. 3C 27.3.1.4');
  expect(stdout).toContain('GUEST_RFLAGS = 0x0');
  expect(stdout).toMatch(/suggest: GUEST_RFLAGS = 0x2/);
});

test('the processor decides which controls there are', async () => {
  const withEpt = '{ "CPU_BASED_VM_EXEC_CONTROL": "0x8401e172", "SECONDARY_VM_EXEC_CONTROL": "0x2" }';
  expect((await explain(withEpt, '--vmx', 'vmx:minimal')).stdout).toContain('SECONDARY');
});

test.each([
  ['no JSON', '{ GUEST_RIP', 'not JSON'],
  ['an unknown field', '{ "GUEST_RPI": 0 }', 'GUEST_RPI'],
  ['a value that is none', '{ "GUEST_RIP": "up" }', 'GUEST_RIP'],
])('bad input ends with 2: %s', async (_what, json, said) => {
  const { status, stdout, stderr } = await explain(json);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(said);
});

test('bad input ends with 2: an unknown processor, a missing file', async () => {
  expect((await explain('{}', '--vmx', 'vmx:none')).status).toBe(2);
  expect(await main(['explain', '/no/such/file'], memoryIo())).toBe(2);
});
