import { type Cpu, Gpr, type Insn, type InstructionRow, layerExit, raise, system, Vector } from '@minusone/x86';
import { svmOf } from './attached.ts';

/** SVM's instructions (APM Vol. 3, chapter 4). */

const OPTIONS = { features: ['SVM'] } as const;

/** rAX as an address: as many bits as the address size (APM Vol. 3, VMRUN). */
function addressInRax(cpu: Cpu, insn: Insn): number {
  const low = cpu.registers.gprLow(Gpr.RAX) >>> 0;
  if (insn.addressBytes === 2) return low & 0xffff;
  return insn.addressBytes === 4 ? low : (cpu.registers.gprHigh(Gpr.RAX) >>> 0) * 2 ** 32 + low;
}

/** #GP(0) for an address that no VMCB can have. Whether memory stands there is asked behind the intercept: a guest's physical addresses are not the machine's. */
function requireVmcbAddress(cpu: Cpu, address: number): void {
  if (address % 4096 !== 0 || address >= 2 ** cpu.model.physicalBits) raise(Vector.GP, 0);
}

function intercepted(cpu: Cpu, mnemonic: string): void {
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic });
}

/** The exceptions come first, that of the address too; then the intercept. */
function vmrun(cpu: Cpu, insn: Insn): void {
  const svm = svmOf(cpu);
  svm.requireEnabled();
  const vmcb = addressInRax(cpu, insn);
  requireVmcbAddress(cpu, vmcb);
  intercepted(cpu, 'VMRUN');
  if (svm.inGuest) raise(Vector.UD);
  svm.enter(svm.requireVmcb(vmcb), cpu.nextRipLow, cpu.nextRipHigh, false);
  // The guest's state is in force: nothing of the host's instruction is to be completed.
  throw layerExit;
}

function vmload(cpu: Cpu, insn: Insn): void {
  const svm = svmOf(cpu);
  svm.requireEnabled();
  const vmcb = addressInRax(cpu, insn);
  requireVmcbAddress(cpu, vmcb);
  intercepted(cpu, 'VMLOAD');
  svm.load(vmcb);
}

function vmsave(cpu: Cpu, insn: Insn): void {
  const svm = svmOf(cpu);
  svm.requireEnabled();
  const vmcb = addressInRax(cpu, insn);
  requireVmcbAddress(cpu, vmcb);
  intercepted(cpu, 'VMSAVE');
  svm.save(vmcb);
}

function globalInterruptFlag(mnemonic: string, flag: boolean): (cpu: Cpu) => void {
  return (cpu) => {
    const svm = svmOf(cpu);
    svm.requireEnabled();
    intercepted(cpu, mnemonic);
    svm.setGlobalInterruptFlag(flag);
  };
}

/** INVLPGA rAX, ECX: the translation of a virtual address for an ASID (APM Vol. 2, 15.16.2 "Invalidate Page, Alternate ASID"). */
function invlpga(cpu: Cpu, insn: Insn): void {
  const svm = svmOf(cpu);
  svm.requireEnabled();
  intercepted(cpu, 'INVLPGA');
  const high = insn.addressBytes === 8 ? cpu.registers.gprHigh(Gpr.RAX) : 0;
  const low = cpu.registers.gprLow(Gpr.RAX);
  cpu.engine.invalidatePage(insn.addressBytes === 2 ? low & 0xffff : low, high);
}

export const svmInstructions: readonly InstructionRow[] = [
  system('VMRUN', ['0F 01 D8'], vmrun, OPTIONS),
  // At any CPL; without an intercept there is nobody to call (APM Vol. 2, 15.18 "VMMCALL Instruction").
  system(
    'VMMCALL',
    ['0F 01 D9'],
    (cpu) => {
      intercepted(cpu, 'VMMCALL');
      raise(Vector.UD);
    },
    OPTIONS,
  ),
  system('VMLOAD', ['0F 01 DA'], vmload, OPTIONS),
  system('VMSAVE', ['0F 01 DB'], vmsave, OPTIONS),
  system('STGI', ['0F 01 DC'], globalInterruptFlag('STGI', true), OPTIONS),
  system('CLGI', ['0F 01 DD'], globalInterruptFlag('CLGI', false), OPTIONS),
  // Secure startup is not announced (CPUID Fn8000_0001_ECX[SKINIT]): #UD, intercepted or not.
  system('SKINIT', ['0F 01 DE'], () => raise(Vector.UD), OPTIONS),
  system('INVLPGA', ['0F 01 DF'], invlpga, OPTIONS),
];
