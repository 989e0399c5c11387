import {
  ENTRY_CONTROLS,
  EXIT_CONTROLS,
  PIN_BASED_CONTROLS,
  PRIMARY_CONTROLS,
  SECONDARY_CONTROLS,
  TERTIARY_CONTROLS,
  VM_FUNCTIONS,
} from '../controls/tables.ts';
import { UnknownCapabilityError } from '../errors.ts';
import { type ProcessorTraits, VmxCapabilities } from './capabilities.ts';
import { type VmxDeclaration, vmxMsrs } from './declaration.ts';
import { EPT_VPID_CAPABILITIES } from './msrs.ts';

/** A named processor. */
export interface VmxPreset {
  /** What it is for, one sentence. */
  readonly title: string;
  readonly declaration: VmxDeclaration;
  readonly processor: ProcessorTraits;
}

const keys = <Table extends object>(table: Table, except: readonly (keyof Table)[] = []): (keyof Table)[] =>
  (Object.keys(table) as (keyof Table)[]).filter((key) => !except.includes(key));

/** Every MSR bit that a processor of ours may set: EFER SCE, LME, LMA, NXE; DEBUGCTL LBR, BTF; no performance counters, no Intel PT. */
const plainProcessor: ProcessorTraits = {
  physicalAddressWidth: 46,
  linearAddressWidth: 48,
  eferMask: 0xd01n,
  debugctlMask: 3n,
  perfGlobalCtrlMask: 0n,
  rtitCtlMask: 0n,
  sgx: false,
  rtm: false,
};

/** CR4: VME to OSXMMEXCPT, VMXE, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP. */
const CR4_SKYLAKE = 0x37_27ff;
const CR4_UMIP = 0x800;

const max: VmxDeclaration = {
  revisionId: 0x4d31,
  regionBytes: 4096,
  trueMsrs: true,
  insOutsInformation: true,
  dualMonitor: false,
  errorCodeForAnyVector: false,
  pinBased: ['externalInterruptExiting', 'nmiExiting', 'virtualNmis', 'activateVmxPreemptionTimer'],
  primary: keys(PRIMARY_CONTROLS, ['activateTertiaryControls']),
  secondary: [
    'enableEpt',
    'descriptorTableExiting',
    'enableRdtscp',
    'enableVpid',
    'wbinvdExiting',
    'unrestrictedGuest',
    'enableInvpcid',
    'enablePml',
  ],
  tertiary: [],
  vmFunctions: [],
  exit: [
    'saveDebugControls',
    'hostAddressSpaceSize',
    'acknowledgeInterruptOnExit',
    'saveIa32Pat',
    'loadIa32Pat',
    'saveIa32Efer',
    'loadIa32Efer',
    'saveVmxPreemptionTimerValue',
  ],
  entry: ['loadDebugControls', 'ia32eModeGuest', 'loadIa32Pat', 'loadIa32Efer'],
  eptVpid: keys(EPT_VPID_CAPABILITIES, ['pageWalkLength5', 'advancedExitInformation', 'supervisorShadowStackControl']),
  misc: {
    preemptionTimerRate: 5,
    storesEferLma: true,
    activityStates: ['hlt', 'shutdown', 'wait-for-SIPI'],
    cr3Targets: 4,
    writesReadOnlyData: true,
    zeroLengthInjection: true,
    otherBits: 0,
  },
  cr4Fixed1: CR4_SKYLAKE | CR4_UMIP,
};

const minimal: VmxDeclaration = {
  ...max,
  trueMsrs: false,
  insOutsInformation: false,
  pinBased: ['externalInterruptExiting', 'nmiExiting'],
  primary: [
    'interruptWindowExiting',
    'useTscOffsetting',
    'hltExiting',
    'invlpgExiting',
    'mwaitExiting',
    'rdpmcExiting',
    'cr3LoadExiting',
    'cr3StoreExiting',
    'cr8LoadExiting',
    'cr8StoreExiting',
    'movDrExiting',
    'unconditionalIoExiting',
    'monitorExiting',
  ],
  secondary: [],
  exit: ['saveDebugControls', 'hostAddressSpaceSize', 'acknowledgeInterruptOnExit'],
  entry: ['loadDebugControls', 'ia32eModeGuest'],
  eptVpid: [],
  misc: {
    ...max.misc,
    preemptionTimerRate: 0,
    storesEferLma: false,
    activityStates: ['hlt'],
    writesReadOnlyData: false,
    zeroLengthInjection: false,
  },
};

