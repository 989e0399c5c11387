import { bootImages, IMAGE_OPTIONS, MACHINE_OPTIONS, machineSettings } from '../options/machine-options.ts';
import type { Command } from './command.ts';

/** Said in the help of every command that runs a machine. */
export const EXIT_STATUS_HELP = `The serial port is on standard input and output; what the guest writes to port 0xE9 goes to standard output too.
On a terminal, Ctrl-A x leaves and Ctrl-A Ctrl-A types a Ctrl-A.

Exit status: 0 when the guest turns the machine off or the user leaves, 124 on time-out, 1 on a triple fault, a reset or a
failure; a value v that the guest writes to port 0xF4 ends with status 2v+1.`;

/** `minusone run`. */
export const runCommand: Command = {
  name: 'run',
  summary: 'run a guest of your own',
  operands: [],
  options: [...IMAGE_OPTIONS, ...MACHINE_OPTIONS],
  details: `One of --kernel, --flat and --bios is required.\n\n${EXIT_STATUS_HELP}`,
  async run(options, io) {
    const images = await bootImages(options);
    const settings = await machineSettings(options, io);
    const { runMachine } = await import('./run-machine.ts');
    const { status } = await runMachine({ ...settings, boot: { ...settings.boot, ...images } }, io);
    return status;
  },
};
