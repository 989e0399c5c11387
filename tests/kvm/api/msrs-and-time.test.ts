import { asm16, asm64 } from '@minusone/asm';
import { KvmFeature, MsrExitReason, type Vcpu } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { longMode, onEither, realMode, vectors16 } from './testing.ts';

/** RDMSR and WRMSR of what ECX says, by turns, for ever; EBX counts #GP. */
const ACCESS = asm16`
  next: rdmsr
        out   0x10, al
        wrmsr
        out   0x11, al
        jmp   next`;
const SKIP_GP = asm16`
        inc   bx
        mov   bp, sp
        add   word [bp], 2
        iret`;
/** What the guest finds of an MSR: whether reading, writing raised #GP. */
function faults(vcpu: Vcpu, msr: number, value = 0n): [read: boolean, write: boolean] {
  vcpu.setRegs({ rip: 0x1000n, rcx: BigInt(msr), rax: value & 0xffffffffn, rdx: value >> 32n, rbx: 0n });
  expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x10 });
  const read = vcpu.getRegs().rbx === 1n;
  vcpu.setRegs({ rax: value & 0xffffffffn, rdx: value >> 32n, rbx: 0n });
  expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x11 });
  return [read, vcpu.getRegs().rbx === 1n];
}

onEither((vendor) => {
  test('MSRs are read and written as lists, which end at the first that is not there (api.rst, 4.18, 4.19)', () => {
    const { vcpu, kvm } = realMode(vendor, asm16`hlt`);
    expect(
      vcpu.setMsrs([
        { index: 0x174, data: 0x10n },
        { index: 0xc0000081, data: 1n << 48n },
        { index: 0x12345, data: 0n },
        { index: 0x174, data: 0x20n },
      ]),
    ).toBe(2);
    expect(vcpu.getMsrs([0x174, 0xc0000081, 0x12345, 0x174])).toEqual([
      { index: 0x174, data: 0x10n },
      { index: 0xc0000081, data: 1n << 48n },
    ]);
    const list = kvm.getMsrIndexList();
    const all = vcpu.getMsrs(list);
    expect(all.map(({ index }) => index)).toEqual(list);
    // What was read can be written back, all of it.
    expect(vcpu.setMsrs(all)).toBe(list.length);
    expect(vcpu.setMsrs([{ index: 0xc0000082, data: 1n << 47n }])).toBe(0);
  });

  test('an MSR filter denies what its ranges say; the guest gets #GP (api.rst, 4.97)', () => {
    const { vm, vcpu } = realMode(vendor, ACCESS);
    vectors16(vm, { 13: SKIP_GP });
    const [SYSENTER_CS, SYSENTER_ESP] = [0x174, 0x175];
    expect([faults(vcpu, SYSENTER_CS), faults(vcpu, 0x12345)]).toEqual([
      [false, false],
      [true, true],
    ]);
    vm.setMsrFilter({ defaultAllow: true, ranges: [{ read: false, write: true, base: SYSENTER_CS, nmsrs: 2, bitmap: Uint8Array.of(2) }] });
    expect([faults(vcpu, SYSENTER_CS), faults(vcpu, SYSENTER_ESP)]).toEqual([
      [false, true],
      [false, false],
    ]);
    vm.setMsrFilter({ defaultAllow: false, ranges: [{ read: true, write: false, base: SYSENTER_CS, nmsrs: 2, bitmap: Uint8Array.of(1) }] });
    expect([faults(vcpu, SYSENTER_CS), faults(vcpu, SYSENTER_ESP), faults(vcpu, 0x277, 0x0007_0406_0007_0406n)]).toEqual([
      [false, true],
      [true, true],
      [true, true],
    ]);
    // The VMM is not filtered.
    expect(vcpu.setMsrs([{ index: SYSENTER_ESP, data: 0x77n }])).toBe(1);
    expect(() => vm.setMsrFilter({ defaultAllow: false, ranges: [] })).toThrow(/cannot deny by default/);
    expect(() =>
      vm.setMsrFilter({ defaultAllow: true, ranges: [{ read: true, write: true, base: 0, nmsrs: 9, bitmap: Uint8Array.of(1) }] }),
    ).toThrow(/It takes 2/);
    vm.setMsrFilter({ defaultAllow: true, ranges: [] });
    expect(faults(vcpu, SYSENTER_CS)).toEqual([false, false]);
  });

  test('with KVM_CAP_X86_USER_SPACE_MSR refused accesses are the VMM, with their cause; it answers, or gives #GP (api.rst, 7.21)', () => {
    const { vm, vcpu } = longMode(
      vendor,
      asm64`
        mov   ecx, 0x12345
        rdmsr
        mov   rsi, rax
        mov   rdi, rdx
        mov   eax, 0x55667788
        mov   edx, 0x11223344
        wrmsr
        mov   ecx, 0x277
        mov   eax, 2
        xor   edx, edx
        wrmsr
        mov   ecx, 0x174
        rdmsr
        hlt`,
    );
    vm.enableCap('KVM_CAP_X86_USER_SPACE_MSR', BigInt(MsrExitReason.INVALID | MsrExitReason.UNKNOWN | MsrExitReason.FILTER));
    vm.setMsrFilter({ defaultAllow: true, ranges: [{ read: true, write: true, base: 0x174, nmsrs: 1, bitmap: Uint8Array.of(0) }] });
    const read = vcpu.run();
    expect(read).toEqual({ reason: 'msr', isWrite: false, index: 0x12345, cause: 'unknown', data: 0n, error: false });
    if (read.reason === 'msr') read.data = 0xaaaa_bbbb_cccc_ddddn;
    expect(vcpu.run()).toMatchObject({ reason: 'msr', isWrite: true, index: 0x12345, cause: 'unknown', data: 0x1122_3344_5566_7788n });
    expect([vcpu.getRegs().rsi, vcpu.getRegs().rdi]).toEqual([0xcccc_ddddn, 0xaaaa_bbbbn]);
    // IA32_PAT: there is no memory type 2 (SDM Vol. 3A, Table 11-10).
    expect(vcpu.run()).toMatchObject({ reason: 'msr', isWrite: true, index: 0x277, cause: 'invalid', data: 2n });
    const filtered = vcpu.run();
    expect(filtered).toMatchObject({ reason: 'msr', isWrite: false, index: 0x174, cause: 'filter' });
    // An error is #GP: without a table for it, the end.
    if (filtered.reason === 'msr') filtered.error = true;
    expect(vcpu.run().reason).toBe('shutdown');
  });

  test('MSR_PLATFORM_INFO is read by the guest unless that is turned off (api.rst, 7.15); machine-check banks are as set up (4.105)', () => {
    const { vm, vcpu, kvm } = realMode(vendor, ACCESS);
    vectors16(vm, { 13: SKIP_GP });
    expect(faults(vcpu, 0xce)).toEqual([false, true]);
    vm.enableCap('KVM_CAP_MSR_PLATFORM_INFO', 0n);
    expect(faults(vcpu, 0xce)).toEqual([true, true]);
    vcpu.setupMce(2n | kvm.getMceCapSupported());
    expect(vcpu.getMsrs([0x179, 0x17b, 0x404])).toEqual([
      { index: 0x179, data: 0x100_0102n },
      { index: 0x17b, data: 2n ** 64n - 1n },
      { index: 0x404, data: 2n ** 64n - 1n },
    ]);
    // IA32_MC2_CTL: there are two banks.
    expect([faults(vcpu, 0x404), faults(vcpu, 0x408)]).toEqual([
      [false, false],
      [true, true],
    ]);
    expect(() => vcpu.setupMce(BigInt(kvm.checkExtension('MCE')) + 1n)).toThrow(/1 to 32 banks/);
    expect(() => vcpu.setupMce(1n | (1n << 27n))).toThrow(/cannot be/);
  });

  test('KVM_CAP_ENFORCE_PV_FEATURE_CPUID: kvmclock is for guests whose CPUID shows it (api.rst, 8.28)', () => {
    const { vm, vcpu, kvm } = realMode(vendor, ACCESS);
    vectors16(vm, { 13: SKIP_GP });
    const hidden = ~(1 << KvmFeature.CLOCKSOURCE2);
    vcpu.setCpuid2(kvm.getSupportedCpuid().map((one) => (one.function === 0x40000001 ? { ...one, eax: (one.eax & hidden) >>> 0 } : one)));
    expect(faults(vcpu, 0x4b564d01)).toEqual([false, false]);
    vcpu.enableCap('KVM_CAP_ENFORCE_PV_FEATURE_CPUID', 1n);
    expect([faults(vcpu, 0x4b564d01), faults(vcpu, 0x12)]).toEqual([
      [true, true],
      [false, false],
    ]);
  });

  test('kvmclock: a guest that asks for it finds nanoseconds of the VM clock; it is set, read and told of pauses (api.rst, 4.29, 4.30, 4.70; msr.rst)', () => {
    const { vm, vcpu } = realMode(
      vendor,
      asm16`
        mov   ecx, 0x4b564d01
        mov   eax, 0x5001
        xor   edx, edx
        wrmsr
        hlt
        rdtsc
        hlt`,
    );
    expect(() => vcpu.kvmclockCtrl()).toThrow(/set up no kvmclock/);
    vcpu.run();
    const info = (): DataView => new DataView(vm.memory.read(0x5000, 32).buffer);
    const now = (tsc: bigint): bigint => {
      const shift = info().getInt8(28);
      const ticks = tsc - info().getBigUint64(8, true);
      const scaled = shift < 0 ? ticks >> BigInt(-shift) : ticks << BigInt(shift);
      return info().getBigUint64(16, true) + ((scaled * BigInt(info().getUint32(24, true))) >> 32n);
    };
    // Even version, TSC stable.
    expect([info().getUint32(0, true) % 2, info().getUint8(29)]).toEqual([0, 1]);
    expect(vm.getClock()).toMatchObject({ clock: BigInt(vm.clock.nowNs()), flags: { tscStable: true, realtime: true } });
    vm.setClock({ clock: 5_000_000_000n });
    expect(vm.getClock().clock).toBe(5_000_000_000n);
    vcpu.run();
    const { rax, rdx } = vcpu.getRegs();
    const seen = now((rdx << 32n) | rax);
    expect(seen).toBeGreaterThanOrEqual(5_000_000_000n);
    expect(seen).toBeLessThanOrEqual(vm.getClock().clock);
    // `realtime`: the clock goes on by what has passed since.
    vm.setClock({ clock: 0n, realtime: vm.getClock().realtime - 250n });
    expect(vm.getClock().clock).toBe(250n);
    vcpu.kvmclockCtrl();
    expect(info().getUint8(29)).toBe(3);
  });

  test("the TSC runs at the host's frequency only; counters that are set one after the other keep in step (api.rst, 4.55, 4.56)", () => {
    const { vm, vcpu, kvm } = realMode(vendor, asm16`hlt`);
    const khz = kvm.vendor.model.tscHz / 1000;
    expect(vcpu.getTscKhz()).toBe(khz);
    vcpu.setTscKhz(0);
    vcpu.setTscKhz(khz);
    expect(() => vcpu.setTscKhz(khz + 1)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }));
    const second = vm.createVcpu(1);
    const tsc = (of: Vcpu): bigint => of.getMsrs([0x10])[0]?.data ?? -1n;
    for (const of of [vcpu, second]) of.setMsrs([{ index: 0x10, data: 1_000_000_000_000n }]);
    expect(tsc(vcpu)).toBe(1_000_000_000_000n);
    vcpu.run();
    // The second was set when the guest had run not yet; both show the same moment's value.
    second.setMsrs([{ index: 0x10, data: tsc(vcpu) - 1n }]);
    expect(tsc(second)).toBe(tsc(vcpu));
  });
});
