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

/** Capabilities offer a control that no CPU of ours has. */
export class UnsupportedCapabilityError extends MinusOneError {
  constructor(control: string, word: string) {
    super(
      'UNSUPPORTED_VMX_CAPABILITY',
      `The capabilities offer ${JSON.stringify(control)} (${word} controls), which this CPU does not do.`,
      {
        hint: "Take 'vmx:max' or 'vmx:minimal', or leave the control out of the declaration.",
        details: { control, word },
      },
    );
  }
}

/** A VMX instruction, called from TypeScript, would have raised an exception. */
export class VmxFaultError extends MinusOneError {
  constructor(instruction: string, exception: '#UD' | '#GP(0)', hint: string) {
    super('VMX_FAULT', `${instruction} raises ${exception}.`, { hint, details: { instruction, exception } });
  }
}

/** A VMX instruction, called from TypeScript for its result, failed: `details.error` is the VM-instruction error, 0 for VMfailInvalid. */
export class VmxInstructionError extends MinusOneError {
  readonly error: number;
  constructor(instruction: string, error: number, says: string) {
    super('VMX_INSTRUCTION', `${instruction} fails: ${says}.`, {
      hint: error === 0 ? 'Make a VMCS current with vmptrld first.' : 'SDM Vol. 3C, 31.4 "VM Instruction Error Numbers".',
      details: { instruction, error },
    });
    this.error = error;
  }
}

/** A Vmx that no CPU has been given. */
export class VmxNotAttachedError extends MinusOneError {
  constructor() {
    super('VMX_NOT_ATTACHED', 'This Vmx belongs to no CPU yet.', { hint: 'Hand it to the CPU as one of its extensions.' });
  }
}
