import { MinusOneError } from '@minusone/core';

/** The bytes handed over do not hold a VMCB. */
export class VmcbRegionError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('VMCB_REGION', message, { hint, details });
  }
}

/** A name that no VMCB field has. */
export class UnknownVmcbFieldError extends MinusOneError {
  constructor(field: string, hint: string) {
    super('UNKNOWN_VMCB_FIELD', `There is no VMCB field ${JSON.stringify(field)}.`, { hint, details: { field } });
  }
}

/** A value that does not fit the field, or is no number. */
export class VmcbValueError extends MinusOneError {
  constructor(field: string, value: unknown, hint: string) {
    super('VMCB_VALUE', `${field} cannot be ${typeof value === 'bigint' ? `0x${value.toString(16)}` : JSON.stringify(value)}.`, {
      hint,
      details: { field, value },
    });
  }
}

/** A capability preset or feature that does not exist, or that a CPU cannot offer. */
export class SvmCapabilityError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('SVM_CAPABILITY', message, { hint, details });
  }
}

/** What was to be explained is not a JSON object of the documented form. */
export class ExplainInputError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super('EXPLAIN_INPUT', message, { hint, details, cause });
  }
}

/** An operation of the programmatic face where the instruction would raise an exception. */
export class SvmFaultError extends MinusOneError {
  /** Vector of the exception: 6 (#UD) or 13 (#GP). */
  readonly vector: number;

  constructor(instruction: string, vector: 6 | 13, hint: string) {
    super('SVM_FAULT', `${instruction} raises ${vector === 6 ? '#UD' : '#GP(0)'}.`, { hint, details: { instruction, vector } });
    this.vector = vector;
  }
}

/** An operation at the wrong time: AMD-V without a CPU, an entry while a guest runs. */
export class SvmStateError extends MinusOneError {
  constructor(message: string, hint: string) {
    super('SVM_STATE', message, { hint });
  }
}
