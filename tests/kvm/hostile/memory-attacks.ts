import { type Arena, Place, type Targets } from './arena.ts';
import { type Attack, code, hex, word64 } from './attack.ts';

const { HOLE, OWN_TABLES, RAM_BYTES, SCRATCH, TABLES } = Place;
const PRESENT_WRITABLE = 3n;
const LARGE = 0x80n;

/** Own tables: the first 2 MiB as they are, and what `entries` says of the pages from 200000H on. */
function ownTables({ vm }: Arena, entries: readonly bigint[]): void {
  const put = (at: number, value: bigint): void => vm.memory.write(at, word64(value));
  put(OWN_TABLES, BigInt(OWN_TABLES + 0x1000) | PRESENT_WRITABLE);
  put(OWN_TABLES + 0x1000, BigInt(OWN_TABLES + 0x2000) | PRESENT_WRITABLE);
  put(OWN_TABLES + 0x2000, PRESENT_WRITABLE | LARGE);
  put(OWN_TABLES + 0x2008, BigInt(OWN_TABLES + 0x3000) | PRESENT_WRITABLE);
  entries.forEach((entry, n) => {
    put(OWN_TABLES + 0x3000 + n * 8, entry);
  });
}

function hostNumbers({ neighbour, host, root }: Targets): readonly number[] {
  return [neighbour, host, root];
}

/** A page directory for the second GiB. */
function secondGib(at: number) {
  return ({ vm }: Arena): void => vm.memory.write(TABLES + 0x1008, word64(BigInt(at) | PRESENT_WRITABLE));
}

