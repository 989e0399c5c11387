import { ACCELERATOR_TITLES, ACCELERATORS, type AcceleratorName } from '../options/accelerators.ts';
import { MACHINE_OPTIONS, machineSettings } from '../options/machine-options.ts';
import { oneOf, type ParsedOptions } from '../options/option.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import type { Command } from './command.ts';
import { comparison } from './comparison.ts';
import type { RunResult } from './run-machine.ts';

/** `minusone demo`, which is `npm start`. */
export const demoCommand: Command = {
  name: 'demo',
  summary: 'run the embedded demonstration kernel on the bare CPU, on VT-x and on AMD-V',
  operands: [],
  options: MACHINE_OPTIONS.map((row) =>
    row.name === 'accel' ? { ...row, help: 'run it on this alone; default: on the bare CPU, on VT-x and on AMD-V, side by side' } : row,
  ),
  details: 'A small 64-bit kernel of our own: from real mode to long mode, paging, timer interrupts, two ring-3 tasks, power-off.',
  async run(options, io) {
    const given = options.value('accel');
    const names = given === undefined ? ACCELERATORS : [oneOf('accelerator', given, ACCELERATORS)];
    const results: [AcceleratorName, RunResult][] = [];
    for (const name of names) {
      if (names.length > 1) io.out(`${results.length === 0 ? '' : '\n'}=== ${ACCELERATOR_TITLES[name]} ===\n`);
      const result = await runDemo(name, options, io);
      if (result.status !== 0) return result.status;
      results.push([name, result]);
    }
    io.out(`\n${comparison(results.map(([name, result]) => ({ ...result, title: ACCELERATOR_TITLES[name] })))}`);
    return 0;
  },
};

async function runDemo(name: AcceleratorName, options: ParsedOptions, io: CliIo): Promise<RunResult> {
  const settings = await machineSettings(options, io, name);
  const { DEMO_ADDRESS, demoKernel } = await import('@minusone/vmm');
  const { runMachine } = await import('./run-machine.ts');
  const flat = { image: demoKernel(), address: DEMO_ADDRESS };
  return runMachine({ ...settings, boot: { ...settings.boot, flat } }, io);
}
