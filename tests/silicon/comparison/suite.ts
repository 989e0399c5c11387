import { instructionTable } from '@minusone/x86';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { siliconAvailable } from '../harness.ts';
import { type CodeBits, cellsOf } from './cells.ts';
import { modelOf, readHost } from './host.ts';
import { ComparedMachine } from './machine.ts';
import { isCompared } from './rows.ts';
import { type CellReport, decoderOf, runCells } from './run-cells.ts';

const isLong = process.env.MINUSONE_LONG === '1';
/** Instances of each form, operand size, register or memory form and mode. */
const INSTANCES = isLong ? 10_000 : 512;
const PER_ENCODING = isLong ? 100 : 64;

/** One row's regions are one block of one instruction: what is compared is the instruction, not the region. */
export const ONE_INSTRUCTION = { threshold: 1, limits: { blocks: 1, instructions: 1 } };

/**
 * Declares the tests of a share of all rows: one for each mnemonic. A row is compared in both projections; in 16-bit code, whose segment has a base, the JIT compiles nothing
 * and its machine is left out.
 */
export function compareRows(modes: readonly CodeBits[], part = 0, parts = 1): void {
  const unavailable = siliconAvailable();
  const forms = instructionTable.forms.filter((form, n) => isCompared(form) && n % parts === part);
  const mnemonics = [...new Set(forms.map(({ mnemonic }) => mnemonic))];
  describe.skipIf(unavailable)(`rows in ${modes.join(' and ')}-bit code, share ${part + 1} of ${parts}`, () => {
    const byMnemonic = new Map<string, CellReport[]>();
    let summary = '';
    beforeAll(async () => {
      const host = readHost();
      const model = modelOf(host);
      const decoder = decoderOf(model.features);
      const offered = forms.filter(({ row }) => (row.options.features ?? []).every((name) => model.has(name)));
      const machines = (): Record<string, ComparedMachine> => ({
        interpreter: new ComparedMachine(model),
        ...(modes.includes(16) ? {} : { jit: new ComparedMachine(model, ONE_INSTRUCTION) }),
      });
      const cells = offered.flatMap((form) => cellsOf(form, decoder, modes));
      const began = performance.now();
      const reports = await runCells(cells, { instances: INSTANCES, perEncoding: PER_ENCODING, machines, decoder });
      for (const report of reports) {
        const { mnemonic } = report.cell.form;
        byMnemonic.set(mnemonic, [...(byMnemonic.get(mnemonic) ?? []), report]);
      }
      const instances = reports.reduce((sum, report) => sum + report.instances, 0);
      const lacking = forms.filter((form) => !offered.includes(form)).map(({ mnemonic }) => mnemonic);
      summary = `${offered.length} forms in ${cells.length} cells, ${instances} instances on ${host.name}, ${modes.includes(16) ? 'interpreter' : 'interpreter and JIT'}: ${((performance.now() - began) / 1000).toFixed(1)} s`;
      if (lacking.length > 0) summary += `; the host lacks ${[...new Set(lacking)].join(' ')}`;
    }, 4 * 3_600_000);
    afterAll(() => console.log(summary));

    test.each(mnemonics)('%s leaves what silicon leaves', (mnemonic) => {
      for (const { cell, instances, differing, reports, unencodable } of byMnemonic.get(mnemonic) ?? []) {
        expect(unencodable, `bytes can be made for ${cell.form.mnemonic} ${cell.form.encoding}`).toBe(false);
        expect(instances).toBeGreaterThanOrEqual(500);
        expect(differing === 0 ? '' : `${differing} of ${instances} differ:\n${reports.join('\n')}`).toBe('');
      }
    });
  });
  test.runIf(unavailable)('silicon is not available', ({ skip }) => skip(unavailable));
}
