import { raise, Vector } from '@minusone/x86';
import { ExitReason } from '../../exit/reasons.ts';
import { Primary, Secondary } from '../controls.ts';
import { memoryInformation } from '../instruction-information.ts';
import type { VmxOperation } from '../operation.ts';
import { instructionExit, operandExit } from './instruction-exit.ts';

/** When an instruction exits that is intercepted whole (SDM Vol. 3C, 26.1.2 "Instructions That Cause VM Exits Unconditionally", 26.1.3 "... Conditionally"). */
interface InstructionRule {
  readonly reason: number;
  /** The control that it depends on; absent: it exits always. */
  readonly primary?: number;
  readonly secondary?: number;
  /** A secondary control without which the instruction is #UD (26.3). */
  readonly undefinedWithout?: number;
}

const RULES: ReadonlyMap<string, InstructionRule> = new Map<string, InstructionRule>([
  ['HLT', { reason: ExitReason.HLT, primary: Primary.hltExiting }],
  ['CPUID', { reason: ExitReason.CPUID }],
  ['RDTSC', { reason: ExitReason.RDTSC, primary: Primary.rdtscExiting }],
  ['RDTSCP', { reason: ExitReason.RDTSCP, primary: Primary.rdtscExiting, undefinedWithout: Secondary.enableRdtscp }],
  ['PAUSE', { reason: ExitReason.PAUSE_INSTRUCTION, primary: Primary.pauseExiting }],
  ['MWAIT', { reason: ExitReason.MWAIT_INSTRUCTION, primary: Primary.mwaitExiting }],
  ['MONITOR', { reason: ExitReason.MONITOR_INSTRUCTION, primary: Primary.monitorExiting }],
  ['RDPMC', { reason: ExitReason.RDPMC, primary: Primary.rdpmcExiting }],
  ['INVD', { reason: ExitReason.INVD }],
  ['WBINVD', { reason: ExitReason.WBINVD, secondary: Secondary.wbinvdExiting }],
  ['INVPCID', { reason: ExitReason.INVPCID, primary: Primary.invlpgExiting, undefinedWithout: Secondary.enableInvpcid }],
  ['XSETBV', { reason: ExitReason.XSETBV }],
]);

export function interceptInstruction(op: VmxOperation, mnemonic: string): boolean {
  const rule = RULES.get(mnemonic);
  if (rule === undefined) return false;
  const { controls, cpu } = op;
  if (rule.undefinedWithout !== undefined && !controls.hasSecondary(rule.undefinedWithout)) raise(Vector.UD);
  if (rule.primary !== undefined && !controls.hasPrimary(rule.primary)) return false;
  if (rule.secondary !== undefined && !controls.hasSecondary(rule.secondary)) return false;
  if (rule.reason === ExitReason.INVPCID) {
    const insn = cpu.engine.currentInsn();
    return operandExit(op, rule.reason, insn, memoryInformation(insn, insn.reg));
  }
  return instructionExit(op, rule.reason, rule.reason === ExitReason.MWAIT_INSTRUCTION && cpu.monitorArmed ? 1 : 0);
}
