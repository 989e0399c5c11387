import type { CpuModel } from '@minusone/x86';
import type { GuestMsrRow } from './guest-msr-row.ts';
import { guestMsrTable } from './msr-table.ts';

/** KVM_GET_MSR_INDEX_LIST (api.rst): the MSRs that are a virtual CPU's state, besides those of KVM_GET_SREGS; ascending. */
export function msrIndexList(vendor: 'intel' | 'amd'): number[] {
  return indices((row) => row.list !== undefined && (row.vendor === undefined || row.vendor === vendor));
}

/** KVM_GET_MSR_FEATURE_INDEX_LIST (api.rst): MSRs that say what a processor has. */
export function msrFeatureIndexList(model: CpuModel): number[] {
  return indices(
    (row) =>
      row.list === 'feature' &&
      (row.vendor === undefined || row.vendor === model.vendor) &&
      (row.name !== 'IA32_ARCH_CAPABILITIES' || model.has('ARCH_CAPABILITIES')),
  );
}

function indices(isListed: (row: GuestMsrRow) => boolean): number[] {
  const found = guestMsrTable.filter(isListed).flatMap((row) => Array.from({ length: row.count ?? 1 }, (_, at) => row.index + at));
  return found.sort((a, b) => a - b);
}
