import { Activity, type DeliveredEvent, type EventRecord, EventType, Vector } from '@minusone/x86';
import { ExitReason, ExitReasonBit } from '../exit/reasons.ts';
import { FIELD } from '../vmcs/fields.ts';
import { PinBased, Secondary } from './controls.ts';
import { type ResumeFlag, saveGuestState } from './guest-state.ts';
import { loadHostState } from './host-state.ts';
import { loadHostMsrs, storeGuestMsrs } from './msr-areas.ts';
import type { VmxOperation } from './operation.ts';
import type { Region } from './region.ts';
import { update32, update64, wordOf } from './words.ts';

const {
  VM_EXIT_REASON,
  EXIT_QUALIFICATION,
  VM_EXIT_INTR_INFO,
  VM_EXIT_INTR_ERROR_CODE,
  IDT_VECTORING_INFO_FIELD,
  IDT_VECTORING_ERROR_CODE,
  VM_EXIT_INSTRUCTION_LEN,
  VM_ENTRY_INTR_INFO_FIELD,
} = FIELD;

const W_REASON = wordOf('VM_EXIT_REASON');
const W_QUALIFICATION = wordOf('EXIT_QUALIFICATION');
const W_INTR_INFO = wordOf('VM_EXIT_INTR_INFO');
const W_IDT_VECTORING = wordOf('IDT_VECTORING_INFO_FIELD');
const W_ENTRY_INTR_INFO = wordOf('VM_ENTRY_INTR_INFO_FIELD');

const VALID = 0x8000_0000 | 0;
const ERROR_CODE_VALID = 0x800;

/** Why an exit ends in a VMX abort (SDM Vol. 3C, 28.7 "VMX Aborts"). */
export const VmxAbort = {
  SAVING_GUEST_MSRS: 1,
  HOST_PDPTES: 2,
  LOADING_HOST_MSRS: 4,
  HOST_NOT_64_BIT: 6,
} as const;

/** Bits 31:0 of an interruption-information field (25.9.2). */
export function interruptionInfo(vector: number, type: number, hasErrorCode: boolean): number {
  return VALID | (hasErrorCode ? ERROR_CODE_VALID : 0) | (type << 8) | vector;
}

/**
 * A VM exit (SDM Vol. 3C, chapter 28): records why, saves the guest, loads the host. What only some exits record (linear and physical address, instruction information) the
 * caller has written, or writes afterwards: the VMCS stays current.
 *
 * @param reason basic exit reason
 * @returns true, for `Layer.intercept` and `boundary`
 */
export function vmExit(op: VmxOperation, reason: number, qualificationLow: number, qualificationHigh: number, resume: ResumeFlag): true {
  const region = op.current as Region;
  const { cpu } = op;
  const { vmcs } = region;
  op.exitCounts[reason]!++;

  // 28.2: the reasons.
  const { i32 } = cpu.memory;
  update32(region, i32, W_REASON, VM_EXIT_REASON, reason);
  update64(region, i32, W_QUALIFICATION, EXIT_QUALIFICATION, qualificationLow, qualificationHigh);
  update32(region, i32, W_INTR_INFO, VM_EXIT_INTR_INFO, op.interruptionInfo);
  if (op.interruptionInfo !== 0) vmcs.set(VM_EXIT_INTR_ERROR_CODE, op.interruptionError);
  op.interruptionInfo = 0;
  recordVectoring(op, reason);
  const injected = i32[region.word + W_ENTRY_INTR_INFO]!;
  if (injected < 0) vmcs.set(VM_ENTRY_INTR_INFO_FIELD, injected & 0x7fff_ffff);

  // 28.3, 28.4: the guest.
  saveGuestState(op, region, resume, keepsPendingDebug(reason));
  region.paging.keep(cpu);
  const stored = storeGuestMsrs(op);
  const isNmi = reason === ExitReason.EXCEPTION_NMI && (vmcs.low(VM_EXIT_INTR_INFO) & 0x7ff) === ((EventType.NMI << 8) | Vector.NMI);
  // 28.5.5: only an NMI's own exit sets the blocking of NMIs; what was blocked of virtual NMIs is not.
  const nmiBlocked = isNmi || (cpu.nmiBlocked && !op.controls.hasPinBased(PinBased.virtualNmis));
  leaveGuest(op, nmiBlocked, stored ? 0 : VmxAbort.SAVING_GUEST_MSRS, region);
  return true;
}

