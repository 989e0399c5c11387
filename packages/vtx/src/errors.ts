import { MinusOneError } from '@minusone/core';

/** The bytes handed over do not hold a VMCS region. */
export class VmcsRegionError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}) {
    super('VMCS_REGION', message, { hint, details });
  }
}

/** A name or an encoding that no VMCS field has. */
export class UnknownVmcsFieldError extends MinusOneError {
  constructor(field: string | number, hint: string) {
    super(
      'UNKNOWN_VMCS_FIELD',
      `There is no VMCS field ${typeof field === 'number' ? `0x${field.toString(16)}` : JSON.stringify(field)}.`,
      {
        hint,
        details: { field },
      },
    );
  }
}

/** A value that does not fit the field, or is no number. */
export class VmcsValueError extends MinusOneError {
  constructor(field: string, value: unknown, hint: string) {
    super('VMCS_VALUE', `${field} cannot be ${typeof value === 'bigint' ? `0x${value.toString(16)}` : JSON.stringify(value)}.`, {
      hint,
      details: { field, value },
    });
  }
}

/** A capability preset, control or MSR that does not exist. */
export class UnknownCapabilityError extends MinusOneError {
  constructor(what: string, name: string, known: readonly string[]) {
    super('UNKNOWN_VMX_CAPABILITY', `There is no ${what} ${JSON.stringify(name)}.`, {
      hint: `Known: ${known.join(', ')}.`,
      details: { what, name, known },
    });
  }
}

/** What was to be explained is not a JSON object of the documented form. */
export class ExplainInputError extends MinusOneError {
  constructor(message: string, hint: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super('EXPLAIN_INPUT', message, { hint, details, cause });
  }
}
