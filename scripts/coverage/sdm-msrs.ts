/** A register (or run of them) of the manuals. */
export interface SdmMsr {
  readonly first: number;
  readonly last?: number;
  readonly name: string;
  /** Why a CPU may do without. */
  readonly why: string;
}

const PMU = 'no performance monitoring (CPUID leaf 0AH is 0)';
const VMX = 'VT-x is an extension';
const SVM = 'AMD-V is an extension';

/** Registers that operating systems look for (SDM Vol. 4, Table 2-2; APM Vol. 2, Appendix A). The coverage page lists those that the table lacks. */
export const sdmMsrs: readonly SdmMsr[] = [
  { first: 0x3a, name: 'IA32_FEATURE_CONTROL', why: VMX },
  { first: 0x48, name: 'IA32_SPEC_CTRL', why: 'nothing is speculative; not advertised' },
  { first: 0x49, name: 'IA32_PRED_CMD', why: 'nothing is predicted; not advertised' },
  { first: 0xc1, last: 0xc8, name: 'IA32_PMC0 ... 7', why: PMU },
  { first: 0xe7, last: 0xe8, name: 'IA32_MPERF, IA32_APERF', why: 'no frequency scaling (CPUID.6 is 0)' },
  { first: 0x10b, name: 'IA32_FLUSH_CMD', why: 'no cache to flush; not advertised' },
  { first: 0x122, name: 'IA32_TSX_CTRL', why: 'no transactional memory' },
  { first: 0x188, last: 0x18d, name: 'IA32_PERFEVTSEL2 ... 7', why: PMU },
  { first: 0x198, last: 0x199, name: 'IA32_PERF_STATUS, IA32_PERF_CTL', why: 'no frequency scaling' },
  {
    first: 0x19a,
    last: 0x19c,
    name: 'IA32_CLOCK_MODULATION, IA32_THERM_INTERRUPT, IA32_THERM_STATUS',
    why: 'no thermal monitor (CPUID.1:EDX.ACPI is 0)',
  },
  { first: 0x1b0, name: 'IA32_ENERGY_PERF_BIAS', why: 'not advertised' },
  { first: 0x1c9, name: 'MSR_LASTBRANCH_TOS', why: 'IA32_DEBUGCTL.LBR can be set, but records nothing' },
  { first: 0x1f2, last: 0x1f3, name: 'IA32_SMRR_PHYSBASE, _PHYSMASK', why: 'no system-management mode' },
  { first: 0x309, last: 0x30b, name: 'IA32_FIXED_CTR0 ... 2', why: PMU },
  { first: 0x38d, last: 0x390, name: 'IA32_FIXED_CTR_CTRL, IA32_PERF_GLOBAL_STATUS, _CTRL, _OVF_CTRL', why: PMU },
  { first: 0x400, last: 0x43f, name: 'IA32_MCi_CTL, _STATUS, _ADDR, _MISC', why: 'no machine-check banks (IA32_MCG_CAP is 0)' },
  { first: 0x480, last: 0x491, name: 'IA32_VMX_BASIC ... IA32_VMX_VMFUNC', why: VMX },
  { first: 0x570, name: 'IA32_RTIT_CTL', why: 'no processor trace' },
  { first: 0x600, name: 'IA32_DS_AREA', why: 'no debug store' },
  { first: 0x606, name: 'MSR_RAPL_POWER_UNIT', why: 'no energy counters' },
  { first: 0x6a0, last: 0x6a8, name: 'IA32_U_CET ... IA32_INTERRUPT_SSP_TABLE_ADDR', why: 'no shadow stacks' },
  { first: 0x770, name: 'IA32_PM_ENABLE', why: 'no hardware P-states' },
  { first: 0xd90, name: 'IA32_BNDCFGS', why: 'no MPX' },
  { first: 0xda0, name: 'IA32_XSS', why: 'no XSAVES' },
  { first: 0xc0000104, name: 'TSC_RATIO', why: SVM },
  { first: 0xc0010000, last: 0xc0010007, name: 'PERF_CTL0 ... 3, PERF_CTR0 ... 3', why: 'no performance counters' },
  { first: 0xc0010016, last: 0xc0010019, name: 'IORR_BASE0 ... IORR_MASK1', why: 'no I/O range registers' },
  { first: 0xc0010062, last: 0xc0010064, name: 'P-state control, status, definition', why: 'no P-states' },
  { first: 0xc0010114, name: 'VM_CR', why: SVM },
  { first: 0xc0010117, name: 'VM_HSAVE_PA', why: SVM },
  { first: 0xc001011f, name: 'VIRT_SPEC_CTRL', why: 'nothing is speculative' },
  { first: 0xc0010131, name: 'SEV_STATUS', why: 'no memory encryption' },
];
