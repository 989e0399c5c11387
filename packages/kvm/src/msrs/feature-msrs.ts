import { ARCH_CAPABILITIES, type CpuModel } from '@minusone/x86';
import type { KvmMsrEntry } from '../vcpu/state/msrs.ts';
import { biosSignId } from './common-msrs.ts';
import { msrFeatureIndexList } from './msr-index-list.ts';
import { DE_CFG, DE_CFG_LFENCE_SERIALIZING } from './vendor-msrs.ts';

/** What each MSR of KVM_GET_MSR_FEATURE_INDEX_LIST may say at most. */
const VALUES: ReadonlyMap<number, (model: CpuModel) => bigint> = new Map([
  [0x8b, (model: CpuModel) => biosSignId(model.vendor)],
  [0x10a, () => ARCH_CAPABILITIES],
  [DE_CFG, () => DE_CFG_LFENCE_SERIALIZING],
]);

/** KVM_GET_MSRS on `/dev/kvm` (api.rst, 4.18): as many as could be read, in order; it stops at the first that is no feature of the model. */
export function readFeatureMsrs(model: CpuModel, indices: readonly number[]): KvmMsrEntry[] {
  const listed = new Set(msrFeatureIndexList(model));
  const entries: KvmMsrEntry[] = [];
  for (const index of indices) {
    const value = VALUES.get(index);
    if (value === undefined || !listed.has(index)) break;
    entries.push({ index, data: value(model) });
  }
  return entries;
}
