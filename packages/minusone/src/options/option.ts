import { parseArgs } from 'node:util';
import { UsageError } from '../errors.ts';

/** One option of a command, as a row: the parser and the help page both read it. */
export interface OptionRow {
  /** Without the dashes. */
  readonly name: string;
  /** What the value is called in the help, such as `FILE`. Left out: the option is a switch. */
  readonly value?: string;
  readonly help: string;
}

/** What a command line said. */
export interface ParsedOptions {
  /** The value of an option; the last one counts where it is given more than once. */
  value(name: string): string | undefined;
  isSet(name: string): boolean;
  readonly operands: readonly string[];
}

const HELP: OptionRow = { name: 'help', help: 'say what the command does and takes' };

/** The option whose name is closest to a wrong one, for a hint. */
function nearest(name: string, rows: readonly OptionRow[]): string | undefined {
  return rows.map((row) => row.name).find((known) => known.startsWith(name) || name.startsWith(known) || known[0] === name[0]);
}

/**
 * Parses the arguments of a command.
 *
 * @param operands how many arguments that are no options it takes, at most
 * @throws {UsageError} an unknown option, a missing or superfluous value, too many operands
 */
export function parseOptions(command: string, rows: readonly OptionRow[], args: readonly string[], operands = 0): ParsedOptions {
  const all = [...rows, HELP];
  const seeHelp = `See \`minusone ${command} --help\`.`;
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: Object.fromEntries(all.map((row) => [row.name, { type: row.value === undefined ? 'boolean' : 'string' } as const])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string | undefined>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const row = token.rawName === '-h' ? HELP : token.rawName.startsWith('--') ? all.find(({ name }) => name === token.name) : undefined;
    if (row === undefined) {
      const suggestion = nearest(token.name, rows);
      const hint = suggestion === undefined ? seeHelp : `Did you mean --${suggestion}? ${seeHelp}`;
      throw new UsageError(`There is no option '${token.rawName}'.`, hint, { option: token.rawName });
    }
    if (row.value === undefined && token.value !== undefined)
      throw new UsageError(`The option --${row.name} takes no value.`, seeHelp, { option: row.name, value: token.value });
    if (row.value !== undefined && token.value === undefined)
      throw new UsageError(`The option --${row.name} needs a value.`, `Write --${row.name} ${row.value}.`, { option: row.name });
    values.set(row.name, token.value);
  }
  if (positionals.length > operands && !values.has('help'))
    throw new UsageError(`'${positionals[operands]}' is one argument too many.`, seeHelp, { argument: positionals[operands] });
  return { value: (name) => values.get(name), isSet: (name) => values.has(name), operands: positionals };
}

/**
 * A whole number, decimal or hexadecimal (0x).
 * @throws {UsageError} it is none, or outside `minimum` to `maximum`
 */
export function wholeNumber(what: string, text: string, minimum: number, maximum: number): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < minimum || value > maximum)
    throw new UsageError(`'${text}' is no possible ${what}.`, `Use a whole number from ${minimum} to ${maximum}.`, { what, text });
  return value;
}

/** A positive number of seconds. @throws {UsageError} */
export function seconds(what: string, text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0) || value > MAX_SECONDS)
    throw new UsageError(`'${text}' is no possible ${what}.`, 'Use a positive number of seconds, such as 10 or 0.5.', { what, text });
  return value;
}
/** The longest that a timer of the host can wait: 2^31 - 1 ms. */
const MAX_SECONDS = 2_147_483;

/** One of several words. @throws {UsageError} */
export function oneOf<Word extends string>(what: string, text: string, words: readonly Word[]): Word {
  const word = words.find((candidate) => candidate === text);
  if (word === undefined) throw new UsageError(`There is no ${what} '${text}'.`, `Use ${words.join(' or ')}.`, { what, text });
  return word;
}
