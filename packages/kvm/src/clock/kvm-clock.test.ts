import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KvmClock } from './kvm-clock.ts';
import { scaleTicks, timeScale } from './time-scale.ts';
import { TscSync } from './tsc-sync.ts';
import { type GuestTsc, KvmMsr } from './vcpu-clock.ts';

/** A VM's time, and a guest that reads its clock as msr.rst says. */
function machine(hz = 2_100_000_000, startNs = 0) {
  const time = { ns: startNs, real: 1_700_000_000_500_000_000n };
  const ram = new Uint8Array(8192);
  const host = {
    nowNs: () => time.ns,
    realTimeNs: () => time.real,
    readGuest: (gpa: number, length: number) => (gpa + length <= ram.length ? ram.slice(gpa, gpa + length) : undefined),
    writeGuest: (gpa: number, bytes: Uint8Array) => {
      if (gpa + bytes.length > ram.length) return false;
      ram.set(bytes, gpa);
      return true;
    },
  };
  const clock = new KvmClock(host);
  const tscs: { offset: bigint; hz: number; at(ns: number): bigint }[] = [];
  const addVcpu = (offset = 0n) => {
    const tsc = {
      offset,
      hz,
      at: (ns: number): bigint => BigInt.asUintN(64, (BigInt(ns) * BigInt(tsc.hz)) / 1_000_000_000n + tsc.offset),
    } satisfies GuestTsc & { offset: bigint };
    tscs.push(tsc);
    return clock.createVcpu(tsc);
  };
  const fields = (gpa: number) => {
    const view = new DataView(ram.buffer, gpa);
    return {
      version: view.getUint32(0, true),
      timestamp: view.getBigUint64(8, true),
      systemTime: view.getBigUint64(16, true),
      mul: view.getUint32(24, true),
      shift: view.getInt8(28),
      flags: view.getUint8(29),
    };
  };
  const guestNs = (cpu: number, gpa: number): bigint => {
    const { timestamp, systemTime, mul, shift } = fields(gpa);
    return systemTime + scaleTicks(BigInt.asUintN(64, tscs[cpu]!.at(time.ns) - timestamp), { mul, shift });
  };
  return { time, ram, clock, tscs, addVcpu, fields, guestNs };
}

test('tsc_to_system_mul and tsc_shift of frequencies (msr.rst, MSR_KVM_SYSTEM_TIME_NEW)', () => {
  expect(timeScale(1_000_000_000)).toEqual({ mul: 0x80000000, shift: 1 });
  expect(timeScale(2_000_000_000)).toEqual({ mul: 0x80000000, shift: 0 });
  expect(timeScale(4_000_000_000)).toEqual({ mul: 0x80000000, shift: -1 });
  // 3 GHz: half as fast, 1.5 GHz, is two thirds of a nanosecond.
  expect(timeScale(3_000_000_000)).toEqual({ mul: Math.floor((2 * 2 ** 32) / 3), shift: -1 });
  fc.assert(
    fc.property(fc.integer({ min: 1_000_000, max: 10_000_000_000 }), (hz) => {
      const { mul, shift } = timeScale(hz);
      // All 32 bits, and the largest that does not run ahead.
      expect(mul).toBeGreaterThanOrEqual(0x80000000);
      expect(mul).toBeLessThan(2 ** 32);
      const second = scaleTicks(BigInt(hz), { mul, shift });
      expect(second).toBeLessThanOrEqual(1_000_000_000n);
      expect(second).toBeGreaterThanOrEqual(1_000_000_000n - 2n);
    }),
  );
});

test('a write of MSR_KVM_SYSTEM_TIME_NEW with bit 0 fills the structure, and the guest computes the time from it', () => {
  const m = machine();
  const vcpu = m.addVcpu(12345n);
  m.time.ns = 5_000_000;
  expect(vcpu.writeMsr(KvmMsr.SYSTEM_TIME_NEW, 0x100n | 1n)).toBe(true);
  const { version, flags } = m.fields(0x100);
  expect([version % 2, version > 0, flags]).toEqual([0, true, 1]);
  m.time.ns = 3_600_000_000_000;
  const guest = m.guestNs(0, 0x100);
  expect(guest).toBeLessThanOrEqual(3_600_000_000_000n);
  expect(guest).toBeGreaterThan(3_600_000_000_000n - 2000n); // the multiplier's 2^-32
  expect(m.clock.getClock().clock).toBe(guest); // KVM_CLOCK_TSC_STABLE: exactly what the guest sees
  vcpu.writeMsr(KvmMsr.SYSTEM_TIME_NEW, 0x100n);
  vcpu.update();
  expect(m.fields(0x100).version).toBe(version);
  expect([vcpu.readMsr(KvmMsr.SYSTEM_TIME), vcpu.readMsr(KvmMsr.SYSTEM_TIME_NEW), vcpu.readMsr(0x10)]).toEqual([0x100n, 0x100n, undefined]);
});

