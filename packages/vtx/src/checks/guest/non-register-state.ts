import { ActivityState, InterruptionType as Type } from '../../controls/interruption.ts';
import { fieldValue, turn } from '../families.ts';
import { type EntryCheck, type EntryCheckRow, guestStateChecks } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.3.1.5';
const DB = 1;
const MC = 18;

const isInjected = (view: EntryView, type: Type): boolean => view.injection.valid && view.injection.type === type;
const blocking = (view: EntryView): string => fieldValue(view, 'GUEST_INTERRUPTIBILITY_INFO');
const active = { GUEST_ACTIVITY_STATE: 0n } as const;

/** Whether an event may be injected in the activity state, which is one of the four. */
function mayInject(view: EntryView, state: number): boolean {
  const { type, vector } = view.injection;
  switch (state) {
    case ActivityState.ACTIVE:
      return true;
    case ActivityState.HLT:
      if (type === Type.HARDWARE_EXCEPTION) return vector === DB || vector === MC;
      return type === Type.EXTERNAL_INTERRUPT || type === Type.NMI || (type === Type.OTHER_EVENT && vector === 0);
    case ActivityState.SHUTDOWN:
      return type === Type.NMI || (type === Type.HARDWARE_EXCEPTION && vector === MC);
    default:
      return false;
  }
}

