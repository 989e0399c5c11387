import type { LocalApic } from '@minusone/x86';
import type { TscSync } from '../clock/tsc-sync.ts';
import type { VcpuClock } from '../clock/vcpu-clock.ts';
import type { CpuidTable } from '../cpuid/cpuid-table.ts';

/** What MSRs need of a virtual CPU. */
export interface MsrHost {
  /** Of the processor. */
  readonly vendor: 'intel' | 'amd';
  readonly cpuid: CpuidTable;
  /** Undefined: no irqchip. */
  readonly lapic: LocalApic | undefined;
  readonly clock: VcpuClock;
  /** Keeps time-stamp counters in step that user space sets (KvmClock's `tscSync`); left out: each for itself. */
  readonly tscSync?: TscSync;
  /** The bootstrap processor: IA32_APIC_BASE.BSP of a virtual CPU without a local APIC of KVM's. */
  readonly isBootstrap?: boolean;
  /** CR0 as the guest sees it. */
  cr0(): number;
  /** EFER as the guest sees it; `setEfer` does no checks. */
  efer(): number;
  setEfer(value: number): void;
  /** The guest's TSC now, and what is added to the host's for it (modulo 2^64). `setTscOffset` hands it to the vendor module; what follows from it (deadlines, kvmclock) is done here. */
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
