/** `struct kvm_cpuid_entry2` (api.rst, 4.46 KVM_GET_SUPPORTED_CPUID). Registers unsigned. */
export interface CpuidEntry {
  readonly function: number;
  readonly index: number;
  /** KVM_CPUID_FLAG_SIGNIFCANT_INDEX (1): `index` counts. */
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export const CPUID_FLAG_SIGNIFICANT_INDEX = 1;