const activityRows: readonly EntryCheckRow[] = [
  {
    id: 'guest.activity-state.supported',
    section: SECTION,
    fields: ['GUEST_ACTIVITY_STATE'],
    holds: (view) => {
      const { hlt, shutdown, waitForSipi } = view.capabilities.activityStates;
      return [true, hlt, shutdown, waitForSipi][view.activityState] ?? false;
    },
    says: (view) =>
      `${fieldValue(view, 'GUEST_ACTIVITY_STATE')}: it must be 0 (active), or a state that IA32_VMX_MISC[8:6] reports: 1 (HLT), 2 (shutdown), 3 (wait-for-SIPI)`,
    suggest: () => active,
    breakIt: { capabilities: 'vmx:minimal', change: () => ({ GUEST_ACTIVITY_STATE: 2n }) },
  },
  {
    id: 'guest.activity-state.hlt-needs-dpl-0',
    section: SECTION,
    fields: ['GUEST_ACTIVITY_STATE', 'GUEST_SS_AR_BYTES'],
    holds: (view) => view.activityState !== ActivityState.HLT || view.segments.SS.dpl === 0,
    says: (view) => `the activity state is HLT, but the DPL of SS is ${view.segments.SS.dpl}`,
    suggest: () => active,
    breakIt: (view) => ({
      GUEST_ACTIVITY_STATE: 1n,
      GUEST_CS_SELECTOR: view.value('GUEST_CS_SELECTOR') | 3n,
      GUEST_SS_SELECTOR: view.value('GUEST_SS_SELECTOR') | 3n,
      GUEST_CS_AR_BYTES: view.value('GUEST_CS_AR_BYTES') | 0x60n,
      GUEST_SS_AR_BYTES: view.value('GUEST_SS_AR_BYTES') | 0x60n,
    }),
  },
  {
    id: 'guest.activity-state.active-while-blocking',
    section: SECTION,
    fields: ['GUEST_ACTIVITY_STATE', 'GUEST_INTERRUPTIBILITY_INFO'],
    holds: (view) =>
      (!view.interruptibility.blockingBySti && !view.interruptibility.blockingByMovSs) || view.activityState === ActivityState.ACTIVE,
    says: (view) => `${blocking(view)}: with blocking by STI or by MOV SS the activity state must be 0 (active)`,
    suggest: () => active,
    breakIt: () => ({ GUEST_ACTIVITY_STATE: 1n, GUEST_INTERRUPTIBILITY_INFO: 2n }),
  },
  {
    id: 'guest.activity-state.injection',
    section: SECTION,
    fields: ['GUEST_ACTIVITY_STATE', 'VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) => !view.injection.valid || view.activityState > ActivityState.WAIT_FOR_SIPI || mayInject(view, view.activityState),
    says: (view) =>
      `${fieldValue(view, 'VM_ENTRY_INTR_INFO_FIELD')}: this event cannot be injected in activity state ${view.activityState} (HLT takes interrupts, NMIs, #DB, #MC and a pending MTF VM exit; shutdown NMIs and #MC; wait-for-SIPI nothing)`,
    suggest: () => active,
    breakIt: () => ({ GUEST_ACTIVITY_STATE: 2n, VM_ENTRY_INTR_INFO_FIELD: 0x8000_0306n }),
  },
  {
    id: 'guest.activity-state.entry-to-smm',
    section: SECTION,
    fields: ['GUEST_ACTIVITY_STATE', 'VM_ENTRY_CONTROLS'],
    holds: (view) => !view.entry.entryToSmm || view.activityState !== ActivityState.WAIT_FOR_SIPI,
    says: 'the VM-entry control "entry to SMM" is 1, but the activity state is 3 (wait-for-SIPI)',
    suggest: () => active,
    breakIt: {
      capabilities: 'vmx:manual',
      environment: { inSmm: true },
      change: (view) => ({ ...turn(view, { entry: { entryToSmm: true } }), GUEST_INTERRUPTIBILITY_INFO: 4n, GUEST_ACTIVITY_STATE: 3n }),
    },
  },
];

const interruptibilityRows: readonly EntryCheckRow[] = [
  {
    id: 'guest.interruptibility.reserved',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    holds: (view) => view.low('GUEST_INTERRUPTIBILITY_INFO') >>> 5 === 0,
    says: (view) => `${blocking(view)}: bits 31:5 must be 0`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.value('GUEST_INTERRUPTIBILITY_INFO') & 0x1fn }),
    breakIt: () => ({ GUEST_INTERRUPTIBILITY_INFO: 0x20n }),
  },
  {
    id: 'guest.interruptibility.sti-and-mov-ss',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    holds: (view) => !view.interruptibility.blockingBySti || !view.interruptibility.blockingByMovSs,
    says: (view) => `${blocking(view)}: blocking by STI and blocking by MOV SS must not both be 1`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingBySti: false }) }),
    breakIt: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: 3n, GUEST_RFLAGS: view.rflags.with({ if: true }) }),
  },
  {
    id: 'guest.interruptibility.sti-needs-if',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'GUEST_RFLAGS'],
    holds: (view) => !view.interruptibility.blockingBySti || view.rflags.if,
    says: 'blocking by STI is 1, but RFLAGS.IF is 0',
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingBySti: false }) }),
    breakIt: () => ({ GUEST_INTERRUPTIBILITY_INFO: 1n }),
  },
  {
    id: 'guest.interruptibility.external-interrupt',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) =>
      !isInjected(view, Type.EXTERNAL_INTERRUPT) || (!view.interruptibility.blockingBySti && !view.interruptibility.blockingByMovSs),
    says: (view) => `${blocking(view)}: an external interrupt is to be injected, so blocking by STI and by MOV SS must be 0`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingBySti: false, blockingByMovSs: false }) }),
    breakIt: (view) => ({
      GUEST_RFLAGS: view.rflags.with({ if: true }),
      VM_ENTRY_INTR_INFO_FIELD: 0x8000_0020n,
      GUEST_INTERRUPTIBILITY_INFO: 1n,
    }),
  },
  {
    id: 'guest.interruptibility.nmi-and-mov-ss',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) => !isInjected(view, Type.NMI) || !view.interruptibility.blockingByMovSs,
    says: (view) => `${blocking(view)}: an NMI is to be injected, so blocking by MOV SS must be 0`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingByMovSs: false }) }),
    breakIt: () => ({ VM_ENTRY_INTR_INFO_FIELD: 0x8000_0202n, GUEST_INTERRUPTIBILITY_INFO: 2n }),
  },
  {
    id: 'guest.interruptibility.nmi-and-virtual-nmi-blocking',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_INTR_INFO_FIELD', 'PIN_BASED_VM_EXEC_CONTROL'],
    holds: (view) => !view.pinBased.virtualNmis || !isInjected(view, Type.NMI) || !view.interruptibility.blockingByNmi,
    says: (view) => `${blocking(view)}: an NMI is to be injected under "virtual NMIs", so blocking by NMI must be 0`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingByNmi: false }) }),
    breakIt: (view) => ({
      ...turn(view, { pinBased: { nmiExiting: true, virtualNmis: true } }),
      VM_ENTRY_INTR_INFO_FIELD: 0x8000_0202n,
      GUEST_INTERRUPTIBILITY_INFO: 8n,
    }),
  },
  {
    id: 'guest.interruptibility.smi-only-in-smm',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    usesEnvironment: 'processor',
    holds: (view) => view.environment.inSmm || !view.interruptibility.blockingBySmi,
    says: (view) => `${blocking(view)}: the logical processor is not in SMM, so blocking by SMI must be 0`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingBySmi: false }) }),
    breakIt: () => ({ GUEST_INTERRUPTIBILITY_INFO: 4n }),
  },
  {
    id: 'guest.interruptibility.smi-with-entry-to-smm',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO', 'VM_ENTRY_CONTROLS'],
    usesEnvironment: 'processor',
    // Outside SMM "entry to SMM" itself is refused, and blocking by SMI must be 0.
    holds: (view) => !view.entry.entryToSmm || !view.environment.inSmm || view.interruptibility.blockingBySmi,
    says: (view) => `${blocking(view)}: the VM-entry control "entry to SMM" is 1, so blocking by SMI must be 1`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingBySmi: true }) }),
    breakIt: {
      capabilities: 'vmx:manual',
      environment: { inSmm: true },
      change: (view) => turn(view, { entry: { entryToSmm: true } }),
    },
  },
  {
    id: 'guest.interruptibility.enclave-needs-sgx',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    holds: (view) => !view.interruptibility.enclaveInterruption || view.capabilities.processor.sgx,
    says: (view) => `${blocking(view)}: enclave interruption is 1, but the processor does not support SGX`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ enclaveInterruption: false }) }),
    breakIt: () => ({ GUEST_INTERRUPTIBILITY_INFO: 0x10n }),
  },
  {
    id: 'guest.interruptibility.enclave-and-mov-ss',
    section: SECTION,
    fields: ['GUEST_INTERRUPTIBILITY_INFO'],
    holds: (view) => !view.interruptibility.enclaveInterruption || !view.interruptibility.blockingByMovSs,
    says: (view) => `${blocking(view)}: enclave interruption and blocking by MOV SS must not both be 1`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingByMovSs: false }) }),
    breakIt: { capabilities: 'vmx:manual', change: () => ({ GUEST_INTERRUPTIBILITY_INFO: 0x12n }) },
  },
];

