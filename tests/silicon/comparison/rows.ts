import type { InstructionForm } from '@minusone/x86';

/** Rows of plain TypeScript that a user-mode program can execute, or that raise the same exception in any user-mode program: these are compared as the others are. */
const SYSTEM_ROWS = new Set(
  (
    'PUSHF/PUSHFD/PUSHFQ POPF/POPFD/POPFQ FXSAVE FXRSTOR FLDENV FNSTENV FRSTOR FNSAVE RDFSBASE RDGSBASE WRFSBASE WRGSBASE INT3 INTO UD0 UD1 UD2 RSM ' +
    'CLI STI IN OUT INS{size} OUTS{size} HLT CLTS LGDT LIDT LLDT LTR LMSW RDMSR WRMSR INVD WBINVD INVLPG INVPCID SWAPGS SYSRET CLAC STAC'
  ).split(' '),
);

/** Why a row is left out. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'MOV POP LES LDS LSS LFS LGS LAR LSL VERR VERW ARPL': "loads or looks up a descriptor: the host kernel's tables are not ours",
  'JMPF CALLF RETF IRET/IRETD/IRETQ': 'far transfers: likewise',
  'SYSCALL SYSENTER SYSEXIT INT':
    "calls the host's kernel; SYSENTER and SYSEXIT differ by vendor in long mode, and a hypervisor may emulate them",
  INT1: 'hypervisors reflect it with another RIP than processors have',
  'SMSW SGDT SIDT SLDT STR': "emulated by the host's kernel under UMIP, or machine-dependent",
  'XSAVE XRSTOR XSAVEOPT XGETBV XSETBV': 'depends on which state components the host has',
  'MONITOR MWAIT': "depends on the host's configuration",
};

/** Why a form is not compared, or undefined if it is. */
export function whyLeftOut(form: InstructionForm): string | undefined {
  const { row } = form;
  if (row.options.machineDependent) return 'its result depends on the machine';
  if (row.semantics !== undefined) return undefined;
  if (row.mnemonic === 'MOV' && form.operands.some(({ method }) => method === 'C' || method === 'D')) return undefined;
  if (SYSTEM_ROWS.has(row.mnemonic)) return undefined;
  for (const [mnemonics, reason] of Object.entries(LEFT_OUT)) if (mnemonics.split(' ').includes(row.mnemonic)) return reason;
  return 'no reason is given';
}
export const isCompared = (form: InstructionForm): boolean => whyLeftOut(form) === undefined;
