import { Access } from '@minusone/mmu';
import { walkOf } from '../emulation/explain.ts';
import type { VcpuCore } from './core.ts';

/** `struct kvm_translation` (api.rst, 4.15 KVM_TRANSLATE). */
export interface KvmTranslation {
  /** Guest-physical address, bytes; 0 where the translation is not valid. */
  readonly physicalAddress: number;
  readonly valid: boolean;
  readonly writeable: boolean;
  readonly usermode: boolean;
}

/** See `Vcpu.translate`. */
export function translateLinear(core: VcpuCore, linear: bigint): KvmTranslation {
  const { emulator, physical } = core.vm;
  emulator.load(core.vendor);
  const { ok, gpa, result } = walkOf(emulator, physical, linear, Access.READ);
  return { physicalAddress: ok && gpa !== undefined ? gpa : 0, valid: ok, writeable: ok && result.writable, usermode: ok && result.user };
}
