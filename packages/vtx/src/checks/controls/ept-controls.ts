import type { ControlKey } from '../../controls/tables.ts';
import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { addressRows, fieldValue, needsRow, physicalRow, turn } from '../families.ts';
import { controlChecks, type EntryCheck, type EntryCheckRow, type VmcsChanges } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.2.1.1';
const MANUAL = { capabilities: 'vmx:manual' } as const;
const secondary: readonly VmcsFieldName[] = ['SECONDARY_VM_EXEC_CONTROL'];

const enableEpt = (view: EntryView): VmcsChanges => turn(view, { secondary: { enableEpt: true } });

/** Bits 5:3 of EPTP: the page-walk length less 1. */
const walkLength = (view: EntryView): number => (view.low('EPT_POINTER') >>> 3) & 7;

function eptpRow(
  id: string,
  holds: (view: EntryView) => boolean,
  says: string,
  mend: (value: bigint) => bigint,
  broken: (value: bigint) => bigint,
): EntryCheckRow {
  return {
    id: `control.eptp.${id}`,
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'EPT_POINTER'],
    holds: (view) => !view.secondary.enableEpt || holds(view),
    says: (view) => `"enable EPT" is 1, but ${fieldValue(view, 'EPT_POINTER')}: ${says}`,
    suggest: (view) => ({ EPT_POINTER: mend(view.value('EPT_POINTER')) }),
    breakIt: (view) => ({ ...enableEpt(view), EPT_POINTER: broken(view.value('EPT_POINTER')) }),
  };
}

const needingEpt: readonly (readonly [key: ControlKey<'secondary'>, id: string, name: string])[] = [
  ['enablePml', 'pml', 'enable PML'],
  ['unrestrictedGuest', 'unrestricted-guest', 'unrestricted guest'],
  ['modeBasedExecuteControlForEpt', 'mode-based-execute-control', 'mode-based execute control for EPT'],
  ['subPageWritePermissionsForEpt', 'sub-page-write-permissions', 'sub-page write permissions for EPT'],
  ['intelPtUsesGuestPhysicalAddresses', 'intel-pt-uses-guest-physical-addresses', 'Intel PT uses guest physical addresses'],
];
const tertiaryNeedingEpt: readonly (readonly [key: ControlKey<'tertiary'>, id: string, name: string])[] = [
  ['enableHlat', 'hlat', 'enable HLAT'],
  ['eptPagingWriteControl', 'ept-paging-write-control', 'EPT paging-write control'],
  ['guestPagingVerification', 'guest-paging-verification', 'guest-paging verification'],
];

/** Intel PT in guest-physical addresses, with the VM-entry and VM-exit controls that it needs. */
const intelPt = (view: EntryView, controls: { readonly load: boolean; readonly clear: boolean }): VmcsChanges =>
  turn(view, {
    secondary: { enableEpt: true, intelPtUsesGuestPhysicalAddresses: true },
    entry: { loadIa32RtitCtl: controls.load },
    exit: { clearIa32RtitCtl: controls.clear },
  });

const page = (
  id: string,
  field: VmcsFieldName,
  control: ControlKey<'secondary'>,
  name: string,
  also: { readonly [Key in ControlKey<'secondary'>]?: boolean } = {},
): readonly EntryCheckRow[] =>
  addressRows({
    id: `control.${id}`,
    section: SECTION,
    field,
    when: (view) => view.secondary[control],
    whenFields: secondary,
    whenSays: `"${name}" is 1`,
    enable: (view) => turn(view, { secondary: { ...also, [control]: true } }),
    breaking: MANUAL,
  });

