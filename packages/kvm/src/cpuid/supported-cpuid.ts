import { InternalError } from '@minusone/core';
import type { CpuModel } from '@minusone/x86';
import type { CpuidEntry } from './cpuid-entry.ts';

/** KVM_GET_SUPPORTED_CPUID (api.rst, 4.46): what a guest on processors of this model may be shown. */
export function supportedCpuid(_model: CpuModel): CpuidEntry[] {
  throw new InternalError('in work');
}
