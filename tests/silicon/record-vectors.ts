/**
 * Records what this machine's processor does, for hosts without silicon: `npx tsx --conditions=@minusone/source tests/silicon/record-vectors.ts`. To be run again whenever the
 * generator or the rows change.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { instructionTable } from '@minusone/x86';
import { Batch } from './comparison/batch.ts';
import { cellsOf } from './comparison/cells.ts';
import { modelOf, readHost } from './comparison/host.ts';
import { isCompared } from './comparison/rows.ts';
import { decoderOf } from './comparison/run-cells.ts';
import { SiliconProcess } from './comparison/silicon-process.ts';
import { checksum, foldResults, recordedCases, writeVectors } from './comparison/vectors.ts';

const host = readHost();
const model = modelOf(host);
const decoder = decoderOf(model.features);
const silicon = new SiliconProcess();
const batch = new Batch();
const recorded = [];
for (const form of instructionTable.forms) {
  if (!isCompared(form) || !(form.row.options.features ?? []).every((name) => model.has(name))) continue;
  for (const cell of cellsOf(form, decoder)) {
    recordedCases(cell, decoder, batch);
    if (batch.count === 0) continue;
    const inputs = batch.seal();
    recorded.push({ cell, inputs: checksum(inputs), results: foldResults(batch, await silicon.run(inputs, batch.count)) });
  }
}
silicon.close();
mkdirSync(join(import.meta.dirname, 'comparison/vectors'), { recursive: true });
const bytes = writeVectors({ vendor: host.vendor, name: host.name, features: model.features }, recorded);
console.log(`${recorded.length} cells, ${bytes} bytes`);