export const memoryAttacks: readonly Attack[] = [
  {
    name: 'reads and writes where it has no memory, and over the end of its own',
    section: 'api.rst, 5, KVM_EXIT_MMIO',
    code: () => code`
        mov   ebx, ${HOLE}
        mov   eax, [rbx]
        mov   [rbx + 8], eax
        mov   ebx, ${RAM_BYTES - 2}
        mov   dword [rbx], 0x11223344
        lock add dword [rbx], 1
        hlt`,
    ends: ['read 20000000 4', 'write 20000008 ffffffff', 'write 400000 2211', 'read 400000 2', 'write 400000 ffff', 'hlt'],
  },
  {
    name: "guest-physical addresses that are the host's own numbers",
    section: 'SDM Vol. 3C, 29.3 "The Extended Page Table Mechanism": they pass the second stage',
    code: (targets) => code`
        mov   eax, 0x41414141
        ${hostNumbers(targets)
          .map((at) => `mov ebx, ${at}\nmov [rbx], eax\nmov ecx, [rbx + 4]`)
          .join('\n')}
        hlt`,
    ends: (targets) => [...hostNumbers(targets).flatMap((at) => [`write ${hex(at)} 41414141`, `read ${hex(at + 4)} 4`]), 'hlt'],
  },
  {
    name: "page tables that point at the host's own numbers",
    section: 'SDM Vol. 3C, 29.3.1: addresses in guest paging structures are guest-physical',
    before: (arena) =>
      ownTables(
        arena,
        hostNumbers(arena.targets).map((at) => BigInt(at - (at % 4096)) | PRESENT_WRITABLE),
      ),
    code: () => code`
        mov   eax, ${OWN_TABLES}
        mov   cr3, rax
        mov   byte [0x200010], 0x41
        mov   byte [0x201010], 0x42
        mov   byte [0x202010], 0x43
        hlt`,
    ends: (targets) => [...hostNumbers(targets).map((at, n) => `write ${hex(at - (at % 4096) + 0x10)} ${hex(0x41 + n)}`), 'hlt'],
  },
  {
    name: 'CR3 where no memory is: a page fault that cannot be delivered',
    section: 'api.rst, 5, KVM_INTERNAL_ERROR_DELIVERY_EV',
    code: () => code`
        mov   eax, ${HOLE}
        mov   cr3, rax
        hlt`,
    ends: ['internalError deliveryEv'],
  },
  {
    name: "CR3 at the root of its own second stage, by the host's number",
    section: 'api.rst, 5, KVM_INTERNAL_ERROR_DELIVERY_EV',
    code: ({ root }) => code`
        mov   eax, ${root}
        mov   cr3, rax
        hlt`,
    ends: ['internalError deliveryEv'],
  },
  {
    name: 'CR3 beyond the physical-address width',
    section: 'SDM Vol. 2B, MOV to CR3: reserved bits are #GP(0)',
    code: ({ physicalBits }) => code`
        mov   rax, ${1n << BigInt(physicalBits)}
        mov   cr3, rax
        hlt`,
    ends: ['#GP(0)'],
  },
  {
    name: 'a page beyond the physical-address width',
    section: 'SDM Vol. 3A, 4.7: reserved bits of a paging-structure entry are #PF with P and RSVD',
    before: (arena) => ownTables(arena, [(1n << BigInt(arena.targets.physicalBits)) | PRESENT_WRITABLE]),
    code: () => code`
        mov   eax, ${OWN_TABLES}
        mov   cr3, rax
        mov   al, [0x200123]
        hlt`,
    ends: ['#PF(9) at 200123'],
  },
  {
    name: 'the highest page that the physical-address width allows',
    section: 'api.rst, 5, KVM_EXIT_MMIO',
    before: (arena) => ownTables(arena, [((1n << BigInt(arena.targets.physicalBits)) - 4096n) | PRESENT_WRITABLE]),
    code: () => code`
        mov   eax, ${OWN_TABLES}
        mov   cr3, rax
        mov   byte [0x200123], 0x55
        hlt`,
    ends: ({ physicalBits }) => [`write ${hex(2 ** physicalBits - 4096 + 0x123)} 55`, 'hlt'],
  },
  {
    name: 'a page directory where nothing stands: it reads as all ones',
    section: 'SDM Vol. 3A, 4.7: reserved bits of a paging-structure entry are #PF with P and RSVD',
    before: secondGib(HOLE),
    code: () => code`
        mov   al, [0x40000123]
        hlt`,
    ends: ['#PF(9) at 40000123'],
  },
  {
    name: "a page directory in the neighbour's memory, by the host's number",
    section: 'SDM Vol. 3A, 4.7',
    before: (arena) => secondGib(arena.targets.neighbour - (arena.targets.neighbour % 4096))(arena),
    code: () => code`
        mov   al, [0x40000123]
        hlt`,
    ends: ['#PF(9) at 40000123'],
  },
  {
    name: 'a page directory in read-only memory: its accessed flag is never set',
    section: 'api.rst, 4.35, KVM_MEM_READONLY: writes are exits, or lost where they are not of instructions',
    once: ({ kvm, vm }) => {
      const memory = kvm.allocateMemory(0x1000);
      memory.write(0, word64(PRESENT_WRITABLE | LARGE));
      vm.setUserMemoryRegion({ slot: 9, guestPhysAddr: 0x3000_0000, memorySize: 0x1000, memory, flags: { readOnly: true } });
    },
    before: (arena) => {
      secondGib(0x3000_0000)(arena);
      arena.vm.memory.write(SCRATCH, Uint8Array.of(0x5a));
    },
    code: () => code`
        mov   ebx, 0x40000000
        mov   al, [rbx + ${SCRATCH}]
        out   0x10, al
        mov   al, [0x30000000]
        out   0x11, al
        mov   byte [0x30000000], 0
        hlt`,
    ends: ['out 10 1x1 5a', 'out 11 1x1 83', 'write 30000000 00', 'hlt'],
  },
  {
    name: 'an instruction on two slots, which it changes on either',
    section: 'SDM Vol. 3A, 8.1.3 "Handling Self- and Cross-Modifying Code"',
    once: ({ kvm, vm }) => {
      // The later page stands first in the host.
      const memory = kvm.allocateMemory(0x3000);
      vm.setUserMemoryRegion({ slot: 10, guestPhysAddr: 0x50_0000, memorySize: 0x1000, memory, memoryOffset: 0x2000 });
      vm.setUserMemoryRegion({ slot: 11, guestPhysAddr: 0x50_1000, memorySize: 0x1000, memory });
    },
    code: () => code`
        mov   ebx, 0x500ffe
        mov   dword [rbx], 0x1234b866       ; mov ax, 0x1234
        mov   dword [rbx + 4], 0xc310e766   ; out 0x10, ax / ret
        call  rbx
        mov   byte [rbx + 3], 0x56
        call  rbx
        mov   byte [rbx + 1], 0xba          ; mov dx
        xor   eax, eax
        call  rbx
        hlt`,
    ends: ['out 10 2x1 3412', 'out 10 2x1 3456', 'out 10 2x1 0000', 'hlt'],
  },
  {
    name: 'code by one name that it changes by another',
    section: 'SDM Vol. 3A, 8.1.3 "Handling Self- and Cross-Modifying Code"',
    once: ({ kvm, vm }) => {
      const memory = kvm.allocateMemory(0x1000);
      vm.setUserMemoryRegion({ slot: 12, guestPhysAddr: 0x60_0000, memorySize: 0x1000, memory });
      vm.setUserMemoryRegion({ slot: 13, guestPhysAddr: 0x70_0000, memorySize: 0x1000, memory });
    },
    code: () => code`
        mov   ebx, 0x600000
        mov   edx, 0x700000
        mov   dword [rbx], 0x10e601b0       ; mov al, 1 / out 0x10, al
        mov   byte [rbx + 4], 0xc3
        call  rdx
        mov   byte [rbx + 1], 2
        call  rdx
        mov   byte [rdx + 1], 3
        call  rbx
        hlt`,
    ends: ['out 10 1x1 01', 'out 10 1x1 02', 'out 10 1x1 03', 'hlt'],
  },
  {
    name: 'the rest of a large page, of which its slot has the first half',
    section: "SDM Vol. 3C, 29.3.2; APM Vol. 2, 15.25: a page of 2 MBytes may be mapped where all of it is the guest's",
    once: ({ kvm, vm }) => {
      const memory = kvm.allocateMemory(0x30_0000);
      vm.setUserMemoryRegion({ slot: 14, guestPhysAddr: 0x1000_0000, memorySize: 0x30_0000, memory });
    },
    code: () => code`
        mov   ebx, 0x10000000
        mov   byte [rbx], 1
        mov   byte [rbx + 0x2ffff8], 2
        mov   byte [rbx + 0x300000], 3
        mov   al, [rbx + 0x3ffff8]
        mov   al, [rbx + 0x2ffff8]
        out   0x10, al
        hlt`,
    ends: ['write 10300000 03', 'read 103ffff8 1', 'out 10 1x1 02', 'hlt'],
  },
  {
    name: 'code where no memory is',
    section: 'api.rst, 5, KVM_INTERNAL_ERROR_EMULATION',
    code: () => code`
        mov   eax, ${HOLE}
        jmp   rax`,
    ends: ['internalError emulation'],
  },
];
