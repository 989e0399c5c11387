import type { ControlKey } from '../../controls/tables.ts';
import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { addressRows, type Family, fieldValue, needsRow, turn } from '../families.ts';
import { controlChecks, type EntryCheck, type VmcsChanges } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.2.1.1';
const MANUAL = { capabilities: 'vmx:manual' } as const;
const both: readonly VmcsFieldName[] = ['CPU_BASED_VM_EXEC_CONTROL', 'SECONDARY_VM_EXEC_CONTROL'];

const tprShadow = (view: EntryView): VmcsChanges => turn(view, { primary: { useTprShadow: true } });

/** Posted interrupts with all that they need. */
const postedInterrupts = (view: EntryView, also: { readonly delivery?: boolean; readonly acknowledge?: boolean } = {}): VmcsChanges =>
  turn(view, {
    pinBased: { processPostedInterrupts: true, externalInterruptExiting: true },
    primary: { useTprShadow: true },
    secondary: { virtualInterruptDelivery: also.delivery ?? true },
    exit: { acknowledgeInterruptOnExit: also.acknowledge ?? true },
  });

const posted: Omit<Family, 'id' | 'field'> = {
  section: SECTION,
  when: (view) => view.pinBased.processPostedInterrupts,
  whenFields: ['PIN_BASED_VM_EXEC_CONTROL'],
  whenSays: '"process posted interrupts" is 1',
  enable: postedInterrupts,
  breaking: MANUAL,
};

const needingTprShadow: readonly (readonly [key: ControlKey<'secondary'>, id: string, name: string])[] = [
  ['virtualizeX2apicMode', 'virtualize-x2apic-mode', 'virtualize x2APIC mode'],
  ['apicRegisterVirtualization', 'apic-register-virtualization', 'APIC-register virtualization'],
  ['virtualInterruptDelivery', 'virtual-interrupt-delivery', 'virtual-interrupt delivery'],
];

/** Bits 7:4 of the virtual TPR: byte 80H of the virtual-APIC page (SDM Vol. 3C, 30.1.1). Undefined where its memory is not known. */
function virtualTprPriority(view: EntryView): number | undefined {
  if (!view.isPhysical('VIRTUAL_APIC_PAGE_ADDR')) return undefined;
  const tpr = view.environment.read32?.(view.address('VIRTUAL_APIC_PAGE_ADDR') + 0x80);
  return tpr === undefined ? undefined : (tpr >>> 4) & 15;
}

