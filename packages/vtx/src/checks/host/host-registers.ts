import type { VmcsFieldName } from '../../vmcs/fields.ts';
import { canonicalRow, fieldValue, needsRow, patRow, physicalRow, reservedRow, turn } from '../families.ts';
import { type EntryCheck, type EntryCheckRow, hostStateChecks } from '../row.ts';
import type { EntryView } from '../view.ts';

const SECTION = '27.2.2';
const MANUAL = { capabilities: 'vmx:manual' } as const;
const exit: readonly VmcsFieldName[] = ['VM_EXIT_CONTROLS'];

/** Bits of IA32_S_CET that exist: SH_STK_EN to SUPPRESS_DIS, SUPPRESS, TRACKER, and the linear address of the legacy code page bitmap. 9:6 are reserved. */
export const S_CET_MASK = 0xffff_ffff_ffff_fc3fn;

/** CR0 or CR4 must have the bits that VMX operation fixes (SDM Vol. 3C, 24.8): IA32_VMX_CRx_FIXED0 and FIXED1. */
export function fixedBitsRow(
  section: string,
  id: string,
  field: VmcsFieldName,
  register: 'CR0' | 'CR4',
  options: { readonly exempt?: (view: EntryView) => number; readonly fields?: readonly VmcsFieldName[]; readonly broken: bigint },
): EntryCheckRow {
  const masks = (view: EntryView): { ones: number; allowed: number } => {
    const exempt = options.exempt?.(view) ?? 0;
    const { msrs } = view.capabilities;
    return {
      ones: Number(msrs[`IA32_VMX_${register}_FIXED0`] ?? 0n) & ~exempt,
      allowed: Number(msrs[`IA32_VMX_${register}_FIXED1`] ?? 0xffff_ffffn) | exempt,
    };
  };
  return {
    id,
    section,
    fields: [field, ...(options.fields ?? [])],
    holds: (view) => {
      const { ones, allowed } = masks(view);
      return (~view.low(field) & ones) === 0 && (view.low(field) & ~allowed) === 0 && view.high(field) === 0;
    },
    says: (view) => {
      const { ones, allowed } = masks(view);
      return `${fieldValue(view, field)}: in VMX operation bits 0x${(ones >>> 0).toString(16)} must be 1, bits outside 0x${(allowed >>> 0).toString(16)} must be 0`;
    },
    suggest: (view) => {
      const { ones, allowed } = masks(view);
      return { [field]: BigInt(((view.low(field) | ones) & allowed) >>> 0) };
    },
    breakIt: (view) => ({ [field]: view.value(field) & ~options.broken }),
  };
}

const cet = {
  section: SECTION,
  when: (view: EntryView) => view.exit.loadCetState,
  whenFields: exit,
  whenSays: 'the VM-exit control "load CET state" is 1',
  enable: (view: EntryView) => turn(view, { exit: { loadCetState: true } }),
  breaking: MANUAL,
};

