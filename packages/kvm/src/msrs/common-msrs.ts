import { canonicalized, constant, type GuestMsrRow, type GuestMsrState, hardware, isCanonical, storage } from './guest-msr-row.ts';

const Efer = { SCE: 1, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11, SVME: 1 << 12, FFXSR: 1 << 14 } as const;
const CR0_PG = 0x80000000;
/** IA32_APIC_BASE after RESET, of a virtual CPU whose local APIC is user space's. */
const APIC_BASE_RESET = 0xfee00800n;
const APIC_BASE_BSP = 0x100n;
const APIC_BASE = 0x1b;

/** MISC_FEATURES_ENABLES and the bit of PLATFORM_INFO that offers it: CPUID of CPL 3 is #GP(0). */
export const PLATFORM_INFO = 0xce;
export const MISC_FEATURES_ENABLES = 0x140;
export const CPUID_FAULTING: bigint = 1n << 31n;

/** EFER bits that the guest may set, by what it is shown. */
function eferBits({ host: { cpuid } }: GuestMsrState): number {
  let bits = 0;
  if (cpuid.has('SYSCALL')) bits |= Efer.SCE;
  if (cpuid.has('LM')) bits |= Efer.LME | Efer.LMA;
  if (cpuid.has('NX')) bits |= Efer.NXE;
  if (cpuid.has('FFXSR')) bits |= Efer.FFXSR;
  return bits;
}

function writeEfer(state: GuestMsrState, value: bigint, _index: number, isHost: boolean): boolean {
  const { host } = state;
  if (value >> 32n !== 0n) return false;
  const next = Number(value);
  const old = host.efer();
  if (!isHost) {
    if ((next & ~eferBits(state)) !== 0) return false;
    // SDM Vol. 3A, 9.8.5: LME cannot be changed while paging is on.
    if ((host.cr0() & CR0_PG) !== 0 && ((old ^ next) & Efer.LME) !== 0) return false;
  } else if ((next & ~(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE | Efer.FFXSR)) !== 0) return false;
  // LMA follows LME and CR0.PG; software cannot write it.
  host.setEfer((next & ~Efer.LMA) | (old & Efer.LMA));
  return true;
}

function writeApicBase(state: GuestMsrState, value: bigint, _index: number, isHost: boolean): boolean {
  const { host } = state;
  const hasX2apic = host.cpuid.has('X2APIC');
  if (value >> BigInt(host.cpuid.physicalBits) !== 0n || (!isHost && !hasX2apic && (value & 0x400n) !== 0n)) return false;
  if (host.lapic !== undefined) {
    if (!(isHost ? host.lapic.loadBaseMsr(value) : host.lapic.writeBaseMsr(value))) return false;
  } else {
    if ((value & 0x2ffn) !== 0n) return false;
    state.store(APIC_BASE, value);
  }
  host.apicBaseChanged?.();
  return true;
}

/** IA32_BIOS_SIGN_ID, PATCH_LEVEL: a revision of microcode that guests ask for nothing with, unless user space says another. */
export function biosSignId(vendor: 'intel' | 'amd'): bigint {
  return vendor === 'intel' ? 0x1_0000_0000n : 0x0100_0065n;
}

function canonicalHolds(state: GuestMsrState, value: bigint): boolean {
  return isCanonical(state, value);
}
/** SYSENTER_ESP, SYSENTER_EIP: AMD's processors ignore bits that an address has not, Intel's refuse them. */
const sysenterAddress = {
  list: 'state',
  holds: (state: GuestMsrState, value: bigint) => state.host.vendor === 'amd' || isCanonical(state, value),
  keeps: canonicalized,
} as const;

