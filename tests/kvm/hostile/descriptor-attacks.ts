import { Place, Selector, systemDescriptor } from './arena.ts';
import { type Attack, atCpl3, code, hex, pseudoDescriptor, userTables } from './attack.ts';

const { GDT, HOLE, RAM_BYTES, SCRATCH } = Place;

export const descriptorAttacks: readonly Attack[] = [
  {
    name: 'GDTR where no memory is: the descriptor is read there',
    section: 'SDM Vol. 2B, MOV to a segment register; api.rst, 5, KVM_EXIT_MMIO',
    before: ({ vm }) => vm.memory.write(SCRATCH, pseudoDescriptor(BigInt(HOLE), 0xffff)),
    code: () => code`
        lgdt  [${SCRATCH}]
        mov   ax, 0x10
        mov   ds, ax
        hlt`,
    ends: /^read 20000010 (8|4; read 20000014 4); hlt$/,
  },
  {
    name: "GDTR at the neighbour's memory, by the host's number",
    section: 'SDM Vol. 2B, MOV to a segment register',
    before: ({ vm, targets }) => vm.memory.write(SCRATCH, pseudoDescriptor(BigInt(targets.neighbour), 0xffff)),
    code: () => code`
        lgdt  [${SCRATCH}]
        mov   ax, 0x10
        mov   ds, ax
        hlt`,
    ends: ({ neighbour }) => [`read ${hex(neighbour + 0x10)} 4`, `read ${hex(neighbour + 0x14)} 4`, 'hlt'],
  },
  {
    name: 'GDTR at an address that is none',
    section: 'SDM Vol. 2A, LGDT/LIDT: a base that is not canonical is #GP(0)',
    before: ({ vm }) => vm.memory.write(SCRATCH, pseudoDescriptor(1n << 47n, 0xffff)),
    code: () => code`
        lgdt  [${SCRATCH}]
        hlt`,
    ends: ['#GP(0)'],
  },
  {
    name: 'IDTR where no memory is: an exception cannot be delivered',
    section: 'api.rst, 5, KVM_INTERNAL_ERROR_DELIVERY_EV',
    before: ({ vm }) => vm.memory.write(SCRATCH, pseudoDescriptor(BigInt(HOLE), 0xfff)),
    code: () => code`
        lidt  [${SCRATCH}]
        ud2`,
    ends: ['internalError deliveryEv'],
  },
  {
    name: 'a gate half in memory',
    section: 'api.rst, 5, KVM_INTERNAL_ERROR_DELIVERY_EV',
    before: ({ vm }) => vm.memory.write(SCRATCH, pseudoDescriptor(BigInt(RAM_BYTES - 6 * 16 - 8), 0xfff)),
    code: () => code`
        lidt  [${SCRATCH}]
        ud2`,
    ends: ['internalError deliveryEv'],
  },
  {
    name: 'an IDT without gates',
    section: 'SDM Vol. 3A, 6.15, Interrupt 8: #UD, #GP, #DF, and then shutdown',
    before: ({ vm }) => vm.memory.write(SCRATCH, pseudoDescriptor(0n, 0)),
    code: () => code`
        lidt  [${SCRATCH}]
        ud2`,
    ends: ['shutdown'],
  },
  {
    name: 'a page fault on an unmapped IDT',
    section: 'SDM Vol. 3A, 6.15, Interrupt 8',
    before: ({ vm }) => vm.memory.write(SCRATCH, pseudoDescriptor(0x8000_0000n, 0xfff)),
    code: () => code`
        lidt  [${SCRATCH}]
        ud2`,
    ends: ['shutdown'],
  },
  {
    name: 'a task-state segment where no memory is, which CPL 3 needs for its next exception',
    section: 'SDM Vol. 3A, 7.7; api.rst, 5, KVM_INTERNAL_ERROR_DELIVERY_EV',
    before: (arena) => {
      userTables(arena);
      arena.vm.memory.write(GDT + Selector.TSS, systemDescriptor(BigInt(HOLE), 0x67, 9));
    },
    code: () => code`${atCpl3('ud2')}`,
    ends: ['internalError deliveryEv'],
  },
  {
    name: 'a stack for CPL 0 that is no address',
    section: 'SDM Vol. 3A, 6.14.2, 6.15, Interrupt 8: #SS on delivery, #DF, shutdown',
    before: (arena) => {
      userTables(arena);
      arena.vm.memory.write(Place.TSS + 4, Uint8Array.of(0, 0, 0, 0, 0, 0x80, 0, 0));
    },
    code: () => code`${atCpl3('ud2')}`,
    ends: ['shutdown'],
  },
  {
    name: 'LTR of a segment that is not present',
    section: 'SDM Vol. 2A, LTR: #NP(selector)',
    before: ({ vm }) =>
      vm.memory.write(
        GDT + Selector.FREE,
        systemDescriptor(BigInt(HOLE), 0x67, 9).map((byte, n) => (n === 5 ? 9 : byte)),
      ),
    code: () => code`
        mov   ax, ${Selector.FREE}
        ltr   ax
        hlt`,
    ends: ['#NP(48)'],
  },
  {
    name: 'LTR of an LDT, and beyond the limit of the GDT',
    section: 'SDM Vol. 2A, LTR: #GP(selector)',
    code: () => code`
        mov   ax, ${Selector.LDT}
        ltr   ax
        hlt`,
    ends: ['#GP(38)'],
  },
  {
    name: 'LLDT beyond the limit of the GDT',
    section: 'SDM Vol. 2A, LLDT: #GP(selector)',
    code: () => code`
        mov   ax, 0xfff8
        lldt  ax
        hlt`,
    ends: ['#GP(fff8)'],
  },
  {
    name: 'an LDT where no memory is',
    section: 'SDM Vol. 2B, MOV to a segment register; api.rst, 5, KVM_EXIT_MMIO',
    before: ({ vm }) => vm.memory.write(GDT + Selector.LDT, systemDescriptor(BigInt(HOLE), 0xffff, 2)),
    code: () => code`
        mov   ax, ${Selector.LDT}
        lldt  ax
        mov   ax, 0x0c
        mov   ds, ax
        hlt`,
    ends: /^read 20000008 (8|4; read 2000000c 4); hlt$/,
  },
  {
    name: 'descriptor tables stored where no memory is',
    section: 'SDM Vol. 2B, SGDT, SIDT; api.rst, 5, KVM_EXIT_MMIO',
    code: () => code`
        sgdt  [${HOLE}]
        sidt  [${HOLE + 0x100}]
        hlt`,
    ends: /^write 20000000 5700; write 20000002 00400000(; write 20000006 )?00000000; write 20000100 ff01; write 20000102 00600000(; write 20000106 )?00000000; hlt$/,
  },
  {
    name: 'a far return to a selector beyond the GDT',
    section: 'SDM Vol. 2B, RET: #GP(selector)',
    code: () => code`
        push  0x7ff8
        push  0
        o64 retf`,
    ends: ['#GP(7ff8)'],
  },
  {
    name: 'a task switch in 64-bit mode',
    section: 'SDM Vol. 2A, JMP: a TSS in IA-32e mode is #GP(selector)',
    before: ({ vm }) => vm.memory.write(SCRATCH, Uint8Array.of(0, 0, 0, 0, Selector.TSS, 0)),
    code: () => code`
        jmp   far fword [${SCRATCH}]
        hlt`,
    ends: ['#GP(28)'],
  },
  {
    name: 'a segment base where no memory is, and one that is no address',
    section: 'SDM Vol. 3A, 3.4.4; Vol. 2D, WRMSR: #GP(0)',
    code: () => code`
        mov   ecx, 0xc0000100
        mov   eax, ${HOLE}
        xor   edx, edx
        wrmsr
        mov   eax, fs:[0x10]
        mov   edx, 0x8000
        wrmsr
        hlt`,
    ends: ['read 20000010 4', '#GP(0)'],
  },
];
