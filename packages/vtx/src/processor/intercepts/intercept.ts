import type { InterceptEvent } from '@minusone/x86';
import { ExitReason } from '../../exit/reasons.ts';
import { Primary, Secondary } from '../controls.ts';
import { vmExit } from '../exit.ts';
import { ResumeFlag } from '../guest-state.ts';
import { descriptorTableInformation, selectorInformation } from '../instruction-information.ts';
import type { VmxOperation } from '../operation.ts';
import { interceptException, interceptExternalInterrupt, interceptNmi, interceptStageFault, interceptTaskSwitch } from './events.ts';
import { instructionExit, operandExit } from './instruction-exit.ts';
import { interceptInstruction } from './instructions.ts';
import { interceptIo, interceptMsr } from './ports-and-msrs.ts';
import { interceptControlRegister, interceptDebugRegister } from './registers.ts';

/** What the guest did, or what came to it: an exit (true), or nothing of VT-x's business (false). SDM Vol. 3C, chapter 26 "VMX Non-Root Operation". */
export function intercept(op: VmxOperation, event: InterceptEvent): boolean {
  switch (event.kind) {
    case 'instruction':
      return interceptInstruction(op, event.mnemonic);
    case 'exception':
      return interceptException(op, event);
    case 'control-register':
      return interceptControlRegister(op, event);
    case 'io':
      return interceptIo(op, event);
    case 'msr':
      return interceptMsr(op, event);
    case 'external-interrupt':
      return interceptExternalInterrupt(op);
    case 'second-stage-fault':
      return interceptStageFault(op, event);
    case 'invlpg':
      if (!op.controls.hasPrimary(Primary.invlpgExiting)) return false;
      return instructionExit(op, ExitReason.INVLPG, event.addressLow, event.addressHigh);
    case 'nmi':
      return interceptNmi(op);
    case 'debug-register':
      return interceptDebugRegister(op, event);
    case 'descriptor-table':
      return interceptDescriptorTable(op, event);
    case 'task-switch':
      return interceptTaskSwitch(op, event);
    case 'triple-fault':
      return vmExit(op, ExitReason.TRIPLE_FAULT, 0, 0, ResumeFlag.KEEP);
    case 'init':
      return vmExit(op, ExitReason.INIT_SIGNAL, 0, 0, ResumeFlag.KEEP);
    case 'sipi':
      return vmExit(op, ExitReason.SIPI_SIGNAL, event.vector & 0xff, 0, ResumeFlag.KEEP);
    case 'software-interrupt':
      return false;
  }
}

/** LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT, STR (26.1.3). */
function interceptDescriptorTable(op: VmxOperation, event: Extract<InterceptEvent, { kind: 'descriptor-table' }>): boolean {
  if (!op.controls.hasSecondary(Secondary.descriptorTableExiting)) return false;
  const insn = op.cpu.engine.currentInsn();
  if (event.table === 'gdtr' || event.table === 'idtr')
    return operandExit(op, ExitReason.GDTR_IDTR, insn, descriptorTableInformation(insn, event.mnemonic));
  return operandExit(op, ExitReason.LDTR_TR, insn, selectorInformation(insn, event.mnemonic));
}
