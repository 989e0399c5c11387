import type { Insn } from '@minusone/x86';
import { FIELD } from '../../vmcs/fields.ts';
import { vmExit } from '../exit.ts';
import { ResumeFlag } from '../guest-state.ts';
import { setDisplacement } from '../instruction-information.ts';
import type { VmxOperation } from '../operation.ts';
import type { Region } from '../region.ts';

const { VM_EXIT_INSTRUCTION_LEN, VMX_INSTRUCTION_INFO, GUEST_LINEAR_ADDRESS } = FIELD;

/** An exit by the instruction under way: with its length (SDM Vol. 3C, 28.2.5); RF is saved as 0 (28.3.3). */
export function instructionExit(op: VmxOperation, reason: number, qualificationLow = 0, qualificationHigh = 0): true {
  (op.current as Region).vmcs.set(VM_EXIT_INSTRUCTION_LEN, op.cpu.engine.currentInsn().length);
  return vmExit(op, reason, qualificationLow, qualificationHigh, ResumeFlag.CLEAR);
}

/** The same for one with a memory operand: its displacement is the qualification. */
export function operandExit(op: VmxOperation, reason: number, insn: Insn, information: number): true {
  setInstructionInformation(op, information);
  setDisplacement(op, insn);
  return instructionExit(op, reason, op.low, op.high);
}

export function setInstructionInformation(op: VmxOperation, information: number): void {
  (op.current as Region).vmcs.set(VMX_INSTRUCTION_INFO, information);
}
export function setLinearAddress(op: VmxOperation, low: number, high: number): void {
  (op.current as Region).vmcs.set(GUEST_LINEAR_ADDRESS, low, high);
}
