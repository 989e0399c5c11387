import { TscSync } from './tsc-sync.ts';
import { type GuestTsc, type MasterClock, nextVersion, VcpuClock } from './vcpu-clock.ts';

export type { GuestTsc, VcpuClock } from './vcpu-clock.ts';

/** What kvmclock needs of a virtual machine. */
export interface KvmClockHost {
  /** Nanoseconds of the VM's clock. */
  nowNs(): number;
  /** Wall-clock time: nanoseconds since 1970. */
  realTimeNs(): bigint;
  /** Writes guest memory. @returns false where there is none */
  writeGuest(gpa: number, bytes: Uint8Array): boolean;
  readGuest(gpa: number, length: number): Uint8Array | undefined;
  /** The host's TSC now, if it has one. */
  hostTsc?(): bigint;
}

/** `struct kvm_clock_data` (api.rst, KVM_GET_CLOCK). */
export interface KvmClockData {
  /** kvmclock, nanoseconds. */
  readonly clock: bigint;
  /** KVM_CLOCK_TSC_STABLE, _REALTIME, _HOST_TSC. */
  readonly flags: { readonly tscStable: boolean; readonly realtime: boolean; readonly hostTsc: boolean };
  /** Wall-clock time of the same moment, nanoseconds since 1970. */
  readonly realtime: bigint;
  readonly hostTsc: bigint;
}

/** `struct pvclock_wall_clock`. */
const WALL_CLOCK_BYTES = 12;
const NS_PER_S = 1_000_000_000n;

/** kvmclock of a virtual machine: nanoseconds since it was made, unless set otherwise (Documentation/virt/kvm/x86/msr.rst). */
export class KvmClock implements MasterClock {
  readonly tscSync: TscSync = new TscSync();
  readonly #host: KvmClockHost;
  readonly #vcpus: VcpuClock[] = [];
  masterNs: number;
  masterClock = 0n;
  /** MSR_KVM_WALL_CLOCK_NEW: one for all virtual CPUs. */
  wallClockMsr = 0n;

  constructor(host: KvmClockHost) {
    this.#host = host;
    this.masterNs = host.nowNs();
  }

  createVcpu(tsc: GuestTsc): VcpuClock {
    const clock = new VcpuClock(this, tsc);
    this.#vcpus.push(clock);
    return clock;
  }

  /** kvmclock now: what a guest's virtual CPU computes at this instant. */
  now(): bigint {
    const ns = this.#host.nowNs();
    return this.#vcpus[0]?.clockAt(ns) ?? this.masterClock + BigInt(Math.floor(ns - this.masterNs));
  }

  /** KVM_GET_CLOCK (api.rst). */
  getClock(): KvmClockData {
    const hostTsc = this.#host.hostTsc?.();
    return {
      clock: this.now(),
      flags: { tscStable: true, realtime: true, hostTsc: hostTsc !== undefined },
      realtime: this.#host.realTimeNs(),
      hostTsc: hostTsc ?? 0n,
    };
  }

  /**
   * KVM_SET_CLOCK (api.rst).
   * @param data.realtime KVM_CLOCK_REALTIME: when `clock` was read; the clock is moved on by what has gone by since then
   */
  setClock(data: { readonly clock: bigint; readonly realtime?: bigint }): void {
    const { clock, realtime } = data;
    const gone = realtime === undefined ? 0n : this.#host.realTimeNs() - realtime;
    this.masterNs = this.#host.nowNs();
    this.masterClock = clock + (gone > 0n ? gone : 0n);
    for (const vcpu of this.#vcpus) vcpu.update();
  }

  /** Wall-clock time at which kvmclock was 0. */
  writeWallClock(gpa: number): void {
    const old = this.#host.readGuest(gpa, WALL_CLOCK_BYTES);
    if (old === undefined) return;
    const boot = this.#host.realTimeNs() - this.now();
    const bytes = new Uint8Array(WALL_CLOCK_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, nextVersion(old), true);
    view.setUint32(4, Number(BigInt.asUintN(32, boot / NS_PER_S)), true);
    view.setUint32(8, Number(boot % NS_PER_S), true);
    this.#host.writeGuest(gpa, bytes);
  }

  readGuest(gpa: number, length: number): Uint8Array | undefined {
    return this.#host.readGuest(gpa, length);
  }
  writeGuest(gpa: number, bytes: Uint8Array): boolean {
    return this.#host.writeGuest(gpa, bytes);
  }
}