test('time never steps back between virtual CPUs, whenever their structures were written and whatever their TSCs show (stable bit)', () => {
  const m = machine(2_893_202_000);
  const [first, second] = [m.addVcpu(), m.addVcpu(987_654_321n)];
  first.writeMsr(KvmMsr.SYSTEM_TIME_NEW, 0x101n);
  m.time.ns = 86_400_000_000_000;
  second.writeMsr(KvmMsr.SYSTEM_TIME_NEW, 0x201n);
  let last = 0n;
  for (let i = 0; i < 100; i++) {
    m.time.ns += 7;
    const seen = m.guestNs(i % 2, i % 2 === 0 ? 0x100 : 0x200);
    expect(seen).toBeGreaterThanOrEqual(last);
    last = seen;
  }
  // The TSC of one is written: its structure follows.
  const before = m.guestNs(1, 0x200);
  m.tscs[1]!.offset = 0n;
  second.update();
  expect(m.guestNs(1, 0x200)).toBe(before);
});

test('KVM_SET_CLOCK moves kvmclock, by what has gone by since `realtime` too (api.rst)', () => {
  const m = machine(1_000_000_000, 777);
  const vcpu = m.addVcpu();
  vcpu.writeMsr(KvmMsr.SYSTEM_TIME, 0x101n);
  expect(m.guestNs(0, 0x100)).toBe(0n); // it began with the VM
  m.clock.setClock({ clock: 5000n });
  m.time.ns += 100;
  expect([m.guestNs(0, 0x100), m.clock.getClock().clock]).toEqual([5100n, 5100n]);
  m.clock.setClock({ clock: 5000n, realtime: m.time.real - 1_000_000n });
  expect(m.clock.getClock()).toEqual({
    clock: 1_005_000n,
    flags: { tscStable: true, realtime: true, hostTsc: false },
    realtime: m.time.real,
    hostTsc: 0n,
  });
  m.clock.setClock({ clock: 5000n, realtime: m.time.real + 1_000_000n }); // the future: not moved back
  expect(m.guestNs(0, 0x100)).toBe(5000n);
});

test('KVM_KVMCLOCK_CTRL sets "guest stopped", which stays until the guest clears it (api.rst; msr.rst, flags bit 1)', () => {
  const m = machine();
  const vcpu = m.addVcpu();
  expect(vcpu.kvmclockCtrl()).toBe(false);
  vcpu.writeMsr(KvmMsr.SYSTEM_TIME_NEW, 0x101n);
  expect([vcpu.kvmclockCtrl(), m.fields(0x100).flags]).toEqual([true, 3]);
  vcpu.update();
  expect(m.fields(0x100).flags).toBe(3);
  m.ram[0x100 + 29] = 1;
  vcpu.update();
  expect(m.fields(0x100).flags).toBe(1);
  vcpu.reset();
  expect(vcpu.kvmclockCtrl()).toBe(false);
});

test('the wall clock is that of kvmclock 0; versions are even, also over an odd one of the guest', () => {
  const m = machine(1_000_000_000);
  const vcpu = m.addVcpu();
  new DataView(m.ram.buffer).setUint32(0x300, 7, true);
  m.time.ns = 600_000_000;
  vcpu.writeMsr(KvmMsr.WALL_CLOCK_NEW, 0x300n);
  const view = new DataView(m.ram.buffer, 0x300);
  expect([view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)]).toEqual([10, 1_699_999_999, 900_000_000]);
  expect([vcpu.readMsr(KvmMsr.WALL_CLOCK), m.addVcpu().readMsr(KvmMsr.WALL_CLOCK_NEW)]).toEqual([0x300n, 0x300n]);
  // No memory there: nothing happens.
  expect([vcpu.writeMsr(KvmMsr.WALL_CLOCK_NEW, 0xffff000n), vcpu.writeMsr(KvmMsr.SYSTEM_TIME_NEW, 0xffff001n)]).toEqual([true, true]);
});

test('TSCs that user space sets one after the other stay in step (host-initiated writes of IA32_TIME_STAMP_COUNTER)', () => {
  const sync = new TscSync();
  const hz = 1_000_000_000;
  expect(sync.offsetFor(0n, 5000n, hz)).toBe(0n); // 0: as the others
  const first = sync.offsetFor(1_000_000_000_000n, 5000n, hz);
  expect(first).toBe(1_000_000_000_000n - 5000n);
  expect(sync.offsetFor(1_000_000_000_000n, 70_000n, hz)).toBe(first); // 65 µs later
  expect(sync.offsetFor(0n, 80_000n, hz)).toBe(first);
  expect(sync.offsetFor(1_005_000_000_000n, 90_000n, hz)).toBe(1_005_000_000_000n - 90_000n); // meant otherwise
});
