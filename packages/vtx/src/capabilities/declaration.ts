import { bitsSet } from '../controls/bits.ts';
import { CONTROL_WORDS, type ControlKey, type ControlWord } from '../controls/tables.ts';
import { decodeEncoding } from '../vmcs/encoding.ts';
import { VMCS_FIELD_NAMES, vmcsField } from '../vmcs/fields.ts';
import { DEFAULT1, EPT_VPID_CAPABILITIES, type EptVpidCapability, FLEXIBLE_DEFAULT1, type VmxMsrs } from './msrs.ts';

/** What a processor with VT-x offers, in the manual's words: the capability MSRs are derived from it. */
export interface VmxDeclaration {
  /** IA32_VMX_BASIC, bits 30:0. */
  readonly revisionId: number;
  /** Size of the VMCS region and the VMXON region, 1 to 4096 bytes. */
  readonly regionBytes: number;
  /** IA32_VMX_BASIC[55]: the TRUE MSRs exist, and some default1 controls may be 0. */
  readonly trueMsrs: boolean;
  /** IA32_VMX_BASIC[54]: VM exits of INS and OUTS report information on the instruction. */
  readonly insOutsInformation: boolean;
  /** IA32_VMX_BASIC[49]: the dual-monitor treatment of SMIs and SMM. */
  readonly dualMonitor: boolean;
  /** IA32_VMX_BASIC[56]: a hardware exception may be injected with or without an error code, whatever its vector. */
  readonly errorCodeForAnyVector: boolean;
  /** The controls that may be 1, besides those that must. */
  readonly pinBased: readonly ControlKey<'pinBased'>[];
  readonly primary: readonly ControlKey<'primary'>[];
  readonly secondary: readonly ControlKey<'secondary'>[];
  readonly tertiary: readonly ControlKey<'tertiary'>[];
  readonly vmFunctions: readonly ControlKey<'vmFunctions'>[];
  readonly exit: readonly ControlKey<'exit'>[];
  readonly entry: readonly ControlKey<'entry'>[];
  readonly eptVpid: readonly EptVpidCapability[];
  /** IA32_VMX_MISC (SDM Vol. 3D, A.6). */
  readonly misc: {
    /** Bits 4:0: the VMX-preemption timer counts down each time this bit of the TSC changes. */
    readonly preemptionTimerRate: number;
    /** Bit 5: VM exits store IA32_EFER.LMA into "IA-32e mode guest". Must be 1 with "unrestricted guest". */
    readonly storesEferLma: boolean;
    /** Bits 8:6: activity states that may be entered, besides active. */
    readonly activityStates: readonly ('hlt' | 'shutdown' | 'wait-for-SIPI')[];
    /** Bits 24:16: how many CR3-target values there are, 0 to 256. */
    readonly cr3Targets: number;
    /** Bit 29: VMWRITE may write VM-exit information fields. */
    readonly writesReadOnlyData: boolean;
    /** Bit 30: software interrupts and exceptions may be injected with an instruction length of 0. */
    readonly zeroLengthInjection: boolean;
    /** Bits that say something of Intel PT, SMM and the MSEG: 14, 15, 28. */
    readonly otherBits: number;
  };
  /** Bits of CR4 that may be 1 in VMX operation. */
  readonly cr4Fixed1: number;
}

/** CR0 bits that must be 1 in VMX operation: PG, NE, PE (SDM Vol. 3D, A.7). */
export const CR0_FIXED0 = 0x8000_0021n;

/** Whether a declaration offers the control that a field row names, such as `secondary.enableEpt`. */
function offers(declaration: VmxDeclaration, control: string): boolean {
  const [word, key] = control.split('.') as [ControlWord, string];
  return (declaration[word] as readonly string[]).includes(key);
}

/** The highest index of a field's encoding: IA32_VMX_VMCS_ENUM, bits 9:1 (SDM Vol. 3D, A.9). */
function highestIndex(declaration: VmxDeclaration): number {
  let highest = 0;
  for (const name of VMCS_FIELD_NAMES) {
    const { needs, cr3Targets, encoding } = vmcsField(name);
    if (needs !== undefined && !needs.some((control) => offers(declaration, control))) continue;
    if ((cr3Targets ?? 0) > declaration.misc.cr3Targets) continue;
    highest = Math.max(highest, decodeEncoding(encoding).index);
  }
  return highest;
}

