import { MinusOneError } from '@minusone/core';

/** The source is not valid assembly: names the line and what is wrong with it. Code `ASSEMBLY`. */
export class AssemblyError extends MinusOneError {
  constructor(message: string, line: number, source: string, hint: string) {
    super('ASSEMBLY', `Line ${line}: ${message} in '${source.trim()}'.`, { hint, details: { line, source } });
  }
}