/** SDM Vol. 3C, "Checks on Host Control Registers, MSRs, and SSP". */
export const hostRegisterChecks: readonly EntryCheck[] = hostStateChecks([
  fixedBitsRow(SECTION, 'host.cr0.fixed', 'HOST_CR0', 'CR0', { broken: 0x20n }),
  fixedBitsRow(SECTION, 'host.cr4.fixed', 'HOST_CR4', 'CR4', { broken: 0x2000n }),
  {
    id: 'host.cr4.cet-needs-wp',
    section: SECTION,
    fields: ['HOST_CR4', 'HOST_CR0'],
    holds: (view) => !view.hostCr4.cet || view.hostCr0.wp,
    says: 'CR4.CET is 1, but CR0.WP is 0',
    suggest: (view) => ({ HOST_CR0: view.hostCr0.with({ wp: true }) }),
    breakIt: {
      ...MANUAL,
      change: (view) => ({ HOST_CR4: view.hostCr4.with({ cet: true }), HOST_CR0: view.hostCr0.with({ wp: false }) }),
    },
  },
  physicalRow({ id: 'host.cr3', section: SECTION, field: 'HOST_CR3' }),
  canonicalRow({ id: 'host.sysenter-esp', section: SECTION, field: 'HOST_IA32_SYSENTER_ESP' }),
  canonicalRow({ id: 'host.sysenter-eip', section: SECTION, field: 'HOST_IA32_SYSENTER_EIP' }),
  reservedRow(
    {
      id: 'host.perf-global-ctrl',
      section: SECTION,
      field: 'HOST_IA32_PERF_GLOBAL_CTRL',
      when: (view) => view.exit.loadIa32PerfGlobalCtrl,
      whenFields: exit,
      whenSays: 'the VM-exit control "load IA32_PERF_GLOBAL_CTRL" is 1',
      enable: (view) => turn(view, { exit: { loadIa32PerfGlobalCtrl: true } }),
      breaking: MANUAL,
    },
    (view) => view.capabilities.processor.perfGlobalCtrlMask,
    1n << 63n,
  ),
  patRow({
    id: 'host.pat',
    section: SECTION,
    field: 'HOST_IA32_PAT',
    when: (view) => view.exit.loadIa32Pat,
    whenFields: exit,
    whenSays: 'the VM-exit control "load IA32_PAT" is 1',
    enable: (view) => turn(view, { exit: { loadIa32Pat: true } }),
  }),
  reservedRow(
    {
      id: 'host.efer',
      section: SECTION,
      field: 'HOST_IA32_EFER',
      when: (view) => view.exit.loadIa32Efer,
      whenFields: exit,
      whenSays: 'the VM-exit control "load IA32_EFER" is 1',
      enable: (view) => turn(view, { exit: { loadIa32Efer: true } }),
    },
    (view) => view.capabilities.processor.eferMask,
    2n,
  ),
  ...(['lma', 'lme'] as const).map(
    (bit): EntryCheckRow => ({
      id: `host.efer.${bit}-is-host-address-space-size`,
      section: SECTION,
      fields: ['VM_EXIT_CONTROLS', 'HOST_IA32_EFER'],
      holds: (view) => !view.exit.loadIa32Efer || view.hostEfer[bit] === view.exit.hostAddressSpaceSize,
      says: (view) =>
        `${fieldValue(view, 'HOST_IA32_EFER')}: ${bit.toUpperCase()} must equal the VM-exit control "host address-space size", ${view.exit.hostAddressSpaceSize ? 1 : 0}`,
      suggest: (view) => ({ HOST_IA32_EFER: view.hostEfer.with({ [bit]: view.exit.hostAddressSpaceSize }) }),
      breakIt: (view) => ({ ...turn(view, { exit: { loadIa32Efer: true } }), HOST_IA32_EFER: view.hostEfer.with({ [bit]: false }) }),
    }),
  ),
  canonicalRow({ ...cet, id: 'host.s-cet', field: 'HOST_IA32_S_CET' }),
  reservedRow({ ...cet, id: 'host.s-cet', field: 'HOST_IA32_S_CET' }, () => S_CET_MASK, 0x40n),
  {
    id: 'host.s-cet.suppress-and-tracker',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_IA32_S_CET'],
    holds: (view) => !view.exit.loadCetState || (view.low('HOST_IA32_S_CET') & 0xc00) !== 0xc00,
    says: (view) => `${fieldValue(view, 'HOST_IA32_S_CET')}: bits 10 (SUPPRESS) and 11 (TRACKER) must not both be 1`,
    suggest: (view) => ({ HOST_IA32_S_CET: view.value('HOST_IA32_S_CET') & ~0x400n }),
    breakIt: { ...MANUAL, change: (view) => ({ ...cet.enable(view), HOST_IA32_S_CET: 0xc00n }) },
  },
  {
    id: 'host.ssp.aligned',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_SSP'],
    holds: (view) => !view.exit.loadCetState || (view.low('HOST_SSP') & 3) === 0,
    says: (view) => `the VM-exit control "load CET state" is 1, but ${fieldValue(view, 'HOST_SSP')}: bits 1:0 must be 0`,
    suggest: (view) => ({ HOST_SSP: view.value('HOST_SSP') & ~3n }),
    breakIt: { ...MANUAL, change: (view) => ({ ...cet.enable(view), HOST_SSP: 1n }) },
  },
  canonicalRow({ ...cet, id: 'host.ssp', field: 'HOST_SSP' }),
  canonicalRow({ ...cet, id: 'host.interrupt-ssp-table', field: 'HOST_IA32_INTERRUPT_SSP_TABLE_ADDR' }),
  needsRow({
    id: 'host.pkrs.reserved',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_IA32_PKRS'],
    isOn: (view) => view.exit.loadPkrs,
    condition: (view) => view.high('HOST_IA32_PKRS') === 0,
    says: 'the VM-exit control "load PKRS" is 1, but bits 63:32 of HOST_IA32_PKRS are not 0',
    suggest: (view) => ({ HOST_IA32_PKRS: BigInt(view.low('HOST_IA32_PKRS')) }),
    breakIt: { ...MANUAL, change: (view) => ({ ...turn(view, { exit: { loadPkrs: true } }), HOST_IA32_PKRS: 1n << 32n }) },
  }),
]);