/**
 * The capability MSRs of a declared processor. Those whose conditions are not met are absent (SDM Vol. 3D, A.3.3, A.10, A.11: IA32_VMX_PROCBASED_CTLS2 needs
 * "activate secondary controls", IA32_VMX_EPT_VPID_CAP "enable EPT" or "enable VPID", IA32_VMX_VMFUNC "enable VM functions").
 *
 * @example vmxMsrs(VMX_PRESETS['vmx:max'].declaration).IA32_VMX_CR4_FIXED0 // 0x2000n: CR4.VMXE
 */
export function vmxMsrs(declaration: VmxDeclaration): VmxMsrs {
  const { misc } = declaration;
  const words = (word: 'pinBased' | 'primary' | 'exit' | 'entry'): { plain: bigint; exact: bigint } => {
    const allowed1 = bitsSet(CONTROL_WORDS[word] as never, declaration[word] as never) | BigInt(DEFAULT1[word]);
    const exactAllowed0 = BigInt((DEFAULT1[word] & ~FLEXIBLE_DEFAULT1[word]) >>> 0);
    return { plain: (allowed1 << 32n) | BigInt(DEFAULT1[word]), exact: (allowed1 << 32n) | exactAllowed0 };
  };
  const [pinBased, primary, exit, entry] = [words('pinBased'), words('primary'), words('exit'), words('entry')];
  const bit = (on: boolean, n: number): bigint => (on ? 1n << BigInt(n) : 0n);
  const hasSecondary = offers(declaration, 'primary.activateSecondaryControls');
  const hasEptOrVpid = hasSecondary && (offers(declaration, 'secondary.enableEpt') || offers(declaration, 'secondary.enableVpid'));
  return {
    IA32_VMX_BASIC:
      BigInt(declaration.revisionId) |
      (BigInt(declaration.regionBytes) << 32n) |
      bit(declaration.dualMonitor, 49) |
      (6n << 50n) | // write-back: the memory type for the regions
      bit(declaration.insOutsInformation, 54) |
      bit(declaration.trueMsrs, 55) |
      bit(declaration.errorCodeForAnyVector, 56),
    IA32_VMX_PINBASED_CTLS: pinBased.plain,
    IA32_VMX_PROCBASED_CTLS: primary.plain,
    IA32_VMX_EXIT_CTLS: exit.plain,
    IA32_VMX_ENTRY_CTLS: entry.plain,
    IA32_VMX_MISC:
      BigInt(misc.preemptionTimerRate) |
      bit(misc.storesEferLma, 5) |
      bit(misc.activityStates.includes('hlt'), 6) |
      bit(misc.activityStates.includes('shutdown'), 7) |
      bit(misc.activityStates.includes('wait-for-SIPI'), 8) |
      (BigInt(misc.cr3Targets) << 16n) |
      bit(misc.writesReadOnlyData, 29) |
      bit(misc.zeroLengthInjection, 30) |
      BigInt(misc.otherBits >>> 0),
    IA32_VMX_CR0_FIXED0: CR0_FIXED0,
    IA32_VMX_CR0_FIXED1: 0xffff_ffffn,
    IA32_VMX_CR4_FIXED0: 0x2000n, // VMXE
    IA32_VMX_CR4_FIXED1: BigInt(declaration.cr4Fixed1 >>> 0),
    IA32_VMX_VMCS_ENUM: BigInt(highestIndex(declaration)) << 1n,
    ...(hasSecondary ? { IA32_VMX_PROCBASED_CTLS2: bitsSet(CONTROL_WORDS.secondary, declaration.secondary) << 32n } : {}),
    ...(hasEptOrVpid ? { IA32_VMX_EPT_VPID_CAP: bitsSet(EPT_VPID_CAPABILITIES, declaration.eptVpid) } : {}),
    ...(declaration.trueMsrs
      ? {
          IA32_VMX_TRUE_PINBASED_CTLS: pinBased.exact,
          IA32_VMX_TRUE_PROCBASED_CTLS: primary.exact,
          IA32_VMX_TRUE_EXIT_CTLS: exit.exact,
          IA32_VMX_TRUE_ENTRY_CTLS: entry.exact,
        }
      : {}),
    ...(offers(declaration, 'secondary.enableVmFunctions')
      ? { IA32_VMX_VMFUNC: bitsSet(CONTROL_WORDS.vmFunctions, declaration.vmFunctions) }
      : {}),
    ...(offers(declaration, 'primary.activateTertiaryControls')
      ? { IA32_VMX_PROCBASED_CTLS3: bitsSet(CONTROL_WORDS.tertiary, declaration.tertiary) }
      : {}),
  };
}
