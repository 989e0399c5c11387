import { MinusOneError } from '@minusone/core';
import type { CliIo } from './terminal/cli-io.ts';

/** What a message quotes may hold codes that a terminal obeys. Lines stay: an explanation has several. */
const printable = (text: string): string => text.replace(/(?!\n)\p{Cc}/gu, ' ');

/**
 * Says on standard error what went wrong: a mistake by its message, a defect of ours by one line. The stack only with MINUSONE_DEBUG=1.
 */
export function reportError(error: unknown, io: CliIo): void {
  if (error instanceof MinusOneError) {
    io.err(`minusone: ${printable(error.message)} [${error.code}]\n`);
  } else {
    const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    io.err(
      `minusone: ${printable(what).replaceAll('\n', ' ')}. This is a defect of Ring Minus One: please report it (MINUSONE_DEBUG=1 shows where it is).\n`,
    );
  }
  if (io.env.MINUSONE_DEBUG === '1' && error instanceof Error) io.err(`${error.stack}\n`);
}
