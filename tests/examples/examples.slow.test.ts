import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';
import { runExample, runExampleAsTold } from './run-example.ts';

describe.concurrent('every example runs and prints what it promises', () => {
  test('first-machine', async () => {
    // MOV, MOV; OUTSB, CMP, JNE for each of 26 characters; OUT
    expect(await runExample('first-machine')).toBe(`Hello from ring minus one!\n${2 + 3 * 26 + 1} instructions\n`);
  });

  test('mmio-device', async () => {
    expect(await runExample('mmio-device')).toBe('alarm at 25 degrees\n');
  });

  test('page-tables', async () => {
    const [code, apic, userApic, nothing] = (await runExample('page-tables')).trimEnd().split('\n\n');
    expect(code).toMatch(/= physical 0x8000, in a page of 2 MBytes; .*user$/);
    expect(apic).toMatch(/= physical 0xfee00020/);
    expect(userApic).toMatch(/page fault, error code 0x5/);
    expect(nothing).toMatch(/PDPTE at 0x11008: 0x0+ {2}not present\n.*page fault, error code 0x2/);
  });

  test('assembler', async () => {
    const lines = (await runExample('assembler')).trimEnd().split('\n');
    expect(lines).toHaveLength(9);
    expect(lines[0]).toBe('1000  48 89 f8    mov rax, rdi');
    expect(lines[7]).toMatch(/jmp gcd$/);
  });

  test('kvm-hello', async () => {
    expect(await runExample('kvm-hello')).toBe('Hello from ring minus one!\n');
  });

  test('kvm-mmio-device', async () => {
    // OR reads and writes the alarm: 0x8000 or 25.
    expect(await runExample('kvm-mmio-device')).toBe('read  thermometer: 0x19\nread  alarm: 0x8000\nwrite alarm: 0x8019\n');
  });

  test('kvm-both-vendors', async () => {
    const [onIntel, intelExits, onAmd, amdExits] = (await runExample('kvm-both-vendors')).trimEnd().split('\n');
    const seen = 'out 10 51, mmio 9000 51, out 10 50, mmio 9000 50, out 10 49, mmio 9000 49';
    expect([onIntel, onAmd]).toEqual([`kvm_intel: ${seen}`, `kvm_amd: ${seen}`]);
    expect(JSON.parse(intelExits ?? '')).toMatchObject({ IO_INSTRUCTION: 3, HLT: 1, EPT_VIOLATION: expect.any(Number) });
    expect(JSON.parse(amdExits ?? '')).toMatchObject({ IOIO: 3, HLT: 1, NPF: expect.any(Number) });
  });

  test('kvm-two-guests', async () => {
    const [hare, tortoise, ...more] = (await runExample('kvm-two-guests')).trimEnd().split('\n');
    expect(hare).toMatch(/^hare has counted to ten; hare 10, tortoise \d$/);
    expect([tortoise, more]).toEqual(['tortoise has counted to ten; hare 10, tortoise 10', []]);
  });

  test('kvm-dirty-log', async () => {
    expect(await runExample('kvm-dirty-log')).toBe('at io: pages 2, 7\nat hlt: pages 2\n');
  });

  test('vtx-hypervisor and amdv-hypervisor', async () => {
    const said = 'the guest believes to be on a RingMinusOne\n';
    expect(await runExample('vtx-hypervisor')).toBe(`${said}{"CPUID":1,"HLT":1,"IO_INSTRUCTION":3}\n`);
    expect(await runExample('amdv-hypervisor')).toBe(`${said}{"CPUID":1,"HLT":1,"IOIO":3}\n`);
  });

  test('ept-violation', async () => {
    // Instructions: MOV of 6 bytes from 0x1000 on, HLT, ADD of 5, MOV of 3, HLT.
    expect((await runExample('ept-violation')).split('\n')).toEqual([
      'HLT at 1006',
      'EPT_VIOLATION at 1007',
      '  guest-physical address 5678',
      '  write, linearAddressValid, translated',
      'HLT at 100f',
      'AX = 42',
      '',
    ]);
  });

  test('explain-entry', async () => {
    const said = await runExample('explain-entry');
    expect(said).toMatch(/^VM entry fails: exit reason 33/);
    expect(said).toMatch(/guest\.cs\.db-with-l: SDM Vol\. 3C 27\.3\.1\.2.*\n.*0xe09b/);
    expect(said).toMatch(/guest\.rflags\.bit-1: .*\n.*\n.*\n {4}suggest: GUEST_RFLAGS = 0x2\n/);
    expect(said).toMatch(/\nVM entry succeeds\.\n$/);
  });
});

test('an example runs by the command that the README gives', async () => {
  expect(await runExampleAsTold('assembler')).toBe(await runExample('assembler'));
});

test('the README lists every example', async () => {
  const { readFile } = await import('node:fs/promises');
  const readme = await readFile(join(ROOT, 'examples/README.md'), 'utf8');
  const folders = readdirSync(join(ROOT, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders) if (name !== 'node_modules') expect(readme).toMatch(`(${name}/index.ts)`);
});
