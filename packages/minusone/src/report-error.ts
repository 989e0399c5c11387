import { MinusOneError } from '@minusone/core';
import type { CliIo } from './terminal/cli-io.ts';

/** Text as one line: what a message quotes may hold line ends, or codes that a terminal obeys. */
const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');

/**
 * Says on standard error what went wrong: a mistake by its message, a defect of ours by one line. The stack only with MINUSONE_DEBUG=1.
 */
export function reportError(error: unknown, io: CliIo): void {
  if (error instanceof MinusOneError) {
    io.err(`minusone: ${oneLine(error.message)} [${error.code}]\n`);
  } else {
    const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    io.err(`minusone: ${oneLine(what)}. This is a defect of Ring Minus One: please report it (MINUSONE_DEBUG=1 shows where it is).\n`);
  }
  if (io.env.MINUSONE_DEBUG === '1' && error instanceof Error) io.err(`${error.stack}\n`);
}
