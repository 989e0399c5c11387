import { Activity, EventType, guestFault, InterruptShadow, loadPdptes } from '@minusone/x86';
import { decodeInterruptionInfo, InterruptionType } from '../controls/interruption.ts';
import { FIELD } from '../vmcs/fields.ts';
import { VmInstructionError, type VmInstructionErrorNumber } from '../vmcs/instruction-errors.ts';
import { PinBased, Primary, Secondary } from './controls.ts';
import { failEntry } from './exit.ts';
import { loadGuestState, loadPdptesFromVmcs, loadPosition, PendingDebug, usesPdptes } from './guest-state.ts';
import { loadGuestMsrs } from './msr-areas.ts';
import type { VmxOperation } from './operation.ts';
import { FAIL_INVALID, failValid, SUCCEED, type VmxOutcome } from './outcome.ts';
import type { Region } from './region.ts';
import { wordOf } from './words.ts';

const { VM_INSTRUCTION_ERROR, VMX_PREEMPTION_TIMER_VALUE, VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_INSTRUCTION_LEN, GUEST_CR3 } = FIELD;

const W_TSC_OFFSET = wordOf('TSC_OFFSET');
const W_VM_ENTRY_INTR_INFO_FIELD = wordOf('VM_ENTRY_INTR_INFO_FIELD');
const W_GUEST_PENDING_DBG_EXCEPTIONS = wordOf('GUEST_PENDING_DBG_EXCEPTIONS');

/** VMfail(error): VMfailValid where there is a current VMCS, otherwise VMfailInvalid (SDM Vol. 3C, 31.2). */
export function vmFail(op: VmxOperation, error: VmInstructionErrorNumber): VmxOutcome {
  if (op.current === undefined) return FAIL_INVALID;
  op.current.vmcs.set(VM_INSTRUCTION_ERROR, error);
  return failValid(error);
}

/**
 * VMLAUNCH and VMRESUME from the current VMCS on (SDM Vol. 3C, chapter 27). Where it succeeds, the guest's state is loaded and the CPU's layer is `op`; or the entry failed
 * after its first checks and has exited already (27.8); or the injection of an event has.
 */
export function enter(op: VmxOperation, launch: boolean, byFace: boolean): VmxOutcome {
  const { cpu, controls } = op;
  const region = op.current;
  // 27.1 "Basic VM-Entry Checks".
  if (region === undefined) return FAIL_INVALID;
  if (cpu.interruptShadow === InterruptShadow.MOV_SS) return vmFail(op, VmInstructionError.EVENTS_BLOCKED_BY_MOV_SS);
  const { vmcs, checker } = region;
  const isLaunched = vmcs.launchState === 'launched';
  if (launch && isLaunched) return vmFail(op, VmInstructionError.VMLAUNCH_NON_CLEAR_VMCS);
  if (!launch && !isLaunched) return vmFail(op, VmInstructionError.VMRESUME_NON_LAUNCHED_VMCS);

  // 27.2, 27.3.1: the tables.
  const isResident = op.resident.isOf(region);
  checker.view.environment = region.environment(op.resident.isHostLong());
  const failed = checker.firstFailure();
  const failure = failed?.failure(checker.view);
  if (failure?.kind === 'VMfailValid') return vmFail(op, failure.error);

  op.enteredByFace = byFace;
  if (!isResident) {
    controls.read(region, cpu.memory);
    op.tags.apply(controls);
    op.hostPaging.keep(cpu);
  }
  const nmiBlocked = cpu.nmiBlocked;
  // Of MSRs that cannot be loaded (27.4), those before them are: `loadGuestMsrs` comes to the failure by itself.
  if (failure !== undefined && failure.reason !== 34) {
    failEntry(op, failure.reason, failure.qualification, nmiBlocked);
    return SUCCEED;
  }

  // 27.3.2 to 27.5.
  op.nonRoot = true;
  if (isResident) goOnWithGuest(op, region);
  else if (!startGuest(op, region)) {
    failEntry(op, 33, 2, nmiBlocked);
    return SUCCEED;
  }
  const refused = loadGuestMsrs(op);
  if (refused !== 0) {
    failEntry(op, 34, refused, nmiBlocked);
    return SUCCEED;
  }
  if (launch) vmcs.launchState = 'launched';
  deliverEvents(op, region);
  return SUCCEED;
}

/** 27.3.2.4: with EPT from the VMCS, otherwise from where CR3 points. */
function loadGuestPdptes(op: VmxOperation, region: Region): boolean {
  if (op.controls.hasSecondary(Secondary.enableEpt)) {
    loadPdptesFromVmcs(op, region);
    return true;
  }
  try {
    loadPdptes(op.cpu, region.vmcs.low(GUEST_CR3));
    return true;
  } catch (thrown) {
    if (thrown !== guestFault) throw thrown;
    return false;
  }
}

