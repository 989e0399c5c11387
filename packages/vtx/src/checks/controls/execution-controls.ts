import type { ControlWord } from '../../controls/tables.ts';
import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { addressRows, fieldValue, needsRow, turn } from '../families.ts';
import { controlChecks, type EntryCheck, type EntryCheckRow } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.2.1.1';

/** Reserved bits of a control word must be set as its capability MSR says. */
export function settingsRow(
  section: string,
  id: string,
  word: ControlWord,
  field: VmcsFieldName,
  options: {
    readonly when?: (view: EntryView) => boolean;
    readonly whenFields?: readonly VmcsFieldName[];
    readonly breakIt: EntryCheckRow['breakIt'];
  },
): EntryCheckRow {
  const { when } = options;
  return {
    id,
    section,
    fields: [field, ...(options.whenFields ?? [])],
    holds: (view) => {
      if (when !== undefined && !when(view)) return true;
      const value = view.low(field);
      const { capabilities } = view;
      return (~value & capabilities.allowed0(word)) === 0 && (value & ~capabilities.allowed1(word)) === 0 && view.high(field) === 0;
    },
    says: (view) => {
      const [zeros, ones] = [view.capabilities.allowed0(word), view.capabilities.allowed1(word)];
      return `${fieldValue(view, field)}: bits 0x${zeros.toString(16)} must be 1, bits outside 0x${ones.toString(16)} must be 0`;
    },
    suggest: (view) => ({
      [field]: BigInt(((view.low(field) | view.capabilities.allowed0(word)) & view.capabilities.allowed1(word)) >>> 0),
    }),
    breakIt: options.breakIt,
  };
}

const primary: readonly VmcsFieldName[] = ['CPU_BASED_VM_EXEC_CONTROL'];

/** SDM Vol. 3C, "VM-Execution Control Fields" under "Checks on VMX Controls": what concerns neither the APIC nor EPT. */
export const executionControlChecks: readonly EntryCheck[] = controlChecks([
  settingsRow(SECTION, 'control.pin-based.settings', 'pinBased', 'PIN_BASED_VM_EXEC_CONTROL', {
    breakIt: (view) => ({ PIN_BASED_VM_EXEC_CONTROL: view.value('PIN_BASED_VM_EXEC_CONTROL') & ~2n }),
  }),
  settingsRow(SECTION, 'control.primary.settings', 'primary', 'CPU_BASED_VM_EXEC_CONTROL', {
    breakIt: (view) => ({ CPU_BASED_VM_EXEC_CONTROL: view.value('CPU_BASED_VM_EXEC_CONTROL') & ~2n }),
  }),
  settingsRow(SECTION, 'control.secondary.settings', 'secondary', 'SECONDARY_VM_EXEC_CONTROL', {
    when: (view) => view.primary.activateSecondaryControls,
    whenFields: primary,
    breakIt: (view) => ({ SECONDARY_VM_EXEC_CONTROL: view.value('SECONDARY_VM_EXEC_CONTROL') | (1n << 29n) }),
  }),
  settingsRow(SECTION, 'control.tertiary.settings', 'tertiary', 'TERTIARY_VM_EXEC_CONTROL', {
    when: (view) => view.primary.activateTertiaryControls,
    whenFields: primary,
    breakIt: {
      capabilities: 'vmx:manual',
      change: (view) => ({ ...turn(view, { tertiary: {} }), TERTIARY_VM_EXEC_CONTROL: 1n << 40n }),
    },
  }),
  {
    id: 'control.cr3-target-count',
    section: SECTION,
    fields: ['CR3_TARGET_COUNT'],
    holds: (view) => view.low('CR3_TARGET_COUNT') <= view.capabilities.cr3Targets,
    says: (view) => `${fieldValue(view, 'CR3_TARGET_COUNT')}, but the processor has ${view.capabilities.cr3Targets} CR3-target values`,
    suggest: (view) => ({ CR3_TARGET_COUNT: BigInt(view.capabilities.cr3Targets) }),
    breakIt: (view) => ({ CR3_TARGET_COUNT: BigInt(view.capabilities.cr3Targets) + 1n }),
  },
  ...(['A', 'B'] as const).flatMap((letter) =>
    addressRows({
      id: `control.io-bitmap-${letter.toLowerCase()}`,
      section: SECTION,
      field: `IO_BITMAP_${letter}`,
      when: (view) => view.primary.useIoBitmaps,
      whenFields: primary,
      whenSays: '"use I/O bitmaps" is 1',
      enable: (view) => turn(view, { primary: { useIoBitmaps: true } }),
    }),
  ),
  ...addressRows({
    id: 'control.msr-bitmaps',
    section: SECTION,
    field: 'MSR_BITMAP',
    when: (view) => view.primary.useMsrBitmaps,
    whenFields: primary,
    whenSays: '"use MSR bitmaps" is 1',
    enable: (view) => turn(view, { primary: { useMsrBitmaps: true } }),
  }),
  needsRow({
    id: 'control.virtual-nmis-needs-nmi-exiting',
    section: SECTION,
    fields: ['PIN_BASED_VM_EXEC_CONTROL'],
    isOn: (view) => view.pinBased.virtualNmis,
    condition: (view) => view.pinBased.nmiExiting,
    says: '"virtual NMIs" is 1, but "NMI exiting" is 0',
    suggest: (view) => turn(view, { pinBased: { nmiExiting: true } }),
    breakIt: (view) => turn(view, { pinBased: { nmiExiting: false, virtualNmis: true } }),
  }),
  needsRow({
    id: 'control.nmi-window-exiting-needs-virtual-nmis',
    section: SECTION,
    fields: ['PIN_BASED_VM_EXEC_CONTROL', 'CPU_BASED_VM_EXEC_CONTROL'],
    isOn: (view) => view.primary.nmiWindowExiting,
    condition: (view) => view.pinBased.virtualNmis,
    says: '"NMI-window exiting" is 1, but "virtual NMIs" is 0',
    suggest: (view) => turn(view, { primary: { nmiWindowExiting: false } }),
    breakIt: (view) => turn(view, { primary: { nmiWindowExiting: true } }),
  }),
  {
    id: 'control.vpid-not-zero',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'VIRTUAL_PROCESSOR_ID'],
    holds: (view) => !view.secondary.enableVpid || view.low('VIRTUAL_PROCESSOR_ID') !== 0,
    says: '"enable VPID" is 1, but VIRTUAL_PROCESSOR_ID is 0, the VPID of VMX root operation',
    suggest: () => ({ VIRTUAL_PROCESSOR_ID: 1n }),
    breakIt: (view) => ({ ...turn(view, { secondary: { enableVpid: true } }), VIRTUAL_PROCESSOR_ID: 0n }),
  },
  {
    id: 'control.tsc-multiplier-not-zero',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'TSC_MULTIPLIER'],
    holds: (view) => !view.secondary.useTscScaling || view.low('TSC_MULTIPLIER') !== 0 || view.high('TSC_MULTIPLIER') !== 0,
    says: '"use TSC scaling" is 1, but TSC_MULTIPLIER is 0',
    suggest: () => ({ TSC_MULTIPLIER: 1n << 48n }),
    breakIt: {
      capabilities: 'vmx:manual',
      change: (view) => ({ ...turn(view, { secondary: { useTscScaling: true } }), TSC_MULTIPLIER: 0n }),
    },
  },
]);
