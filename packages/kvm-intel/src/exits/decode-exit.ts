import { type VendorExit, VendorExitKind } from '@minusone/kvm';
import { Access } from '@minusone/mmu';
import { FIELD, InterruptionType } from '@minusone/vtx';
import { Vector } from '@minusone/x86';
import { Interruption } from '../events/event-injection.ts';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import { exitKind } from './exit-kinds.ts';

// Exit qualifications (SDM Vol. 3C, 28.2.1), as bits: this is done at every exit.
const IoInstruction = { SIZE: 7, IN: 0x8, STRING: 0x10, REP: 0x20, PORT_SHIFT: 16 } as const;
const EptViolation = { WRITE: 0x2, FETCH: 0x4, LINEAR_VALID: 0x80, TRANSLATED: 0x100 } as const;
const CrAccess = { MOV_TO: 0, MOV_FROM: 1, TYPE_SHIFT: 4, GPR_SHIFT: 8 } as const;
const DrAccess = { REGISTER: 7, MOV_FROM: 0x10, GPR_SHIFT: 8 } as const;
const TaskSwitch = { SELECTOR: 0xffff, SOURCE_SHIFT: 30 } as const;
const TASK_SOURCES = ['call', 'iret', 'jmp', 'gate'] as const;

/** Fills in why the guest exited, from the exit reason, the exit qualification and what goes with them (SDM Vol. 3C, 28.2 "Recording VM-Exit Information"). */
export function decodeExit(structure: ControlStructure, exit: VendorExit): void {
  const reason = structure.low(FIELD.VM_EXIT_REASON);
  const kind = exitKind(reason & 0xffff);
  exit.kind = kind;
  exit.hardwareReason = reason >>> 0;
  exit.instructionLength = 0;
  exit.linearValid = false;

  switch (kind) {
    case VendorExitKind.INTERRUPT:
    case VendorExitKind.TRIPLE_FAULT:
    case VendorExitKind.INIT:
    case VendorExitKind.SIPI:
    case VendorExitKind.INTERRUPT_WINDOW:
    case VendorExitKind.NMI_WINDOW:
    case VendorExitKind.TASK_PRIORITY:
    case VendorExitKind.ENTRY_FAILED:
      return;
    case VendorExitKind.EXCEPTION:
      decodeException(structure, exit);
      return;
    case VendorExitKind.SECOND_STAGE:
    case VendorExitKind.SECOND_STAGE_MISCONFIGURATION:
      decodeEptViolation(structure, exit);
      return;
    case VendorExitKind.TASK_SWITCH:
      decodeTaskSwitch(structure, exit);
      return;
    case VendorExitKind.IO:
      decodeIo(structure.low(FIELD.EXIT_QUALIFICATION), exit);
      break;
    case VendorExitKind.CONTROL_REGISTER:
      decodeCrAccess(structure.low(FIELD.EXIT_QUALIFICATION), exit);
      break;
    case VendorExitKind.DEBUG_REGISTER: {
      const qualification = structure.low(FIELD.EXIT_QUALIFICATION);
      exit.register = qualification & DrAccess.REGISTER;
      exit.isWrite = (qualification & DrAccess.MOV_FROM) === 0;
      exit.gpr = (qualification >>> DrAccess.GPR_SHIFT) & 0xf;
      break;
    }
    case VendorExitKind.INVLPG:
      exit.linearValid = true;
      exit.linearLow = structure.low(FIELD.EXIT_QUALIFICATION);
      exit.linearHigh = structure.high(FIELD.EXIT_QUALIFICATION);
      break;
    default:
      break;
  }
  exit.instructionLength = structure.low(FIELD.VM_EXIT_INSTRUCTION_LEN);
}

