import { InternalError } from '@minusone/core';
import type { CpuidResult } from '@minusone/x86';
import type { CpuidEntry } from './cpuid-entry.ts';

/** State of the virtual CPU that CPUID shows. */
export interface CpuidRuntime {
  readonly cr4: number;
  readonly xcr0: number;
  /** IA32_APIC_BASE's enable bit. */
  readonly apicEnabled: boolean;
}

/** The CPUID of one virtual CPU: KVM_SET_CPUID2, KVM_GET_CPUID2, and the instruction (api.rst, 4.20 KVM_SET_CPUID). */
export class CpuidTable {
  set(_entries: readonly CpuidEntry[]): void {
    throw new InternalError('in work');
  }
  get(): CpuidEntry[] {
    throw new InternalError('in work');
  }
  find(_leaf: number, _subleaf: number): CpuidEntry | undefined {
    throw new InternalError('in work');
  }
  /** What the instruction answers; fills and returns `into`. */
  query(_leaf: number, _subleaf: number, _runtime: CpuidRuntime, _into: CpuidResult): CpuidResult {
    throw new InternalError('in work');
  }
  /** The guest was shown this feature (names of `cpuidBits` of @minusone/x86). */
  has(_feature: string): boolean {
    throw new InternalError('in work');
  }
  /** MAXPHYADDR, bits. */
  get physicalBits(): number {
    return 36;
  }
}
