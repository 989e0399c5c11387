import { CONTROL_WORDS, type ControlKey, type ControlWord } from '../controls/tables.ts';
import { isWellFormedEncoding } from '../vmcs/encoding.ts';
import { vmcsField, vmcsFieldName } from '../vmcs/fields.ts';
import { EPT_VPID_CAPABILITIES, type EptVpidCapability, type VmxMsrName, type VmxMsrs } from './msrs.ts';

/** What the checks must know of a processor besides its VMX capability MSRs. Masks hold the bits that may be 1. */
export interface ProcessorTraits {
  /** CPUID.80000008H:EAX[7:0], 32 to 52. */
  readonly physicalAddressWidth: number;
  /** CPUID.80000008H:EAX[15:8]. */
  readonly linearAddressWidth: 48 | 57;
  readonly eferMask: bigint;
  readonly debugctlMask: bigint;
  readonly perfGlobalCtrlMask: bigint;
  readonly rtitCtlMask: bigint;
  /** SGX, for "enclave interruption"; RTM, for the bit of the pending debug exceptions. */
  readonly sgx: boolean;
  readonly rtm: boolean;
}

/** Which MSRs hold the allowed settings of a control word: low half allowed-0, high half allowed-1. */
const SETTINGS = {
  pinBased: { plain: 'IA32_VMX_PINBASED_CTLS', exact: 'IA32_VMX_TRUE_PINBASED_CTLS' },
  primary: { plain: 'IA32_VMX_PROCBASED_CTLS', exact: 'IA32_VMX_TRUE_PROCBASED_CTLS' },
  secondary: { plain: 'IA32_VMX_PROCBASED_CTLS2', exact: 'IA32_VMX_PROCBASED_CTLS2' },
  exit: { plain: 'IA32_VMX_EXIT_CTLS', exact: 'IA32_VMX_TRUE_EXIT_CTLS' },
  entry: { plain: 'IA32_VMX_ENTRY_CTLS', exact: 'IA32_VMX_TRUE_ENTRY_CTLS' },
} as const satisfies Record<string, { plain: VmxMsrName; exact: VmxMsrName }>;

const WORDS = Object.keys(CONTROL_WORDS) as ControlWord[];

/**
 * The capabilities of one processor, read from its MSRs as software reads them (SDM Vol. 3D, Appendix A).
 *
 * @example
 * const capabilities = new VmxCapabilities({ IA32_VMX_BASIC: 0x00da040000000004n, ... }, traits);
 * capabilities.offers('secondary', 'enableEpt');
 */
export class VmxCapabilities {
  readonly msrs: VmxMsrs;
  readonly processor: ProcessorTraits;
  /** IA32_VMX_BASIC, bits 30:0: what VMPTRLD and VMXON compare. */
  readonly revisionId: number;
  readonly hasTrueMsrs: boolean;
  readonly errorCodeForAnyVector: boolean;
  /** IA32_VMX_MISC[29] and [30]. */
  readonly writesReadOnlyData: boolean;
  readonly zeroLengthInjection: boolean;
  readonly cr3Targets: number;
  /** IA32_VMX_MISC[8:6]. */
  readonly activityStates: { readonly hlt: boolean; readonly shutdown: boolean; readonly waitForSipi: boolean };
  readonly #allowed0: Readonly<Record<ControlWord, number>>;
  readonly #allowed1: Readonly<Record<ControlWord, number>>;

  constructor(msrs: VmxMsrs, processor: ProcessorTraits) {
    this.msrs = msrs;
    this.processor = processor;
    const basic = msrs.IA32_VMX_BASIC ?? 0n;
    const misc = Number((msrs.IA32_VMX_MISC ?? 0n) & 0xffff_ffffn);
    this.revisionId = Number(basic & 0x7fff_ffffn);
    this.hasTrueMsrs = ((basic >> 55n) & 1n) === 1n;
    this.errorCodeForAnyVector = ((basic >> 56n) & 1n) === 1n;
    this.writesReadOnlyData = (misc & (1 << 29)) !== 0;
    this.zeroLengthInjection = (misc & (1 << 30)) !== 0;
    this.cr3Targets = (misc >> 16) & 0x1ff;
    this.activityStates = { hlt: (misc & 64) !== 0, shutdown: (misc & 128) !== 0, waitForSipi: (misc & 256) !== 0 };
    const settings = WORDS.map((word) => [word, this.#settings(word)] as const);
    this.#allowed0 = Object.fromEntries(settings.map(([word, value]) => [word, Number(value & 0xffff_ffffn)])) as Record<
      ControlWord,
      number
    >;
    this.#allowed1 = Object.fromEntries(settings.map(([word, value]) => [word, Number(value >> 32n)])) as Record<ControlWord, number>;
  }

  /** The bits of a control word that must be 1. */
  allowed0(word: ControlWord): number {
    return this.#allowed0[word];
  }

  /** The bits of a control word that may be 1; those of an absent word, none. */
  allowed1(word: ControlWord): number {
    return this.#allowed1[word];
  }

  /** Whether the 1-setting of a control is supported. */
  offers<Word extends ControlWord>(word: Word, key: ControlKey<Word>): boolean {
    const { bit } = (CONTROL_WORDS[word] as unknown as Record<string, { bit: number }>)[key as string]!;
    return ((this.#allowed1[word] >>> bit) & 1) === 1;
  }

  /** Whether a bit of IA32_VMX_EPT_VPID_CAP is 1. */
  offersEptVpid(key: EptVpidCapability): boolean {
    return (((this.msrs.IA32_VMX_EPT_VPID_CAP ?? 0n) >> BigInt(EPT_VPID_CAPABILITIES[key].bit)) & 1n) === 1n;
  }

  /** Whether VMREAD and VMWRITE know a field on this processor, by encoding; the encoding's other forms (reserved bits, a wrong access type) are never fields. */
  hasField(encoding: number): boolean {
    if (!isWellFormedEncoding(encoding)) return false;
    const name = vmcsFieldName(encoding);
    if (name === undefined) return false;
    const { needs, cr3Targets } = vmcsField(name);
    if ((cr3Targets ?? 0) > this.cr3Targets) return false;
    return needs === undefined || needs.some((control) => this.offersNamed(control));
  }

  /** As `offers`, the control named in one string, as in the field table: `secondary.enableEpt`. */
  offersNamed(control: string): boolean {
    const [word, key] = control.split('.') as [ControlWord, never];
    return this.offers(word, key);
  }

  #settings(word: ControlWord): bigint {
    // These two report only what may be 1, in all 64 bits (SDM Vol. 3D, A.11, A.3.4).
    if (word === 'vmFunctions') return ((this.msrs.IA32_VMX_VMFUNC ?? 0n) & 0xffff_ffffn) << 32n;
    if (word === 'tertiary') return ((this.msrs.IA32_VMX_PROCBASED_CTLS3 ?? 0n) & 0xffff_ffffn) << 32n;
    const { plain, exact } = SETTINGS[word];
    return this.msrs[this.hasTrueMsrs ? exact : plain] ?? 0n;
  }
}
