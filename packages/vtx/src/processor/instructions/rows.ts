import {
  type Cpu,
  Eflags,
  type Insn,
  type InstructionRow,
  layerExit,
  raise,
  readMemory64,
  State,
  system,
  Vector,
  withOptions,
  writeEflags,
} from '@minusone/x86';
import { ExitReason } from '../../exit/reasons.ts';
import { vmread, vmwrite } from '../../vmcs/access.ts';
import { VmInstructionError } from '../../vmcs/instruction-errors.ts';
import { enter, vmFail } from '../entry.ts';
import { FeatureControl } from '../feature-control.ts';
import { fieldAccessInformation, memoryInformation } from '../instruction-information.ts';
import { instructionExit, operandExit } from '../intercepts/instruction-exit.ts';
import type { VmxOperation } from '../operation.ts';
import { FAIL_INVALID, SUCCEED, type VmxOutcome } from '../outcome.ts';
import { invept, invvpid } from './invalidate.ts';
import { readOperand, readPointer, registerValue, requireMode, writeOperand, writePointer } from './operands.ts';
import { vmclear, vmptrld, vmxoff, vmxon } from './pointers.ts';

/** The VMX instructions as rows (SDM Vol. 3C, chapter 31 "VMX Instruction Reference"): the order of #UD, VM exit, #GP(0) and VMfail is that of their pseudo-code. */

const ARITHMETIC = Eflags.CF | Eflags.PF | Eflags.AF | Eflags.ZF | Eflags.SF | Eflags.OF;
const NO_CURRENT_VMCS = 0xffff_ffff_ffff_ffffn;

/** VMsucceed, VMfailInvalid, VMfailValid as flags (31.2): CF for invalid, ZF for valid, the rest clear. */
function setFlags(cpu: Cpu, outcome: VmxOutcome): void {
  writeEflags(cpu.registers, outcome.ok ? 0 : outcome.error === 0 ? Eflags.CF : Eflags.ZF, ARITHMETIC);
}

/** What all do in non-root operation: exit always (26.1.2). `information` makes the instruction information of those with an operand. */
function exitFromGuest(op: VmxOperation, reason: number, insn: Insn, information?: (insn: Insn) => number): never {
  if (information === undefined) instructionExit(op, reason);
  else operandExit(op, reason, insn, information(insn));
  throw layerExit;
}

type Action = (op: VmxOperation, cpu: Cpu, insn: Insn) => VmxOutcome | undefined;

/** @param operationOf the VMX operation of the CPU that executes */
export function vmxRows(operationOf: (cpu: Cpu) => VmxOperation): readonly InstructionRow[] {
  const row = (mnemonic: string, encoding: string, reason: number, action: Action, information?: (insn: Insn) => number): InstructionRow =>
    system(mnemonic, [encoding], (cpu, insn) => {
      const op = operationOf(cpu);
      requireMode(cpu, op.on);
      if (op.nonRoot) exitFromGuest(op, reason, insn, information);
      cpu.requireCpl0();
      const outcome = action(op, cpu, insn);
      if (outcome !== undefined) setFlags(cpu, outcome);
    });
  const memory = (insn: Insn): number => memoryInformation(insn);
  const withRegister = (insn: Insn): number => memoryInformation(insn, insn.reg);
  return withOptions({ features: ['VMX'] }, [
    system('VMXON', ['F3 0F C7 /6 Mq'], (cpu, insn) => vmxonRow(operationOf(cpu), cpu, insn)),
    row('VMXOFF', 'NP 0F 01 C4', ExitReason.VMXOFF, vmxoff),
    row('VMCLEAR', '66 0F C7 /6 Mq', ExitReason.VMCLEAR, (op, cpu, insn) => vmclear(op, readPointer(cpu, insn)), memory),
    row('VMPTRLD', 'NP 0F C7 /6 Mq', ExitReason.VMPTRLD, (op, cpu, insn) => vmptrld(op, readPointer(cpu, insn)), memory),
    row('VMPTRST', 'NP 0F C7 /7 Mq', ExitReason.VMPTRST, vmptrst, memory),
    row('VMREAD', 'NP 0F 78 /r Ey,Gy f64', ExitReason.VMREAD, vmreadRow, fieldAccessInformation),
    row('VMWRITE', 'NP 0F 79 /r Gy,Ey f64', ExitReason.VMWRITE, vmwriteRow, fieldAccessInformation),
    row('VMLAUNCH', 'NP 0F 01 C2', ExitReason.VMLAUNCH, (op) => launchRow(op, true)),
    row('VMRESUME', 'NP 0F 01 C3', ExitReason.VMRESUME, (op) => launchRow(op, false)),
    row('INVEPT', '66 0F 38 80 /r Gy,Mdq f64', ExitReason.INVEPT, inveptRow, withRegister),
    row('INVVPID', '66 0F 38 81 /r Gy,Mdq f64', ExitReason.INVVPID, invvpidRow, withRegister),
    system('VMCALL', ['NP 0F 01 C1'], (cpu, insn) => vmcallRow(operationOf(cpu), cpu, insn)),
  ]);
}

