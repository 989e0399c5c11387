/**
 * The one base of every error that Ring Minus One throws on purpose.
 *
 * A guest's fault is never an error here: guest faults are values that flow through the machine. What is thrown is a
 * *user's* mistake (bad image, overlapping slot, unknown option), with a stable `code`, the values involved, and a
 * `hint` that says what to do next.
 */
export class MinusOneError extends Error {
  /** Stable, machine-readable name of the mistake, such as `MEMORY_SLOT_OVERLAP`. */
  readonly code: string;
  /** The values involved, for programs and for people. */
  readonly details: Readonly<Record<string, unknown>>;
  /** What to do next, one sentence. */
  readonly hint: string;

  constructor(code: string, message: string, options: { hint: string; details?: Record<string, unknown>; cause?: unknown }) {
    super(`${message} ${options.hint}`.trim(), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint;
  }
}

/** A defect of Ring Minus One itself; carries what is needed to reproduce it. Please report it. */
export class InternalError extends MinusOneError {
  constructor(message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super('INTERNAL', message, { hint: 'This is a defect of Ring Minus One: please report it with these details.', details, cause });
  }
}

/** An argument lies outside what the function documents. */
export class InvalidArgumentError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('INVALID_ARGUMENT', message, { hint, details });
  }
}

/** An address or a size is not a multiple of what it must be; names the next aligned one. */
export class UnalignedAddressError extends MinusOneError {
  constructor(what: string, value: number, alignment: number) {
    const next = Math.ceil(value / alignment) * alignment;
    super('UNALIGNED_ADDRESS', `${what} 0x${value.toString(16)} is not a multiple of 0x${alignment.toString(16)}.`, {
      hint: `The next aligned value is 0x${next.toString(16)}.`,
      details: { what, value, alignment, next },
    });
  }
}
