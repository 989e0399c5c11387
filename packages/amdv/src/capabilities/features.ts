/** A bit of CPUID Fn8000_000A_EDX: what an SVM implementation has beyond the first one. */
export interface SvmFeatureRow {
  readonly bit: number;
  readonly title: string;
  /** Whether the CPU side of this package does it: what it does not do it does not announce. */
  readonly works: boolean;
}

/** CPUID Fn8000_000A_EDX "SVM Feature Identification" (APM Vol. 3, E.4.9). */
export const SVM_FEATURES = {
  NP: { bit: 0, title: 'nested paging', works: true },
  LBRV: { bit: 1, title: 'LBR virtualization', works: false },
  SVML: { bit: 2, title: 'SVM lock', works: false },
  NRIPS: { bit: 3, title: 'NRIP save', works: true },
  TSCRATEMSR: { bit: 4, title: 'MSR-based TSC rate control', works: false },
  VMCBCLEAN: { bit: 5, title: 'VMCB clean bits', works: true },
  FLUSHBYASID: { bit: 6, title: 'flush by ASID', works: true },
  DECODEASSISTS: { bit: 7, title: 'decode assists', works: true },
  PMCVIRT: { bit: 8, title: 'PMC virtualization', works: false },
  PAUSEFILTER: { bit: 10, title: 'PAUSE intercept filter', works: true },
  PAUSEFILTERTHRESHOLD: { bit: 12, title: 'PAUSE filter threshold', works: true },
  AVIC: { bit: 13, title: 'advanced virtual interrupt controller', works: false },
  VMSAVEVIRT: { bit: 15, title: 'VMSAVE and VMLOAD virtualization', works: false },
  VGIF: { bit: 16, title: 'GIF virtualization', works: false },
  GMET: { bit: 17, title: 'guest mode execute trap', works: false },
  X2AVIC: { bit: 18, title: 'x2APIC mode of AVIC', works: false },
  SSSCHECK: { bit: 19, title: 'supervisor shadow-stack restrictions', works: false },
  SPECCTRL: { bit: 20, title: 'SPEC_CTRL virtualization', works: false },
  ROGPT: { bit: 21, title: 'read-only guest page tables', works: false },
  HOST_MCE_OVERRIDE: { bit: 23, title: 'machine checks of the guest go to the host', works: false },
  TLBICTL: { bit: 24, title: 'INVLPGB and TLBSYNC enable in the VMCB', works: false },
  VNMI: { bit: 25, title: 'NMI virtualization', works: false },
  IBSVIRT: { bit: 26, title: 'IBS virtualization', works: false },
  EXTLVTOFFSETFAULTCHG: { bit: 27, title: 'extended LVT offset fault change', works: false },
  VMCBADDRCHKCHG: { bit: 28, title: 'changed check of the VMCB address', works: false },
  BUSLOCKTHRESHOLD: { bit: 29, title: 'bus lock threshold', works: false },
  IDLEHLTINTERCEPT: { bit: 30, title: 'idle HLT intercept', works: false },
  EXTSHUTDOWN: { bit: 31, title: 'enhanced shutdown intercept', works: false },
} as const;

export type SvmFeature = keyof typeof SVM_FEATURES;

/** All names, by bit. */
export const SVM_FEATURE_NAMES: readonly SvmFeature[] = Object.keys(SVM_FEATURES) as SvmFeature[];

/** The word with the bits of these features. */
export function svmFeatureBits(features: readonly SvmFeature[]): number {
  return features.reduce((bits, name) => bits | (1 << SVM_FEATURES[name].bit), 0);
}