/** VMXON can be executed outside VMX operation, and only there. */
function vmxonRow(op: VmxOperation, cpu: Cpu, insn: Insn): void {
  requireMode(cpu, (cpu.registers.get32(State.cr4) & 0x2000) !== 0);
  if (op.nonRoot) exitFromGuest(op, ExitReason.VMXON, insn, (each) => memoryInformation(each));
  cpu.requireCpl0();
  if (op.on) {
    setFlags(cpu, vmFail(op, VmInstructionError.VMXON_IN_VMX_ROOT));
    return;
  }
  if (!mayTurnOn(op)) raise(Vector.GP, 0);
  setFlags(cpu, vmxon(op, readPointer(cpu, insn)));
}

/** What VMXON asks of the processor, but for its mode: CR0 and CR4 with the fixed bits, IA32_FEATURE_CONTROL locked with VMX enabled outside SMX (24.7). */
export function mayTurnOn(op: VmxOperation): boolean {
  const { registers } = op.cpu;
  const enabled = FeatureControl.LOCK | FeatureControl.VMX_OUTSIDE_SMX;
  return op.hasFixedBits(registers.get32(State.cr0), registers.get32(State.cr4)) && (op.featureControl & enabled) === enabled;
}

function vmptrst(op: VmxOperation, cpu: Cpu, insn: Insn): VmxOutcome {
  writePointer(cpu, insn, op.current === undefined ? NO_CURRENT_VMCS : BigInt(op.current.address));
  return SUCCEED;
}

function vmreadRow(op: VmxOperation, cpu: Cpu, insn: Insn): VmxOutcome {
  if (op.current === undefined) return FAIL_INVALID;
  const result = vmread(op.current.vmcs, op.capabilities, registerValue(cpu, insn.reg), cpu.is64Bit ? 64 : 32);
  if (!result.ok) return vmFail(op, result.error);
  writeOperand(cpu, insn, result.value);
  return SUCCEED;
}

function vmwriteRow(op: VmxOperation, cpu: Cpu, insn: Insn): VmxOutcome {
  if (op.current === undefined) return FAIL_INVALID;
  const value = readOperand(cpu, insn);
  const result = vmwrite(op.current.vmcs, op.capabilities, registerValue(cpu, insn.reg), value, cpu.is64Bit ? 64 : 32);
  return result.ok ? SUCCEED : vmFail(op, result.error);
}

/** A guest that was entered goes on by itself; the host's instruction is over. An entry that fails later has loaded the host's state, RFLAGS too. */
function launchRow(op: VmxOperation, launch: boolean): VmxOutcome | undefined {
  // RIP of the host is in the VMCS; nothing else of this instruction remains.
  const outcome = enter(op, launch, false);
  if (outcome.ok) throw layerExit;
  return outcome;
}

function inveptRow(op: VmxOperation, cpu: Cpu, insn: Insn): VmxOutcome {
  const type = registerValue(cpu, insn.reg);
  const eptp = readMemory64(cpu, insn, 0);
  readMemory64(cpu, insn, 8);
  return invept(op, type, eptp);
}

function invvpidRow(op: VmxOperation, cpu: Cpu, insn: Insn): VmxOutcome {
  const type = registerValue(cpu, insn.reg);
  const first = readMemory64(cpu, insn, 0);
  const linear = readMemory64(cpu, insn, 8);
  return invvpid(op, type, Number(first & 0xffffn), first >> 16n, linear);
}

/** VMCALL exits from any mode of a guest; in root operation there is no SMM monitor to call. */
function vmcallRow(op: VmxOperation, cpu: Cpu, insn: Insn): void {
  if (!op.on) raise(Vector.UD);
  if (op.nonRoot) exitFromGuest(op, ExitReason.VMCALL, insn);
  requireMode(cpu, true);
  cpu.requireCpl0();
  setFlags(cpu, vmFail(op, VmInstructionError.VMCALL_IN_VMX_ROOT));
}
