import { SvmCapabilityError } from '../errors.ts';
import { SVM_FEATURE_NAMES, SVM_FEATURES, type SvmFeature, svmFeatureBits } from './features.ts';

/** What the checks of VMRUN need to know of the processor beyond SVM. */
export interface SvmProcessor {
  /** CPUID Fn8000_0008_EAX[7:0], in bits. */
  readonly physicalAddressWidth: number;
  /** CPUID Fn8000_0008_EAX[15:8], in bits: 48 or 57. */
  readonly linearAddressWidth: number;
  /** Bits of CR4 that may be 1. */
  readonly cr4Mask: number;
  /** Bits of EFER that may be 1. */
  readonly eferMask: number;
  readonly hasLongMode: boolean;
}

/** What CPUID Fn8000_000A says, and the processor it stands in. */
export interface SvmDeclaration {
  readonly revision: number;
  /** How many ASIDs there are, the host's 0 included. */
  readonly asids: number;
  /** All of EDX, bits without a name too. */
  readonly edx: number;
  readonly processor: SvmProcessor;
}

/** CR4: VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP FSGSBASE PCIDE OSXSAVE SMEP SMAP PKE; EFER: SCE LME LMA NXE SVME LMSLE FFXSR. */
export const USUAL_PROCESSOR: SvmProcessor = {
  physicalAddressWidth: 48,
  linearAddressWidth: 48,
  cr4Mask: 0x77_0fff,
  eferMask: 0x7d01,
  hasLongMode: true,
};

export type SvmPresetName = 'svm:minimal' | 'svm:zen3' | 'svm:max';

/** The presets: what processors announce. */
export const SVM_PRESETS: Readonly<Record<SvmPresetName, SvmDeclaration>> = {
  /** The first implementation's: what kvm_amd and Xen need at the least. */
  'svm:minimal': { revision: 1, asids: 8, edx: 0, processor: USUAL_PROCESSOR },
  /** An EPYC 7713 (Zen 3), bit for bit: to explain a VMCB made for it. */
  'svm:zen3': { revision: 1, asids: 0x8000, edx: 0x119b9cff, processor: { ...USUAL_PROCESSOR, cr4Mask: 0xf7_0fff, eferMask: 0x10_7d01 } },
  /** All that this package does. */
  'svm:max': {
    revision: 1,
    asids: 0x8000,
    edx: svmFeatureBits(SVM_FEATURE_NAMES.filter((name) => SVM_FEATURES[name].works)),
    processor: USUAL_PROCESSOR,
  },
};

/** What an SVM implementation has: CPUID Fn8000_000A. */
export class SvmCapabilities implements SvmDeclaration {
  readonly revision: number;
  readonly asids: number;
  readonly edx: number;
  readonly processor: SvmProcessor;

  constructor(declaration: SvmDeclaration) {
    this.revision = declaration.revision;
    this.asids = declaration.asids;
    this.edx = declaration.edx;
    this.processor = declaration.processor;
  }

  has(feature: SvmFeature): boolean {
    return ((this.edx >>> SVM_FEATURES[feature].bit) & 1) !== 0;
  }
  /** The features with a name, by bit. */
  get features(): readonly SvmFeature[] {
    return SVM_FEATURE_NAMES.filter((name) => this.has(name));
  }
  /** The same without some features. */
  without(...features: SvmFeature[]): SvmCapabilities {
    return new SvmCapabilities({ ...this.#fields(), edx: this.edx & ~svmFeatureBits(features) });
  }
  /** The same in another processor. */
  on(processor: SvmProcessor): SvmCapabilities {
    return new SvmCapabilities({ ...this.#fields(), processor });
  }
  #fields(): SvmDeclaration {
    const { revision, asids, edx, processor } = this;
    return { revision, asids, edx, processor };
  }
}

/**
 * The capabilities of a preset.
 * @throws {SvmCapabilityError} there is no such preset
 * @example svmCapabilities('svm:max').has('NP'); // true
 */
export function svmCapabilities(preset: SvmPresetName): SvmCapabilities {
  if (!Object.hasOwn(SVM_PRESETS, preset)) {
    throw new SvmCapabilityError(`There is no preset ${JSON.stringify(preset)}.`, `Known: ${Object.keys(SVM_PRESETS).join(', ')}.`, {
      preset,
    });
  }
  return new SvmCapabilities(SVM_PRESETS[preset]);
}
