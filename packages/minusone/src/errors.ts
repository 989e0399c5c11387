import { MinusOneError } from '@minusone/core';

/** The command line does not make sense. Code `USAGE`. */
export class UsageError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('USAGE', message, { hint, details });
  }
}

/** A file that was named cannot be read. Code `FILE_UNREADABLE`. */
export class UnreadableFileError extends MinusOneError {
  constructor(path: string, reason: string, cause?: unknown) {
    super('FILE_UNREADABLE', `'${path}' cannot be read: ${reason}.`, {
      hint: 'Check the path and its permissions.',
      details: { path },
      cause,
    });
  }
}

/** The guests cannot be fetched. Code `GUESTS_UNAVAILABLE`. */
export class GuestsUnavailableError extends MinusOneError {
  constructor(reason: string, hint: string, cause?: unknown) {
    super('GUESTS_UNAVAILABLE', `Debian's kernel and busybox cannot be fetched: ${reason}.`, { hint, cause });
  }
}
