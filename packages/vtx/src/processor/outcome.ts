import { VM_INSTRUCTION_ERRORS, type VmInstructionErrorNumber } from '../vmcs/instruction-errors.ts';

/** How a VMX instruction ended (SDM Vol. 3C, 31.2 "Conventions"): VMsucceed, or VMfailInvalid (`error` 0), or VMfailValid with the VM-instruction error. */
export type VmxOutcome = { readonly ok: true } | { readonly ok: false; readonly error: number; readonly says: string };

export const SUCCEED: VmxOutcome = Object.freeze({ ok: true });

/** There is no current VMCS to hold an error number (or the operand of VMXON was refused). */
export const FAIL_INVALID: VmxOutcome = Object.freeze({ ok: false, error: 0, says: 'VMfailInvalid: no current VMCS' });

const failures: readonly VmxOutcome[] = (() => {
  const list: VmxOutcome[] = [];
  for (const [number, says] of Object.entries(VM_INSTRUCTION_ERRORS)) {
    list[Number(number)] = Object.freeze({ ok: false, error: Number(number), says });
  }
  return list;
})();

/** VMfailValid with an error number, as one preallocated object. */
export function failValid(error: VmInstructionErrorNumber): VmxOutcome {
  return failures[error] as VmxOutcome;
}
