import { asm16 } from '@minusone/asm';
import { capabilities, Kvm } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { onEither, realMode } from './testing.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });

onEither((vendor) => {
  test('/dev/kvm itself: version, size of kvm_run, MSR lists, what IA32_MCG_CAP may be (api.rst, 4.1 to 4.5, 4.104)', () => {
    const kvm = new Kvm(vendor(), { memory: '1M' });
    expect([kvm.getApiVersion(), kvm.getVcpuMmapSize()]).toEqual([12, 3 * 4096]);
    const list = kvm.getMsrIndexList();
    // IA32_TIME_STAMP_COUNTER, SYSENTER_CS, PAT, STAR, KERNEL_GS_BASE, MSR_KVM_SYSTEM_TIME_NEW.
    for (const index of [0x10, 0x174, 0x277, 0xc0000081, 0xc0000102, 0x4b564d01]) expect(list).toContain(index);
    // What KVM_GET_SREGS has is not among them: EFER, IA32_APIC_BASE.
    expect(list.filter((index) => index === 0xc0000080 || index === 0x1b)).toEqual([]);
    expect(list).toEqual([...list].sort((a, b) => a - b));
    expect(kvm.getMceCapSupported()).toBe(0x100_0100n);
  });

  test('feature MSRs are read on /dev/kvm, up to the first that is none (api.rst, 4.18)', () => {
    const kvm = new Kvm(vendor(), { memory: '1M' });
    const isIntel = kvm.vendor.model.vendor === 'intel';
    const features = kvm.getMsrFeatureIndexList();
    expect(features).toEqual([0x8b, ...(kvm.vendor.model.has('ARCH_CAPABILITIES') ? [0x10a] : []), ...(isIntel ? [] : [0xc0011029])]);
    const read = kvm.getMsrs(features);
    expect(read.map(({ index }) => index)).toEqual(features);
    expect(read[0]?.data).toBe(isIntel ? 0x1_0000_0000n : 0x0100_0065n);
    expect(kvm.getMsrs([0x8b, 0x10, 0x8b]).map(({ index }) => index)).toEqual([0x8b]);
  });

  test('a virtual CPU comes with the CPUID that KVM supports; another can be set until it has run (api.rst, 4.20, 4.46)', () => {
    const { kvm, vcpu } = realMode(
      vendor,
      asm16`
        mov   eax, 0x40000001
        cpuid
        hlt`,
    );
    expect(vcpu.getCpuid2()).toEqual(kvm.getSupportedCpuid());
    const other = kvm.getSupportedCpuid().map((entry) => (entry.function === 0x40000001 ? { ...entry, edx: 0x1234 } : entry));
    vcpu.setCpuid2(other);
    expect(vcpu.getCpuid2()).toEqual(other);
    expect([vcpu.run().reason, vcpu.getRegs().rdx]).toEqual(['hlt', 0x1234n]);
    expect(() => vcpu.setCpuid2(other)).toThrow(code('WRONG_ORDER'));
  });

  test('checkExtension knows names with and without prefix; what nobody knows is 0 (api.rst, 4.4)', () => {
    const kvm = new Kvm(vendor(), { memory: '1M' });
    const vm = kvm.createVm();
    for (const [name, value] of [
      ['KVM_CAP_NR_MEMSLOTS', 32764],
      ['NR_MEMSLOTS', 32764],
      ['KVM_CAP_IRQ_ROUTING', 4096],
      ['KVM_CAP_XSAVE2', 4096],
      ['KVM_CAP_SET_GUEST_DEBUG2', 0xf0003],
      ['KVM_CAP_STEAL_TIME', 0],
      ['KVM_CAP_ASYNC_PF', 0],
      ['KVM_CAP_NESTED_STATE', 0],
      ['KVM_CAP_NO_SUCH_THING', 0],
      ['toString', 0],
    ] as const) {
      expect([name, kvm.checkExtension(name), vm.checkExtension(name)]).toEqual([name, value, value]);
    }
  });

  test('enabling: exactly the capabilities that are there and can be; the others are refused, and told apart (api.rst, 4.37)', () => {
    const kvm = new Kvm(vendor(), { memory: '4M', jit: false });
    const other = kvm.createVm();
    const otherVcpu = other.createVcpu(0);
    const isThere = (name: string): boolean => kvm.checkExtension(name) !== 0;
    for (const { name, enabledOn } of capabilities) {
      if (enabledOn === 'vm' && isThere(name)) {
        const vm = kvm.createVm();
        if (name === 'X2APIC_API') vm.createIrqchip();
        vm.enableCap(`KVM_CAP_${name}`, name === 'MAX_VCPU_ID' ? 8n : name === 'EXIT_HYPERCALL' ? 1n << 12n : 1n);
        vm.destroy();
      } else expect(() => other.enableCap(`KVM_CAP_${name}`, 1n), name).toThrow(code('UNKNOWN_CAPABILITY'));
      if (enabledOn === 'vcpu' && isThere(name)) otherVcpu.enableCap(name, 1n);
      else expect(() => otherVcpu.enableCap(name, 1n), name).toThrow(code('UNKNOWN_CAPABILITY'));
    }
    const vm = kvm.createVm();
    const why = (name: string, ...args: bigint[]) => expect(() => vm.enableCap(name, ...args));
    why('KVM_CAP_NO_SUCH_THING').toThrow(/NO_SUCH_THING cannot be enabled: KVM has none of that name/);
    why('KVM_CAP_IRQCHIP').toThrow(/it is there or not, and never enabled/);
    why('KVM_CAP_ENFORCE_PV_FEATURE_CPUID').toThrow(/it is not enabled on a VM/);
    why('KVM_CAP_DIRTY_LOG_RING', 4096n).toThrow(/it is not there: dirty pages are logged in bitmaps/);
    why('KVM_CAP_X86_DISABLE_EXITS', 0x18n).toThrow(/bits that are not there, 0x18/);
    why('KVM_CAP_MAX_VCPU_ID', 0n).toThrow(/is 1 to 4096/);
    why('KVM_CAP_X2APIC_API', 1n).toThrow(code('WRONG_ORDER'));
  });

  test('what must come before virtual CPUs is refused after them; ids go as far as was promised', () => {
    const kvm = new Kvm(vendor(), { memory: '2M' });
    const vm = kvm.createVm({ memory: '64K' });
    vm.setTssAddr(0xfffbd000);
    vm.setIdentityMapAddr(0xfffbc000);
    vm.enableCap('KVM_CAP_MAX_VCPU_ID', 2n);
    vm.setBootCpuId(1);
    const first = vm.createVcpu(0);
    expect(() => vm.createVcpu(2)).toThrow(/Ids are 0 to 1/);
    const second = vm.createVcpu(1);
    // IA32_APIC_BASE.BSP (SDM Vol. 3A, 10.4.4).
    expect([first.apicBase & 0x100n, second.apicBase & 0x100n, second.getSregs().apicBase]).toEqual([0n, 0x100n, 0xfee00900n]);
    for (const late of [
      () => vm.setIdentityMapAddr(0),
      () => vm.setBootCpuId(0),
      () => vm.createIrqchip(),
      () => vm.enableCap('KVM_CAP_SPLIT_IRQCHIP', 24n),
      () => vm.enableCap('KVM_CAP_X86_DISABLE_EXITS', 2n),
      () => vm.enableCap('KVM_CAP_MAX_VCPU_ID', 4n),
    ]) {
      expect(late).toThrow(code('WRONG_ORDER'));
    }
  });

  test('as many VMs as the host has room for; one more is refused by name, and the others are as they were', () => {
    const fill = (reservedBytes: number): number => {
      const kvm = new Kvm(vendor(), { memory: '4M', reservedBytes, jit: false });
      const vcpus = [];
      try {
        for (;;) {
          const vm = kvm.createVm({ memory: '16K' });
          vm.memory.write(0x1000, asm16`hlt`);
          const vcpu = vm.createVcpu(0);
          vcpu.start({ mode: 'real', ip: 0x1000 });
          vcpus.push(vcpu);
        }
      } catch (error) {
        expect(error).toEqual(code('RESERVED_AREA_FULL'));
      }
      for (const vcpu of vcpus) expect(vcpu.run().reason).toBe('hlt');
      return vcpus.length;
    };
    const few = fill(64 * 2 ** 20);
    expect(few).toBeGreaterThan(2);
    expect(fill(96 * 2 ** 20)).toBeGreaterThan(few + 5);
  });

  test('a destroyed VM gives back everything: VMs can come and go for ever, and what one has done can still be asked for', () => {
    const kvm = new Kvm(vendor(), { memory: '8M', reservedBytes: 56 * 2 ** 20 });
    const code = asm16`
      mov   bx, [0x2000]
      inc   word [0x2000]
      out   0x10, al
      hlt`;
    const run = (): unknown[] => {
      const vm = kvm.createVm({ memory: '64K' });
      vm.createIrqchip();
      vm.memory.write(0x1000, code);
      const vcpus = [vm.createVcpu(0), vm.createVcpu(1)];
      vcpus[0]?.start({ mode: 'real', ip: 0x1000 });
      const exit = vcpus[0]?.run();
      const seen = [exit, vcpus[0]?.getRegs(), vcpus[0]?.statistics, vcpus[1]?.getMpState(), vm.memory.read(0x2000, 2)];
      vm.destroy();
      expect(vcpus[0]?.statistics).toEqual(seen[2]);
      expect(() => vcpus[0]?.cpu.run(1)).toThrow(/disposed/);
      return seen;
    };
    const first = run();
    const free = kvm.host.pages.freeBytes;
    const reserved = kvm.host.memory.reservedBytesFree;
    for (let n = 0; n < 30; n++) expect(run()).toEqual(first);
    expect([kvm.host.pages.freeBytes, kvm.host.memory.reservedBytesFree]).toEqual([free, reserved]);
  });

  test('a VM that was destroyed refuses every call, and a second destroy does nothing', () => {
    const { vm, vcpu } = realMode(vendor, asm16`hlt`);
    vm.destroy();
    vm.destroy();
    const gone = [
      () => vm.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0, memorySize: 0 }),
      () => vm.getDirtyLog(0),
      () => vm.createVcpu(1),
      () => vm.createIrqchip(),
      () => vm.irqLine(0, true),
      () => vm.getClock(),
      () => vm.setMsrFilter({ defaultAllow: true, ranges: [] }),
      () => vm.enableCap('KVM_CAP_EXCEPTION_PAYLOAD', 1n),
      () => vm.run(1),
      () => vcpu.run(),
      () => vcpu.getRegs(),
      () => vcpu.setSregs({} as never),
      () => vcpu.nmi(),
      () => vcpu.interrupt(0x20),
    ];
    for (const call of gone) expect(call).toThrow(code('VM_DESTROYED'));
  });
});
