import { type InterceptEvent, linearBase, offsetOf } from '@minusone/x86';
import { ExitReason } from '../../exit/reasons.ts';
import { FIELD } from '../../vmcs/fields.ts';
import { Primary } from '../controls.ts';
import type { VmxOperation } from '../operation.ts';
import type { Region } from '../region.ts';
import { instructionExit, setLinearAddress } from './instruction-exit.ts';

type ControlRegisterEvent = Extract<InterceptEvent, { kind: 'control-register' }>;
type DebugRegisterEvent = Extract<InterceptEvent, { kind: 'debug-register' }>;

/** Access types of the exit qualification (SDM Vol. 3C, Table 28-3 "Exit Qualification for Control-Register Accesses"). */
const AccessType = { MOV_TO: 0, MOV_FROM: 1, CLTS: 2, LMSW: 3 } as const;
const TS = 8;
const PE = 1;
const { CR3_TARGET_COUNT, CR3_TARGET_VALUE0 } = FIELD;

/** MOV CR, CLTS, LMSW (26.1.3). SMSW never exits. */
export function interceptControlRegister(op: VmxOperation, event: ControlRegisterEvent): boolean {
  const { controls } = op;
  if (!event.write) {
    if (event.by !== 'mov') return false;
    const exits =
      event.register === 3
        ? controls.hasPrimary(Primary.cr3StoreExiting)
        : event.register === 8 && controls.hasPrimary(Primary.cr8StoreExiting);
    return exits && crExit(op, event.register, AccessType.MOV_FROM, event.gpr);
  }
  switch (event.by) {
    case 'mov':
      return writeExits(op, event.register, event.value) && crExit(op, event.register, AccessType.MOV_TO, event.gpr);
    case 'clts':
      return (controls.cr0Mask & controls.cr0Shadow & TS) !== 0 && crExit(op, 0, AccessType.CLTS, 0);
    case 'lmsw':
      return lmsw(op, event.source ?? 0);
    case 'task-switch':
      return false;
  }
}

function crExit(op: VmxOperation, register: number, type: number, gpr: number): true {
  return instructionExit(op, ExitReason.CR_ACCESS, register | (type << 4) | (gpr << 8));
}

function writeExits(op: VmxOperation, register: number, value: bigint): boolean {
  const { controls } = op;
  switch (register) {
    case 0: {
      const { cr0Mask, cr0MaskHigh, cr0Shadow, cr0ShadowHigh } = controls;
      return differs(value, cr0Mask, cr0MaskHigh, cr0Shadow, cr0ShadowHigh);
    }
    case 3:
      return controls.hasPrimary(Primary.cr3LoadExiting) && !isCr3Target(op, value);
    case 4: {
      const { cr4Mask, cr4MaskHigh, cr4Shadow, cr4ShadowHigh } = controls;
      return differs(value, cr4Mask, cr4MaskHigh, cr4Shadow, cr4ShadowHigh);
    }
    case 8:
      return controls.hasPrimary(Primary.cr8LoadExiting);
    default:
      return false;
  }
}

/** Whether a value differs from the read shadow in a bit of the guest/host mask. */
function differs(value: bigint, mask: number, maskHigh: number, shadow: number, shadowHigh: number): boolean {
  if (((Number(value & 0xffff_ffffn) ^ shadow) & mask) !== 0) return true;
  return ((Number(value >> 32n) ^ shadowHigh) & maskHigh) !== 0;
}

/** 25.6.7 "CR3-Target Controls". */
function isCr3Target(op: VmxOperation, value: bigint): boolean {
  const { vmcs } = op.current as Region;
  const count = vmcs.low(CR3_TARGET_COUNT);
  for (let n = 0; n < count; n++) if (vmcs.read(CR3_TARGET_VALUE0 + n * 2) === value) return true;
  return false;
}

/** LMSW exits where it would set a masked PE that the shadow has clear, or change masked MP, EM or TS from the shadow's. */
function lmsw(op: VmxOperation, source: number): boolean {
  const { cr0Mask, cr0Shadow } = op.controls;
  const setsPe = (cr0Mask & source & ~cr0Shadow & PE) !== 0;
  if (!setsPe && ((source ^ cr0Shadow) & cr0Mask & 0xe) === 0) return false;
  const { cpu } = op;
  const insn = cpu.engine.currentInsn();
  let qualification = (AccessType.LMSW << 4) | (source << 16);
  if (!insn.isRegisterForm) {
    qualification |= 0x40;
    const { low, high } = offsetOf(cpu, insn);
    linearBase(cpu, insn.segment, low, high);
    setLinearAddress(op, cpu.linearLow, cpu.linearHigh);
  }
  return instructionExit(op, ExitReason.CR_ACCESS, qualification);
}

/** MOV DR (26.1.3). */
export function interceptDebugRegister(op: VmxOperation, event: DebugRegisterEvent): boolean {
  if (!op.controls.hasPrimary(Primary.movDrExiting)) return false;
  return instructionExit(op, ExitReason.DR_ACCESS, event.register | (event.write ? 0 : 0x10) | (event.gpr << 8));
}