/** An i7-6700K: with these words the capability MSRs are those that the silicon reports, bit for bit. */
const skylake: VmxDeclaration = {
  revisionId: 4,
  regionBytes: 1024,
  trueMsrs: true,
  insOutsInformation: true,
  dualMonitor: true,
  errorCodeForAnyVector: false,
  pinBased: keys(PIN_BASED_CONTROLS, ['processPostedInterrupts']),
  primary: keys(PRIMARY_CONTROLS, ['activateTertiaryControls']),
  secondary: [
    ...max.secondary,
    'virtualizeApicAccesses',
    'virtualizeX2apicMode',
    'pauseLoopExiting',
    'rdrandExiting',
    'enableVmFunctions',
    'vmcsShadowing',
    'enableEnclsExiting',
    'rdseedExiting',
    'eptViolationVe',
    'concealVmxFromPt',
    'enableXsavesXrstors',
  ],
  tertiary: [],
  vmFunctions: ['eptpSwitching'],
  exit: keys(EXIT_CONTROLS, ['clearIa32RtitCtl', 'loadCetState', 'loadPkrs', 'saveIa32PerfGlobalCtl']),
  entry: keys(ENTRY_CONTROLS, ['loadIa32RtitCtl', 'loadCetState', 'loadPkrs']),
  eptVpid: max.eptVpid,
  misc: { ...max.misc, preemptionTimerRate: 7, otherBits: 0x1000_c000 },
  cr4Fixed1: CR4_SKYLAKE,
};

const manual: VmxDeclaration = {
  ...max,
  dualMonitor: true,
  pinBased: keys(PIN_BASED_CONTROLS),
  primary: keys(PRIMARY_CONTROLS),
  secondary: keys(SECONDARY_CONTROLS),
  tertiary: keys(TERTIARY_CONTROLS),
  vmFunctions: keys(VM_FUNCTIONS),
  exit: keys(EXIT_CONTROLS),
  entry: keys(ENTRY_CONTROLS),
  eptVpid: keys(EPT_VPID_CAPABILITIES),
  cr4Fixed1: CR4_SKYLAKE | CR4_UMIP | 0x1c0_5000, // LA57, SMXE, PKE, CET, PKS
};

/** The name of a preset. */
export type VmxPresetName = 'vmx:minimal' | 'vmx:skylake' | 'vmx:max' | 'vmx:manual';

/** The processors known by name. */
export const VMX_PRESETS: Readonly<Record<VmxPresetName, VmxPreset>> = {
  'vmx:minimal': {
    title: "What Linux's kvm_intel needs at the least: no EPT, no secondary controls",
    declaration: minimal,
    processor: plainProcessor,
  },
  'vmx:skylake': {
    title: 'An i7-6700K, its capability MSRs bit for bit',
    declaration: skylake,
    processor: {
      ...plainProcessor,
      physicalAddressWidth: 39,
      debugctlMask: 0xffc3n,
      perfGlobalCtrlMask: 0x7_0000_000fn,
      rtitCtlMask: 0xffff_0000_0fff_ffffn,
      sgx: true,
      rtm: true,
    },
  },
  'vmx:max': { title: 'All that @minusone/vtx is made for', declaration: max, processor: plainProcessor },
  'vmx:manual': {
    title: 'Every control that the tables here know, for checking a VMCS of any processor; no CPU of ours has it',
    declaration: manual,
    processor: {
      physicalAddressWidth: 46,
      linearAddressWidth: 57,
      eferMask: 0xd01n,
      debugctlMask: 0xffc3n,
      perfGlobalCtrlMask: 0x7_0000_00ffn,
      rtitCtlMask: 0xffff_0000_0fff_ffffn,
      sgx: true,
      rtm: true,
    },
  },
};

/**
 * The capabilities of a preset, some of its words replaced on request.
 *
 * @param name one of `VMX_PRESETS`
 * @param changes what differs: words of the declaration, and of the processor
 * @throws {UnknownCapabilityError} if there is no such preset
 * @example vmxCapabilities('vmx:max', { processor: { physicalAddressWidth: 39 } }).offers('secondary', 'enableEpt') // true
 */
export function vmxCapabilities(
  name: VmxPresetName = 'vmx:max',
  changes: { readonly declaration?: Partial<VmxDeclaration>; readonly processor?: Partial<ProcessorTraits> } = {},
): VmxCapabilities {
  if (!Object.hasOwn(VMX_PRESETS, name)) throw new UnknownCapabilityError('preset', name, Object.keys(VMX_PRESETS));
  const { declaration, processor } = VMX_PRESETS[name];
  return new VmxCapabilities(vmxMsrs({ ...declaration, ...changes.declaration }), { ...processor, ...changes.processor });
}
