import { Decoder, instructionTable } from '@minusone/x86';
import { Batch } from './batch.ts';
import { type Cell, nameOf, seedOf } from './cells.ts';
import { Comparator, type Difference, describeCase } from './compare.ts';
import { encode } from './encoding.ts';
import { InstanceWriter, planOf } from './instance.ts';
import type { ComparedMachine } from './machine.ts';
import { Random } from './random.ts';
import { type BatchResults, SiliconProcess } from './silicon-process.ts';

/** Each new handler costs more where there are many: a machine is given up after so many cells. */
export const CELLS_PER_MACHINE = 200;

export interface RunOptions {
  /** Per cell, at least. */
  readonly instances: number;
  /** How many instances share an encoding. */
  readonly perEncoding: number;
  /** Makes the machines to compare, by projection. */
  readonly machines: () => Readonly<Record<string, ComparedMachine>>;
  readonly decoder: Decoder;
  /** Of the contents of memory, and added to the cells' own seeds. */
  readonly seed?: number;
}

export interface CellReport {
  readonly cell: Cell;
  instances: number;
  /** By projection: how many differ, and the first few in words. */
  differing: number;
  readonly reports: string[];
  /** How many of the instances ended in an exception. */
  exceptions: number;
  /** Fields that differ, and how often. */
  readonly fields: Map<string, number>;
  /** No bytes could be made for it. */
  unencodable: boolean;
}

/** Generates, runs and compares. The next batch is generated while silicon runs the one before. */
export async function runCells(cells: readonly Cell[], options: RunOptions): Promise<CellReport[]> {
  const { instances, perEncoding, decoder, seed = 1 } = options;
  let machines = options.machines();
  let cellsSeen = 0;
  let last: CellReport | undefined;
  const silicon = new SiliconProcess();
  const comparator = new Comparator(seed);
  const reports: CellReport[] = cells.map((cell) => ({
    cell,
    instances: 0,
    differing: 0,
    reports: [],
    exceptions: 0,
    fields: new Map(),
    unencodable: false,
  }));
  const batches = [new Batch(), new Batch()];
  let pending: { results: Promise<BatchResults>; batch: Batch; owners: readonly CellReport[] } | undefined;

  const compare = (batch: Batch, owners: readonly CellReport[], results: BatchResults): void => {
    for (let n = 0; n < batch.count; n++) {
      const report = owners[n] as CellReport;
      const at = batch.offsets[n] as number;
      const result = results.offsets[n] as number;
      report.instances++;
      if (report !== last) {
        last = report;
        if (++cellsSeen % CELLS_PER_MACHINE === 0) machines = options.machines();
      }
      if (results.bytes[result + 8] === 1) report.exceptions++;
      for (const [projection, machine] of Object.entries(machines)) {
        const differences: readonly Difference[] = comparator.judge(machine, report.cell, batch, at, results, result);
        if (differences.length === 0) continue;
        report.differing++;
        for (const { field } of differences) report.fields.set(field, (report.fields.get(field) ?? 0) + 1);
        if (report.reports.length < 3) report.reports.push(describeCase({ cell: report.cell, batch, at }, projection, differences));
      }
    }
  };

  let batch = batches[0] as Batch;
  let owners: CellReport[] = [];
  /** Sends the batch at hand once the one before has come back, which is then compared meanwhile. */
  const flush = async (): Promise<void> => {
    const before = pending;
    const results = await before?.results;
    pending = batch.count === 0 ? undefined : { results: silicon.run(batch.seal(), batch.count), batch, owners };
    if (before !== undefined) compare(before.batch, before.owners, results as BatchResults);
    batch = batches[batch === batches[0] ? 1 : 0] as Batch;
    batch.clear();
    owners = [];
  };
  try {
    for (const report of reports) {
      const { cell } = report;
      const random = new Random(seedOf(cell) + seed * 7919);
      for (let left = instances; left > 0; left -= perEncoding) {
        const encoding = encode(cell, decoder, random);
        if (encoding === undefined) {
          report.unencodable = true;
          break;
        }
        const plan = planOf(encoding);
        for (let n = 0; n < perEncoding; n++) {
          if (batch.isFull) await flush();
          new InstanceWriter(batch, random, seed).write(plan);
          owners.push(report);
        }
      }
    }
    while (batch.count > 0 || pending !== undefined) await flush();
  } finally {
    silicon.close();
  }
  return reports;
}

export function decoderOf(features: readonly string[]): Decoder {
  return new Decoder(instructionTable, new Set(features));
}
export { nameOf };
