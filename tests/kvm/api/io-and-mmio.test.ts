import { asm16, asm64 } from '@minusone/asm';
import { EventFd } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode } from './testing.ts';

onEither((vendor) => {
  test('OUT and IN of each size: the register has the answer on re-entry, a doubleword clears the upper half (SDM Vol. 1, 3.4.1.1)', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   rax, 0x1122334455667788
        out   0x10, al
        out   0x11, ax
        out   0x12, eax
        in    al, 0x13
        mov   rbx, rax
        in    ax, 0x14
        mov   rcx, rax
        in    eax, 0x15
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual([
      'out 10 1x1 88',
      'out 11 2x1 8877',
      'out 12 4x1 88776655',
      'in 13 1x1',
      'in 14 2x1',
      'in 15 4x1',
      'hlt',
    ]);
    const { rax, rbx, rcx } = vcpu.getRegs();
    expect([rbx, rcx, rax]).toEqual([0x1122334455667711n, 0x1122334455663322n, 0x77665544n]);
  });

  test('RIP stays at the instruction until the next run; a user who moves it has it completed nowhere (KVM: complete_fast_pio_in)', () => {
    const { vcpu } = realMode(
      vendor,
      asm16`
        in    al, 0x10
        hlt
        nop
        hlt`,
    );
    const exit = vcpu.run();
    expect([exit.reason, vcpu.getRegs().rip]).toEqual(['io', 0x1000n]);
    vcpu.setRegs({ rip: 0x1003n, rax: 0x55n });
    expect(vcpu.run().reason).toBe('hlt');
    expect([vcpu.getRegs().rip, vcpu.getRegs().rax]).toEqual([0x1005n, 0x55n]);
  });

  test('string I/O: each item of OUTS is an exit, INS reads ahead what its count and page allow', () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
        mov   si, 0x2000
        mov   dx, 0x20
        mov   cx, 2
        rep   outsw
        mov   di, 0x2ffc
        mov   cx, 6
        rep   insb
        hlt`,
    );
    vm.memory.write(0x2000, Uint8Array.of(1, 2, 3, 4));
    expect(exitsOf(vcpu)).toEqual(['out 20 2x1 0102', 'out 20 2x1 0304', 'in 20 1x4', 'in 20 1x2', 'hlt']);
    expect([...vm.memory.read(0x2ffc, 6)]).toEqual([0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
    expect([vcpu.getRegs().rcx, vcpu.getRegs().rdi]).toEqual([0n, 0x3002n]);
  });

  test('a read-modify-write is a read and a write, once each', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x20000000
        mov   ecx, 0xff00
        or    dword [rbx + 4], ecx
        lock xadd dword [rbx + 8], ecx
        mov   edx, ecx
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual(['read 20000004 4', 'write 20000004 11ff3344', 'read 20000008 4', 'write 20000008 55657888', 'hlt']);
    expect(vcpu.getRegs().rdx).toBe(0x88776655n);
  });

  test('an access that crosses a page is two, the lower part first; one beside RAM touches the device with its own bytes only', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x20000ffd
        mov   rax, [rbx]
        mov   [rbx], rax
        mov   ebx, 0x3ffffe
        mov   dword [rbx], 0xaabbccdd
        mov   ecx, [rbx]
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual([
      'read 20000ffd 3',
      'read 20001000 5',
      'write 20000ffd 112233',
      'write 20001000 4455667788',
      'write 400000 bbaa',
      'read 400000 2',
      'hlt',
    ]);
    expect(vcpu.getRegs().rax).toBe(0x8877665544332211n);
    expect(vcpu.getRegs().rcx).toBe(0xaa99ccddn);
  });

  test('16 bytes of SSE are two accesses of 8; REP MOVS from device to device reads and writes each item once', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x20000000
        movups xmm1, [rbx]
        movups [rbx + 0x20], xmm1
        mov   esi, 0x20000100
        mov   edi, 0x20000200
        mov   ecx, 2
        rep   movsd
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual([
      'read 20000000 8',
      'read 20000008 8',
      'write 20000020 1122334455667788',
      'write 20000028 99aabbccddeeff11',
      'read 20000100 4',
      'write 20000200 22334455',
      'read 20000104 4',
      'write 20000204 66778899',
      'hlt',
    ]);
  });

  test('PUSH and CALL through a device work too, and an instruction with a fault after its device read asks the device once', () => {
    const { vcpu, vm } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x20000000
        push  qword [rbx]
        pop   rax
        mov   esp, 0x20000808
        push  rax
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual(['read 20000000 8', 'write 20000800 1122334455667788', 'hlt']);
    expect(vm.memory.byteLength).toBe(4 * 2 ** 20);
  });

  test('an ioeventfd takes writes of its port or address that match, and they exit no more (api.rst, KVM_IOEVENTFD)', () => {
    const { vcpu, vm } = longMode(
      vendor,
      asm64`
        mov   al, 5
        out   0x10, al
        mov   al, 6
        out   0x10, al
        mov   ebx, 0x20000000
        mov   word [rbx], 7
        mov   word [rbx + 2], 8
        hlt`,
    );
    const port = new EventFd();
    const address = new EventFd();
    vm.ioeventfd({ fd: port, addr: 0x10, len: 1, datamatch: 5n, pio: true });
    vm.ioeventfd({ fd: address, addr: 0x20000000, len: 2 });
    expect(exitsOf(vcpu)).toEqual(['out 10 1x1 06', 'write 20000002 0800', 'hlt']);
    expect([port.read(), address.read()]).toEqual([1, 1]);
  });

  test('a write to a read-only slot is an mmio exit and changes nothing; reads come from the slot (api.rst, KVM_MEM_READONLY)', () => {
    const { vcpu, vm, kvm } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x10000000
        mov   eax, [rbx]
        add   dword [rbx], 1
        mov   ecx, [rbx]
        hlt`,
    );
    const memory = kvm.allocateMemory(0x1000);
    memory.write(0, Uint8Array.of(0xff, 0, 0, 0));
    vm.setUserMemoryRegion({ slot: 1, flags: { readOnly: true }, guestPhysAddr: 0x10000000, memorySize: 0x1000, memory });
    expect(exitsOf(vcpu)).toEqual(['write 10000000 00010000', 'hlt']);
    expect([vcpu.getRegs().rax, vcpu.getRegs().rcx]).toEqual([0xffn, 0xffn]);
  });
});
