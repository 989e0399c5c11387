import { svm } from '../../prelude/svm-attempt.ts';
import { SVM_AGAIN, svmSkip, vmcb } from '../../prelude/svm-host.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import type { Rom } from '../../rom.ts';
import { BOCHS_V86, svmRom } from './svm-rom.ts';

const CR4_TSD = 0x24;
const CR4_OSXSAVE = 0x4_0020;
const CR4_PCE = 0x120;
const FREE = SvmMemory.free;
/** What TCG (7.2) does not do. */
const TCG = {
  rdtscp: 'takes RDTSCP for RDTSC; they have intercepts of their own, table 15-7.',
  invd: 'checks no intercept of INVD; table 15-7.',
  int3: 'takes INT3 and INTO for INT n; 15.7.2, 15.12.4.',
  int1: 'has no INT1; table 15-7.',
  pauseFilter: 'has no pause filter; 15.14.4.',
  xsetbv: 'checks no intercept of XSETBV; table 15-7.',
} as const;
const BOCHS_ADDRESS = 'checks the address behind the intercept; table 15-7 has #GP first.';
/** How many have been executed is in RBX. */
const PAUSES = 'pause\nmov ebx, 1\npause\nmov ebx, 2\npause\nmov ebx, 3\npause\nmov ebx, 4';
const MODES = ['ring3', 'compatibility', 'paging32', 'pae', 'protected', 'protected16', 'real', 'pagedReal'] as const;

