import { Selector } from '../../prelude/memory-map.ts';
import { wrmsr } from '../../prelude/modes.ts';
import { vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, SKIP } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { vtxRom } from './vtx-rom.ts';

/** 64-bit code in ring 3. */
export const RING_3: Fields = {
  GUEST_CS_SELECTOR: Selector.code64Ring3,
  GUEST_CS_AR_BYTES: 0xa0fb,
  GUEST_SS_SELECTOR: Selector.data64Ring3,
  GUEST_SS_AR_BYTES: 0xc0f3,
};

const CR4_OSXSAVE = 0x4_2020;
const CR4_PCIDE = 0x2_2020;
const CR4_TSD = 0x2024;
const CR4_PCE = 0x2120;
/** Memory is to be write-back for a monitor to be armed (SDM Vol. 2A, MONITOR): with the MTRRs off, it is not. */
const MTRR_DEF_TYPE = 0x2ff;
const FREE = VtxMemory.free;

const EXITS_FIRST = 'exits before it looks at the privilege level; SDM Vol. 3C 26.1.1.';

export const vtxInstructionRoms: readonly Rom[] = [
  vtxRom('vtx-cpuid', 'CPUID exits in every mode and ring (SDM Vol. 3C 26.1.2)', [
    vt('64-bit mode', 'mov eax, 1\nmov ecx, 2\ncpuid'),
    vt('with prefixes', 'db 0x66, 0x67\ncpuid'),
    vt('with REX', 'db 0x4f\ncpuid'),
    vt('ring 3', 'cpuid', { fields: RING_3 }),
    vt('compatibility mode', 'mov eax, 1\ncpuid', { mode: 'compatibility' }),
    vt('32-bit paging', 'mov eax, 1\ncpuid', { mode: 'paging32' }),
    vt('PAE paging', 'mov eax, 1\ncpuid', { mode: 'pae' }),
    vt('protected mode', 'mov eax, 1\ncpuid', { mode: 'protected' }),
    vt('real mode', 'mov eax, 1\ncpuid', { mode: 'real' }),
    vt('virtual-8086 mode', 'mov eax, 1\ncpuid', { mode: 'v86' }),
    vt('registers go in and out', 'cpuid', {
      registers: {
        rax: 0x1111222233334444n,
        rbx: 2,
        rcx: 3,
        rdx: 4,
        rsi: 5,
        rdi: 6,
        rbp: 7,
        r8: 8,
        r9: 9,
        r10: 10,
        r11: 11,
        r12: 12,
        r13: 13,
        r14: 14,
        r15: '-1',
      },
    }),
    vt('goes on behind it', 'mov eax, 1\ncpuid\nmov ebx, 2\ncpuid\nmov esi, 3', { afterwards: `${SKIP}\n${RESUME}\n${SKIP}\n${RESUME}` }),
    vt('LOCK makes it invalid', 'db 0xf0\ncpuid', { controls: {} }),
  ]),
  vtxRom('vtx-hlt', 'HLT exits with "HLT exiting"; without, the activity state is HLT until an event comes (SDM Vol. 3C 26.1.3, 25.4.2)', [
    vt('with HLT exiting', 'hlt', { controls: { primary: ['hltExiting'] } }),
    vt('ring 3 comes first', 'hlt', { controls: { primary: ['hltExiting'] }, fields: RING_3 }),
    vt('without, until the timer fires', 'hlt', {
      controls: { pin: ['activateVmxPreemptionTimer'] },
      fields: { VMX_PREEMPTION_TIMER_VALUE: 10000 },
    }),
    vt('STI and HLT', 'sti\nhlt', { controls: { primary: ['hltExiting'] } }),
  ]),
  vtxRom(
    'vtx-unconditional',
    'INVD, XSETBV and GETSEC; checks that come before (SDM Vol. 3C 26.1.1, 26.1.2)',
    [
      vt('INVD', 'invd'),
      vt('INVD in ring 3', 'invd', { fields: RING_3 }),
      vt('INVD in real mode', 'invd', { mode: 'real' }),
      vt('XSETBV', 'mov eax, 7\nxsetbv', { fields: { GUEST_CR4: CR4_OSXSAVE } }),
      vt('XSETBV of nonsense', 'mov ecx, 5\nxsetbv', { fields: { GUEST_CR4: CR4_OSXSAVE } }),
      vt('XSETBV without OSXSAVE', 'xsetbv'),
      vt('XSETBV in ring 3', 'xsetbv', {
        fields: { ...RING_3, GUEST_CR4: CR4_OSXSAVE },
        bochs: EXITS_FIRST,
        manual: 'EXCEPTION_NMI info=80000b0d:0 at 2b:+0 sp=33:d000 fl=2',
      }),
      vt('GETSEC without SMXE', 'db 0x0f, 0x37'),
      vt('VMCALL', 'mov eax, 5\nvmcall'),
      vt('VMCALL in ring 3', 'vmcall', { fields: RING_3 }),
      vt('VMCALL in real mode', 'vmcall', { mode: 'real' }),
      vt('VMCALL in v86 mode', 'vmcall', { mode: 'v86' }),
      vt('VMCALL in compatibility mode', 'vmcall', { mode: 'compatibility' }),
      vt('RSM is invalid outside of SMM', 'db 0x0f, 0xaa'),
    ],
    { features: ['XSAVE'] },
  ),
  vtxRom('vtx-invlpg', 'INVLPG with "INVLPG exiting": the linear address is the qualification (SDM Vol. 3C 28.2.1)', [
    vt('not exiting', 'mov eax, 0x100123\ninvlpg [rax]'),
    vt('exiting', 'mov eax, 0x100123\ninvlpg [rax]', { controls: { primary: ['invlpgExiting'] } }),
    vt('with a displacement', 'mov eax, 0x100123\ninvlpg [rax + rax*2 + 0x7fff0000]', { controls: { primary: ['invlpgExiting'] } }),
    vt('FS base', 'mov eax, 0x10\ninvlpg [fs:rax]', {
      controls: { primary: ['invlpgExiting'] },
      fields: { GUEST_FS_BASE: 0x700000012345n },
    }),
    vt('high', 'mov rax, 0xffff812345678900\ninvlpg [rax]', { controls: { primary: ['invlpgExiting'] } }),
    vt('32-bit', 'mov eax, 0x100123\ninvlpg [eax + 0xfff00000]', { mode: 'paging32', controls: { primary: ['invlpgExiting'] } }),
    vt('ring 3', 'invlpg [rax]', { controls: { primary: ['invlpgExiting'] }, fields: RING_3 }),
  ]),
  vtxRom('vtx-rdtsc', 'RDTSC, RDTSCP and RDPMC exiting, and what comes first (SDM Vol. 3C 26.1.3)', [
    vt('RDTSC', 'rdtsc', { controls: { primary: ['rdtscExiting'] } }),
    vt('RDTSC in ring 3', 'rdtsc', { controls: { primary: ['rdtscExiting'] }, fields: RING_3 }),
    vt('TSD comes first', 'rdtsc', { controls: { primary: ['rdtscExiting'] }, fields: { ...RING_3, GUEST_CR4: CR4_TSD } }),
    vt('RDTSCP without its control', 'rdtscp', { controls: { primary: ['rdtscExiting'] } }),
    vt('RDTSCP', 'rdtscp', { controls: { primary: ['rdtscExiting'], secondary: ['enableRdtscp'] } }),
    vt('RDTSCP that does not exit', 'mov eax, 0x12\nmov ecx, 0xc0000103\nxor edx, edx\nwrmsr\nrdtscp\nxor eax, eax\nxor edx, edx', {
      controls: { primary: ['useMsrBitmaps'], secondary: ['enableRdtscp'] },
      fields: { MSR_BITMAP: VtxMemory.msrBitmap },
    }),
    vt('RDPMC', 'mov ecx, 3\nrdpmc', { controls: { primary: ['rdpmcExiting'] } }),
    vt('RDPMC in ring 3 without PCE', 'rdpmc', { controls: { primary: ['rdpmcExiting'] }, fields: RING_3 }),
    vt('RDPMC in ring 3 with PCE', 'rdpmc', { controls: { primary: ['rdpmcExiting'] }, fields: { ...RING_3, GUEST_CR4: CR4_PCE } }),
  ]),
  vtxRom(
    'vtx-monitor-mwait',
    'MONITOR and MWAIT exiting; the qualification says whether the monitor is armed (SDM Vol. 3C 28.2.1)',
    [
      vt('MONITOR', 'mov eax, 0x100000\nmonitor', { controls: { primary: ['monitorExiting'] } }),
      vt('MONITOR in ring 3', 'mov eax, 0x100000\nmonitor', { controls: { primary: ['monitorExiting'] }, fields: RING_3 }),
      vt('MONITOR that does not exit', 'mov eax, 0x100000\nmonitor'),
      vt('MWAIT unarmed', 'mwait', { controls: { primary: ['mwaitExiting'] } }),
      vt('MWAIT armed', 'mov eax, 0x100000\nmonitor\nmwait', {
        controls: { primary: ['mwaitExiting'] },
        before: wrmsr(MTRR_DEF_TYPE, 0xc06),
        bochs: 'does not count the monitor as armed; SDM Vol. 3C 28.2.1.',
        manual: 'MWAIT_INSTRUCTION q=1 len=3 at 38:+8 sp=10:d000 fl=2 rax=100000',
      }),
      vt('MWAIT in ring 3', 'mwait', { controls: { primary: ['mwaitExiting'] }, fields: RING_3 }),
    ],
    { features: ['MONITOR'] },
  ),
  vtxRom('vtx-pause-wbinvd', 'PAUSE, WBINVD, INVPCID exiting (SDM Vol. 3C 26.1.3)', [
    vt('PAUSE', 'pause', { controls: { primary: ['pauseExiting'] } }),
    vt('PAUSE in ring 3', 'pause', { controls: { primary: ['pauseExiting'] }, fields: RING_3 }),
    vt('PAUSE that does not exit', 'pause'),
    vt('NOP is none', 'nop', { controls: { primary: ['pauseExiting'] } }),
    vt('WBINVD', 'wbinvd', { controls: { secondary: ['wbinvdExiting'] } }),
    vt('WBINVD in ring 3', 'wbinvd', { controls: { secondary: ['wbinvdExiting'] }, fields: RING_3 }),
    vt('WBINVD that does not exit', 'wbinvd'),
    vt('INVPCID without its control', `mov eax, 2\ninvpcid rax, [${FREE}]`, { controls: { primary: ['invlpgExiting'] } }),
    vt('INVPCID', `mov eax, 2\nmov ecx, ${FREE}\ninvpcid rax, [rcx + rax*4 + 0x18]`, {
      controls: { primary: ['invlpgExiting'], secondary: ['enableInvpcid'] },
    }),
    vt('INVPCID by R9 and FS', `mov r9d, 2\nmov r10d, ${FREE}\ninvpcid r9, [fs:r10]`, {
      controls: { primary: ['invlpgExiting'], secondary: ['enableInvpcid'] },
      fields: { GUEST_CR4: CR4_PCIDE },
    }),
    vt('INVPCID in ring 3', `invpcid rax, [rcx]`, {
      controls: { primary: ['invlpgExiting'], secondary: ['enableInvpcid'] },
      fields: RING_3,
      bochs: EXITS_FIRST,
      manual: 'EXCEPTION_NMI info=80000b0d:0 at 2b:+0 sp=33:d000 fl=2',
    }),
    vt('INVPCID that does not exit', `mov eax, 2\nmov ecx, ${FREE}\ninvpcid rax, [rcx]`, { controls: { secondary: ['enableInvpcid'] } }),
  ]),
  vtxRom(
    'vtx-vmx-in-guest',
    'VMX instructions of a guest exit, with their operands in the instruction information (SDM Vol. 3C 26.1.2, Table 28-13)',
    [
      vt('VMCLEAR', 'mov eax, 0x100000\nvmclear qword [rax]'),
      vt('VMPTRLD with index and displacement', 'vmptrld qword [rbx + r12*8 + 0x123456]'),
      vt('VMPTRST RIP-relative', 'vmptrst qword [rel .there]\n.there:', { hide: ['qualification'] }),
      vt('VMPTRST', 'vmptrst qword [gs:r15 - 8]'),
      vt('VMXON', 'vmxon qword [rbp + 0x10]'),
      vt('VMXON without a base', 'vmxon qword [rsi*2 - 0x80]'),
      vt('VMLAUNCH', 'vmlaunch'),
      vt('VMRESUME', 'vmresume'),
      vt('VMXOFF', 'vmxoff'),
      vt('32-bit', 'vmclear qword [eax + ecx*4 - 4]', { mode: 'paging32' }),
      vt('16-bit', 'vmptrld qword [bp + si + 0x1234]', { mode: 'real' }),
      vt('ring 3', 'vmclear qword [rax]', { fields: RING_3 }),
      vt('VMXON in ring 3', 'vmxon qword [rax]', { fields: RING_3 }),
      vt('VMLAUNCH in ring 3', 'vmlaunch', { fields: RING_3 }),
      vt('compatibility mode', 'vmptrld qword [eax]', { mode: 'compatibility' }),
      vt('INVEPT', 'mov eax, 1\ninvept rax, [rcx + rdx]'),
      vt('INVVPID', 'mov eax, 1\ninvvpid r10, [rsp + 0x20]'),
      vt('32-bit INVEPT', 'invept ebx, [0x100000]', { mode: 'paging32' }),
      vt('INVVPID in ring 3', 'invvpid rax, [rcx]', { fields: RING_3 }),
    ],
  ),
  vtxRom('vtx-vmread-in-guest', 'VMREAD and VMWRITE of a guest: register and memory operands (SDM Vol. 3C Table 28-14)', [
    vt('VMREAD to a register', 'vmread rax, rcx'),
    vt('VMREAD to R14', 'vmread r14, r9'),
    vt('VMREAD to memory', 'vmread qword [rbx + rsi*4 + 0x77], rdx'),
    vt('VMWRITE from a register', 'vmwrite rdi, rbp'),
    vt('VMWRITE from memory', 'vmwrite r15, qword [fs:rax - 0x77]'),
    vt('VMWRITE in 32-bit code', 'vmwrite ebx, dword [eax + 0x12]', { mode: 'paging32' }),
    vt('VMREAD in 32-bit code', 'vmread ebx, esi', { mode: 'pae' }),
    vt('VMREAD in ring 3', 'vmread rax, rcx', { fields: RING_3 }),
    vt('VMWRITE in real mode', 'vmwrite eax, ecx', { mode: 'real' }),
  ]),
];
