import { IMAGE_OPTIONS, kernelImages, MACHINE_OPTIONS, machineSettings } from '../options/machine-options.ts';
import { readNamedFile } from '../options/read-file.ts';
import type { Command } from './command.ts';
import { CACHE_OPTION, guestsFor } from './guests.ts';
import { EXIT_STATUS_HELP } from './run.ts';

/** The console is the serial port; a panic resets the machine, which ends it with status 1, rather than to hang. */
const COMMAND_LINE = 'console=ttyS0 panic=-1';
const KERNEL_OPTIONS = ['kernel', 'initrd', 'append'];

/** `minusone linux`. */
export const linuxCommand: Command = {
  name: 'linux',
  summary: "boot Debian's cloud kernel to a busybox shell",
  operands: [],
  options: [
    ...IMAGE_OPTIONS.filter(({ name }) => KERNEL_OPTIONS.includes(name)).map((row) =>
      row.name === 'append' ? { ...row, help: `put after the kernel's command line, ${COMMAND_LINE}` } : row,
    ),
    ...MACHINE_OPTIONS,
    CACHE_OPTION,
  ],
  details: `Fetches kernel and busybox first, as \`minusone guests\` does, where they are not here. In the guest, \`poweroff -f\` or leaving the shell
turns the machine off.\n\n${EXIT_STATUS_HELP}`,
  async run(options, io) {
    const settings = await machineSettings(options, io);
    const { commandLine, ...own } = await kernelImages(options);
    const guests = own.kernel === undefined || own.initrd === undefined ? await guestsFor(options, io) : undefined;
    const images = {
      kernel: own.kernel ?? (await readNamedFile(guests?.kernel as string)),
      initrd: own.initrd ?? (await readNamedFile(guests?.initrd as string)),
      commandLine: commandLine === undefined ? COMMAND_LINE : `${COMMAND_LINE} ${commandLine}`,
    };
    const { runMachine } = await import('./run-machine.ts');
    const { status } = await runMachine({ ...settings, boot: { ...settings.boot, ...images } }, io);
    return status;
  },
};
