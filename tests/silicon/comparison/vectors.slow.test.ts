import { amd, instructionTable, intel } from '@minusone/x86';
import { beforeAll, describe, expect, test } from 'vitest';
import { Batch } from './batch.ts';
import { cellsOf, nameOf } from './cells.ts';
import { Comparator, describeCase } from './compare.ts';
import { ComparedMachine } from './machine.ts';
import { isCompared } from './rows.ts';
import { CELLS_PER_MACHINE, decoderOf } from './run-cells.ts';
import { checksum, readVectors, recordedCases, unfoldResults, type Vectors } from './vectors.ts';

/** Recorded by record-vectors.ts on a processor of this vendor. */
describe.each(['amd'] as const)('vectors recorded on a processor of %s', (vendor) => {
  const again = 'record them again: npx tsx --conditions=@minusone/source tests/silicon/record-vectors.ts';
  let vectors: Vectors;
  let cells = 0;
  const stale: string[] = [];
  const differing: string[] = [];
  beforeAll(() => {
    vectors = readVectors(vendor);
    const { header } = vectors;
    const base = { amd, intel }[vendor];
    const model = base.with(...header.features.filter((name) => !base.has(name)));
    const decoder = decoderOf(header.features);
    let machine = new ComparedMachine(model);
    const comparator = new Comparator(header.seed);
    const batch = new Batch();
    for (const form of instructionTable.forms) {
      if (!isCompared(form)) continue;
      for (const cell of cellsOf(form, decoder)) {
        const recorded = vectors.cells.get(nameOf(cell));
        if (recorded === undefined) continue;
        recordedCases(cell, decoder, batch);
        if (checksum(batch.seal()) !== recorded.inputs) {
          stale.push(nameOf(cell));
          continue;
        }
        if (++cells % CELLS_PER_MACHINE === 0) machine = new ComparedMachine(model);
        const results = unfoldResults(batch, recorded.results);
        results.offsets.forEach((result, n) => {
          const at = batch.offsets[n] as number;
          const differences = comparator.judge(machine, cell, batch, at, results, result);
          if (differences.length > 0) differing.push(describeCase({ cell, batch, at }, 'interpreter', differences));
        });
      }
    }
  }, 600_000);

  test(`their inputs are those that the generator makes; if not, ${again}`, () => expect(stale).toEqual([]));
  test('nearly all of them belong to rows that are still there', () => expect(cells).toBeGreaterThan(vectors.cells.size * 0.95));
  test('the interpreter leaves what silicon left', () =>
    expect(differing.length === 0 ? '' : `${differing.length} differ:\n${differing.slice(0, 5).join('\n')}`).toBe(''));
});
