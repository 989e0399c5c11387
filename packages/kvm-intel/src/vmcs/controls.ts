import { bitsSet, CONTROL_WORDS, type ControlWord, FIELD, type Vmcs, type VmxCapabilities } from '@minusone/vtx';
import { UnsupportedProcessorError } from '../errors.ts';

interface ControlChoice {
  readonly word: Exclude<ControlWord, 'tertiary' | 'vmFunctions'>;
  readonly field: number;
  /** Set from the start; the processor must offer them. */
  readonly always: readonly string[];
  /** Set and cleared as the guest goes; the processor must offer them. */
  readonly sometimes: readonly string[];
  /** Set from the start where the processor offers them. */
  readonly whereOffered: readonly string[];
}

/**
 * What a guest of KVM exits for: everything that the host must keep to itself (physical interrupts, the extension's instructions), what KVM answers (CPUID, ports, MSRs,
 * HLT), and nothing that EPT, "unrestricted guest" and the guest/host masks make the guest's own: CR3, INVLPG, RDTSC, page faults.
 */
const CHOICES: readonly ControlChoice[] = [
  {
    word: 'pinBased',
    field: FIELD.PIN_BASED_VM_EXEC_CONTROL,
    always: ['externalInterruptExiting', 'nmiExiting', 'virtualNmis'],
    sometimes: [],
    whereOffered: [],
  },
  {
    word: 'primary',
    field: FIELD.CPU_BASED_VM_EXEC_CONTROL,
    always: [
      'useTscOffsetting',
      'hltExiting',
      'mwaitExiting',
      'monitorExiting',
      'pauseExiting',
      'rdpmcExiting',
      'useTprShadow',
      'unconditionalIoExiting',
      'useMsrBitmaps',
      'activateSecondaryControls',
    ],
    sometimes: ['interruptWindowExiting', 'nmiWindowExiting', 'monitorTrapFlag', 'movDrExiting', 'cr8LoadExiting'],
    whereOffered: [],
  },
  {
    word: 'secondary',
    field: FIELD.SECONDARY_VM_EXEC_CONTROL,
    always: ['enableEpt', 'unrestrictedGuest'],
    sometimes: [],
    whereOffered: ['enableVpid', 'enableRdtscp', 'enableInvpcid', 'wbinvdExiting'],
  },
  {
    word: 'exit',
    field: FIELD.VM_EXIT_CONTROLS,
    always: ['saveDebugControls', 'hostAddressSpaceSize', 'saveIa32Pat', 'loadIa32Pat', 'saveIa32Efer', 'loadIa32Efer'],
    sometimes: [],
    whereOffered: [],
  },
  {
    word: 'entry',
    field: FIELD.VM_ENTRY_CONTROLS,
    always: ['loadDebugControls', 'loadIa32Pat', 'loadIa32Efer'],
    sometimes: ['ia32eModeGuest'],
    whereOffered: [],
  },
];

/** Controls that this module needs and the capabilities do not offer, by the manual's names. */
export function missingControls(capabilities: VmxCapabilities): string[] {
  return CHOICES.flatMap(({ word, always, sometimes }) =>
    [...always, ...sometimes]
      .filter((key) => !capabilities.offersNamed(`${word}.${key}`))
      .map((key) => (CONTROL_WORDS[word] as Readonly<Record<string, { readonly name: string }>>)[key]?.name ?? key),
  );
}

/**
 * Writes the control words: what must be 1, and what we choose (SDM Vol. 3C, 32.5 "Algorithms for Determining VMX Capabilities").
 * @throws {UnsupportedProcessorError} the processor lacks a control that is needed
 */
export function writeControls(vmcs: Vmcs, capabilities: VmxCapabilities): void {
  const missing = missingControls(capabilities);
  if (missing.length > 0) throw new UnsupportedProcessorError(missing);
  for (const { word, field, always, whereOffered } of CHOICES) {
    const chosen = [...always, ...whereOffered.filter((key) => capabilities.offersNamed(`${word}.${key}`))];
    vmcs.set(field, capabilities.allowed0(word) | Number(BigInt.asIntN(32, bitsSet(CONTROL_WORDS[word] as never, chosen as never))));
  }
}

/** The bit of a control, as a signed number. */
export function controlBit<Word extends ControlWord>(word: Word, key: keyof (typeof CONTROL_WORDS)[Word]): number {
  return 1 << (CONTROL_WORDS[word][key] as { readonly bit: number }).bit;
}
