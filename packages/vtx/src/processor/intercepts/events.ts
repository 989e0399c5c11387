import { StageFault } from '@minusone/mmu';
import { Dr6, EventType, type InterceptEvent, InterruptShadow, isFaultClass, Vector } from '@minusone/x86';
import { ExitReason } from '../../exit/reasons.ts';
import { FIELD } from '../../vmcs/fields.ts';
import { ExitControl, PinBased } from '../controls.ts';
import { interruptionInfo, vmExit } from '../exit.ts';
import { ResumeFlag } from '../guest-state.ts';
import type { VmxOperation } from '../operation.ts';
import type { Region } from '../region.ts';
import { setLinearAddress } from './instruction-exit.ts';

type ExceptionEvent = Extract<InterceptEvent, { kind: 'exception' }>;
type TaskSwitchEvent = Extract<InterceptEvent, { kind: 'task-switch' }>;
type StageEvent = Extract<InterceptEvent, { kind: 'second-stage-fault' }>;

const NMI_UNBLOCKED = 0x1000;
const TASK_SOURCES = { call: 0, iret: 1, jmp: 2, gate: 3 } as const;
const { GUEST_PHYSICAL_ADDRESS, VM_EXIT_INSTRUCTION_LEN } = FIELD;

/** Exceptions (SDM Vol. 3C, 26.2 "Other Causes of VM Exits"): the bitmap; for #PF, turned round where the error code does not match. */
export function interceptException(op: VmxOperation, event: ExceptionEvent): boolean {
  const { controls, cpu } = op;
  const { vector, type, errorCode, hasErrorCode } = event;
  let bit = (controls.exceptionBitmap >>> vector) & 1;
  if (vector === Vector.PF && (errorCode & controls.pageFaultMask) !== (controls.pageFaultMatch | 0)) bit ^= 1;
  if (bit === 0) return false;

  const { delivering } = cpu;
  let info = interruptionInfo(vector, type, hasErrorCode);
  // 28.2.3: a fault of IRET after it ended the blocking of NMIs; undefined where an event was being delivered, or for #DF.
  if (cpu.nmiUnblocked && delivering.during === undefined && vector !== Vector.DF) info |= NMI_UNBLOCKED;
  op.interruptionInfo = info;
  op.interruptionError = errorCode;
  // 28.1: #MF has ended the blocking by STI and by MOV SS.
  if (vector === Vector.MF) cpu.interruptShadow = InterruptShadow.NONE;
  if (type !== EventType.HARDWARE_EXCEPTION) (op.current as Region).vmcs.set(VM_EXIT_INSTRUCTION_LEN, delivering.length);
  const isPageFault = vector === Vector.PF;
  const low = isPageFault ? event.addressLow : vector === Vector.DB ? event.debugBits : 0;
  return vmExit(op, ExitReason.EXCEPTION_NMI, low, isPageFault ? event.addressHigh : 0, resumeFlagOf(vector, type, event.debugBits));
}

/** RF in the image that the delivery would have saved (28.3.3): set for faults; #DB only for general detect. */
function resumeFlagOf(vector: number, type: number, debugBits: number): ResumeFlag {
  if (type !== EventType.HARDWARE_EXCEPTION) return ResumeFlag.KEEP;
  const sets = vector === Vector.DB ? (debugBits & Dr6.BD) !== 0 : isFaultClass(vector);
  return sets ? ResumeFlag.SET : ResumeFlag.KEEP;
}

/** With "acknowledge interrupt on exit" the vector is taken from the interrupt controller; without, it stays pending (26.2, 28.2.3). */
export function interceptExternalInterrupt(op: VmxOperation): boolean {
  if (!op.controls.hasPinBased(PinBased.externalInterruptExiting)) return false;
  if (op.controls.hasExit(ExitControl.acknowledgeInterruptOnExit)) {
    op.interruptionInfo = interruptionInfo(op.cpu.acknowledgeInterrupt() & 0xff, EventType.EXTERNAL_INTERRUPT, false);
  }
  return vmExit(op, ExitReason.EXTERNAL_INTERRUPT, 0, 0, ResumeFlag.KEEP);
}

export function interceptNmi(op: VmxOperation): boolean {
  if (!op.controls.hasPinBased(PinBased.nmiExiting)) return false;
  op.cpu.acknowledgeNmi();
  op.interruptionInfo = interruptionInfo(Vector.NMI, EventType.NMI, false);
  op.interruptionError = 0;
  return vmExit(op, ExitReason.EXCEPTION_NMI, 0, 0, ResumeFlag.KEEP);
}

/** Task switches exit always (26.2). */
export function interceptTaskSwitch(op: VmxOperation, event: TaskSwitchEvent): true {
  const { vmcs } = op.current as Region;
  if (event.source !== 'gate') vmcs.set(VM_EXIT_INSTRUCTION_LEN, op.cpu.engine.currentInsn().length);
  return vmExit(op, ExitReason.TASK_SWITCH, event.selector | (TASK_SOURCES[event.source] << 30), 0, duringDelivery(op, ResumeFlag.KEEP));
}

/** EPT violations, misconfigurations, and a full page-modification log (29.3.3 "EPT-Induced VM Exits"; 28.2.1, Table 28-7). */
export function interceptStageFault(op: VmxOperation, event: StageEvent): true {
  const { vmcs } = op.current as Region;
  const { stage } = event.result;
  vmcs.set(GUEST_PHYSICAL_ADDRESS, stage.gpa % 0x1_0000_0000, Math.floor(stage.gpa / 0x1_0000_0000));
  const resume = duringDelivery(op, ResumeFlag.SET);
  if (stage.fault === StageFault.EPT_MISCONFIGURATION) return vmExit(op, ExitReason.EPT_MISCONFIG, 0, 0, resume);
  const unblocked = op.cpu.nmiUnblocked && !op.cpu.delivering.active ? NMI_UNBLOCKED : 0;
  if (stage.fault === StageFault.PML_FULL) return vmExit(op, ExitReason.PML_FULL, unblocked, 0, resume);
  if ((stage.qualification & 0x80) !== 0) setLinearAddress(op, event.addressLow, event.addressHigh);
  return vmExit(op, ExitReason.EPT_VIOLATION, stage.qualification | unblocked, 0, resume);
}

/** RF of an exit that may interrupt a delivery (28.3.3): then what the frame would have had. */
function duringDelivery(op: VmxOperation, otherwise: ResumeFlag): ResumeFlag {
  const { delivering } = op.cpu;
  if (!delivering.active) return otherwise;
  // 27.6.1.1: an injected event leaves RF as it is.
  const sets = !delivering.isInjected && delivering.type === EventType.HARDWARE_EXCEPTION && isFaultClass(delivering.vector);
  return sets ? ResumeFlag.SET : ResumeFlag.KEEP;
}
