import { describe, expect, test } from 'vitest';
import { siliconAvailable } from '../harness.ts';
import { modelOf, readHost } from './host.ts';
import { ComparedMachine } from './machine.ts';
import { decoderOf } from './run-cells.ts';
import { runSequences } from './sequences.ts';

const unavailable = siliconAvailable();
const sequences = process.env.MINUSONE_LONG === '1' ? 40_000 : 2_000;

describe.skipIf(unavailable)('sequences of up to 16 instructions, with a loop, branches and faults in the middle', () => {
  test.each([64, 32] as const)(
    'in %i-bit code, in both projections',
    async (mode) => {
      const model = modelOf(readHost());
      const machines = { interpreter: new ComparedMachine(model), jit: new ComparedMachine(model, { threshold: 1 }) };
      const { cases, exceptions, reports } = await runSequences({
        mode,
        sequences,
        states: 4,
        decoder: decoderOf(model.features),
        machines,
        seed: 1,
      });
      expect(cases).toBe(sequences * 4);
      expect(exceptions).toBeGreaterThan(cases / 50);
      const { statistics } = machines.jit.cpu.engine;
      expect(statistics.instructionsInRegions).toBeGreaterThan(statistics.instructions / 3);
      expect(reports.length === 0 ? '' : `${reports.length} differ:\n${reports.slice(0, 5).join('\n')}`).toBe('');
    },
    3_600_000,
  );
});
