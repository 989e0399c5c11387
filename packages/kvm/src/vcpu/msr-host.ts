import { guestFault, type LocalApic } from '@minusone/x86';
import type { VcpuClock } from '../clock/kvm-clock.ts';
import type { TscSync } from '../clock/tsc-sync.ts';
import type { CpuidTable } from '../cpuid/cpuid-table.ts';
import type { MsrHost } from '../msrs/guest-msrs.ts';
import type { VcpuCore } from './core.ts';

/** A virtual CPU as its MSRs see it. */
export class CoreMsrHost implements MsrHost {
  readonly #core: VcpuCore;

  constructor(core: VcpuCore) {
    this.#core = core;
  }

  get vendor(): 'intel' | 'amd' {
    return this.#core.vm.host.model.vendor;
  }
  get cpuid(): CpuidTable {
    return this.#core.cpuid;
  }
  get lapic(): LocalApic | undefined {
    return this.#core.lapic;
  }
  get clock(): VcpuClock {
    return this.#core.clock;
  }
  get tscSync(): TscSync {
    return this.#core.vm.tscSync;
  }
  get isBootstrap(): boolean {
    return this.#core.isBootstrap;
  }
  get tscHz(): number {
    return this.#core.tscHz;
  }
  cr0(): number {
    return this.#core.vendor.controlRegisters.cr0();
  }
  efer(): number {
    return this.#core.vendor.controlRegisters.efer();
  }
  setEfer(value: number): void {
    this.#core.vendor.controlRegisters.setEfer(value);
    this.#core.vendor.flushGuestTlb();
  }
  tsc(): bigint {
    return this.#core.tsc();
  }
  tscOffset(): bigint {
    return this.#core.tscOffset;
  }
  setTscOffset(ticks: bigint): void {
    this.#core.tscOffset = BigInt.asUintN(64, ticks);
    this.#core.vendor.state.setTscOffset(this.#core.tscOffset);
  }
  controlBlockMsr(index: number): bigint | undefined {
    return this.#core.vendor.state.msr(index);
  }
  setControlBlockMsr(index: number, value: bigint): boolean {
    return this.#core.vendor.state.setMsr(index, value);
  }
  processorMsr(index: number): bigint | undefined {
    try {
      return this.#core.cpu.msrs.read(index);
    } catch (thrown) {
      if (thrown === guestFault) return undefined;
      throw thrown;
    }
  }
  setProcessorMsr(index: number, value: bigint): boolean {
    try {
      this.#core.cpu.msrs.write(index, value);
      return true;
    } catch (thrown) {
      if (thrown === guestFault) return false;
      throw thrown;
    }
  }
}
