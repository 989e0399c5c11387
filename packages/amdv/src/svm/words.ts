import { wordOf } from '../vmcb/fields.ts';

/** Doublewords of the VMCB by number, for code that runs at every entry and exit: constants, so that nothing is looked up. */
export const INTERCEPT_CR: number = wordOf('INTERCEPT_CR');
export const INTERCEPT_DR: number = wordOf('INTERCEPT_DR');
export const INTERCEPT_EXCEPTIONS: number = wordOf('INTERCEPT_EXCEPTIONS');
export const INTERCEPT_3: number = wordOf('INTERCEPT_3');
export const INTERCEPT_4: number = wordOf('INTERCEPT_4');
export const INTERCEPT_5: number = wordOf('INTERCEPT_5');
export const PAUSE_FILTER: number = wordOf('PAUSE_FILTER_COUNT');
export const IOPM_BASE: number = wordOf('IOPM_BASE_PA');
export const MSRPM_BASE: number = wordOf('MSRPM_BASE_PA');
export const TSC_OFFSET: number = wordOf('TSC_OFFSET');
export const ASID: number = wordOf('GUEST_ASID');
export const TLB_CONTROL: number = wordOf('TLB_CONTROL');
export const VIRTUAL_INTERRUPT: number = wordOf('V_TPR');
export const VIRTUAL_VECTOR: number = wordOf('V_INTR_VECTOR');
export const INTERRUPT_SHADOW: number = wordOf('INTERRUPT_SHADOW');
export const EXITCODE: number = wordOf('EXITCODE');
export const EXITINFO1: number = wordOf('EXITINFO1');
export const EXITINFO2: number = wordOf('EXITINFO2');
export const EXITINTINFO: number = wordOf('EXITINTINFO');
export const NP_CONTROL: number = wordOf('NP_ENABLE');
export const EVENTINJ: number = wordOf('EVENTINJ');
export const N_CR3: number = wordOf('N_CR3');
export const NRIP: number = wordOf('NRIP');
export const INSTRUCTION_BYTES: number = wordOf('GUEST_INSTRUCTION_COUNT');

export const ES: number = wordOf('ES_SELECTOR');
export const FS: number = wordOf('FS_SELECTOR');
export const GS: number = wordOf('GS_SELECTOR');
export const LDTR: number = wordOf('LDTR_SELECTOR');
export const TR: number = wordOf('TR_SELECTOR');
export const GDTR_LIMIT: number = wordOf('GDTR_LIMIT');
export const GDTR_BASE: number = wordOf('GDTR_BASE');
export const IDTR_LIMIT: number = wordOf('IDTR_LIMIT');
export const IDTR_BASE: number = wordOf('IDTR_BASE');
/** CPL is byte 3. */
export const CPL: number = wordOf('CPL');
export const EFER: number = wordOf('EFER');
export const CR4: number = wordOf('CR4');
export const CR3: number = wordOf('CR3');
export const CR0: number = wordOf('CR0');
export const DR7: number = wordOf('DR7');
export const DR6: number = wordOf('DR6');
export const RFLAGS: number = wordOf('RFLAGS');
export const RIP: number = wordOf('RIP');
export const RSP: number = wordOf('RSP');
export const RAX: number = wordOf('RAX');
export const STAR: number = wordOf('STAR');
export const LSTAR: number = wordOf('LSTAR');
export const CSTAR: number = wordOf('CSTAR');
export const SFMASK: number = wordOf('SFMASK');
export const KERNEL_GS_BASE: number = wordOf('KERNEL_GS_BASE');
export const SYSENTER_CS: number = wordOf('SYSENTER_CS');
export const SYSENTER_ESP: number = wordOf('SYSENTER_ESP');
export const SYSENTER_EIP: number = wordOf('SYSENTER_EIP');
export const CR2: number = wordOf('CR2');
export const G_PAT: number = wordOf('G_PAT');

/** Bits of the doubleword at 60H (APM Vol. 2, 15.21). */
export const Virtual = {
  TPR: 0xff,
  IRQ: 0x100,
  PRIO_SHIFT: 16,
  IGN_TPR: 0x10_0000,
  INTR_MASKING: 0x100_0000,
} as const;
