import type { Command } from './commands/command.ts';

const NAME_COLUMN = 24;

function columns(rows: readonly (readonly [string, string])[]): string {
  return rows.map(([left, right]) => `  ${left.padEnd(NAME_COLUMN - 1)} ${right}\n`).join('');
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const usage = ['minusone', command.name, '[options]', ...command.operands].join(' ');
  const options = columns(
    [...command.options, { name: 'help', help: 'print this' }].map((row) => [
      `--${row.name}${'value' in row ? ` ${row.value}` : ''}`,
      row.help,
    ]),
  );
  const details = command.details === undefined ? '' : `\n${command.details}\n`;
  return `usage: ${usage}\n\n${command.summary}\n${details}\noptions:\n${options}`;
}

/** The help of all. */
export function generalHelp(commands: readonly Command[]): string {
  const list = columns(commands.map(({ name, summary }) => [name, summary]));
  return `usage: minusone COMMAND [options]

Runs x86-64 guests where no hardware virtualization is.

commands:
${list}
\`minusone COMMAND --help\` says more; \`minusone --version\` prints the version.
`;
}
