import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';
import { runExample } from './run-example.ts';

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
});

test('the README lists every example', async () => {
  const { readFile } = await import('node:fs/promises');
  const readme = await readFile(join(ROOT, 'examples/README.md'), 'utf8');
  const folders = readdirSync(join(ROOT, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders) if (name !== 'node_modules') expect(readme).toMatch(`(${name}/index.ts)`);
});