/** Loads the guest's state and begins its layer: second stage and tag, paging, mode. False where its PDPTEs are refused. */
function startGuest(op: VmxOperation, region: Region): boolean {
  const { cpu, controls } = op;
  loadGuestState(op, region);
  if (usesPdptes(cpu) && !loadGuestPdptes(op, region)) return false;
  startTime(op, region);
  cpu.layer = op.layer;
  const isStale = region.paging.apply(cpu);
  // 27.3.2.5: without VPIDs, an entry invalidates the mappings of VPID 0000H.
  if (isStale || !controls.hasSecondary(Secondary.enableVpid)) cpu.engine.flushTag(controls.tag);
  cpu.updateMode();
  return true;
}

/** The same for a guest that has stayed in the processor since its exit. */
function goOnWithGuest(op: VmxOperation, region: Region): void {
  const { cpu, controls } = op;
  const hasSameMode = loadPosition(op, region) && !op.resident.hasOtherXcr0;
  startTime(op, region);
  cpu.layer = op.layer;
  if (!controls.hasSecondary(Secondary.enableVpid)) cpu.engine.flushTag(controls.tag);
  if (!hasSameMode) cpu.updateMode();
}

function startTime(op: VmxOperation, region: Region): void {
  const { cpu, controls } = op;
  if (controls.hasPinBased(PinBased.activateVmxPreemptionTimer)) op.timer.start(region.vmcs.low(VMX_PREEMPTION_TIMER_VALUE));
  if (!controls.hasPrimary(Primary.useTscOffsetting)) return;
  const { i32 } = cpu.memory;
  const at = region.word + W_TSC_OFFSET;
  cpu.msrs.setLayerTscOffset(i32[at]!, i32[at + 1]!);
}

/** 27.6 "Event Injection", 27.7.3 "Delivery of Pending Debug Exceptions after VM Entry", 26.5.2 "Monitor Trap Flag". */
function deliverEvents(op: VmxOperation, region: Region): void {
  const { cpu } = op;
  const { vmcs } = region;
  const { i32 } = cpu.memory;
  const info = i32[region.word + W_VM_ENTRY_INTR_INFO_FIELD]!;
  const isInjecting = info < 0;
  loadPendingDebug(op, i32[region.word + W_GUEST_PENDING_DBG_EXCEPTIONS]!, isInjecting ? (info >>> 8) & 7 : -1);
  const hasTrap = op.controls.hasPrimary(Primary.monitorTrapFlag);
  if (!isInjecting) {
    if (hasTrap) op.monitorTrapAt = cpu.instructions + 1;
    return;
  }
  const { vector, type, errorCodeValid } = decodeInterruptionInfo(info);
  if (type === InterruptionType.OTHER_EVENT) {
    op.monitorTrapAt = cpu.instructions;
    return;
  }
  // 27.7.1, 27.7.2: whatever the interruptibility-state and activity-state fields say.
  cpu.interruptShadow = InterruptShadow.NONE;
  cpu.activity = Activity.ACTIVE;
  if (type === EventType.NMI) cpu.nmiBlocked = true;
  const isSoftware = type >= EventType.SOFTWARE_INTERRUPT;
  cpu.inject(
    vector,
    type as EventType,
    vmcs.low(VM_ENTRY_EXCEPTION_ERROR_CODE) | 0,
    errorCodeValid,
    isSoftware ? vmcs.low(VM_ENTRY_INSTRUCTION_LEN) : 0,
  );
  if (op.nonRoot && hasTrap) op.monitorTrapAt = cpu.instructions;
}

/** 27.7.3: which injections, and which states, leave nothing pending. `type` -1: no injection. */
function loadPendingDebug(op: VmxOperation, field: number, type: number): void {
  const { cpu } = op;
  const isSoftware = type === EventType.SOFTWARE_INTERRUPT || type === EventType.SOFTWARE_EXCEPTION;
  const discards = type >= 0 && type !== InterruptionType.OTHER_EVENT && !(isSoftware && cpu.interruptShadow === InterruptShadow.MOV_SS);
  const sleeps = type < 0 && cpu.activity >= 2;
  let pending = 0;
  if (!discards && !sleeps) {
    if ((field & PendingDebug.ENABLED) !== 0) pending |= field & PendingDebug.BREAKPOINTS;
    pending |= field & PendingDebug.BS;
  }
  cpu.pendingDebug = pending;
}
