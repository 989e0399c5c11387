import { asm16, asm64 } from '@minusone/asm';
import { Kvm, type Vm } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode } from './testing.ts';

/** Pages whose bit is 1. */
function dirty(bitmap: Uint8Array): number[] {
  return [...bitmap].flatMap((byte, n) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => ((byte >>> bit) & 1) === 1).map((bit) => n * 8 + bit));
}

onEither((vendor) => {
  test('slots that overlap, are misaligned, too large, foreign or out of range are refused by name, and nothing is lost', () => {
    const kvm = new Kvm(vendor(), { memory: '4M' });
    const vm = kvm.createVm({ memory: '64K' });
    const memory = kvm.allocateMemory('64K');
    const set = (region: Partial<Parameters<Vm['setUserMemoryRegion']>[0]>) => () =>
      vm.setUserMemoryRegion({ slot: 1, guestPhysAddr: 0x100000, memorySize: 0x10000, memory, ...region });
    expect(set({ guestPhysAddr: 0xf000 })).toThrow(/Memory slot 1 \(0xf000\.\.0x1efff\) overlaps slot 0 \(0x0\.\.0xffff\)/);
    expect(set({ guestPhysAddr: 0x100800 })).toThrow(/0x100800 is not a multiple of 0x1000.*0x101000/);
    expect(set({ memorySize: 0x11000 })).toThrow(expect.objectContaining({ code: 'MEMORY_TOO_SMALL' }));
    expect(set({ slot: 32764 })).toThrow(expect.objectContaining({ code: 'SLOT_LIMIT' }));
    expect(set({ slot: 5, memorySize: 0 })).toThrow(/Memory slot 5 is not there/);
    expect(set({ guestPhysAddr: 2 ** 48 })).toThrow(/ends past 2\^48/);
    const other = new Kvm(vendor(), { memory: '1M' }).allocateMemory('64K');
    expect(set({ memory: other })).toThrow(expect.objectContaining({ code: 'FOREIGN_MEMORY' }));
    set({})();
    expect(set({ memorySize: 0x8000 })).toThrow(/The size of memory slot 1 cannot be changed/);
    expect(set({ flags: { readOnly: true } })).toThrow(/read-only flag/);
    expect(() => vm.getDirtyLog(1)).toThrow(expect.objectContaining({ code: 'DIRTY_LOG_OFF' }));
    expect(() => vm.getDirtyLog(7)).toThrow(expect.objectContaining({ code: 'UNKNOWN_MEMORY_SLOT' }));
    expect(() => kvm.allocateMemory('1G')).toThrow(expect.objectContaining({ code: 'HOST_MEMORY_EXHAUSTED' }));
    vm.memory.write(0x10fff0, Uint8Array.of(1, 2, 3));
    expect(memory.u8[0xfff1]).toBe(2);
  });

  test('a slot that moves is found at its new address, and no longer at the old one; a deleted one is a device again', () => {
    const { vcpu, vm, kvm } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x20000000
        mov   eax, [rbx]
        out   0x10, al
        mov   eax, [rbx]
        mov   eax, [rbx + 0x100000]
        out   0x10, al
        mov   eax, [rbx + 0x100000]
        hlt`,
    );
    const memory = kvm.allocateMemory(0x1000);
    memory.write(0, Uint8Array.of(0x99));
    const place = { slot: 1, memorySize: 0x1000, memory };
    vm.setUserMemoryRegion({ ...place, guestPhysAddr: 0x20000000 });
    expect(vcpu.run()).toMatchObject({ reason: 'io', data: Uint8Array.of(0x99) });
    vm.setUserMemoryRegion({ ...place, guestPhysAddr: 0x20100000 });
    expect(vcpu.run()).toMatchObject({ reason: 'mmio', physAddr: 0x20000000 });
    expect(vcpu.run()).toMatchObject({ reason: 'io', data: Uint8Array.of(0x99) });
    vm.setUserMemoryRegion({ slot: 1, guestPhysAddr: 0, memorySize: 0 });
    expect(vcpu.run()).toMatchObject({ reason: 'mmio', physAddr: 0x20100000 });
  });

  test('a slot deleted while its virtual CPU is stopped in it: internalError says where, and with the slot back the guest goes on', () => {
    const { vcpu, vm, kvm } = realMode(vendor, asm16`jmp word 0xffff:0x10`);
    const memory = kvm.allocateMemory(0x1000);
    memory.write(
      0,
      asm16`
  here: inc   ax
        jmp   here`,
    );
    const slot = { slot: 1, guestPhysAddr: 0x100000, memorySize: 0x1000, memory };
    vm.setUserMemoryRegion(slot);
    expect(vcpu.run({ instructions: 1000 }).reason).toBe('budget');
    const before = vcpu.getRegs().rax;
    vm.setUserMemoryRegion({ ...slot, memorySize: 0 });
    const exit = vcpu.run({ instructions: 1000 });
    expect(exit).toMatchObject({ reason: 'internalError', suberror: 'emulation' });
    expect((exit as { explanation: string }).explanation).toMatch(/guest-physical address 0x10000[0-2], where no memory slot stands/);
    expect(vcpu.getRegs().rax).toBe(before);
    vm.setUserMemoryRegion(slot);
    expect(vcpu.run({ instructions: 1000 }).reason).toBe('budget');
    expect(vcpu.getRegs().rax).toBe(before + 500n);
  });

  test('the dirty log has writes of the guest, of emulated instructions and of the VMM; getting it clears it (api.rst, KVM_GET_DIRTY_LOG)', () => {
    const kvm = new Kvm(vendor(), { memory: '16M', jit: false });
    const vm = kvm.createVm();
    const memory = kvm.allocateMemory('4M');
    const slot = { slot: 0, guestPhysAddr: 0, memorySize: 4 * 2 ** 20, memory };
    vm.setUserMemoryRegion(slot);
    const vcpu = vm.createVcpu(0);
    vm.memory.write(
      0x10000,
      asm64`
        mov   byte [0x200000], 1
        out   0x10, al
        mov   byte [0x300123], 1
        mov   esi, 0x20000000
        mov   edi, 0x301ffe
        movsd
        mov   eax, [0x303000]
        out   0x10, al
        mov   byte [0x300124], 1
        out   0x10, al
        out   0x10, al
        hlt`,
    );
    vcpu.start({ mode: 'long', ip: 0x10000, tables: 0x1000, sp: 0x9000 });
    vcpu.run();
    vm.setUserMemoryRegion({ ...slot, flags: { logDirtyPages: true } });
    expect(dirty(vm.getDirtyLog(0))).toEqual([]);
    expect(vcpu.run().reason).toBe('mmio');
    expect(vcpu.run().reason).toBe('io');
    vm.memory.write(0x304000, Uint8Array.of(1));
    // AMD-V also walks the guest's tables as writes (APM Vol. 2, 15.25.6): those are below.
    expect(dirty(vm.getDirtyLog(0)).filter((page) => page >= 0x10)).toEqual([0x300, 0x301, 0x302, 0x304]);
    vcpu.run();
    expect(dirty(vm.getDirtyLog(0)).filter((page) => page >= 0x10)).toEqual([0x300]);
    vcpu.run();
    expect(dirty(vm.getDirtyLog(0)).filter((page) => page >= 0x10)).toEqual([]);
  });

  test('with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 getting clears nothing; clearing takes the pages of a bitmap (api.rst, KVM_CLEAR_DIRTY_LOG)', () => {
    const { vm } = realMode(vendor, asm16`hlt`, { memory: '512K' });
    const clear = (range: Partial<Parameters<Vm['clearDirtyLog']>[0]>) => () =>
      vm.clearDirtyLog({ slot: 0, firstPage: 64, numPages: 64, dirtyBitmap: Uint8Array.of(0x10, 0, 0, 0, 0, 0, 0, 0), ...range });
    expect(clear({})).toThrow(expect.objectContaining({ code: 'DIRTY_LOG_OFF' }));
    vm.setUserMemoryRegion({ slot: 0, flags: { logDirtyPages: true }, guestPhysAddr: 0, memorySize: 0x80000 });
    vm.enableCap('KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2', 1n);
    for (const page of [4, 68, 69]) vm.memory.write(page * 4096, Uint8Array.of(1));
    expect([dirty(vm.getDirtyLog(0)), dirty(vm.getDirtyLog(0))]).toEqual([
      [4, 68, 69],
      [4, 68, 69],
    ]);
    // "first_page must be a multiple of 64; num_pages must also be a multiple of 64 unless first_page + num_pages is the size of the memory slot."
    expect(clear({ firstPage: 1 })).toThrow(/Page 1 cannot be the first/);
    expect(clear({ firstPage: 0, numPages: 63 })).toThrow(/ends within the slot/);
    expect(clear({ numPages: 65 })).toThrow(/leave the slot/);
    expect(clear({ dirtyBitmap: Uint8Array.of(0x10) })).toThrow(/too short/);
    expect(dirty(vm.getDirtyLog(0))).toEqual([4, 68, 69]);
    clear({})();
    expect(dirty(vm.getDirtyLog(0))).toEqual([4, 69]);
    vm.enableCap('KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2', 0n);
    expect([dirty(vm.getDirtyLog(0)), dirty(vm.getDirtyLog(0))]).toEqual([[4, 69], []]);
  });

  test('code that the guest, the VMM or an emulated instruction has changed runs as it stands now', () => {
    const { vcpu, vm } = longMode(
      vendor,
      asm64`
  top:  mov   al, 1
        out   0x10, al
        cmp   al, 4
        je    done
        cmp   al, 2
        jne   skip
        mov   byte [0x10001], 3
        jmp   top
  skip: cmp   al, 3
        jne   top
        mov   esi, 0x20000000
        mov   edi, 0x10001
        movsb
        jmp   top
  done: hlt`,
    );
    const said: number[] = [];
    for (const exit of vcpu.exits()) {
      if (exit.reason === 'mmio') exit.data[0] = 4;
      if (exit.reason === 'hlt') break;
      if (exit.reason !== 'io') continue;
      said.push(exit.data[0] as number);
      if (said.length === 2) vm.memory.write(0x10001, Uint8Array.of(2));
      if (said.length > 8) break;
    }
    expect(said).toEqual([1, 1, 2, 3, 4]);
  });

  test('a guest that puts its local APIC over RAM hides that RAM from itself, not from its VMM', () => {
    const { vm, vcpu } = longMode(
      vendor,
      asm64`
        mov   dword [0x300030], 0x11223344
        mov   ecx, 0x1b
        mov   eax, 0x300900
        xor   edx, edx
        wrmsr
        mov   eax, [0x300030]
        out   0x10, al
        hlt`,
      { prepare: (made) => made.createIrqchip() },
    );
    // The version register of a local APIC (SDM Vol. 3A, 10.4.8).
    expect(exitsOf(vcpu, undefined, ['idle'])).toEqual(['out 10 1x1 14', 'idle']);
    expect([...vm.memory.read(0x300030, 4)]).toEqual([0x44, 0x33, 0x22, 0x11]);
    vm.memory.write(0x300031, Uint8Array.of(0x77));
    // RESET puts the APIC back, and the guest finds what was written.
    vcpu.start({ mode: 'long', ip: 0x10000, tables: 0x1000, sp: 0x9000 });
    vm.memory.write(
      0x10000,
      asm64`
        mov   eax, [0x300030]
        out   0x10, eax
        hlt`,
    );
    expect(exitsOf(vcpu, undefined, ['idle'])).toEqual(['out 10 4x1 44772211', 'idle']);
  });

  test('two VMs of one host share nothing: each has its own memory, tables and time', () => {
    const kvm = new Kvm(vendor(), { memory: '8M', jit: false });
    const code = asm16`
        inc   word [0x2000]
        mov   ax, [0x2000]
        out   0x10, ax
        jmp   word 0:0x1000`;
    const guests = [0, 1].map(() => {
      const vm = kvm.createVm({ memory: '64K' });
      const vcpu = vm.createVcpu(0);
      vm.memory.write(0x1000, code);
      vcpu.start({ mode: 'real', ip: 0x1000 });
      return { vm, vcpu };
    });
    const [first, second] = guests as [(typeof guests)[0], (typeof guests)[0]];
    for (let n = 0; n < 3; n++) first.vcpu.run();
    second.vcpu.run();
    expect([first.vm.memory.read(0x2000, 1)[0], second.vm.memory.read(0x2000, 1)[0]]).toEqual([3, 1]);
    expect(first.vm.clock.nowNs()).toBeGreaterThan(second.vm.clock.nowNs());
    const free = kvm.host.pages.freeBytes;
    first.vm.destroy();
    expect(kvm.host.pages.freeBytes).toBeGreaterThan(free + 64 * 1024);
    expect(() => first.vcpu.run()).toThrow(expect.objectContaining({ code: 'VM_DESTROYED' }));
    expect(exitsOf(second.vcpu, undefined, ['io'])).toEqual(['out 10 2x1 0200']);
  });
});
