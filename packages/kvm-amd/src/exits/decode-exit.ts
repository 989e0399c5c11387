import { EventInformation, SvmExit, VMCB_FIELD } from '@minusone/amdv';
import { type VendorExit, VendorExitKind } from '@minusone/kvm';
import { Access, PageFaultError } from '@minusone/mmu';
import { Cr0, Dr6, hasErrorCode, Vector } from '@minusone/x86';
import type { ControlBlock } from '../vmcb/control-block.ts';
import { exitKind } from './exit-kinds.ts';

/** EXITINFO1 of IOIO (APM Vol. 2 15.10.2). */
const IoInfo = { IN: 0x1, STRING: 0x4, REP: 0x8, SIZE_SHIFT: 4, PORT_SHIFT: 16 } as const;
/** EXITINFO2 of TASK_SWITCH, bits 63:32 (APM Vol. 2 15.14.1). */
const TaskInfo = { IRET: 1 << 4, JMP: 1 << 6, ERROR_CODE: 1 << 12 } as const;
/** EXITINFO1 of NPF, bits 63:32 (APM Vol. 2 15.25.6). */
const NPF_ON_TABLE = 1 << 1;

/** Fills in why the guest exited, from EXITCODE, EXITINFO1 and EXITINFO2 (APM Vol. 2 15.6 ff., Appendix C) and the next RIP. */
export function decodeExit(block: ControlBlock, exit: VendorExit): void {
  const code = block.low(VMCB_FIELD.EXITCODE);
  const kind = exitKind(code);
  exit.kind = kind;
  exit.hardwareReason = code >>> 0;
  exit.instructionLength = 0;
  exit.linearValid = false;
  const info1 = block.low(VMCB_FIELD.EXITINFO1);

  switch (kind) {
    case VendorExitKind.IO:
      exit.port = info1 >>> IoInfo.PORT_SHIFT;
      exit.size = ((info1 >>> IoInfo.SIZE_SHIFT) & 7) as 1 | 2 | 4;
      exit.isInput = (info1 & IoInfo.IN) !== 0;
      exit.isString = (info1 & IoInfo.STRING) !== 0;
      exit.isRep = (info1 & IoInfo.REP) !== 0;
      exit.instructionLength = lengthTo(block, VMCB_FIELD.EXITINFO2);
      return;
    case VendorExitKind.SECOND_STAGE:
      decodeNestedPageFault(block, exit, info1);
      return;
    case VendorExitKind.RDMSR:
      if ((info1 & 1) !== 0) exit.kind = VendorExitKind.WRMSR;
      break;
    case VendorExitKind.CONTROL_REGISTER:
      // Bit 63: a MOV, whose general register is in bits 3:0 (APM Vol. 2 15.8.1); otherwise CLTS, LMSW or SMSW.
      exit.register = code === SvmExit.CR0_SEL_WRITE ? 0 : code & 0xf;
      exit.isWrite = code >= 0x10;
      exit.gpr = block.high(VMCB_FIELD.EXITINFO1) < 0 ? info1 & 0xf : -1;
      break;
    case VendorExitKind.DEBUG_REGISTER:
      exit.register = code & 0xf;
      exit.isWrite = code >= 0x30;
      exit.gpr = info1 & 0xf;
      break;
    case VendorExitKind.EXCEPTION:
      decodeException(block, exit, code - SvmExit.EXCP0, info1);
      return;
    case VendorExitKind.INVLPG:
      exit.linearValid = true;
      exit.linearLow = info1;
      exit.linearHigh = block.high(VMCB_FIELD.EXITINFO1);
      break;
    case VendorExitKind.TASK_SWITCH:
      decodeTaskSwitch(block, exit, info1);
      return;
    case VendorExitKind.INTERRUPT:
    case VendorExitKind.NMI:
    case VendorExitKind.INIT:
    case VendorExitKind.INTERRUPT_WINDOW:
    case VendorExitKind.TRIPLE_FAULT:
    case VendorExitKind.ENTRY_FAILED:
      return;
    default:
      break;
  }
  exit.instructionLength = lengthTo(block, VMCB_FIELD.NRIP);
}

/** Bytes from RIP to the next sequential instruction (APM Vol. 2 15.7.1 "State Saved on Exit"); 0 where the field does not say. */
function lengthTo(block: ControlBlock, field: number): number {
  const length = (block.low(field) - block.low(VMCB_FIELD.RIP)) | 0;
  return length > 0 && length <= 15 ? length : 0;
}

function decodeNestedPageFault(block: ControlBlock, exit: VendorExit, errorCode: number): void {
  exit.gpa = (block.low(VMCB_FIELD.EXITINFO2) >>> 0) + (block.high(VMCB_FIELD.EXITINFO2) >>> 0) * 2 ** 32;
  exit.onTable = (block.high(VMCB_FIELD.EXITINFO1) & NPF_ON_TABLE) !== 0;
  if ((errorCode & PageFaultError.RSVD) !== 0) exit.kind = VendorExitKind.SECOND_STAGE_MISCONFIGURATION;
  if ((errorCode & PageFaultError.I) !== 0) exit.access = Access.EXECUTE;
  else exit.access = (errorCode & PageFaultError.W) !== 0 ? Access.WRITE : Access.READ;
}

function decodeException(block: ControlBlock, exit: VendorExit, vector: number, info1: number): void {
  exit.vector = vector;
  // Real-address mode knows no error codes.
  exit.hasErrorCode = hasErrorCode(vector) && (block.low(VMCB_FIELD.CR0) & Cr0.PE) !== 0;
  exit.errorCode = exit.hasErrorCode ? info1 : 0;
  if (vector === Vector.PF) {
    exit.linearValid = true;
    exit.linearLow = block.low(VMCB_FIELD.EXITINFO2);
    exit.linearHigh = block.high(VMCB_FIELD.EXITINFO2);
  } else if (vector === Vector.DB) {
    // DR6 is written before #DB is intercepted (APM Vol. 2 15.12.2).
    exit.debugBits = (block.low(VMCB_FIELD.DR6) ^ Dr6.INITIAL) & 0xe00f;
  } else if (vector === Vector.BP || vector === Vector.OF) {
    exit.instructionLength = lengthTo(block, VMCB_FIELD.NRIP);
  }
}

function decodeTaskSwitch(block: ControlBlock, exit: VendorExit, info1: number): void {
  const flags = block.high(VMCB_FIELD.EXITINFO2);
  exit.selector = info1 & 0xffff;
  exit.hasErrorCode = (flags & TaskInfo.ERROR_CODE) !== 0;
  exit.errorCode = exit.hasErrorCode ? block.low(VMCB_FIELD.EXITINFO2) : 0;
  if ((flags & TaskInfo.IRET) !== 0) exit.taskSource = 'iret';
  else if ((flags & TaskInfo.JMP) !== 0) exit.taskSource = 'jmp';
  // A gate in the IDT shows as an event in delivery (APM Vol. 2 15.14.1).
  else exit.taskSource = (block.low(VMCB_FIELD.EXITINTINFO) & EventInformation.VALID) !== 0 ? 'gate' : 'call';
}
