import { Place, type Targets } from './arena.ts';
import { type Attack, atCpl3, code, userTables } from './attack.ts';

const { HOLE } = Place;

/** Instructions of either extension, and others that no guest is offered: #UD. VMCALL and VMMCALL are hypercalls on their own vendor's processors. */
const INSTRUCTIONS: readonly (readonly [name: string, bytes: readonly number[], hypercallOf?: Targets['vendor']])[] = [
  ['VMCALL', [0x0f, 0x01, 0xc1], 'intel'],
  ['VMLAUNCH', [0x0f, 0x01, 0xc2]],
  ['VMRESUME', [0x0f, 0x01, 0xc3]],
  ['VMXOFF', [0x0f, 0x01, 0xc4]],
  ['VMFUNC', [0x0f, 0x01, 0xd4]],
  ['VMREAD', [0x0f, 0x78, 0x03]],
  ['VMWRITE', [0x0f, 0x79, 0x03]],
  ['VMPTRLD', [0x0f, 0xc7, 0x33]],
  ['VMPTRST', [0x0f, 0xc7, 0x3b]],
  ['VMCLEAR', [0x66, 0x0f, 0xc7, 0x33]],
  ['VMXON', [0xf3, 0x0f, 0xc7, 0x33]],
  ['INVEPT', [0x66, 0x0f, 0x38, 0x80, 0x03]],
  ['INVVPID', [0x66, 0x0f, 0x38, 0x81, 0x03]],
  ['VMRUN', [0x0f, 0x01, 0xd8]],
  ['VMMCALL', [0x0f, 0x01, 0xd9], 'amd'],
  ['VMLOAD', [0x0f, 0x01, 0xda]],
  ['VMSAVE', [0x0f, 0x01, 0xdb]],
  ['STGI', [0x0f, 0x01, 0xdc]],
  ['CLGI', [0x0f, 0x01, 0xdd]],
  ['SKINIT', [0x0f, 0x01, 0xde]],
  ['INVLPGA', [0x0f, 0x01, 0xdf]],
  ['GETSEC', [0x0f, 0x37]],
  ['RSM', [0x0f, 0xaa]],
  ['XSETBV without CR4.OSXSAVE', [0x0f, 0x01, 0xd1]],
  ['ENCLS', [0x0f, 0x01, 0xcf]],
];

const instructions: readonly Attack[] = INSTRUCTIONS.map(([name, bytes, hypercallOf]) => ({
  name,
  section: `SDM Vol. 2 and 3C, APM Vol. 3: ${name} of a guest that is not offered the extension is #UD`,
  code: ({ root }) => code`
        mov   eax, ${root}
        mov   ebx, ${HOLE}
        mov   ecx, 1
        db    ${bytes.join(',')}
        hlt`,
  ends: ({ vendor }) => (vendor === hypercallOf ? ['hlt'] : ['#UD']),
}));

/** Writes that no guest may make: a few lines, and what they end in. */
const REGISTERS: readonly (readonly [name: string, section: string, source: string, ends: string])[] = [
  ['CR4.VMXE', 'SDM Vol. 2B, MOV to CR4: #GP(0)', 'mov rax, cr4\nbts rax, 13\nmov cr4, rax', '#GP(0)'],
  ['a CR4 bit that is reserved', 'SDM Vol. 2B, MOV to CR4: #GP(0)', 'mov rax, cr4\nbts rax, 31\nmov cr4, rax', '#GP(0)'],
  ['CR4.PAE cleared in 64-bit mode', 'SDM Vol. 2B, MOV to CR4: #GP(0)', 'mov rax, cr4\nbtr rax, 5\nmov cr4, rax', '#GP(0)'],
  ['CR0.PG without CR0.PE', 'SDM Vol. 2B, MOV to CR0: #GP(0)', 'mov rax, cr0\nbtr rax, 0\nmov cr0, rax', '#GP(0)'],
  ['CR0.PG cleared in 64-bit mode', 'SDM Vol. 2B, MOV to CR0: #GP(0)', 'mov rax, cr0\nbtr rax, 31\nmov cr0, rax', '#GP(0)'],
  ['CR0.NW without CR0.CD', 'SDM Vol. 2B, MOV to CR0: #GP(0)', 'mov rax, cr0\nbts rax, 29\nmov cr0, rax', '#GP(0)'],
  ['the upper half of CR0', 'SDM Vol. 2B, MOV to CR0: #GP(0)', 'mov rax, cr0\nbts rax, 40\nmov cr0, rax', '#GP(0)'],
  ['CR8 above 15', 'SDM Vol. 2B, MOV to CR8: #GP(0)', 'mov eax, 16\nmov cr8, rax', '#GP(0)'],
  ['CR1', 'SDM Vol. 2B, MOV from control registers: #UD', 'db 0x0f, 0x20, 0xc8', '#UD'],
  ['CR15', 'SDM Vol. 2B, MOV to control registers: #UD', 'db 0x44, 0x0f, 0x22, 0xf8', '#UD'],
  ['the upper half of DR7', 'SDM Vol. 2B, MOV to debug registers: #GP(0)', 'mov rax, dr7\nbts rax, 32\nmov dr7, rax', '#GP(0)'],
  ['the upper half of DR6', 'SDM Vol. 2B, MOV to debug registers: #GP(0)', 'mov rax, dr6\nbts rax, 63\nmov dr6, rax', '#GP(0)'],
  ['DR4 with CR4.DE', 'SDM Vol. 3B, 17.2.2: #UD', 'mov rax, cr4\nbts rax, 3\nmov cr4, rax\nmov rax, dr4', '#UD'],
  ['EFER.SVME', 'APM Vol. 2, 15.4; SDM Vol. 2D, WRMSR: #GP(0)', 'mov ecx, 0xc0000080\nrdmsr\nbts eax, 12\nwrmsr', '#GP(0)'],
  ['EFER.LME cleared with paging on', 'SDM Vol. 3A, 9.8.5: #GP(0)', 'mov ecx, 0xc0000080\nrdmsr\nbtr eax, 8\nwrmsr', '#GP(0)'],
  ['IA32_FEATURE_CONTROL', 'SDM Vol. 3C, 23.7: no VMX to enable, #GP(0)', 'mov ecx, 0x3a\nmov eax, 5\nxor edx, edx\nwrmsr', '#GP(0)'],
];