/** Pending debug exceptions are looked at where the guest is not at an ordinary instruction boundary. */
const isHeld = (view: EntryView): boolean =>
  view.interruptibility.blockingBySti || view.interruptibility.blockingByMovSs || view.activityState === ActivityState.HLT;

const pending = (view: EntryView): string => fieldValue(view, 'GUEST_PENDING_DBG_EXCEPTIONS');

const pendingDebugRows: readonly EntryCheckRow[] = [
  {
    id: 'guest.pending-debug.reserved',
    section: SECTION,
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS'],
    holds: (view) => (view.low('GUEST_PENDING_DBG_EXCEPTIONS') & ~0x1_500f) === 0 && view.high('GUEST_PENDING_DBG_EXCEPTIONS') === 0,
    says: (view) => `${pending(view)}: bits 11:4, 13, 15 and 63:17 must be 0`,
    suggest: (view) => ({ GUEST_PENDING_DBG_EXCEPTIONS: view.value('GUEST_PENDING_DBG_EXCEPTIONS') & 0x1_500fn }),
    breakIt: () => ({ GUEST_PENDING_DBG_EXCEPTIONS: 0x10n }),
  },
  {
    id: 'guest.pending-debug.bs-set',
    section: SECTION,
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS', 'GUEST_INTERRUPTIBILITY_INFO', 'GUEST_ACTIVITY_STATE', 'GUEST_RFLAGS', 'GUEST_IA32_DEBUGCTL'],
    holds: (view) => !isHeld(view) || !view.rflags.tf || view.debugctl.btf || view.pendingDebug.bs,
    says: (view) =>
      `${pending(view)}: with blocking by STI or MOV SS, or in HLT, RFLAGS.TF = 1 and IA32_DEBUGCTL.BTF = 0, BS (bit 14) must be 1`,
    suggest: (view) => ({ GUEST_PENDING_DBG_EXCEPTIONS: view.pendingDebug.with({ bs: true }) }),
    breakIt: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: 2n, GUEST_RFLAGS: view.rflags.with({ tf: true }) }),
  },
  {
    id: 'guest.pending-debug.bs-clear',
    section: SECTION,
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS', 'GUEST_INTERRUPTIBILITY_INFO', 'GUEST_ACTIVITY_STATE', 'GUEST_RFLAGS', 'GUEST_IA32_DEBUGCTL'],
    holds: (view) => !isHeld(view) || (view.rflags.tf && !view.debugctl.btf) || !view.pendingDebug.bs,
    says: (view) =>
      `${pending(view)}: with blocking by STI or MOV SS, or in HLT, RFLAGS.TF = 0 or IA32_DEBUGCTL.BTF = 1, BS (bit 14) must be 0`,
    suggest: (view) => ({ GUEST_PENDING_DBG_EXCEPTIONS: view.pendingDebug.with({ bs: false }) }),
    breakIt: () => ({ GUEST_INTERRUPTIBILITY_INFO: 2n, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000n }),
  },
  {
    id: 'guest.pending-debug.rtm-alone',
    section: SECTION,
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS'],
    holds: (view) => !view.pendingDebug.rtm || (view.low('GUEST_PENDING_DBG_EXCEPTIONS') & 0x1_500f) === 0x1_1000,
    says: (view) => `${pending(view)}: RTM (bit 16) is 1, so bit 12 must be 1 and all others 0`,
    suggest: () => ({ GUEST_PENDING_DBG_EXCEPTIONS: 0x1_1000n }),
    breakIt: { capabilities: 'vmx:manual', change: () => ({ GUEST_PENDING_DBG_EXCEPTIONS: 0x1_0000n }) },
  },
  {
    id: 'guest.pending-debug.rtm-supported',
    section: SECTION,
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS'],
    holds: (view) => !view.pendingDebug.rtm || view.capabilities.processor.rtm,
    says: (view) => `${pending(view)}: RTM (bit 16) is 1, but the processor does not support RTM`,
    suggest: (view) => ({ GUEST_PENDING_DBG_EXCEPTIONS: view.pendingDebug.with({ rtm: false }) }),
    breakIt: () => ({ GUEST_PENDING_DBG_EXCEPTIONS: 0x1_1000n }),
  },
  {
    id: 'guest.pending-debug.rtm-and-mov-ss',
    section: SECTION,
    fields: ['GUEST_PENDING_DBG_EXCEPTIONS', 'GUEST_INTERRUPTIBILITY_INFO'],
    holds: (view) => !view.pendingDebug.rtm || !view.interruptibility.blockingByMovSs,
    says: (view) => `${pending(view)}: RTM (bit 16) is 1, so blocking by MOV SS must be 0`,
    suggest: (view) => ({ GUEST_INTERRUPTIBILITY_INFO: view.interruptibility.with({ blockingByMovSs: false }) }),
    breakIt: {
      capabilities: 'vmx:manual',
      change: () => ({ GUEST_PENDING_DBG_EXCEPTIONS: 0x1_1000n, GUEST_INTERRUPTIBILITY_INFO: 2n }),
    },
  },
];