function decodeIo(qualification: number, exit: VendorExit): void {
  exit.port = qualification >>> IoInstruction.PORT_SHIFT;
  exit.size = ((qualification & IoInstruction.SIZE) + 1) as 1 | 2 | 4;
  exit.isInput = (qualification & IoInstruction.IN) !== 0;
  exit.isString = (qualification & IoInstruction.STRING) !== 0;
  exit.isRep = (qualification & IoInstruction.REP) !== 0;
}

function decodeCrAccess(qualification: number, exit: VendorExit): void {
  const type = (qualification >>> CrAccess.TYPE_SHIFT) & 3;
  exit.register = qualification & 0xf;
  exit.isWrite = type !== CrAccess.MOV_FROM;
  exit.gpr = type <= CrAccess.MOV_FROM ? (qualification >>> CrAccess.GPR_SHIFT) & 0xf : -1;
}

function decodeEptViolation(structure: ControlStructure, exit: VendorExit): void {
  const qualification = structure.low(FIELD.EXIT_QUALIFICATION);
  exit.gpa = (structure.low(FIELD.GUEST_PHYSICAL_ADDRESS) >>> 0) + (structure.high(FIELD.GUEST_PHYSICAL_ADDRESS) >>> 0) * 2 ** 32;
  if ((qualification & EptViolation.FETCH) !== 0) exit.access = Access.EXECUTE;
  else exit.access = (qualification & EptViolation.WRITE) !== 0 ? Access.WRITE : Access.READ;
  exit.linearValid = (qualification & EptViolation.LINEAR_VALID) !== 0;
  exit.onTable = exit.linearValid && (qualification & EptViolation.TRANSLATED) === 0;
  if (!exit.linearValid) return;
  exit.linearLow = structure.low(FIELD.GUEST_LINEAR_ADDRESS);
  exit.linearHigh = structure.high(FIELD.GUEST_LINEAR_ADDRESS);
}

function decodeException(structure: ControlStructure, exit: VendorExit): void {
  const information = structure.low(FIELD.VM_EXIT_INTR_INFO);
  const type = (information >>> Interruption.TYPE_SHIFT) & Interruption.TYPE;
  if (type === InterruptionType.NMI) {
    exit.kind = VendorExitKind.NMI;
    return;
  }
  exit.vector = information & Interruption.VECTOR;
  exit.hasErrorCode = (information & Interruption.ERROR_CODE) !== 0;
  exit.errorCode = exit.hasErrorCode ? structure.low(FIELD.VM_EXIT_INTR_ERROR_CODE) : 0;
  if (type >= InterruptionType.SOFTWARE_INTERRUPT) exit.instructionLength = structure.low(FIELD.VM_EXIT_INSTRUCTION_LEN);
  if (exit.vector === Vector.PF) {
    exit.linearValid = true;
    exit.linearLow = structure.low(FIELD.EXIT_QUALIFICATION);
    exit.linearHigh = structure.high(FIELD.EXIT_QUALIFICATION);
  } else if (exit.vector === Vector.DB) {
    exit.debugBits = structure.low(FIELD.EXIT_QUALIFICATION) & 0xe00f;
  }
}

function decodeTaskSwitch(structure: ControlStructure, exit: VendorExit): void {
  const qualification = structure.low(FIELD.EXIT_QUALIFICATION);
  const vectoring = structure.low(FIELD.IDT_VECTORING_INFO_FIELD);
  exit.selector = qualification & TaskSwitch.SELECTOR;
  exit.taskSource = TASK_SOURCES[qualification >>> TaskSwitch.SOURCE_SHIFT] as (typeof TASK_SOURCES)[number];
  exit.hasErrorCode = vectoring < 0 && (vectoring & Interruption.ERROR_CODE) !== 0;
  exit.errorCode = exit.hasErrorCode ? structure.low(FIELD.IDT_VECTORING_ERROR_CODE) : 0;
  if (exit.taskSource !== 'gate') exit.instructionLength = structure.low(FIELD.VM_EXIT_INSTRUCTION_LEN);
}
