import { InternalError } from '@minusone/core';

/** What kvmclock needs of a virtual machine. */
export interface KvmClockHost {
  /** Nanoseconds of the VM's clock. */
  nowNs(): number;
  /** Wall-clock time: nanoseconds since 1970. */
  realTimeNs(): bigint;
  /** Writes guest memory. @returns false where there is none */
  writeGuest(gpa: number, bytes: Uint8Array): boolean;
  readGuest(gpa: number, length: number): Uint8Array | undefined;
}

/** The virtual CPU's time-stamp counter, as its guest reads it. */
export interface GuestTsc {
  read(): bigint;
  /** Hz. */
  readonly hz: number;
}

/** `struct kvm_clock_data` (api.rst, 4.29 KVM_GET_CLOCK). */
export interface KvmClockData {
  /** kvmclock, nanoseconds. */
  readonly clock: bigint;
  /** KVM_CLOCK_TSC_STABLE, _REALTIME, _HOST_TSC. */
  readonly flags: { readonly tscStable: boolean; readonly realtime: boolean; readonly hostTsc: boolean };
  readonly realtime: bigint;
  readonly hostTsc: bigint;
}

/** kvmclock of a virtual machine (Documentation/virt/kvm/x86/msr.rst). */
export class KvmClock {
  constructor(_host: KvmClockHost) {}
  createVcpu(_tsc: GuestTsc): VcpuClock {
    throw new InternalError('in work');
  }
  /** KVM_GET_CLOCK. */
  getClock(): KvmClockData {
    throw new InternalError('in work');
  }
  /** KVM_SET_CLOCK; `realtime`: the clock is moved on by what has gone by since then. */
  setClock(_data: { readonly clock: bigint; readonly realtime?: bigint }): void {
    throw new InternalError('in work');
  }
}

/** kvmclock of one virtual CPU: its MSRs and its structure in guest memory. */
export interface VcpuClock {
  /** 11H, 12H, 4B564D00H, 4B564D01H: undefined for other MSRs. */
  readMsr(index: number): bigint | undefined;
  /** @returns false: not a clock MSR */
  writeMsr(index: number, value: bigint, hostInitiated: boolean): boolean;
  /** To be called after the guest's TSC was written (or its frequency): writes the structure anew. */
  update(): void;
  /** KVM_KVMCLOCK_CTRL (api.rst, 4.78): tells the guest's watchdog that it was stopped. @returns false: the guest has no clock set up */
  kvmclockCtrl(): boolean;
  /** RESET of the virtual CPU does not touch it; INIT neither: for a VM that starts anew. */
  reset(): void;
}