/** 27.8 "VM-Entry Failures During or After Loading Guest State": nothing of the guest is saved, the host's state is loaded. */
export function failEntry(op: VmxOperation, reason: 33 | 34, qualification: number, nmiBlocked: boolean): void {
  const { vmcs } = op.current as Region;
  op.exitCounts[reason]!++;
  vmcs.set(VM_EXIT_REASON, reason | ExitReasonBit.ENTRY_FAILURE);
  vmcs.set(EXIT_QUALIFICATION, qualification, 0);
  leaveGuest(op, nmiBlocked, 0, undefined);
}

/** 28.5 to 28.7. `abort`: why the exit cannot be completed, or 0. `whole`: the region whose guest is in the processor with all of its state. */
function leaveGuest(op: VmxOperation, nmiBlocked: boolean, abort: number, whole: Region | undefined): void {
  const { cpu, resident } = op;
  const region = op.current as Region;
  op.nonRoot = false;
  op.timer.stop();
  op.monitorTrapAt = Number.POSITIVE_INFINITY;
  op.tprBelowThreshold = false;
  cpu.msrs.setLayerTscOffset(0, 0);
  let failed = abort;
  if (abort !== 0) {
    resident.drop();
    cpu.layer = undefined;
    cpu.updatePaging();
    cpu.updateMode();
  } else if (op.enteredByFace && !op.hostExecutes) resident.keep(whole, nmiBlocked);
  else {
    resident.drop();
    if (!loadHostState(op, region, nmiBlocked)) failed = VmxAbort.HOST_PDPTES;
    // 28.5.5: without VPIDs, linear and combined mappings of VPID 0000H (the host's) are gone.
    else if (!op.controls.hasSecondary(Secondary.enableVpid)) cpu.engine.flushTag(0);
  }
  if (failed === 0 && !loadHostMsrs(op)) failed = VmxAbort.LOADING_HOST_MSRS;
  if (failed !== 0) abortVmx(op, region, failed);
  else if (op.enteredByFace) cpu.stop();
}

/** 28.7: the indicator says why; the processor is in the shutdown state, from which only a reset leads. */
function abortVmx(op: VmxOperation, region: Region, reason: number): void {
  region.vmcs.abortIndicator = reason;
  op.cpu.activity = Activity.SHUTDOWN;
}

/** 28.2.4 "Information for VM Exits During Event Delivery". */
function recordVectoring(op: VmxOperation, reason: number): void {
  const { delivering } = op.cpu;
  const { vmcs } = op.current as Region;
  const original = originalEvent(delivering, reason);
  if (original === undefined) {
    update32(op.current as Region, op.cpu.memory.i32, W_IDT_VECTORING, IDT_VECTORING_INFO_FIELD, 0);
    return;
  }
  vmcs.set(IDT_VECTORING_INFO_FIELD, interruptionInfo(original.vector, original.type, original.hasErrorCode));
  if (original.hasErrorCode) vmcs.set(IDT_VECTORING_ERROR_CODE, original.errorCode);
  if (original.type >= EventType.SOFTWARE_INTERRUPT) vmcs.set(VM_EXIT_INSTRUCTION_LEN, original.length);
}

/** The event whose delivery the exit interrupts. Not one that exits itself, nor one that ends as a double fault that exits, or as a triple fault. */
function originalEvent(delivering: DeliveredEvent, reason: number): EventRecord | undefined {
  if (!delivering.active) return undefined;
  if (reason === ExitReason.TRIPLE_FAULT) return undefined;
  if (reason !== ExitReason.EXCEPTION_NMI) return delivering;
  return delivering.vector === Vector.DF ? undefined : delivering.during;
}

/** 28.3.4: exits whose saved pending debug exceptions are not clear, whatever blocks. */
function keepsPendingDebug(reason: number): boolean {
  return reason === ExitReason.INIT_SIGNAL || reason === ExitReason.TPR_BELOW_THRESHOLD || reason === ExitReason.MONITOR_TRAP_FLAG;
}