/** SDM Vol. 3C, "VM-Execution Control Fields" under "Checks on VMX Controls": TPR shadow, APIC virtualization, posted interrupts. */
export const apicControlChecks: readonly EntryCheck[] = controlChecks([
  ...addressRows({
    id: 'control.virtual-apic-address',
    section: SECTION,
    field: 'VIRTUAL_APIC_PAGE_ADDR',
    when: (view) => view.primary.useTprShadow,
    whenFields: ['CPU_BASED_VM_EXEC_CONTROL'],
    whenSays: '"use TPR shadow" is 1',
    enable: tprShadow,
  }),
  {
    id: 'control.tpr-threshold.reserved',
    section: SECTION,
    fields: [...both, 'TPR_THRESHOLD'],
    holds: (view) => !view.primary.useTprShadow || view.secondary.virtualInterruptDelivery || view.low('TPR_THRESHOLD') >>> 4 === 0,
    says: (view) =>
      `"use TPR shadow" is 1 and "virtual-interrupt delivery" is 0, but ${fieldValue(view, 'TPR_THRESHOLD')}: bits 31:4 must be 0`,
    suggest: (view) => ({ TPR_THRESHOLD: view.value('TPR_THRESHOLD') & 15n }),
    breakIt: (view) => ({ ...tprShadow(view), TPR_THRESHOLD: 0x10n }),
  },
  {
    id: 'control.tpr-threshold.not-above-vtpr',
    section: SECTION,
    fields: [...both, 'TPR_THRESHOLD', 'VIRTUAL_APIC_PAGE_ADDR'],
    usesEnvironment: 'memory',
    holds: (view) => {
      if (!view.primary.useTprShadow || view.secondary.virtualizeApicAccesses || view.secondary.virtualInterruptDelivery) return true;
      const priority = virtualTprPriority(view);
      return priority === undefined || (view.low('TPR_THRESHOLD') & 15) <= priority;
    },
    says: (view) => `bits 3:0 of TPR_THRESHOLD are ${view.low('TPR_THRESHOLD') & 15}, above bits 7:4 of VTPR, ${virtualTprPriority(view)}`,
    suggest: (view) => ({ TPR_THRESHOLD: BigInt(virtualTprPriority(view) ?? 0) }),
    breakIt: { environment: { read32: () => 0x20 }, change: (view) => ({ ...tprShadow(view), TPR_THRESHOLD: 3n }) },
  },
  ...addressRows({
    id: 'control.apic-access-address',
    section: SECTION,
    field: 'APIC_ACCESS_ADDR',
    when: (view) => view.secondary.virtualizeApicAccesses,
    whenFields: ['SECONDARY_VM_EXEC_CONTROL'],
    whenSays: '"virtualize APIC accesses" is 1',
    enable: (view) => turn(view, { secondary: { virtualizeApicAccesses: true } }),
    breaking: MANUAL,
  }),
  ...needingTprShadow.map(([key, id, name]) =>
    needsRow({
      id: `control.${id}-needs-tpr-shadow`,
      section: SECTION,
      fields: both,
      isOn: (view) => view.secondary[key],
      condition: (view) => view.primary.useTprShadow,
      says: `"${name}" is 1, but "use TPR shadow" is 0`,
      suggest: tprShadow,
      breakIt: { ...MANUAL, change: (view) => turn(view, { secondary: { [key]: true } }) },
    }),
  ),
  needsRow({
    id: 'control.ipi-virtualization-needs-tpr-shadow',
    section: SECTION,
    fields: ['CPU_BASED_VM_EXEC_CONTROL', 'TERTIARY_VM_EXEC_CONTROL'],
    isOn: (view) => view.tertiary.ipiVirtualization,
    condition: (view) => view.primary.useTprShadow,
    says: '"IPI virtualization" is 1, but "use TPR shadow" is 0',
    suggest: tprShadow,
    breakIt: { ...MANUAL, change: (view) => turn(view, { tertiary: { ipiVirtualization: true } }) },
  }),
  needsRow({
    id: 'control.virtualize-x2apic-mode-excludes-apic-accesses',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL'],
    isOn: (view) => view.secondary.virtualizeX2apicMode,
    condition: (view) => !view.secondary.virtualizeApicAccesses,
    says: '"virtualize x2APIC mode" and "virtualize APIC accesses" are both 1',
    suggest: (view) => turn(view, { secondary: { virtualizeApicAccesses: false } }),
    breakIt: {
      ...MANUAL,
      change: (view) =>
        turn(view, { primary: { useTprShadow: true }, secondary: { virtualizeX2apicMode: true, virtualizeApicAccesses: true } }),
    },
  }),
  needsRow({
    id: 'control.virtual-interrupt-delivery-needs-external-interrupt-exiting',
    section: SECTION,
    fields: ['SECONDARY_VM_EXEC_CONTROL', 'PIN_BASED_VM_EXEC_CONTROL'],
    isOn: (view) => view.secondary.virtualInterruptDelivery,
    condition: (view) => view.pinBased.externalInterruptExiting,
    says: '"virtual-interrupt delivery" is 1, but "external-interrupt exiting" is 0',
    suggest: (view) => turn(view, { pinBased: { externalInterruptExiting: true } }),
    breakIt: {
      ...MANUAL,
      change: (view) =>
        turn(view, {
          pinBased: { externalInterruptExiting: false },
          primary: { useTprShadow: true },
          secondary: { virtualInterruptDelivery: true },
        }),
    },
  }),
  needsRow({
    id: 'control.posted-interrupts-needs-virtual-interrupt-delivery',
    section: SECTION,
    fields: ['PIN_BASED_VM_EXEC_CONTROL', 'SECONDARY_VM_EXEC_CONTROL'],
    isOn: (view) => view.pinBased.processPostedInterrupts,
    condition: (view) => view.secondary.virtualInterruptDelivery,
    says: '"process posted interrupts" is 1, but "virtual-interrupt delivery" is 0',
    suggest: (view) => turn(view, { secondary: { virtualInterruptDelivery: true } }),
    breakIt: { ...MANUAL, change: (view) => postedInterrupts(view, { delivery: false }) },
  }),
  needsRow({
    id: 'control.posted-interrupts-needs-acknowledge-interrupt-on-exit',
    section: SECTION,
    fields: ['PIN_BASED_VM_EXEC_CONTROL', 'VM_EXIT_CONTROLS'],
    isOn: (view) => view.pinBased.processPostedInterrupts,
    condition: (view) => view.exit.acknowledgeInterruptOnExit,
    says: '"process posted interrupts" is 1, but "acknowledge interrupt on exit" is 0',
    suggest: (view) => turn(view, { exit: { acknowledgeInterruptOnExit: true } }),
    breakIt: { ...MANUAL, change: (view) => postedInterrupts(view, { acknowledge: false }) },
  }),
  {
    id: 'control.posted-interrupt-notification-vector',
    section: SECTION,
    fields: ['PIN_BASED_VM_EXEC_CONTROL', 'POSTED_INTR_NV'],
    holds: (view) => !view.pinBased.processPostedInterrupts || view.low('POSTED_INTR_NV') <= 255,
    says: (view) => `"process posted interrupts" is 1, but ${fieldValue(view, 'POSTED_INTR_NV')}: it must be 0 to 255`,
    suggest: (view) => ({ POSTED_INTR_NV: view.value('POSTED_INTR_NV') & 0xffn }),
    breakIt: { ...MANUAL, change: (view) => ({ ...postedInterrupts(view), POSTED_INTR_NV: 0x1f2n }) },
  },
  ...addressRows({ ...posted, id: 'control.posted-interrupt-descriptor', field: 'POSTED_INTR_DESC_ADDR' }, 6),
  ...addressRows(
    {
      id: 'control.pid-pointer-table',
      section: SECTION,
      field: 'PID_POINTER_TABLE',
      when: (view) => view.tertiary.ipiVirtualization,
      whenFields: ['TERTIARY_VM_EXEC_CONTROL'],
      whenSays: '"IPI virtualization" is 1',
      enable: (view) => turn(view, { primary: { useTprShadow: true }, tertiary: { ipiVirtualization: true } }),
      breaking: MANUAL,
    },
    3,
  ),
  {
    id: 'control.pid-pointer-table.last-index',
    section: SECTION,
    fields: ['TERTIARY_VM_EXEC_CONTROL', 'PID_POINTER_TABLE', 'LAST_PID_POINTER_INDEX'],
    holds: (view) => {
      if (!view.tertiary.ipiVirtualization || !view.isPhysical('PID_POINTER_TABLE')) return true;
      const last = view.address('PID_POINTER_TABLE') + 8 * view.low('LAST_PID_POINTER_INDEX') + 7;
      return last < 2 ** view.capabilities.processor.physicalAddressWidth;
    },
    says: (view) =>
      `${fieldValue(view, 'PID_POINTER_TABLE')} and ${fieldValue(view, 'LAST_PID_POINTER_INDEX')}: the last entry lies beyond the physical-address width`,
    suggest: () => ({ LAST_PID_POINTER_INDEX: 0n }),
    breakIt: {
      ...MANUAL,
      change: (view) => ({
        ...turn(view, { primary: { useTprShadow: true }, tertiary: { ipiVirtualization: true } }),
        PID_POINTER_TABLE: (1n << BigInt(view.capabilities.processor.physicalAddressWidth)) - 8n,
        LAST_PID_POINTER_INDEX: 1n,
      }),
    },
  },
]);