const NO_LINK = { VMCS_LINK_POINTER: 0xffff_ffff_ffff_ffffn } as const;
const hasLink = (view: EntryView): boolean =>
  view.low('VMCS_LINK_POINTER') !== 0xffff_ffff || view.high('VMCS_LINK_POINTER') !== 0xffff_ffff;
/** The pointer may be followed: aligned, and within the physical-address width. */
const isLinkAddress = (view: EntryView): boolean =>
  hasLink(view) && (view.low('VMCS_LINK_POINTER') & 0xfff) === 0 && view.isPhysical('VMCS_LINK_POINTER');
/** The first doubleword of the VMCS that is pointed at: revision identifier and shadow indicator. Undefined where its memory is not known. */
const linkedHeader = (view: EntryView): number | undefined =>
  isLinkAddress(view) ? view.environment.read32?.(view.address('VMCS_LINK_POINTER')) : undefined;

const linkRows: readonly EntryCheckRow[] = (
  [
    {
      id: 'guest.vmcs-link-pointer.aligned',
      fields: ['VMCS_LINK_POINTER'],
      holds: (view) => !hasLink(view) || (view.low('VMCS_LINK_POINTER') & 0xfff) === 0,
      says: (view) => `${fieldValue(view, 'VMCS_LINK_POINTER')}: bits 11:0 must be 0`,
      breakIt: () => ({ VMCS_LINK_POINTER: 0x7001n }),
    },
    {
      id: 'guest.vmcs-link-pointer.physical-address-width',
      fields: ['VMCS_LINK_POINTER'],
      holds: (view) => !hasLink(view) || view.isPhysical('VMCS_LINK_POINTER'),
      says: (view) => `${fieldValue(view, 'VMCS_LINK_POINTER')}: it must not set any bit beyond the physical-address width`,
      breakIt: (view) => ({ VMCS_LINK_POINTER: 1n << BigInt(view.capabilities.processor.physicalAddressWidth) }),
    },
    {
      id: 'guest.vmcs-link-pointer.revision',
      fields: ['VMCS_LINK_POINTER'],
      usesEnvironment: 'memory',
      holds: (view) => {
        const header = linkedHeader(view);
        return header === undefined || (header & 0x7fff_ffff) === view.capabilities.revisionId;
      },
      says: (view) =>
        `${fieldValue(view, 'VMCS_LINK_POINTER')}: the memory there starts with 0x${(linkedHeader(view) ?? 0).toString(16)}; bits 30:0 must be the VMCS revision identifier, 0x${view.capabilities.revisionId.toString(16)}`,
      breakIt: { environment: { read32: () => 0x123 }, change: () => ({ VMCS_LINK_POINTER: 0x7000n }) },
    },
    {
      id: 'guest.vmcs-link-pointer.shadow-indicator',
      fields: ['VMCS_LINK_POINTER', 'SECONDARY_VM_EXEC_CONTROL'],
      usesEnvironment: 'memory',
      holds: (view) => {
        const header = linkedHeader(view);
        return header === undefined || header >>> 31 === (view.secondary.vmcsShadowing ? 1 : 0);
      },
      says: (view) =>
        `${fieldValue(view, 'VMCS_LINK_POINTER')}: the memory there starts with 0x${(linkedHeader(view) ?? 0).toString(16)}; bit 31 must equal the control "VMCS shadowing", ${view.secondary.vmcsShadowing ? 1 : 0}`,
      breakIt: { environment: { read32: () => 0x8000_4d31 }, change: () => ({ VMCS_LINK_POINTER: 0x7000n }) },
    },
    {
      id: 'guest.vmcs-link-pointer.not-current',
      fields: ['VMCS_LINK_POINTER'],
      usesEnvironment: 'processor',
      // In SMM it must differ from the executive-VMCS pointer instead; the dual-monitor treatment is not ours.
      holds: (view) => !isLinkAddress(view) || view.environment.inSmm || view.address('VMCS_LINK_POINTER') !== view.environment.currentVmcs,
      says: (view) => `${fieldValue(view, 'VMCS_LINK_POINTER')}: that is the current VMCS itself`,
      breakIt: { environment: { currentVmcs: 0x7000 }, change: () => ({ VMCS_LINK_POINTER: 0x7000n }) },
    },
  ] satisfies Omit<EntryCheckRow, 'section' | 'qualification' | 'suggest'>[]
).map(
  (row): EntryCheckRow => ({
    ...(row as Omit<EntryCheckRow, 'section' | 'suggest'>),
    section: SECTION,
    qualification: 4,
    suggest: () => NO_LINK,
  }),
);

/** SDM Vol. 3C, "Checks on Guest Non-Register State". */
export const guestNonRegisterStateChecks: readonly EntryCheck[] = guestStateChecks([
  ...activityRows,
  ...interruptibilityRows,
  ...pendingDebugRows,
  ...linkRows,
]);
