import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { canonicalRow, type Family, fieldValue, needsRow, patRow, physicalRow, reservedRow, turn } from '../families.ts';
import { fixedBitsRow, S_CET_MASK } from '../host/host-registers.ts';
import { type EntryCheck, guestStateChecks } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.3.1.1';
const MANUAL = { capabilities: 'vmx:manual' } as const;
const entry: readonly VmcsFieldName[] = ['VM_ENTRY_CONTROLS'];
/** CR0.NW and CR0.CD are never checked, for VM entry does not change them; PE and PG are free with "unrestricted guest". */
const CACHE_BITS = 0x6000_0000;
const PE_PG = 0x8000_0001;

/** The parts of a family that say "load X" is 1. */
const loads = (
  key:
    | 'loadDebugControls'
    | 'loadIa32PerfGlobalCtrl'
    | 'loadIa32Pat'
    | 'loadIa32Efer'
    | 'loadIa32Bndcfgs'
    | 'loadIa32RtitCtl'
    | 'loadCetState'
    | 'loadPkrs',
  name: string,
): Omit<Family, 'id' | 'field'> => ({
  section: SECTION,
  when: (view) => view.entry[key],
  whenFields: entry,
  whenSays: `the VM-entry control "${name}" is 1`,
  enable: (view) => turn(view, { entry: { [key]: true } }),
  breaking: MANUAL,
});

const debug = { ...loads('loadDebugControls', 'load debug controls'), breaking: {} };
const efer = { ...loads('loadIa32Efer', 'load IA32_EFER'), breaking: {} };
const cet = loads('loadCetState', 'load CET state');

/** What LMA and LME have to be. */
const eferMended = (view: EntryView): bigint =>
  view.efer.with({ lma: view.ia32eModeGuest, ...(view.cr0.pg ? { lme: view.ia32eModeGuest } : {}) });

