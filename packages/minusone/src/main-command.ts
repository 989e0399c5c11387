import { readFile } from 'node:fs/promises';
import type { Command } from './commands/command.ts';
import { demoCommand } from './commands/demo.ts';
import { disasmCommand } from './commands/disasm.ts';
import { explainCommand } from './commands/explain.ts';
import { guestsCommand } from './commands/guests.ts';
import { linuxCommand } from './commands/linux.ts';
import { runCommand } from './commands/run.ts';
import { UsageError } from './errors.ts';
import { commandHelp, generalHelp } from './help.ts';
import { parseOptions } from './options/option.ts';
import { reportError } from './report-error.ts';
import type { CliIo } from './terminal/cli-io.ts';

const COMMANDS: readonly Command[] = [runCommand, linuxCommand, guestsCommand, disasmCommand, explainCommand, demoCommand];
const FAILURE_STATUS = 1;

/**
 * The command line of Ring Minus One. Throws nothing: what goes wrong is said on `io.err`.
 *
 * @param args without the program's name
 * @returns the exit status
 * @example
 * const status = await main(['disasm', '--bits', '16', 'boot.bin'], io);
 */
export async function main(args: readonly string[], io: CliIo): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  try {
    return command === undefined ? await withoutCommand(name, io) : await runCommandLine(command, rest, io);
  } catch (error) {
    reportError(error, io);
    return command?.failureStatus ?? FAILURE_STATUS;
  }
}

async function runCommandLine(command: Command, args: readonly string[], io: CliIo): Promise<number> {
  const options = parseOptions(command.name, command.options, args, command.operands.length);
  return options.isSet('help') ? say(commandHelp(command), io) : command.run(options, io);
}

async function withoutCommand(name: string | undefined, io: CliIo): Promise<number> {
  if (name === '--help' || name === '-h' || name === 'help') return say(generalHelp(COMMANDS), io);
  if (name === '--version' || name === '-V') return say(`minusone ${await version()}\n`, io);
  const message = name === undefined ? 'There is no command.' : `There is no command '${name}'.`;
  throw new UsageError(message, `Use ${COMMANDS.map((known) => known.name).join(', ')}; see \`minusone --help\`.`, { command: name });
}

function say(text: string, io: CliIo): number {
  io.out(text);
  return 0;
}

async function version(): Promise<string> {
  const manifest = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  return JSON.parse(manifest).version;
}
