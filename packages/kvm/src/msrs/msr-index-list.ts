/** KVM_GET_MSR_INDEX_LIST (api.rst, 4.3): MSRs that belong to a virtual CPU's state. */
export function msrIndexList(_vendor: 'intel' | 'amd'): number[] {
  return [];
}
