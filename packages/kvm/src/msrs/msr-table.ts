import { commonMsrs } from './common-msrs.ts';
import type { GuestMsrRow } from './guest-msr-row.ts';
import { machineCheckMsrs } from './machine-check-msrs.ts';
import { memoryTypeMsrs } from './memory-type-msrs.ts';
import { timeMsrs } from './time-msrs.ts';
import { vendorMsrs } from './vendor-msrs.ts';

/** IA32_TSC_DEADLINE and the x2APIC registers: the local APIC's own, reached without a table. */
export const TSC_DEADLINE = 0x6e0;
export const X2APIC_FIRST = 0x800;
export const X2APIC_COUNT = 0x100;

const lapicMsrs: readonly GuestMsrRow[] = [
  {
    index: TSC_DEADLINE,
    name: 'IA32_TSC_DEADLINE',
    section: 'Vol. 3A 10.5.4.1',
    list: 'state',
    read: ({ host }) => host.lapic?.readTscDeadline() ?? 0n,
    write: ({ host }, value) => {
      host.lapic?.writeTscDeadline(value);
      return true;
    },
  },
  {
    index: X2APIC_FIRST,
    count: X2APIC_COUNT,
    name: 'x2APIC registers',
    section: 'Vol. 3A 10.12.1.2, Table 10-6',
    read: ({ host }, index) => host.lapic?.readMsr(index),
    write: ({ host }, value, index) => host.lapic?.writeMsr(index, value) ?? false,
  },
];

/** Every MSR that a guest may find. What is not here is #GP(0). */
export const guestMsrTable: readonly GuestMsrRow[] = [
  ...timeMsrs,
  ...lapicMsrs,
  ...commonMsrs,
  ...memoryTypeMsrs,
  ...machineCheckMsrs,
  ...vendorMsrs,
];

/** The rows of a vendor's processors, by index. */
export function rowsByIndex(vendor: 'intel' | 'amd'): ReadonlyMap<number, GuestMsrRow> {
  const rows = new Map<number, GuestMsrRow>();
  for (const row of guestMsrTable) {
    if (row.vendor !== undefined && row.vendor !== vendor) continue;
    for (let at = 0; at < (row.count ?? 1); at++) rows.set(row.index + at, row);
  }
  return rows;
}