/** SDM Vol. 3C, "VM-Execution Control Fields" under "Checks on VMX Controls": EPT and what rests on it, VM functions, VMCS shadowing. */
export const eptControlChecks: readonly EntryCheck[] = controlChecks([
  eptpRow(
    'memory-type',
    (view) => {
      const type = view.low('EPT_POINTER') & 7;
      return type === 6 ? view.capabilities.offersEptVpid('memoryTypeWb') : type === 0 && view.capabilities.offersEptVpid('memoryTypeUc');
    },
    'bits 2:0 must be a memory type that IA32_VMX_EPT_VPID_CAP reports: 0 (UC) or 6 (WB)',
    (value) => (value & ~7n) | 6n,
    (value) => (value & ~7n) | 1n,
  ),
  eptpRow(
    'page-walk-length',
    (view) =>
      walkLength(view) === 3
        ? view.capabilities.offersEptVpid('pageWalkLength4')
        : walkLength(view) === 4 && view.capabilities.offersEptVpid('pageWalkLength5'),
    'bits 5:3 must be 3, a page-walk length of 4 (4 where the processor has a page-walk length of 5)',
    (value) => (value & ~0x38n) | 0x18n,
    (value) => (value & ~0x38n) | 0x10n,
  ),
  {
    ...eptpRow(
      'accessed-and-dirty-flags',
      (view) => (view.low('EPT_POINTER') & 0x40) === 0 || view.capabilities.offersEptVpid('accessedAndDirtyFlags'),
      'bit 6 must be 0, for the processor has no accessed and dirty flags for EPT',
      (value) => value & ~0x40n,
      (value) => value | 0x40n,
    ),
    // Every preset with EPT has the flags; the row is tested on one whose declaration lacks them.
    breakIt: {
      without: ['accessedAndDirtyFlags'],
      change: (view) => ({ ...enableEpt(view), EPT_POINTER: view.value('EPT_POINTER') | 0x40n }),
    },
  },
  eptpRow(
    'supervisor-shadow-stack',
    (view) => (view.low('EPT_POINTER') & 0x80) === 0 || view.capabilities.offersEptVpid('supervisorShadowStackControl'),
    'bit 7 must be 0, for the processor has no supervisor shadow-stack control',
    (value) => value & ~0x80n,
    (value) => value | 0x80n,
  ),
  eptpRow(
    'reserved',
    (view) => (view.low('EPT_POINTER') & 0xf00) === 0,
    'bits 11:8 must be 0',
    (value) => value & ~0xf00n,
    (value) => value | 0x100n,
  ),
  physicalRow({
    id: 'control.eptp',
    section: SECTION,
    field: 'EPT_POINTER',
    when: (view) => view.secondary.enableEpt,
    whenFields: secondary,
    whenSays: '"enable EPT" is 1',
    enable: enableEpt,
  }),
  ...needingEpt.map(([key, id, name]) =>
    needsRow({
      id: `control.${id}-needs-ept`,
      section: SECTION,
      fields: secondary,
      isOn: (view) => view.secondary[key],
      condition: (view) => view.secondary.enableEpt,
      says: `"${name}" is 1, but "enable EPT" is 0`,
      suggest: enableEpt,
      breakIt: {
        ...MANUAL,
        change: (view) =>
          key === 'intelPtUsesGuestPhysicalAddresses'
            ? { ...intelPt(view, { load: true, clear: true }), ...turn(view, { secondary: { enableEpt: false, [key]: true } }) }
            : turn(view, { secondary: { enableEpt: false, [key]: true } }),
      },
    }),
  ),
  ...tertiaryNeedingEpt.map(([key, id, name]) =>
    needsRow({
      id: `control.${id}-needs-ept`,
      section: SECTION,
      fields: ['TERTIARY_VM_EXEC_CONTROL', 'SECONDARY_VM_EXEC_CONTROL'],
      isOn: (view) => view.tertiary[key],
      condition: (view) => view.secondary.enableEpt,
      says: `"${name}" is 1, but "enable EPT" is 0`,
      suggest: enableEpt,
      breakIt: { ...MANUAL, change: (view) => turn(view, { secondary: { enableEpt: false }, tertiary: { [key]: true } }) },
    }),
  ),
  ...page('pml-address', 'PML_ADDRESS', 'enablePml', 'enable PML', { enableEpt: true }),
  ...page(
    'sub-page-permission-table',
    'SUB_PAGE_PERMISSION_TABLE_POINTER',
    'subPageWritePermissionsForEpt',
    'sub-page write permissions for EPT',
    {
      enableEpt: true,
    },
  ),
  ...page('vmread-bitmap', 'VMREAD_BITMAP', 'vmcsShadowing', 'VMCS shadowing'),
  ...page('vmwrite-bitmap', 'VMWRITE_BITMAP', 'vmcsShadowing', 'VMCS shadowing'),
  ...page('virtualization-exception-information', 'VE_INFORMATION_ADDRESS', 'eptViolationVe', 'EPT-violation #VE'),
  {
    id: 'control.vm-functions.settings',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'VM_FUNCTION_CONTROL'],
    holds: (view) =>
      !view.secondary.enableVmFunctions ||
      ((view.low('VM_FUNCTION_CONTROL') & ~view.capabilities.allowed1('vmFunctions')) === 0 && view.high('VM_FUNCTION_CONTROL') === 0),
    says: (view) =>
      `"enable VM functions" is 1, but ${fieldValue(view, 'VM_FUNCTION_CONTROL')}: bits that IA32_VMX_VMFUNC does not report must be 0`,
    suggest: (view) => ({
      VM_FUNCTION_CONTROL: view.value('VM_FUNCTION_CONTROL') & BigInt(view.capabilities.allowed1('vmFunctions') >>> 0),
    }),
    breakIt: { ...MANUAL, change: (view) => ({ ...turn(view, { secondary: { enableVmFunctions: true } }), VM_FUNCTION_CONTROL: 2n }) },
  },
  needsRow({
    id: 'control.eptp-switching-needs-ept',
    section: SECTION,
    fields: ['VM_FUNCTION_CONTROL', 'SECONDARY_VM_EXEC_CONTROL'],
    isOn: (view) => view.vmFunctions.eptpSwitching,
    condition: (view) => view.secondary.enableEpt,
    says: 'the VM-function control "EPTP switching" is 1, but "enable EPT" is 0',
    suggest: enableEpt,
    breakIt: {
      ...MANUAL,
      change: (view) => ({ ...turn(view, { secondary: { enableEpt: false, enableVmFunctions: true } }), VM_FUNCTION_CONTROL: 1n }),
    },
  }),
  ...addressRows({
    id: 'control.eptp-list',
    section: SECTION,
    field: 'EPTP_LIST_ADDRESS',
    when: (view) => view.vmFunctions.eptpSwitching,
    whenFields: ['VM_FUNCTION_CONTROL'],
    whenSays: '"EPTP switching" is 1',
    enable: (view) => ({ ...turn(view, { secondary: { enableEpt: true, enableVmFunctions: true } }), VM_FUNCTION_CONTROL: 1n }),
    breaking: MANUAL,
  }),
  needsRow({
    id: 'control.intel-pt-needs-load-rtit-ctl',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'VM_ENTRY_CONTROLS'],
    isOn: (view) => view.secondary.intelPtUsesGuestPhysicalAddresses,
    condition: (view) => view.entry.loadIa32RtitCtl,
    says: '"Intel PT uses guest physical addresses" is 1, but the VM-entry control "load IA32_RTIT_CTL" is 0',
    suggest: (view) => turn(view, { entry: { loadIa32RtitCtl: true } }),
    breakIt: { ...MANUAL, change: (view) => intelPt(view, { load: false, clear: true }) },
  }),
  needsRow({
    id: 'control.intel-pt-needs-clear-rtit-ctl',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'VM_EXIT_CONTROLS'],
    isOn: (view) => view.secondary.intelPtUsesGuestPhysicalAddresses,
    condition: (view) => view.exit.clearIa32RtitCtl,
    says: '"Intel PT uses guest physical addresses" is 1, but the VM-exit control "clear IA32_RTIT_CTL" is 0',
    suggest: (view) => turn(view, { exit: { clearIa32RtitCtl: true } }),
    breakIt: { ...MANUAL, change: (view) => intelPt(view, { load: true, clear: false }) },
  }),
  {
    id: 'control.hlatp.reserved',
    section: SECTION,
    fields: ['TERTIARY_VM_EXEC_CONTROL', 'HLAT_POINTER'],
    holds: (view) => !view.tertiary.enableHlat || (view.low('HLAT_POINTER') & 0xfe7) === 0,
    says: (view) => `"enable HLAT" is 1, but ${fieldValue(view, 'HLAT_POINTER')}: bits 2:0 and 11:5 must be 0`,
    suggest: (view) => ({ HLAT_POINTER: view.value('HLAT_POINTER') & ~0xfe7n }),
    breakIt: {
      ...MANUAL,
      change: (view) => ({ ...turn(view, { secondary: { enableEpt: true }, tertiary: { enableHlat: true } }), HLAT_POINTER: 0x20n }),
    },
  },
  physicalRow({
    id: 'control.hlatp',
    section: SECTION,
    field: 'HLAT_POINTER',
    when: (view) => view.tertiary.enableHlat,
    whenFields: ['TERTIARY_VM_EXEC_CONTROL'],
    whenSays: '"enable HLAT" is 1',
    enable: (view) => turn(view, { secondary: { enableEpt: true }, tertiary: { enableHlat: true } }),
    breaking: MANUAL,
  }),
]);
