import { Place, Selector } from './arena.ts';
import { type Attack, atCpl3, code, userTables } from './attack.ts';

const { HOLE, IDT, SCRATCH } = Place;

/** x2APIC mode on, the local APIC software-enabled. */
const X2APIC = `
        mov   ecx, 0x1b
        mov   eax, 0xfee00d00
        xor   edx, edx
        wrmsr
        mov   ecx, 0x80f
        mov   eax, 0x1ff
        wrmsr`;

/** IA32_APIC_BASE, in xAPIC mode. */
function apicBase(base: bigint | number): string {
  const value = BigInt(base) | 0x900n;
  return `
        mov   ecx, 0x1b
        mov   eax, ${value & 0xffffffffn}
        mov   edx, ${value >> 32n}
        wrmsr`;
}

const loops: readonly Attack[] = [
  {
    name: 'an endless loop',
    section: 'Vcpu.run: a budget of instructions',
    code: () => code`
  here: jmp   here`,
    ends: ['budget'],
  },
  {
    name: 'a loop without interrupts that waits',
    section: 'api.rst, 5, KVM_EXIT_HLT',
    code: () => code`
        cli
        hlt`,
    ends: ['hlt'],
  },
  {
    name: 'a REP STOS over all of its memory and beyond',
    section: 'SDM Vol. 2B, REP: interruptible after each iteration',
    code: () => code`
        mov   rcx, -1
        mov   edi, 0x3ff000
        mov   eax, 0x41
        rep stosb`,
    ends: /^(write 4000.. 41; ){24}\.\.\.$/,
  },
  {
    name: 'a page fault whose handler faults, and so on',
    section: 'SDM Vol. 3A, 6.6: interrupts are taken between instructions, faults too',
    budget: 5000,
    before: ({ vm }) => {
      // The gate of #PF leads where no page is mapped.
      vm.memory.write(IDT + 14 * 16, Uint8Array.of(0, 0, 8, 0, 1, 0x8e, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0));
      // Its stack is the first of the interrupt stack table: always the same.
      vm.memory.write(Place.TSS + 0x24, Uint8Array.of(0, 0, 0x3f));
    },
    code: () => code`
        mov   ax, ${Selector.TSS}
        ltr   ax
        mov   al, [0x50000000]`,
    ends: ['budget'],
  },
  {
    name: 'alignment checks in the delivery of alignment checks (CVE-2015-5307)',
    section: 'SDM Vol. 3A, 6.15, Interrupt 17: only at CPL 3; its delivery is at CPL 0',
    before: userTables,
    code: () => code`
        mov   rax, cr0
        bts   rax, 18
        mov   cr0, rax
        ${atCpl3(`
        pushfq
        or    dword [rsp], 0x40000
        popfq
        mov   eax, [${SCRATCH + 1}]`)}`,
    ends: ['#AC(0)'],
  },
  {
    name: 'a data breakpoint on the stack that its own delivery writes (CVE-2015-8104)',
    section: 'SDM Vol. 3B, 17.3.1.2: a trap after the instruction, or after the delivery',
    code: () => code`
        mov   eax, ${Place.STACK - 8}
        mov   dr0, rax
        mov   eax, 0x000d0402
        mov   dr7, rax
        mov   byte [${Place.STACK - 8}], 1
        hlt`,
    ends: /^(#DB|budget)$/,
  },
];

const apic: readonly Attack[] = [
  {
    name: 'the local APIC over the code that moves it',
    section: 'api.rst, 5, KVM_INTERNAL_ERROR_EMULATION: no code is fetched from a device',
    irqchip: true,
    code: () => code`${apicBase(Place.CODE)}
        hlt`,
    ends: ['internalError emulation'],
  },
  {
    name: "the local APIC at the neighbour's memory, by the host's number: its own registers stand there",
    section: 'SDM Vol. 3A, 10.4.4, 10.4.1',
    irqchip: true,
    code: ({ neighbour }) => code`${apicBase(neighbour - (neighbour % 4096))}
        mov   ebx, ${neighbour - (neighbour % 4096)}
        mov   eax, [rbx + 0x30]
        out   0x10, al
        mov   dword [rbx + 0x80], 0x50
        mov   eax, [rbx + 0x80]
        out   0x10, al
        mov   byte [rbx + 0x1000], 0x77
        hlt`,
    ends: ({ neighbour }) => [
      'out 10 1x1 14',
      'out 10 1x1 50',
      `write ${(neighbour - (neighbour % 4096) + 0x1000).toString(16)} 77`,
      'idle',
    ],
  },
  {
    name: 'a local APIC beyond the physical-address width',
    section: 'SDM Vol. 3A, 10.4.4: reserved bits are #GP(0)',
    irqchip: true,
    code: ({ physicalBits }) => code`${apicBase(1n << BigInt(physicalBits))}
        hlt`,
    ends: ['#GP(0)'],
  },
  {
    name: 'reserved bits of IA32_APIC_BASE',
    section: 'SDM Vol. 3A, 10.4.4: #GP(0)',
    irqchip: true,
    code: () => code`${apicBase(0xfee00200)}
        hlt`,
    ends: ['#GP(0)'],
  },
  {
    name: 'from x2APIC mode back to xAPIC mode',
    section: 'SDM Vol. 3A, 10.12.5: #GP(0)',
    irqchip: true,
    code: () => code`${X2APIC}${apicBase(0xfee00000)}
        hlt`,
    ends: ['#GP(0)'],
  },
  {
    name: 'wide and unaligned accesses all over the APIC page, and behind it',
    section: 'SDM Vol. 3A, 10.4.1.1: undefined, but within the page',
    irqchip: true,
    code: () => code`${apicBase(HOLE)}
        mov   edi, ${HOLE}
        mov   ecx, 0x200
        xor   eax, eax
        rep stosq
        mov   esi, ${HOLE}
        mov   ecx, 0x1000
  scan: lodsb
        loop  scan
        mov   dword [${HOLE + 0xffe}], 0
        hlt`,
    ends: ['write 20001000 0000', 'idle'],
  },
  {
    name: 'INIT to itself: it starts anew, where no memory is',
    section: 'SDM Vol. 3A, 8.4.2, 9.1.4: the bootstrap processor begins at FFFFFFF0H',
    irqchip: true,
    code: () => code`${X2APIC}
        mov   ecx, 0x830
        mov   eax, 0x4500
        xor   edx, edx
        wrmsr
        hlt`,
    ends: ['internalError emulation'],
  },
  {
    name: 'interrupts with vectors that cannot be, and to everybody',
    section: 'SDM Vol. 3A, 10.5.2, 10.5.3: vectors 0 to 15 are an APIC error',
    irqchip: true,
    code: () => code`${X2APIC}
        mov   ecx, 0x830
        mov   eax, 0x40005
        xor   edx, edx
        wrmsr
        mov   edx, 0xffffffff
        mov   eax, 0xc0500
        wrmsr
        mov   edx, 7
        mov   eax, 0x608
        wrmsr
        hlt`,
    ends: ['idle'],
  },
  {
    name: 'a timer of one tick that never stops',
    section: 'Vcpu.run: a budget of instructions',
    irqchip: true,
    budget: 2000,
    before: ({ vm }) => vm.memory.write(IDT + 0x40 * 16, new Uint8Array(16)),
    code: () => code`${X2APIC}
        mov   ecx, 0x83e
        mov   eax, 0xb
        wrmsr
        mov   ecx, 0x832
        mov   eax, 0x20040
        wrmsr
        mov   ecx, 0x838
        mov   eax, 1
        wrmsr
  here: jmp   here`,
    ends: ['budget'],
  },
];

export const timeAttacks: readonly Attack[] = [...loops, ...apic];
