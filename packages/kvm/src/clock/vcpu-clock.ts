import { scaleTicks, type TimeScale, timeScale } from './time-scale.ts';

/** MSRs of kvmclock (Documentation/virt/kvm/x86/msr.rst), the deprecated ones too. */
export const KvmMsr = {
  WALL_CLOCK: 0x11,
  SYSTEM_TIME: 0x12,
  WALL_CLOCK_NEW: 0x4b564d00,
  SYSTEM_TIME_NEW: 0x4b564d01,
} as const;

/** `struct pvclock_vcpu_time_info`. */
const TIME_INFO_BYTES = 32;
const FLAGS_OFFSET = 29;
const Flag = { TSC_STABLE: 1, GUEST_STOPPED: 2 } as const;

/** The virtual CPU's time-stamp counter, as its guest reads it. */
export interface GuestTsc {
  /** Its value at a moment of the VM's clock, nanoseconds (in the past too). */
  at(ns: number): bigint;
  /** Ticks a second. */
  readonly hz: number;
}

/** What a virtual CPU's clock needs of its VM's. */
export interface MasterClock {
  /** The moment of the VM's clock that all structures count from, and kvmclock then: one pair for all, so that no virtual CPU is ahead of another. */
  readonly masterNs: number;
  readonly masterClock: bigint;
  wallClockMsr: bigint;
  writeWallClock(gpa: number): void;
  readGuest(gpa: number, length: number): Uint8Array | undefined;
  writeGuest(gpa: number, bytes: Uint8Array): boolean;
}

/** kvmclock of one virtual CPU: its MSRs and its structure in guest memory. */
export class VcpuClock {
  readonly #master: MasterClock;
  readonly #tsc: GuestTsc;
  #systemTimeMsr = 0n;
  #scale: TimeScale;
  #scaleHz: number;

  constructor(master: MasterClock, tsc: GuestTsc) {
    this.#master = master;
    this.#tsc = tsc;
    this.#scaleHz = tsc.hz;
    this.#scale = timeScale(tsc.hz);
  }

  /** KvmMsr's registers: undefined for others. */
  readMsr(index: number): bigint | undefined {
    if (index === KvmMsr.SYSTEM_TIME_NEW || index === KvmMsr.SYSTEM_TIME) return this.#systemTimeMsr;
    if (index === KvmMsr.WALL_CLOCK_NEW || index === KvmMsr.WALL_CLOCK) return this.#master.wallClockMsr;
    return undefined;
  }

  /** @returns false: none of its registers */
  writeMsr(index: number, value: bigint): boolean {
    if (index === KvmMsr.SYSTEM_TIME_NEW || index === KvmMsr.SYSTEM_TIME) {
      this.#systemTimeMsr = value;
      this.update();
      return true;
    }
    if (index === KvmMsr.WALL_CLOCK_NEW || index === KvmMsr.WALL_CLOCK) {
      this.#master.wallClockMsr = value;
      this.#master.writeWallClock(Number(value));
      return true;
    }
    return false;
  }

  /** The guest-physical address of the structure, while it is enabled. */
  get #gpa(): number | undefined {
    return (this.#systemTimeMsr & 1n) === 0n ? undefined : Number(this.#systemTimeMsr & ~1n);
  }

  /** Writes the structure anew: after its address, the guest's TSC or the VM's kvmclock has changed. */
  update(): void {
    this.#write(0);
  }

  /** KVM_KVMCLOCK_CTRL (api.rst): the guest's watchdogs are told that it was stopped. @returns false: the guest has set up no clock (EINVAL) */
  kvmclockCtrl(): boolean {
    if (this.#gpa === undefined) return false;
    this.#write(Flag.GUEST_STOPPED);
    return true;
  }

  #write(flags: number): void {
    const gpa = this.#gpa;
    const old = gpa === undefined ? undefined : this.#master.readGuest(gpa, TIME_INFO_BYTES);
    if (gpa === undefined || old === undefined) return;
    const bytes = new Uint8Array(TIME_INFO_BYTES);
    const view = new DataView(bytes.buffer);
    const { mul, shift } = this.#currentScale;
    view.setUint32(0, nextVersion(old), true);
    view.setBigUint64(8, BigInt.asUintN(64, this.#tsc.at(this.#master.masterNs)), true);
    view.setBigUint64(16, BigInt.asUintN(64, this.#master.masterClock), true);
    view.setUint32(24, mul, true);
    view.setInt8(28, shift);
    // The guest clears "stopped" when it has seen it.
    view.setUint8(FLAGS_OFFSET, Flag.TSC_STABLE | flags | ((old[FLAGS_OFFSET] ?? 0) & Flag.GUEST_STOPPED));
    this.#master.writeGuest(gpa, bytes);
  }

  get #currentScale(): TimeScale {
    if (this.#scaleHz !== this.#tsc.hz) {
      this.#scaleHz = this.#tsc.hz;
      this.#scale = timeScale(this.#scaleHz);
    }
    return this.#scale;
  }

  /** kvmclock at a moment of the VM's clock, as the guest computes it. */
  clockAt(ns: number): bigint {
    const ticks = this.#tsc.at(ns) - this.#tsc.at(this.#master.masterNs);
    return this.#master.masterClock + scaleTicks(ticks, this.#currentScale);
  }

  /** RESET or INIT of the virtual CPU: no structure any more. */
  reset(): void {
    this.#systemTimeMsr = 0n;
  }
}

/** Even, and another than before. An odd one that the guest left there means nothing. */
export function nextVersion(old: Uint8Array): number {
  const version = new DataView(old.buffer, old.byteOffset).getUint32(0, true);
  return (version + (version % 2 === 1 ? 3 : 2)) >>> 0;
}
