import type { OptionRow, ParsedOptions } from '../options/option.ts';
import type { CliIo } from '../terminal/cli-io.ts';

/** A command of the CLI, as a row: the dispatcher and the help pages read it. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What stands after the options, such as `FILE`. */
  readonly operands: readonly string[];
  readonly options: readonly OptionRow[];
  /** More to know, for the command's own help. */
  readonly details?: string;
  /** The exit status after a mistake; 1 by default. */
  readonly failureStatus?: number;
  /** @returns the exit status */
  run(options: ParsedOptions, io: CliIo): Promise<number>;
}
