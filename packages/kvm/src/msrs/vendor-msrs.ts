import { constant, type GuestMsrRow, storage } from './guest-msr-row.ts';

const FEATURE_CONTROL_LOCK = 1n;
export const DE_CFG = 0xc0011029;
/** LFENCE is always serializing. */
export const DE_CFG_LFENCE_SERIALIZING: bigint = 1n << 1n;

/** Intel's processors only. */
const intelRows: readonly Omit<GuestMsrRow, 'vendor'>[] = [
  constant(0x17, 'IA32_PLATFORM_ID', 'Vol. 4, Table 2-2', 0n),
  constant(0x2a, 'MSR_EBL_CR_POWERON', 'Vol. 4, Table 2-12', 0n),
  constant(0x34, 'MSR_SMI_COUNT', 'Vol. 4, Table 2-20', 0n),
  // No extension is offered: there is nothing to turn on, but the lock.
  storage(0x3a, 'IA32_FEATURE_CONTROL', 'Vol. 3C 23.7', {
    list: 'state',
    writable: FEATURE_CONTROL_LOCK,
    holds: (state, _value, index, isHost) => isHost || (state.stored(index) & FEATURE_CONTROL_LOCK) === 0n,
  }),
  constant(0xcd, 'MSR_FSB_FREQ', 'Vol. 4, Table 2-4', 3n),
  constant(0x11e, 'MSR_BBL_CR_CTL3', 'Vol. 4, Table 2-4', 0xbe70_2111n, { ignoresWrites: true }),
  // The current performance state: what a guest makes of it is its own business.
  constant(0x198, 'IA32_PERF_STATUS', 'Vol. 4, Table 2-2', 0x400_0000_03e8n),
  storage(0x199, 'IA32_PERF_CTL', 'Vol. 4, Table 2-2'),
  // BTS and PEBS are not there; fast strings (bit 0) are for firmware, or the VMM, to turn on.
  storage(0x1a0, 'IA32_MISC_ENABLE', 'Vol. 4, Table 2-2', { list: 'state', reset: 0x1800n, writable: 0x4_0044_1d89n | 0x1801n }),
  storage(0x1fc, 'MSR_POWER_CTL', 'Vol. 4, Table 2-20', { list: 'state' }),
  // Running average power limits: units and energies of nothing.
  constant(0x606, 'MSR_RAPL_POWER_UNIT', 'Vol. 3B 14.10.1', 0n),
  constant(0x611, 'MSR_PKG_ENERGY_STATUS', 'Vol. 3B 14.10.3', 0n),
  constant(0x619, 'MSR_DRAM_ENERGY_STATUS', 'Vol. 3B 14.10.5', 0n),
  constant(0x639, 'MSR_PP0_ENERGY_STATUS', 'Vol. 3B 14.10.4', 0n),
  constant(0x641, 'MSR_PP1_ENERGY_STATUS', 'Vol. 3B 14.10.4', 0n),
];

/** HWCR bits that some systems set, and that mean nothing here: TLB cache disable, flush filter, IGNNE emulation. */
const HWCR_IGNORED = 0x8n | 0x40n | 0x100n;
/** McStatusWrEn, TscFreqSel. */
const HWCR_WRITABLE = (1n << 18n) | (1n << 24n);

/** AMD's processors only (APM Vol. 2, Appendix A; PPR for Family 17h). */
const amdRows: readonly Omit<GuestMsrRow, 'vendor'>[] = [
  constant(0xc0010000, 'PerfEvtSel0-3, PerfCtr0-3', 'APM Vol. 2 13.2', 0n, { count: 8, ignoresWrites: true }),
  constant(0xc0010010, 'SYSCFG', 'APM Vol. 2 3.2.1', 0n, { ignoresWrites: true }),
  {
    index: 0xc0010015,
    name: 'HWCR',
    section: 'APM Vol. 2 3.2.10',
    list: 'state',
    reset: 0n,
    read: (state, index) => state.stored(index),
    write: (state, value, index) => {
      const kept = value & ~HWCR_IGNORED;
      if ((kept & ~HWCR_WRITABLE) !== 0n) return false;
      state.store(index, kept);
      return true;
    },
  },
  constant(0xc001001b, 'CLK_CTL', 'APM Vol. 2, Appendix A', 0x2000_0000n, { ignoresWrites: true }),
  constant(0xc001001f, 'NB_CFG', 'APM Vol. 2, Appendix A', 0n, { ignoresWrites: true }),
  { index: 0xc0010020, name: 'PATCH_LOADER', section: 'APM Vol. 2, Appendix A', read: () => undefined, write: () => true },
  constant(0xc0010055, 'INT_PENDING', 'APM Vol. 2, Appendix A', 0n, { ignoresWrites: true }),
  constant(0xc0010058, 'MMIO_CFG_BASE', 'APM Vol. 2, Appendix A', 0n, { ignoresWrites: true }),
  constant(0xc0010112, 'SMM_ADDR, SMM_MASK', 'APM Vol. 2 10.2', 0n, { count: 2 }),
  // No extension is offered: SVM can neither be turned on nor off.
  constant(0xc0010114, 'VM_CR', 'APM Vol. 2 15.30.1', 0n),
  constant(0xc0010117, 'VM_HSAVE_PA', 'APM Vol. 2 15.30.4', 0n, { ignoresWrites: true }),
  constant(0xc0011022, 'DC_CFG', 'PPR Family 17h', 0n, { ignoresWrites: true }),
  storage(DE_CFG, 'DE_CFG', 'APM Vol. 2, Appendix A', {
    list: 'feature',
    reset: DE_CFG_LFENCE_SERIALIZING,
    writable: DE_CFG_LFENCE_SERIALIZING,
  }),
  constant(0xc001102a, 'BU_CFG2', 'PPR Family 17h', 0n, { ignoresWrites: true }),
];

export const vendorMsrs: readonly GuestMsrRow[] = [
  ...intelRows.map((row) => ({ ...row, vendor: 'intel' as const })),
  ...amdRows.map((row) => ({ ...row, vendor: 'amd' as const })),
];
