import { MACHINE_OPTIONS, machineSettings } from '../options/machine-options.ts';
import type { Command } from './command.ts';

/** `minusone demo`, which is `npm start`. */
export const demoCommand: Command = {
  name: 'demo',
  summary: 'run the embedded demonstration kernel',
  operands: [],
  options: MACHINE_OPTIONS,
  details: 'A small 64-bit kernel of our own: from real mode to long mode, paging, timer interrupts, two ring-3 tasks, power-off.',
  async run(options, io) {
    const settings = await machineSettings(options, io);
    const { DEMO_ADDRESS, demoKernel } = await import('@minusone/vmm');
    const { runMachine } = await import('./run-machine.ts');
    const flat = { image: demoKernel(), address: DEMO_ADDRESS };
    const { status, instructions, seconds } = await runMachine({ ...settings, boot: { ...settings.boot, flat } }, io);
    io.out(`${instructions.toLocaleString('en')} instructions in ${seconds.toFixed(2)} s\n`);
    return status;
  },
};