const registers: readonly Attack[] = REGISTERS.map(([name, section, source, ends]) => ({
  name: `writes ${name}`,
  section,
  code: () => code`
        ${source}
        hlt`,
  ends: [ends],
}));

/** MSRs at the edges of the permission maps (SDM Vol. 3C, 25.6.9; APM Vol. 2, 15.11), VT-x's own, and those that no processor has. */
const MSRS = [
  0x1fff, 0x2000, 0x480, 0x481, 0x491, 0x4000_0000, 0xbfff_ffff, 0xc000_1fff, 0xc000_2000, 0xc000_ffff, 0xc001_1fff, 0xc001_2000,
  0xffff_ffff,
];

const msrs: readonly Attack[] = MSRS.flatMap((msr) =>
  ['rdmsr', 'wrmsr'].map((access) => ({
    name: `${access} ${msr.toString(16)}H`,
    section: 'SDM Vol. 2B, RDMSR; Vol. 2D, WRMSR: an MSR that is not there is #GP(0)',
    code: () => code`
        mov   ecx, ${msr}
        xor   eax, eax
        xor   edx, edx
        ${access}
        hlt`,
    ends: ['#GP(0)'],
  })),
);

const ports: readonly Attack[] = [
  {
    name: 'ports at the edges of the permission map, and over the end of the port space',
    section: 'SDM Vol. 3C, 26.1.3 "Unconditional I/O exiting"; APM Vol. 2, 15.10.1',
    code: () => code`
        mov   eax, 0x44434241
        out   0, al
        mov   edx, 0x7fff
        out   dx, ax
        mov   edx, 0xfffe
        out   dx, eax
        mov   edx, 0xffff
        out   dx, al
        in    eax, dx
        hlt`,
    ends: ['out 0 1x1 41', 'out 7fff 2x1 4142', 'out fffe 4x1 41424344', 'out ffff 1x1 41', 'in ffff 4x1', 'hlt'],
  },
  {
    name: 'a port at CPL 3, with a permission bitmap that ends before it begins',
    section: 'SDM Vol. 1, 19.5.2: #GP(0)',
    before: userTables,
    code: () => code`${atCpl3('out 0x10, al')}`,
    ends: ['#GP(0)'],
  },
  {
    name: 'HLT, INVLPG and the like at CPL 3',
    section: 'SDM Vol. 2A, HLT: #GP(0)',
    before: userTables,
    code: () => code`${atCpl3('hlt')}`,
    ends: ['#GP(0)'],
  },
  {
    name: 'supervisor memory at CPL 3',
    section: 'SDM Vol. 3A, 4.7: #PF with P and U',
    before: userTables,
    code: () => code`${atCpl3('mov al, [0x400000]')}`,
    ends: ['#PF(5) at 400000'],
  },
  {
    name: 'a REP OUTS that never ends',
    section: 'api.rst, 5, KVM_EXIT_IO: each item is the VMM, who may stop',
    code: () => code`
        mov   rcx, -1
        mov   esi, 0x1000
        mov   edx, 0x10
        rep outsb`,
    ends: /^(out 10 1x1 ..; ){24}\.\.\.$/,
  },
  {
    name: 'a REP INS that never ends, to where no memory is',
    section: 'api.rst, 5, KVM_EXIT_IO: read ahead is bounded by the page',
    code: () => code`
        mov   rcx, -1
        mov   edi, ${HOLE + 0xff0}
        mov   edx, 0x10
        rep insd`,
    ends: /^in 10 4x4; (write 20000ff[048c] ffffffff; ){4}in 10 4x256; (write 200010.. ffffffff; ){18}\.\.\.$/,
  },
];

export const instructionAttacks: readonly Attack[] = [...instructions, ...registers, ...msrs, ...ports];
