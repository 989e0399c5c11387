import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { instructionTable } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';
import { SYSTEM_ROWS, WARM_ROWS } from './system-rows.ts';

const INSTRUCTIONS = join(ROOT, 'packages/x86/src/instructions');

/** Mnemonics that compute something of their operands: none of them may be plain TypeScript. */
const ARITHMETIC =
  /^(ADD|ADC|SUB|SBB|CMP|NEG|INC|DEC|MUL|IMUL|DIV|IDIV|AND|OR|XOR|NOT|TEST|SH[LR]|SA[LR]|RO[LR]|RC[LR]|SHLD|SHRD|BT|BS[FR]|BSWAP|[LT]ZCNT|POPCNT|AA[ADMS]|DA[AS]|CMOV|SET|XADD|CMPXCHG|CBW|CWD|CRC32|LEA|P[A-Z]+[BWDQ]$|F(ADD|SUB|MUL|DIV|SQRT|COM|SIN|COS|PTAN|PATAN|2XM1|YL2X|SCALE|PREM|RNDINT|XTRACT|ABS|CHS)|(ADD|SUB|MUL|DIV|SQRT|MIN|MAX|CMP|CVT).*[PS][SD]$)/;

/** Lines of source files under a folder, comments left out. */
function codeOf(folder: string, files: readonly string[]): { where: string; text: string }[] {
  return files.flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
      .split('\n')
      .map((line, n) => ({ where: `${file}:${n + 1}`, text: line.replace(/\/\/.*$/, '') })),
  );
}

/** Files in which system rows are made. */
const systemFiles: readonly string[] = readdirSync(INSTRUCTIONS, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .filter((file) => /^(?:(?!\/\/|\*).)*\b(?:system|warmSystem)\('/m.test(readFileSync(join(INSTRUCTIONS, file), 'utf8')));

/** Where an emitter stands beside the TypeScript. */
const WARM_FILES: readonly string[] = systemFiles.filter((file) => /\bwarmSystem\('/.test(readFileSync(join(INSTRUCTIONS, file), 'utf8')));

test('what is plain TypeScript is a closed list: each row by name and encoding', () => {
  const found: Record<string, string[]> = {};
  for (const { mnemonic, encodings, execute } of instructionTable.rows) {
    if (execute !== undefined) found[mnemonic] = [...(found[mnemonic] ?? []), ...encodings];
  }
  expect(found).toEqual(SYSTEM_ROWS);
});

test('every other row is emitted, and few of the list have an emitter for the usual case', () => {
  const rows = instructionTable.rows;
  expect(rows.filter(({ semantics, execute }) => semantics === undefined && execute === undefined)).toEqual([]);
  expect(rows.filter(({ semantics, execute }) => semantics !== undefined && execute !== undefined).map(({ mnemonic }) => mnemonic)).toEqual(
    WARM_ROWS,
  );
});

describe('no system row does arithmetic', () => {
  test('none has the name of an arithmetic, logic, shift or conversion instruction', () => {
    expect(Object.keys(SYSTEM_ROWS).filter((name) => ARITHMETIC.test(name))).toEqual([]);
    expect(['ADD', 'SHLD', 'PADDW', 'FSQRT', 'CVTSI2SD', 'CMOV{cc}', 'CMPPS'].filter((name) => !ARITHMETIC.test(name))).toEqual([]);
  });

  test('none leaves flags undefined, has an error bound, or belongs to a vector unit: that is what instructions that compute have', () => {
    for (const { mnemonic, options, execute } of instructionTable.rows) {
      if (execute === undefined) continue;
      expect([options.undefinedFlags, options.errorBound, options.undefinedForCountsAbove], mnemonic).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect(['integer', 'x87'], mnemonic).toContain(options.unit ?? 'integer');
    }
  });

  test('they are made in instructions/system, and in the one file of the x87 state images', () => {
    expect(systemFiles.filter((file) => !file.startsWith('system/'))).toEqual(['x87/environment.ts']);
  });

  test('their files reach for nothing that computes: neither soft float, nor code generation, nor the lazy flags (but where the usual case is emitted)', () => {
    const files = [...new Set([...systemFiles, 'system/operand-access.ts'])].filter((file) => !WARM_FILES.includes(file));
    const forbidden = /from '(@minusone\/wasm|.*\/softfloat\/.*|.*\/semantics\/.*|.*\/state\/arithmetic-flags\.ts)'/;
    expect(codeOf(INSTRUCTIONS, files).filter(({ text }) => forbidden.test(text))).toEqual([]);
  });

  test('they multiply by constants alone (a stride, the bits of a byte), and never divide', () => {
    const suspicious = codeOf(INSTRUCTIONS, systemFiles)
      .map(({ where, text }) => ({ where, text: text.replace(/'[^']*'|`[^`]*`/g, "''") }))
      .filter(
        ({ text }) =>
          /[\w)\]] (?:%|\/) /.test(text) || /(?<!\b\d+) \* (?!\d|[A-Z_]{3,}\b|bytes\b)/.test(text) || /Math\.(imul|sqrt|pow)/.test(text),
      );
    expect(suspicious).toEqual([]);
  });
});