/** SDM Vol. 3C, "Checks on Guest Control Registers, Debug Registers, and MSRs". */
export const guestControlRegisterChecks: readonly EntryCheck[] = guestStateChecks([
  fixedBitsRow(SECTION, 'guest.cr0.fixed', 'GUEST_CR0', 'CR0', {
    exempt: (view) => (view.unrestrictedGuest ? CACHE_BITS | PE_PG : CACHE_BITS),
    fields: ['SECONDARY_VM_EXEC_CONTROL'],
    broken: 0x20n,
  }),
  {
    id: 'guest.cr0.pg-needs-pe',
    section: SECTION,
    fields: ['GUEST_CR0'],
    holds: (view) => !view.cr0.pg || view.cr0.pe,
    says: 'CR0.PG is 1, but CR0.PE is 0',
    suggest: (view) => ({ GUEST_CR0: view.cr0.with({ pe: true }) }),
    breakIt: { state: 'real', change: (view) => ({ GUEST_CR0: view.cr0.with({ pg: true }) }) },
  },
  fixedBitsRow(SECTION, 'guest.cr4.fixed', 'GUEST_CR4', 'CR4', { broken: 0x2000n }),
  {
    id: 'guest.cr4.cet-needs-wp',
    section: SECTION,
    fields: ['GUEST_CR4', 'GUEST_CR0'],
    holds: (view) => !view.cr4.cet || view.cr0.wp,
    says: 'CR4.CET is 1, but CR0.WP is 0',
    suggest: (view) => ({ GUEST_CR0: view.cr0.with({ wp: true }) }),
    breakIt: { ...MANUAL, change: (view) => ({ GUEST_CR4: view.cr4.with({ cet: true }), GUEST_CR0: view.cr0.with({ wp: false }) }) },
  },
  reservedRow({ ...debug, id: 'guest.debugctl', field: 'GUEST_IA32_DEBUGCTL' }, (view) => view.capabilities.processor.debugctlMask, 4n),
  {
    id: 'guest.cr0.pg-with-ia32e',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_CR0'],
    holds: (view) => !view.ia32eModeGuest || view.cr0.pg,
    says: 'the VM-entry control "IA-32e mode guest" is 1, but CR0.PG is 0',
    suggest: (view) => ({ GUEST_CR0: view.cr0.with({ pg: true }) }),
    breakIt: (view) => ({ ...turn(view, { secondary: { unrestrictedGuest: true } }), GUEST_CR0: view.cr0.with({ pg: false }) }),
  },
  {
    id: 'guest.cr4.pae-with-ia32e',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_CR4'],
    holds: (view) => !view.ia32eModeGuest || view.cr4.pae,
    says: 'the VM-entry control "IA-32e mode guest" is 1, but CR4.PAE is 0',
    suggest: (view) => ({ GUEST_CR4: view.cr4.with({ pae: true }) }),
    breakIt: (view) => ({ GUEST_CR4: view.cr4.with({ pae: false }) }),
  },
  {
    id: 'guest.cr4.pcide-needs-ia32e',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_CR4'],
    holds: (view) => !view.cr4.pcide || view.ia32eModeGuest,
    says: 'CR4.PCIDE is 1, but the VM-entry control "IA-32e mode guest" is 0',
    suggest: (view) => ({ GUEST_CR4: view.cr4.with({ pcide: false }) }),
    breakIt: { state: 'protected', change: (view) => ({ GUEST_CR4: view.cr4.with({ pcide: true }) }) },
  },
  physicalRow({ id: 'guest.cr3', section: SECTION, field: 'GUEST_CR3' }),
  needsRow({
    id: 'guest.dr7.high-half',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_DR7'],
    isOn: (view) => view.entry.loadDebugControls,
    condition: (view) => view.high('GUEST_DR7') === 0,
    says: 'the VM-entry control "load debug controls" is 1, but bits 63:32 of GUEST_DR7 are not 0',
    suggest: (view) => ({ GUEST_DR7: BigInt(view.low('GUEST_DR7')) }),
    breakIt: () => ({ GUEST_DR7: 0x1_0000_0400n }),
  }),
  canonicalRow({ id: 'guest.sysenter-esp', section: SECTION, field: 'GUEST_SYSENTER_ESP' }),
  canonicalRow({ id: 'guest.sysenter-eip', section: SECTION, field: 'GUEST_SYSENTER_EIP' }),
  reservedRow(
    {
      ...loads('loadIa32PerfGlobalCtrl', 'load IA32_PERF_GLOBAL_CTRL'),
      id: 'guest.perf-global-ctrl',
      field: 'GUEST_IA32_PERF_GLOBAL_CTRL',
    },
    (view) => view.capabilities.processor.perfGlobalCtrlMask,
    1n << 63n,
  ),
  patRow({ ...loads('loadIa32Pat', 'load IA32_PAT'), breaking: {}, id: 'guest.pat', field: 'GUEST_IA32_PAT' }),
  reservedRow({ ...efer, id: 'guest.efer', field: 'GUEST_IA32_EFER' }, (view) => view.capabilities.processor.eferMask, 2n),
  {
    id: 'guest.efer.lma-is-ia32e-mode-guest',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_IA32_EFER', 'GUEST_CR0'],
    holds: (view) => !view.entry.loadIa32Efer || view.efer.lma === view.ia32eModeGuest,
    says: (view) =>
      `${fieldValue(view, 'GUEST_IA32_EFER')}: LMA must equal the VM-entry control "IA-32e mode guest", ${view.ia32eModeGuest ? 1 : 0}`,
    suggest: (view) => ({ GUEST_IA32_EFER: eferMended(view) }),
    breakIt: (view) => ({ GUEST_IA32_EFER: view.efer.with({ lma: false, lme: false }) }),
  },
  {
    id: 'guest.efer.lme-is-lma-with-paging',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_IA32_EFER', 'GUEST_CR0'],
    holds: (view) => !view.entry.loadIa32Efer || !view.cr0.pg || view.efer.lma === view.efer.lme,
    says: (view) => `${fieldValue(view, 'GUEST_IA32_EFER')}: with CR0.PG = 1, LMA must equal LME`,
    suggest: (view) => ({ GUEST_IA32_EFER: eferMended(view) }),
    breakIt: (view) => ({ GUEST_IA32_EFER: view.efer.with({ lme: false }) }),
  },
  reservedRow(
    { ...loads('loadIa32Bndcfgs', 'load IA32_BNDCFGS'), id: 'guest.bndcfgs', field: 'GUEST_BNDCFGS' },
    () => 0xffff_ffff_ffff_f003n,
    4n,
  ),
  canonicalRow({ ...loads('loadIa32Bndcfgs', 'load IA32_BNDCFGS'), id: 'guest.bndcfgs', field: 'GUEST_BNDCFGS' }),
  reservedRow(
    { ...loads('loadIa32RtitCtl', 'load IA32_RTIT_CTL'), id: 'guest.rtit-ctl', field: 'GUEST_IA32_RTIT_CTL' },
    (view) => view.capabilities.processor.rtitCtlMask,
    1n << 40n,
  ),
  canonicalRow({ ...cet, id: 'guest.s-cet', field: 'GUEST_IA32_S_CET' }),
  reservedRow({ ...cet, id: 'guest.s-cet', field: 'GUEST_IA32_S_CET' }, () => S_CET_MASK, 0x40n),
  needsRow({
    id: 'guest.s-cet.suppress-and-tracker',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_IA32_S_CET'],
    isOn: (view) => view.entry.loadCetState,
    condition: (view) => (view.low('GUEST_IA32_S_CET') & 0xc00) !== 0xc00,
    says: 'bits 10 (SUPPRESS) and 11 (TRACKER) of GUEST_IA32_S_CET are both 1',
    suggest: (view) => ({ GUEST_IA32_S_CET: view.value('GUEST_IA32_S_CET') & ~0x400n }),
    breakIt: { ...MANUAL, change: (view) => ({ ...turn(view, { entry: { loadCetState: true } }), GUEST_IA32_S_CET: 0xc00n }) },
  }),
  canonicalRow({ ...cet, id: 'guest.interrupt-ssp-table', field: 'GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR' }),
  needsRow({
    id: 'guest.pkrs.reserved',
    section: SECTION,
    fields: ['VM_ENTRY_CONTROLS', 'GUEST_IA32_PKRS'],
    isOn: (view) => view.entry.loadPkrs,
    condition: (view) => view.high('GUEST_IA32_PKRS') === 0,
    says: 'the VM-entry control "load PKRS" is 1, but bits 63:32 of GUEST_IA32_PKRS are not 0',
    suggest: (view) => ({ GUEST_IA32_PKRS: BigInt(view.low('GUEST_IA32_PKRS')) }),
    breakIt: { ...MANUAL, change: (view) => ({ ...turn(view, { entry: { loadPkrs: true } }), GUEST_IA32_PKRS: 1n << 32n }) },
  }),
]);