export const svmInstructionRoms: readonly Rom[] = [
  svmRom('svm-cpuid', 'CPUID is intercepted in every mode and ring (APM Vol. 2 15.9)', [
    svm('64-bit mode', 'mov eax, 1\nmov ecx, 2\ncpuid', { intercepts: ['CPUID'] }),
    svm('with prefixes', 'db 0x66, 0x67\ncpuid', { intercepts: ['CPUID'] }),
    ...MODES.map((mode) => svm(mode, 'mov eax, 1\ncpuid', { mode, intercepts: ['CPUID'] })),
    svm('registers go in and out', 'cpuid', {
      intercepts: ['CPUID'],
      fields: { RAX: 0x1111222233334444n },
      registers: { rbx: 2, rcx: 3, rdx: 4, rsi: 5, rdi: 6, rbp: 7, r8: 8, r9: 9, r10: 10, r11: 11, r12: 12, r13: 13, r14: 14, r15: '-1' },
    }),
    svm('goes on behind it', 'mov eax, 1\ncpuid\nmov ebx, 2\ncpuid\nmov esi, 3', {
      intercepts: ['CPUID'],
      after: `${svmSkip(2)}\n${SVM_AGAIN}\n${svmSkip(2)}\n${SVM_AGAIN}`,
    }),
    svm('not intercepted', 'mov eax, 0x80000000\ncpuid\nxor ebx, ebx\nxor ecx, ecx\nxor edx, edx\nxor eax, eax'),
  ]),
  svmRom(
    'svm-v86',
    'A virtual-8086 guest has CPL 3, whatever the VMCB says (APM Vol. 2 15.5.1)',
    [
      svm('CPUID', 'mov eax, 1\ncpuid', { mode: 'v86', intercepts: ['CPUID'], nrip: '+8' }),
      svm('CPL of the VMCB', 'cpuid', { mode: 'v86', intercepts: ['CPUID'], fields: { CPL: 0 }, nrip: '+2' }),
      svm('VMMCALL', 'mov eax, 5', { mode: 'v86', nrip: '+9' }),
      svm('PUSHF comes before IOPL', 'pushf', { mode: 'v86', intercepts: ['PUSHF'], fields: { RFLAGS: 0x20002 }, nrip: '+1' }),
      svm('IOPL without an intercept', 'pushf', { mode: 'v86', intercepts: ['EXCP13'], fields: { RFLAGS: 0x20002 } }),
      svm('IRET comes before IOPL', 'iret', { mode: 'v86', intercepts: ['IRET'], fields: { RFLAGS: 0x20002 }, nrip: '+1' }),
    ],
    { without: BOCHS_V86 },
  ),
  svmRom('svm-hlt', 'HLT: exceptions first, then the intercept (APM Vol. 2 15.9)', [
    svm('HLT', 'mov eax, 1\nhlt', { intercepts: ['HLT'] }),
    svm('ring 3', 'hlt', { mode: 'ring3', intercepts: ['HLT'] }),
    svm('real mode', 'hlt', { mode: 'real', intercepts: ['HLT'] }),
    svm('behind STI: the shadow', 'sti\nhlt', { intercepts: ['HLT'] }),
    svm('behind MOV SS: the shadow', 'mov eax, ss\nmov ss, ax\nhlt', { intercepts: ['HLT'] }),
  ]),
  svmRom('svm-rdtsc', 'RDTSC, RDTSCP, RDPMC: exceptions first, then the intercept (APM Vol. 2 15.9)', [
    svm('RDTSC', 'rdtsc', { intercepts: ['RDTSC'] }),
    svm('RDTSC in ring 3', 'rdtsc', { mode: 'ring3', intercepts: ['RDTSC'] }),
    svm('TSD comes first', 'rdtsc', { mode: 'ring3', intercepts: ['RDTSC', 'EXCP13'], fields: { CR4: CR4_TSD } }),
    svm('RDTSCP is not RDTSC', 'mov ecx, 0xc0000103\nmov eax, 0x12\nxor edx, edx\nwrmsr\nrdtscp\nxor eax, eax\nxor edx, edx', {
      intercepts: ['RDTSC'],
      qemu: TCG.rdtscp,
    }),
    svm('RDTSCP', 'rdtscp', { intercepts: ['RDTSCP'], qemu: TCG.rdtscp }),
    svm('RDTSCP with TSD', 'rdtscp', { mode: 'ring3', intercepts: ['RDTSCP', 'EXCP13'], fields: { CR4: CR4_TSD } }),
    svm('RDPMC', 'mov ecx, 3\nrdpmc', { intercepts: ['RDPMC'] }),
    svm('RDPMC in ring 3 without PCE', 'rdpmc', { mode: 'ring3', intercepts: ['RDPMC', 'EXCP13'] }),
    svm('RDPMC in ring 3 with PCE', 'rdpmc', { mode: 'ring3', intercepts: ['RDPMC'], fields: { CR4: CR4_PCE } }),
  ]),
  svmRom('svm-invd-wbinvd', 'INVD, WBINVD: #GP first (APM Vol. 2 15.9)', [
    svm('INVD', 'invd', { intercepts: ['INVD'], qemu: TCG.invd }),
    svm('INVD in ring 3', 'invd', { mode: 'ring3', intercepts: ['INVD', 'EXCP13'] }),
    svm('WBINVD', 'wbinvd', { intercepts: ['WBINVD'] }),
    svm('WBINVD in ring 3', 'wbinvd', { mode: 'ring3', intercepts: ['WBINVD', 'EXCP13'] }),
    svm('WBINVD is not INVD', 'wbinvd', { intercepts: ['INVD'] }),
    svm('INVD in real mode', 'invd', { mode: 'real', intercepts: ['INVD'], qemu: TCG.invd }),
  ]),
  svmRom('svm-pause', 'PAUSE, at any privilege (APM Vol. 2 15.9)', [
    svm('PAUSE', 'pause', { intercepts: ['PAUSE'] }),
    svm('PAUSE in ring 3', 'pause', { mode: 'ring3', intercepts: ['PAUSE'] }),
    svm('PAUSE in 32-bit code', 'pause', { mode: 'paging32', intercepts: ['PAUSE'] }),
    svm('not intercepted', 'pause'),
    svm('NOP is none', 'nop', { intercepts: ['PAUSE'] }),
  ]),
  svmRom('svm-pause-filter', 'PAUSE with a filter count: VMRUN loads the counter, each PAUSE counts down (APM Vol. 2 15.14.4)', [
    svm('count 0', PAUSES, { intercepts: ['PAUSE'], fields: { PAUSE_FILTER_COUNT: 0 } }),
    svm('count 1', PAUSES, { intercepts: ['PAUSE'], fields: { PAUSE_FILTER_COUNT: 1 }, qemu: TCG.pauseFilter }),
    svm('count 3', PAUSES, { intercepts: ['PAUSE'], fields: { PAUSE_FILTER_COUNT: 3 }, qemu: TCG.pauseFilter }),
    svm('count 9, more than there are', PAUSES, { intercepts: ['PAUSE'], fields: { PAUSE_FILTER_COUNT: 9 }, qemu: TCG.pauseFilter }),
    svm('without the intercept', PAUSES, { fields: { PAUSE_FILTER_COUNT: 1 } }),
    svm('VMRUN begins anew', PAUSES, {
      intercepts: ['PAUSE'],
      fields: { PAUSE_FILTER_COUNT: 2 },
      qemu: TCG.pauseFilter,
      after: `add qword ${vmcb('RIP')}, 2\n${SVM_AGAIN}`,
    }),
    svm('a threshold, PAUSEs close together', PAUSES, {
      intercepts: ['PAUSE'],
      fields: { PAUSE_FILTER_COUNT: 3, PAUSE_FILTER_THRESHOLD: 0xffff },
      qemu: TCG.pauseFilter,
    }),
  ]),
  svmRom(
    'svm-monitor-mwait',
    'MONITOR and MWAIT, also while armed only (APM Vol. 2 15.9)',
    [
      svm('MONITOR', `mov eax, ${FREE}\nmonitor`, { intercepts: ['MONITOR'], bochs: 'does not check the intercept.', nrip: '+8' }),
      svm('MONITOR in ring 3', 'monitor', { mode: 'ring3', intercepts: ['MONITOR', 'EXCP6'] }),
      svm('MONITOR not intercepted', `mov eax, ${FREE}\nmonitor`, { intercepts: ['MWAIT'] }),
      svm('MWAIT', 'mwait', { intercepts: ['MWAIT'] }),
      svm('MWAIT in ring 3', 'mwait', { mode: 'ring3', intercepts: ['MWAIT', 'EXCP6'] }),
      svm('MWAIT in real mode', 'mwait', { mode: 'real', intercepts: ['MWAIT'] }),
    ],
    { features: ['MONITOR'] },
  ),
  svmRom('svm-pushf-popf-iret', 'PUSHF, POPF, IRET: the intercept comes before any exception (APM Vol. 2 15.9)', [
    svm('PUSHF', 'pushfq', { intercepts: ['PUSHF'] }),
    svm('PUSHF of 16 bits', 'pushf', { intercepts: ['PUSHF'] }),
    svm('PUSHF in 32-bit code', 'pushfd', { mode: 'paging32', intercepts: ['PUSHF'] }),
    svm('PUSHF onto no stack', 'xor esp, esp\npushfq', { intercepts: ['PUSHF'] }),
    svm('POPF', 'popfq', { intercepts: ['POPF'] }),
    svm('POPF in ring 3', 'popfq', { mode: 'ring3', intercepts: ['POPF'] }),
    svm('POPF in real mode', 'popf', { mode: 'real', intercepts: ['POPF'] }),
    svm('IRET', 'iretq', { intercepts: ['IRET'] }),
    svm('IRET of 32 bits', 'iretd', { intercepts: ['IRET'] }),
    svm('IRET in protected mode', 'iretd', { mode: 'protected', intercepts: ['IRET'] }),
    svm('IRET with a bad frame', 'push -1\npush -1\npush -1\npush -1\npush -1\niretq', { intercepts: ['IRET', 'EXCP13'] }),
    svm('IRET in real mode', 'iret', { mode: 'real', intercepts: ['IRET'] }),
  ]),
  svmRom('svm-software-interrupts', 'INT n, INT3, INTO, INT1: which intercept takes which (APM Vol. 2 15.9, 15.12)', [
    svm('INT n', 'int 0x30', { intercepts: ['SWINT'], assists: 'i1=30' }),
    svm('INT n in ring 3', 'int 0x31', { mode: 'ring3', intercepts: ['SWINT'], assists: 'i1=31' }),
    svm('INT n without a gate', 'int 0xff', { intercepts: ['SWINT', 'EXCP13'], assists: 'i1=ff' }),
    svm('INT n not intercepted', 'int 0x30'),
    svm('INT 3 of two bytes', 'int 3', { intercepts: ['SWINT', 'EXCP3'], assists: 'i1=3' }),
    svm('INT3 is an exception', 'int3', { intercepts: ['SWINT', 'EXCP3'], qemu: TCG.int3 }),
    svm('INT3 is no INT n', 'int3', { intercepts: ['SWINT'], qemu: TCG.int3 }),
    svm('INTO', 'mov al, 127\nadd al, 1\ninto', { mode: 'paging32', intercepts: ['SWINT', 'EXCP4'], qemu: TCG.int3 }),
    svm('INTO without overflow', 'into', { mode: 'paging32', intercepts: ['SWINT', 'EXCP4'] }),
    svm('INT n in real mode', 'int 0x30', { mode: 'real', intercepts: ['SWINT'], assists: 'i1=30' }),
    svm('INT3 in real mode', 'int3', { mode: 'real', intercepts: ['EXCP3'], qemu: 'checks no exception intercept for INT3 in real mode.' }),
    svm('INT1', 'db 0xf1', { intercepts: ['ICEBP'], qemu: TCG.int1 }),
    svm('INT1 in ring 3', 'db 0xf1', { mode: 'ring3', intercepts: ['ICEBP'], qemu: TCG.int1 }),
    svm('INT1 is no #DB to intercept', 'db 0xf1', { intercepts: ['EXCP1'], qemu: TCG.int1 }),
    svm('BOUND', `mov dword [${FREE}], 1\nmov dword [${FREE + 4}], 2\nmov eax, 3\nbound eax, [${FREE}]`, {
      mode: 'paging32',
      intercepts: ['EXCP5'],
    }),
  ]),
  svmRom('svm-invlpg', 'INVLPG, INVLPGA: #GP first; the linear address with decode assists (APM Vol. 2 15.8.3, 15.9)', [
    svm('INVLPG', `mov eax, 0x100123\ninvlpg [rax]`, { intercepts: ['INVLPG'], assists: 'i1=100123' }),
    svm('with index and displacement', 'mov eax, 0x100123\ninvlpg [rax + rax*2 + 0x7fff0000]', {
      intercepts: ['INVLPG'],
      assists: 'i1=802f0369',
    }),
    svm('FS base', 'mov eax, 0x10\ninvlpg [fs:rax]', {
      intercepts: ['INVLPG'],
      fields: { FS_BASE: 0x700000012345n },
      assists: 'i1=700000012355',
    }),
    svm('high', 'mov rax, 0xffff812345678900\ninvlpg [rax]', { intercepts: ['INVLPG'], assists: 'i1=ffff812345678900' }),
    svm('32-bit', 'mov eax, 0x100123\ninvlpg [eax + 0xfff00000]', { mode: 'paging32', intercepts: ['INVLPG'], assists: 'i1=123' }),
    svm('ring 3', 'invlpg [rax]', { mode: 'ring3', intercepts: ['INVLPG', 'EXCP13'] }),
    svm('not intercepted', 'mov eax, 0x100123\ninvlpg [rax]'),
    svm('INVLPGA', 'mov eax, 0x100123\nmov ecx, 7\ninvlpga', { intercepts: ['INVLPGA'] }),
    svm('INVLPGA is not INVLPG', 'mov eax, 0x100123\ninvlpga', { intercepts: ['INVLPG'] }),
    svm('INVLPGA in ring 3', 'invlpga', { mode: 'ring3', intercepts: ['INVLPGA', 'EXCP13'] }),
    svm('INVLPGA in real mode', 'db 0x0f, 1, 0xdf', { mode: 'real', intercepts: ['INVLPGA', 'EXCP6'] }),
  ]),
  svmRom('svm-descriptor-tables', 'SIDT, SGDT, SLDT, STR, LIDT, LGDT, LLDT, LTR: their intercepts, and #GP first (APM Vol. 2 15.9)', [
    svm('SIDT', `sidt [${FREE}]`, { intercepts: ['IDTR_READ'] }),
    svm('SGDT', `sgdt [${FREE}]`, { intercepts: ['GDTR_READ'] }),
    svm('SLDT', 'sldt eax', { intercepts: ['LDTR_READ'] }),
    svm('STR', 'str ax', { intercepts: ['TR_READ'] }),
    svm('STR to memory', `str [${FREE}]`, { intercepts: ['TR_READ'] }),
    svm('LIDT', `lidt [${FREE}]`, { intercepts: ['IDTR_WRITE'] }),
    svm('LGDT', `lgdt [${FREE}]`, { intercepts: ['GDTR_WRITE'] }),
    svm('LLDT', 'lldt ax', { intercepts: ['LDTR_WRITE'] }),
    svm('LTR', 'ltr ax', { intercepts: ['TR_WRITE'] }),
    svm('SIDT in ring 3', `sidt [${FREE}]`, { mode: 'ring3', intercepts: ['IDTR_READ'] }),
    svm('LGDT in ring 3', `lgdt [${FREE}]`, { mode: 'ring3', intercepts: ['GDTR_WRITE', 'EXCP13'] }),
    svm('LTR in ring 3', 'ltr ax', { mode: 'ring3', intercepts: ['TR_WRITE', 'EXCP13'] }),
    svm('SGDT in real mode', `sgdt [0x600]`, { mode: 'real', intercepts: ['GDTR_READ'] }),
    svm('SLDT in real mode', 'sldt ax', { mode: 'real', intercepts: ['LDTR_READ', 'EXCP6'] }),
    svm('none of the others', `sidt [${FREE}]\nsldt eax\nxor eax, eax`, {
      intercepts: ['GDTR_READ', 'TR_READ', 'IDTR_WRITE', 'LDTR_WRITE'],
    }),
  ]),
  svmRom('svm-instructions-of-svm', "SVM's own instructions in a guest: exceptions first, then the intercept (APM Vol. 2 15.9)", [
    ...(['VMRUN', 'VMLOAD', 'VMSAVE', 'STGI', 'CLGI'] as const).flatMap((name) => [
      svm(name, `mov eax, ${SvmMemory.otherVmcb}\n${name.toLowerCase()}`, { intercepts: [name] }),
      svm(`${name} in ring 3`, name.toLowerCase(), { mode: 'ring3', intercepts: [name, 'EXCP13'] }),
    ]),
    svm('VMRUN of no page', 'mov eax, 0x201001\nvmrun', { intercepts: ['EXCP13'], bochs: BOCHS_ADDRESS }),
    svm('VMLOAD of no page', 'mov eax, 0x201001\nvmload', { intercepts: ['VMLOAD', 'EXCP13'], bochs: BOCHS_ADDRESS }),
    svm('VMRUN in 32-bit code', `mov eax, ${SvmMemory.otherVmcb}\nvmrun`, { mode: 'paging32', intercepts: ['VMRUN'] }),
    svm('VMRUN in real mode', 'db 0x0f, 1, 0xd8', { mode: 'real', intercepts: ['EXCP6'] }),
    svm('STGI in real mode', 'db 0x0f, 1, 0xdc', { mode: 'real', intercepts: ['STGI', 'EXCP6'] }),
    svm('VMMCALL', 'mov eax, 5\nvmmcall'),
    svm('VMMCALL in ring 3', 'vmmcall', { mode: 'ring3' }),
    svm('VMMCALL in real mode', 'vmmcall', { mode: 'real' }),
    svm('VMMCALL without its intercept', 'vmmcall', { fields: { INTERCEPT_4: 1 }, intercepts: ['EXCP6'] }),
  ]),
  svmRom(
    'svm-xsetbv',
    'XSETBV: exceptions first (APM Vol. 2 15.9)',
    [
      svm('XSETBV', 'mov eax, 7\nxsetbv', { intercepts: ['XSETBV'], fields: { CR4: CR4_OSXSAVE }, qemu: TCG.xsetbv }),
      svm('without OSXSAVE', 'xsetbv', { intercepts: ['XSETBV', 'EXCP6'] }),
      svm('ring 3', 'xsetbv', { mode: 'ring3', intercepts: ['XSETBV', 'EXCP13'], fields: { CR4: CR4_OSXSAVE }, qemu: TCG.xsetbv }),
      svm('not intercepted', 'mov eax, 1\nxsetbv\nxor eax, eax', { fields: { CR4: CR4_OSXSAVE } }),
    ],
    { features: ['XSAVE'] },
  ),
  svmRom('svm-rsm', 'RSM outside of SMM: the intercept comes first (APM Vol. 2 15.9)', [
    svm('RSM', 'db 0x0f, 0xaa', { intercepts: ['RSM', 'EXCP6'], bochs: 'checks no intercept; table 15-7.', nrip: '+2' }),
    svm('not intercepted', 'db 0x0f, 0xaa', { intercepts: ['EXCP6'] }),
  ]),
];
