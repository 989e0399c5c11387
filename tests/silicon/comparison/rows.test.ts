import { instructionTable } from '@minusone/x86';
import { expect, test } from 'vitest';
import { ALLOWANCES, INTEL_ALLOWANCES } from './allowed.ts';
import { whyLeftOut } from './rows.ts';

test('every row of the table is compared with silicon, or there is a reason why not', () => {
  const unexplained = instructionTable.forms.filter((form) => whyLeftOut(form) === 'no reason is given');
  expect(unexplained.map(({ mnemonic, encoding }) => `${mnemonic} ${encoding}`)).toEqual([]);
});

test('only system rows and what depends on the machine are left out', () => {
  const left = instructionTable.forms.filter(
    (form) => whyLeftOut(form) !== undefined && form.row.execute === undefined && !form.row.options.machineDependent,
  );
  expect(left).toEqual([]);
});

test('each allowed difference names a row of the table, a reason and a section', () => {
  const mnemonics = instructionTable.rows.map(({ mnemonic }) => mnemonic);
  for (const { rows, reason, section } of [...ALLOWANCES, ...INTEL_ALLOWANCES]) {
    expect(mnemonics.some((mnemonic) => rows.test(mnemonic))).toBe(true);
    expect(reason.length).toBeGreaterThan(20);
    expect(section).toMatch(/SDM|APM/);
  }
});
