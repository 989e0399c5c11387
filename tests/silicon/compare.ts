/**
 * Compares rows of the table with this machine's processor, for whoever looks for a difference:
 * `npx tsx --conditions=@minusone/source tests/silicon/compare.ts [--form REGEXP] [--mode 64] [--instances 512] [--seed 1] [--each 32] [--jit | --both] [--part 3/8]`.
 */
import { parseArgs } from 'node:util';
import { instructionTable } from '@minusone/x86';
import { type CodeBits, cellsOf, nameOf } from './comparison/cells.ts';
import { modelOf, readHost } from './comparison/host.ts';
import { ComparedMachine } from './comparison/machine.ts';
import { isCompared } from './comparison/rows.ts';
import { decoderOf, runCells } from './comparison/run-cells.ts';

const { values } = parseArgs({
  options: {
    form: { type: 'string' },
    mode: { type: 'string' },
    instances: { type: 'string', default: '128' },
    seed: { type: 'string', default: '1' },
    each: { type: 'string', default: '32' },
    jit: { type: 'boolean', default: false },
    both: { type: 'boolean', default: false },
    reports: { type: 'string', default: '1' },
    part: { type: 'string', default: '1/1' },
    quiet: { type: 'boolean', default: false },
  },
});
const model = modelOf(readHost());
const decoder = decoderOf(model.features);
const pattern = new RegExp(values.form ?? '.');
const modes = values.mode === undefined ? undefined : values.mode.split(',').map((mode) => Number(mode) as CodeBits);
const forms = instructionTable.forms.filter((form) => isCompared(form) && pattern.test(`${form.mnemonic} ${form.encoding}`));
const [part = 1, parts = 1] = values.part.split('/').map(Number);
const cells = forms.flatMap((form) => cellsOf(form, decoder, modes)).filter((_, n) => n % parts === part - 1);
let jit: ComparedMachine | undefined;
const machines = (): Record<string, ComparedMachine> => {
  const made: Record<string, ComparedMachine> = {};
  if (!values.jit) made.interpreter = new ComparedMachine(model);
  if (values.jit || values.both) made.jit = jit = new ComparedMachine(model, { threshold: 1, limits: { blocks: 1, instructions: 1 } });
  return made;
};
const began = performance.now();
const reports = await runCells(cells, {
  instances: Number(values.instances),
  perEncoding: Number(values.each),
  machines,
  decoder,
  seed: Number(values.seed),
});
const seconds = (performance.now() - began) / 1000;
const bad = reports.filter(({ differing }) => differing > 0);
for (const { cell, instances, differing, fields, reports: texts } of bad) {
  console.log(`${nameOf(cell)}: ${differing} of ${instances}: ${[...fields].map(([field, count]) => `${field} ${count}`).join(', ')}`);
  if (!values.quiet) for (const text of texts.slice(0, Number(values.reports))) console.log(text);
}
for (const { cell, unencodable } of reports) if (unencodable) console.log(`${nameOf(cell)}: no encoding`);
const total = reports.reduce((sum, { instances }) => sum + instances, 0);
const exceptions = reports.reduce((sum, report) => sum + report.exceptions, 0);
console.log(
  `${forms.length} forms, ${cells.length} cells, ${total} instances, ${exceptions} exceptions; ${bad.length} cells differ; ${seconds.toFixed(1)} s`,
);
if (jit !== undefined) console.log(jit.cpu.engine.statistics);
