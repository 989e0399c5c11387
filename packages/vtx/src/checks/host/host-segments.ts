import { canonicalRow, fieldValue } from '../families.ts';
import { type EntryCheck, type EntryCheckRow, hostStateChecks } from '../row.ts';

const SECTION = '27.2.3';

/** SDM Vol. 3C, "Checks on Host Segment and Descriptor-Table Registers". */
export const hostSegmentChecks: readonly EntryCheck[] = hostStateChecks([
  ...(['CS', 'SS', 'DS', 'ES', 'FS', 'GS', 'TR'] as const).map((name): EntryCheckRow => {
    const field = `HOST_${name}_SELECTOR` as const;
    return {
      id: `host.${name.toLowerCase()}.selector-rpl-ti`,
      section: SECTION,
      fields: [field],
      holds: (view) => (view.low(field) & 7) === 0,
      says: (view) => `${fieldValue(view, field)}: its RPL (bits 1:0) and TI flag (bit 2) must be 0`,
      suggest: (view) => ({ [field]: (view.value(field) & ~7n) === 0n && (name === 'CS' || name === 'TR') ? 8n : view.value(field) & ~7n }),
      breakIt: (view) => ({ [field]: view.value(field) | 3n }),
    };
  }),
  ...(['CS', 'TR'] as const).map((name): EntryCheckRow => {
    const field = `HOST_${name}_SELECTOR` as const;
    return {
      id: `host.${name.toLowerCase()}.selector-not-null`,
      section: SECTION,
      fields: [field],
      holds: (view) => view.low(field) !== 0,
      says: `${field} must not be 0`,
      suggest: () => ({ [field]: 8n }),
      breakIt: () => ({ [field]: 0n }),
    };
  }),
  {
    id: 'host.ss.selector-not-null',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'HOST_SS_SELECTOR'],
    holds: (view) => view.exit.hostAddressSpaceSize || view.low('HOST_SS_SELECTOR') !== 0,
    says: 'HOST_SS_SELECTOR is 0, and the VM-exit control "host address-space size" is 0',
    suggest: () => ({ HOST_SS_SELECTOR: 0x18n }),
    breakIt: {
      environment: { inIa32eMode: false },
      state: 'protected',
      change: (view) => ({
        VM_EXIT_CONTROLS: view.exit.with({ hostAddressSpaceSize: false }),
        HOST_IA32_EFER: 0n,
        HOST_RIP: 0x1000n,
        HOST_SS_SELECTOR: 0n,
      }),
    },
  },
  ...(['FS', 'GS', 'GDTR', 'IDTR', 'TR'] as const).map((name) =>
    canonicalRow({ id: `host.${name.toLowerCase()}.base`, section: SECTION, field: `HOST_${name}_BASE` }),
  ),
]);