/** What processors of both vendors have. */
export const commonMsrs: readonly GuestMsrRow[] = [
  {
    index: APIC_BASE,
    name: 'IA32_APIC_BASE',
    section: 'Vol. 3A 10.4.4',
    reset: APIC_BASE_RESET,
    read: (state, index) => state.host.lapic?.baseMsr ?? state.stored(index) | (state.host.isBootstrap === true ? APIC_BASE_BSP : 0n),
    write: writeApicBase,
  },
  // Loading microcode does nothing; only user space says which there is.
  { index: 0x79, name: 'IA32_BIOS_UPDT_TRIG', section: 'Vol. 3A 9.11.6', read: () => undefined, write: () => true },
  {
    index: 0x8b,
    name: 'IA32_BIOS_SIGN_ID',
    section: 'Vol. 3A 9.11.7.1',
    list: 'feature',
    reset: 0n,
    read: (state, index) => state.stored(index) || biosSignId(state.host.vendor),
    write: (state, value, index, isHost) => {
      if (isHost) state.store(index, value);
      return true;
    },
  },
  storage(PLATFORM_INFO, 'MSR_PLATFORM_INFO', 'Vol. 4, Table 2-25', { list: 'state', reset: CPUID_FAULTING, hostOnly: true }),
  {
    ...hardware(0x10a, 'IA32_ARCH_CAPABILITIES', 'Vol. 4, Table 2-2'),
    list: 'feature',
    read: (state, index, isHost) => {
      if (!isHost && !state.host.cpuid.has('ARCH_CAPABILITIES')) return undefined;
      return state.stored(index) || state.host.processorMsr(index) || (isHost ? 0n : undefined);
    },
    write: (state, value, index, isHost) => {
      if (isHost) state.store(index, value);
      return isHost;
    },
  },
  storage(MISC_FEATURES_ENABLES, 'MSR_MISC_FEATURES_ENABLES', 'Vol. 4, Table 2-39', {
    list: 'state',
    writable: 1n,
    holds: (state, value) => value === 0n || (state.stored(PLATFORM_INFO) & CPUID_FAULTING) !== 0n,
  }),
  hardware(0x174, 'IA32_SYSENTER_CS', 'Vol. 3A 5.8.7', { list: 'state', keeps: (_state, value) => value & 0xffffffffn }),
  hardware(0x175, 'IA32_SYSENTER_ESP', 'Vol. 3A 5.8.7', sysenterAddress),
  hardware(0x176, 'IA32_SYSENTER_EIP', 'Vol. 3A 5.8.7', sysenterAddress),
  hardware(0x1d9, 'IA32_DEBUGCTL', 'Vol. 3B 17.4.1', { holds: (_state, value) => (value & ~3n) === 0n }),
  // No performance monitoring: its events count nothing.
  constant(0xc1, 'IA32_PMC0, IA32_PMC1', 'Vol. 4, Table 2-2', 0n, { count: 2, ignoresWrites: true }),
  constant(0x186, 'IA32_PERFEVTSEL0, IA32_PERFEVTSEL1', 'Vol. 4, Table 2-2', 0n, { count: 2, ignoresWrites: true }),
  constant(0x1db, 'MSR_LASTBRANCH_FROM_IP ... MSR_LASTINT_TO_IP', 'Vol. 3B 17.12', 0n, { count: 4 }),
  { index: 0xc0000080, name: 'IA32_EFER', section: 'Vol. 3A 2.2.1', read: ({ host }) => BigInt(host.efer() >>> 0), write: writeEfer },
  hardware(0xc0000081, 'IA32_STAR', 'Vol. 3A 5.8.8', { list: 'state' }),
  hardware(0xc0000082, 'IA32_LSTAR', 'Vol. 3A 5.8.8', { list: 'state', holds: canonicalHolds }),
  hardware(0xc0000083, 'IA32_CSTAR', 'Vol. 3A 5.8.8', { list: 'state', holds: canonicalHolds }),
  hardware(0xc0000084, 'IA32_FMASK', 'Vol. 3A 5.8.8', { list: 'state', keeps: (_state, value) => value & 0xffffffffn }),
  hardware(0xc0000100, 'IA32_FS_BASE', 'Vol. 3A 3.4.4', { holds: canonicalHolds }),
  hardware(0xc0000101, 'IA32_GS_BASE', 'Vol. 3A 3.4.4', { holds: canonicalHolds }),
  hardware(0xc0000102, 'IA32_KERNEL_GS_BASE', 'Vol. 3A 3.4.4', { list: 'state', holds: canonicalHolds }),
  hardware(0xc0000103, 'IA32_TSC_AUX', 'Vol. 4, Table 2-2', {
    list: 'state',
    features: ['RDTSCP', 'RDPID'],
    // Intel: bits 63:32 are reserved; AMD ignores them.
    holds: ({ host }, value) => host.cpuid.isAmd || value >> 32n === 0n,
    keeps: (_state, value) => value & 0xffffffffn,
  }),
];
