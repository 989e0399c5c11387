/** Where a feature is announced. */
export interface CpuidBit {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: 'eax' | 'ebx' | 'ecx' | 'edx';
  readonly bit: number;
}

const rows: [string, CpuidBit][] = [];
function group(leaf: number, register: CpuidBit['register'], bits: Record<string, number>, subleaf = 0): void {
  for (const [name, bit] of Object.entries(bits)) rows.push([name, { leaf, subleaf, register, bit }]);
}

// SDM Vol. 2A, CPUID, Tables 3-8 to 3-11; AMD's: APM Vol. 3, Appendix E.
group(1, 'edx', {
  FPU: 0,
  VME: 1,
  DE: 2,
  PSE: 3,
  TSC: 4,
  MSR: 5,
  PAE: 6,
  MCE: 7,
  CX8: 8,
  APIC: 9,
  SEP: 11,
  MTRR: 12,
  PGE: 13,
  MCA: 14,
  CMOV: 15,
  PAT: 16,
  PSE36: 17,
  CLFSH: 19,
  MMX: 23,
  FXSR: 24,
  SSE: 25,
  SSE2: 26,
  SS: 27,
  HTT: 28,
});
group(1, 'ecx', {
  SSE3: 0,
  PCLMULQDQ: 1,
  MONITOR: 3,
  SSSE3: 9,
  FMA: 12,
  CX16: 13,
  PCID: 17,
  SSE41: 19,
  SSE42: 20,
  X2APIC: 21,
  MOVBE: 22,
  POPCNT: 23,
  TSC_DEADLINE: 24,
  AES: 25,
  XSAVE: 26,
  AVX: 28,
  F16C: 29,
  RDRAND: 30,
  HYPERVISOR: 31,
});
group(7, 'ebx', {
  FSGSBASE: 0,
  TSC_ADJUST: 1,
  BMI1: 3,
  AVX2: 5,
  SMEP: 7,
  BMI2: 8,
  ERMS: 9,
  INVPCID: 10,
  RDSEED: 18,
  ADX: 19,
  SMAP: 20,
  CLFLUSHOPT: 23,
  CLWB: 24,
  SHA: 29,
});
group(7, 'ecx', { UMIP: 2, LA57: 16, RDPID: 22 });
group(7, 'edx', { FSRM: 4, ARCH_CAPABILITIES: 29 });
group(0xd, 'eax', { XSAVEOPT: 0, XSAVEC: 1, XGETBV1: 2 }, 1);
group(0x80000001, 'ecx', { LAHF64: 0, CMP_LEGACY: 1, CR8_LEGACY: 4, LZCNT: 5, SSE4A: 6, PREFETCHW: 8, TOPOEXT: 22 });
group(0x80000001, 'edx', { SYSCALL: 11, NX: 20, MMXEXT: 22, FFXSR: 25, PDPE1GB: 26, RDTSCP: 27, LM: 29 });
group(0x80000007, 'edx', { INVARIANT_TSC: 8 });

/** Every feature that has a name, and its bit. The names are those that `RowOptions.features` uses. */
export const cpuidBits: ReadonlyMap<string, CpuidBit> = new Map(rows);

/** CPUID leaf 1 EDX bits that AMD processors repeat in leaf 80000001H (APM Vol. 3, E.4.2). */
export const AMD_REPEATED_EDX = 0x0183f3ff;

/** What is there on any x86-64 CPU of ours: both presets have it. Names a user may take away with `model.without(...)`. */
export const baseFeatures: readonly string[] = [
  'FPU', 'VME', 'DE', 'PSE', 'TSC', 'MSR', 'PAE', 'MCE', 'CX8', 'APIC', 'SEP', 'MTRR', 'PGE', 'MCA', 'CMOV', 'PAT', 'PSE36', 'CLFSH', 'MMX', 'FXSR', 'SSE', 'SSE2',
  'SSE3', 'CX16', 'PCID', 'X2APIC', 'POPCNT', 'TSC_DEADLINE', 'FSGSBASE', 'TSC_ADJUST', 'SMEP', 'SMAP', 'ERMS', 'INVPCID', 'UMIP',
  'LAHF64', 'SYSCALL', 'NX', 'PDPE1GB', 'RDTSCP', 'LM', 'INVARIANT_TSC',
]; // biome-ignore format: one list
