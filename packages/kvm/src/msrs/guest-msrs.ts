import { InternalError } from '@minusone/core';
import type { LocalApic } from '@minusone/x86';
import type { VcpuClock } from '../clock/vcpu-clock.ts';
import type { CpuidTable } from '../cpuid/cpuid-table.ts';

/** What MSRs need of a virtual CPU. */
export interface MsrHost {
  readonly vendor: 'intel' | 'amd';
  readonly cpuid: CpuidTable;
  /** Undefined: no irqchip. */
  readonly lapic: LocalApic | undefined;
  readonly clock: VcpuClock;
  /** CR0 as the guest sees it. */
  cr0(): number;
  /** EFER as the guest sees it; `setEfer` does no checks. */
  efer(): number;
  setEfer(value: number): void;
  /** The guest's TSC now, and what is added to the host's for it (modulo 2^64). `setTscOffset` hands it to the vendor module; GuestMsrs calls `lapic.timeStampChanged` and `clock.update` then. */
  tsc(): bigint;
  tscOffset(): bigint;
  setTscOffset(ticks: bigint): void;
  /** TSC frequency that the guest is shown, Hz. */
  readonly tscHz: number;
  /** MSRs of the control block: `VendorVcpu.msr`, `setMsr`. */
  controlBlockMsr(index: number): bigint | undefined;
  setControlBlockMsr(index: number, value: bigint): boolean;
  /** MSRs that stay in the processor: `cpu.msrs` with guest faults turned to undefined / false. */
  processorMsr(index: number): bigint | undefined;
  setProcessorMsr(index: number, value: bigint): boolean;
  /** IA32_APIC_BASE was written: where the local APIC's page stands may have changed. */
  apicBaseChanged?(): void;
}

/** The MSRs of one virtual CPU as its guest sees them, and as KVM_GET_MSRS and KVM_SET_MSRS (api.rst, 4.18, 4.19) do: `hostInitiated`. */
export class GuestMsrs {
  /** Halves of the last `readHalves`, signed. */
  low = 0;
  high = 0;

  constructor(_host: MsrHost) {}
  /** undefined: #GP(0), or not one that KVM_GET_MSRS knows. */
  read(_index: number, _hostInitiated: boolean): bigint | undefined {
    throw new InternalError('in work');
  }
  /** false: #GP(0). */
  write(_index: number, _value: bigint, _hostInitiated: boolean): boolean {
    throw new InternalError('in work');
  }
  /** RDMSR of a guest, quick for x2APIC registers: fills `low` and `high`. false: #GP(0). */
  readHalves(_index: number): boolean {
    throw new InternalError('in work');
  }
  /** WRMSR of a guest, quick for x2APIC registers. false: #GP(0). */
  writeHalves(_index: number, _low: number, _high: number): boolean {
    throw new InternalError('in work');
  }
  /** Whether KVM has the MSR at all, whatever is refused (tells cause 'unknown' from 'invalid' of KVM_EXIT_X86_RDMSR). */
  has(_index: number): boolean {
    throw new InternalError('in work');
  }
  /** RESET, INIT. */
  reset(_init: boolean): void {
    throw new InternalError('in work');
  }
}
