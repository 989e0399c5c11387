import type { VcpuCore } from '../core.ts';

/** `struct kvm_msr_entry` (api.rst, 4.18 KVM_GET_MSRS). */
export interface KvmMsrEntry {
  readonly index: number;
  readonly data: bigint;
}

/** See `Vcpu.getMsrs`. */
export function getMsrs(core: VcpuCore, indices: readonly number[]): KvmMsrEntry[] {
  const entries: KvmMsrEntry[] = [];
  for (const index of indices) {
    const data = core.msrs.read(index, true);
    if (data === undefined) break;
    entries.push({ index, data });
  }
  return entries;
}

/** See `Vcpu.setMsrs`. */
export function setMsrs(core: VcpuCore, entries: readonly KvmMsrEntry[]): number {
  core.stateChanged();
  let done = 0;
  for (const { index, data } of entries) {
    if (!core.msrs.write(index, BigInt.asUintN(64, data), true)) break;
    done++;
  }
  return done;
}
