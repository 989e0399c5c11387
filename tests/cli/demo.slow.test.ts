import { main } from 'minusone';
import { describe, expect, test } from 'vitest';
import { memoryIo } from './memory-io.ts';

/** The cells of the table at the end: label, then one for each column. */
function table(stdout: string): string[][] {
  const lines = stdout
    .slice(stdout.lastIndexOf('\n\n') + 2)
    .trimEnd()
    .split('\n');
  return lines.map((line) => line.trim().split(/ {2,}/));
}
const cell = (rows: string[][], label: string): string[] => rows.find(([name]) => name === label)?.slice(1) ?? [];
const numberOf = (text: string | undefined): number => Number((text ?? '').replaceAll(',', ''));

describe('demo', () => {
  test('runs the embedded kernel on the bare CPU, VT-x and AMD-V to its power-off, and ends in a table side by side', {
    timeout: 240_000,
  }, async () => {
    const io = memoryIo();
    expect(await main(['demo', '--timeout', '70'], io)).toBe(0);
    expect(io.stdout.match(/^=== .* ===$/gm)).toEqual(['=== bare CPU ===', '=== VT-x ===', '=== AMD-V ===']);
    expect(io.stdout.match(/64-bit mode, paging on/g)).toHaveLength(3);
    expect(io.stdout.match(/primes below +100000: +9592/g)).toHaveLength(3);

    const rows = table(io.stdout);
    expect(rows[0]).toEqual(['bare CPU', 'VT-x', 'AMD-V']);
    // How many interrupts come while a task runs differs a little: the time that the kernel measures against does.
    const instructions = cell(rows, 'instructions').map(numberOf);
    for (const count of instructions) expect(count / (instructions[0] as number)).toBeCloseTo(1, 2);
    const seconds = cell(rows, 'time').map((text) => Number.parseFloat(text));
    const relative = cell(rows, 'time / bare CPU').map(Number);
    expect(relative[0]).toBe(1);
    for (const [i, ratio] of relative.entries())
      expect(Math.abs(ratio - (seconds[i] as number) / (seconds[0] as number))).toBeLessThan(0.1);

    // Exits by the manuals' names; on the bare CPU there are none.
    for (const name of ['CPUID', 'HLT']) {
      const [bare, vtx, amdv] = cell(rows, name);
      expect(bare).toBe('-');
      expect(numberOf(vtx)).toBeGreaterThan(0);
      expect(numberOf(amdv)).toBeGreaterThan(0);
    }
    expect(cell(rows, 'IO_INSTRUCTION')).toEqual(['-', expect.stringMatching(/^[\d,]+$/), '-']);
    expect(cell(rows, 'IOIO')).toEqual(['-', '-', expect.stringMatching(/^[\d,]+$/)]);
    for (const [column, total] of cell(rows, 'exits').entries()) {
      if (column === 0) continue;
      const named = rows.slice(rows.findIndex(([name]) => name === 'exits') + 1);
      expect(named.reduce((sum, row) => sum + (row[column + 1] === '-' ? 0 : numberOf(row[column + 1])), 0)).toBe(numberOf(total));
    }
  });

  test('--accel runs it on one alone', { timeout: 120_000 }, async () => {
    const io = memoryIo();
    expect(await main(['demo', '--accel', 'none', '--timeout', '100'], io)).toBe(0);
    expect(io.stdout).not.toMatch(/^=== /m);
    expect(table(io.stdout).map(([label]) => label)).toEqual(['bare CPU', 'instructions', 'time']);
  });

  test('a machine that does not end by itself is the end of it: the status is its own, and there is no table', async () => {
    const io = memoryIo();
    expect(await main(['demo', '--timeout', '0.01'], io)).toBe(124);
    expect(io.stdout).not.toMatch('instructions');
  });
});
