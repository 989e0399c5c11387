import { segment, setGdt } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { svm } from '../../prelude/svm-attempt.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import { type Rom, TCG_CHECKS_NO_LIMITS } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const FREE = SvmMemory.free;
const NOT_PRESENT = Selector.free;
const absentSegment = setGdt(NOT_PRESENT, segment({ limit: 0xffff, access: 0x12 }));
/** The entry of a page of the guest's 4-level tables, first 2 MiB. */
const guestPage = (page: number, entry: number): string => `mov dword [${MemoryMap.longTable + page * 8}], ${entry}`;
const TEST_PAGE = MemoryMap.test >>> 12;
const NO_XM = 'TCG raises no #XM.';
const NO_VECTOR = 'reports vector and type 0 in EXITINTINFO; 15.7.2.';
const BY_16 = 'counts 16 bytes a gate in the error code; APM Vol. 2 8.4.1.';
const NO_CR2 = 'VMRUN does not load CR2; 15.5.1.';
const absent = guestPage(TEST_PAGE, 0);
const present = guestPage(TEST_PAGE, MemoryMap.test | 7);

export const svmExceptionRoms: readonly Rom[] = [
  svmRom('svm-exceptions', 'Exceptions without an error code (APM Vol. 2 15.12)', [
    svm('#DE', 'xor ecx, ecx\ndiv ecx', { intercepts: ['EXCP0'] }),
    svm('#DB of INT1 is none', 'nop', { intercepts: ['EXCP1'] }),
    svm('#UD', 'ud2', { intercepts: ['EXCP6'] }),
    svm('#NM by TS', 'fninit', { intercepts: ['EXCP7'], fields: { CR0: 0x80000039 } }),
    svm('#NM by EM', 'fninit', { intercepts: ['EXCP7'], fields: { CR0: 0x80000035 } }),
    svm('#MF', `mov word [${FREE}], 0\nfninit\nfldcw [${FREE}]\nfldz\nfld1\nfdivrp st1, st0\nfwait`, { intercepts: ['EXCP16'] }),
    svm('#XM', `mov dword [${FREE}], 0\nldmxcsr [${FREE}]\nxorps xmm0, xmm0\ndivps xmm0, xmm0`, {
      intercepts: ['EXCP19'],
      fields: { CR4: 0x620 },
      qemu: NO_XM,
    }),
    svm('#UD without OSXMMEXCPT', `mov dword [${FREE}], 0\nldmxcsr [${FREE}]\nxorps xmm0, xmm0\ndivps xmm0, xmm0`, {
      intercepts: ['EXCP6', 'EXCP19'],
      fields: { CR4: 0x220 },
      qemu: NO_XM,
    }),
    svm('#BP', 'int3', { intercepts: ['EXCP3'], qemu: 'takes INT3 for INT n; 15.12.4.' }),
    svm('others pass', 'ud2', { intercepts: ['EXCP0', 'EXCP13'] }),
    svm('an exception of real mode', 'xor cx, cx\ndiv cx', { mode: 'real', intercepts: ['EXCP0'] }),
    svm('of 32-bit code', 'ud2', { mode: 'paging32', intercepts: ['EXCP6'] }),
    svm('of ring 3', 'ud2', { mode: 'ring3', intercepts: ['EXCP6'] }),
  ]),
  svmRom('svm-exceptions-error', 'Exceptions with an error code: EXITINFO1 (APM Vol. 2 15.12.11 to 15.12.17)', [
    svm('#GP(0)', 'mov rax, 0x800000000000\nmov al, [rax]', { intercepts: ['EXCP13'] }),
    svm('#GP of a selector', 'mov ax, 0x1fb\nmov ds, ax', { intercepts: ['EXCP13'] }),
    svm('#GP of the IDT', 'int 0x80', {
      intercepts: ['EXCP13'],
      bochs: NO_VECTOR,
      qemu: BY_16,
      manual: 'EXCP13 i1=402 int=80000480 at 38:+0 sp=10:d000 fl=2',
    }),
    svm('#NP', `mov ax, ${NOT_PRESENT}\nmov ds, ax`, {
      intercepts: ['EXCP11'],
      before: `${absentSegment}\nor dword [gdt + ${NOT_PRESENT + 4}], 0`,
    }),
    svm('#SS of a selector', `mov ax, ${NOT_PRESENT}\nmov ss, ax`, { intercepts: ['EXCP12'], before: absentSegment }),
    svm('#SS(0)', 'mov rbp, 0x800000000000\nmov al, [rbp]', {
      intercepts: ['EXCP12'],
      qemu: 'raises #GP for a non-canonical address whatever the segment; APM Vol. 2 8.2.13.',
    }),
    svm('#AC', `mov eax, [${FREE + 1}]`, {
      mode: 'ring3',
      intercepts: ['EXCP17'],
      fields: { CR0: 0x80040031, RFLAGS: 0x40002 },
      qemu: 'TCG checks no alignment here.',
    }),
    svm('#TS', 'mov dword [tss + 8], 0\niretd', { mode: 'protected', intercepts: ['EXCP10'], fields: { RFLAGS: 0x4002 } }),
    svm('real mode has none', 'mov ax, [0xffff]', { mode: 'real', intercepts: ['EXCP13'], qemu: TCG_CHECKS_NO_LIMITS }),
    svm('not intercepted, pushed', 'mov ax, 0x1fb\nmov ds, ax'),
  ]),
  svmRom('svm-page-fault', '#PF: error code, address in EXITINFO2, CR2 is not written (APM Vol. 2 15.12.15)', [
    svm('read', `mov al, [${MemoryMap.test + 0x123}]`, { intercepts: ['EXCP14'], before: absent }),
    svm('write', `mov [${MemoryMap.test + 0x123}], al`, {
      intercepts: ['EXCP14'],
      before: absent,
      fields: { CR2: 0x1234567 },
      bochs: NO_CR2,
    }),
    svm('fetch', `mov eax, ${MemoryMap.test}\njmp rax`, { intercepts: ['EXCP14'], before: absent }),
    svm('ring 3', `mov al, [${MemoryMap.test + 0x123}]`, {
      mode: 'ring3',
      intercepts: ['EXCP14'],
      before: guestPage(TEST_PAGE, MemoryMap.test | 3),
    }),
    svm('read-only with WP', `mov [${MemoryMap.test}], al`, {
      intercepts: ['EXCP14'],
      fields: { CR0: 0x80010031 },
      before: guestPage(TEST_PAGE, MemoryMap.test | 5),
    }),
    svm('a high address', 'mov rax, 0xffff900012345678\nmov al, [rax]', { intercepts: ['EXCP14'] }),
    svm('not intercepted, CR2 is written', `mov al, [${MemoryMap.test + 0x123}]`, { before: absent }),
    svm('present', `mov al, [${MemoryMap.test}]\nxor eax, eax`, { intercepts: ['EXCP14'], before: present, bochs: NO_CR2, nrip: '+c' }),
    svm("paged real mode has protected mode's", 'mov al, [0x7123]', {
      mode: 'pagedReal',
      intercepts: ['EXCP14'],
      before: `mov dword [${MemoryMap.paging32Table + 7 * 4}], 0`,
      after: `mov dword [${MemoryMap.paging32Table + 7 * 4}], 0x7007`,
      bochs: NO_CR2,
    }),
  ]),
  svmRom(
    'svm-exception-combining',
    'Exceptions while another is delivered: intercepts first, then double fault, then shutdown (APM Vol. 2 15.7.2, 15.12, 15.14.3)',
    [
      svm('#GP by the gate of INT n', 'int 0x80', {
        intercepts: ['EXCP13'],
        bochs: NO_VECTOR,
        qemu: BY_16,
        manual: 'EXCP13 i1=402 int=80000480 at 38:+0 sp=10:d000 fl=2',
      }),
      svm('#UD, then #GP by its gate', 'ud2', { intercepts: ['EXCP13'], fields: { IDTR_LIMIT: 0x5f }, qemu: BY_16 }),
      svm('#GP, then #GP with #DF intercepted', 'mov rax, 0x800000000000\nmov al, [rax]', {
        intercepts: ['EXCP8'],
        fields: { IDTR_LIMIT: 0x8f },
        hide: ['rip'],
        bochs: 'leaves EXITINTINFO empty; 15.7.3.',
        qemu: 'checks no intercept of #DF; 15.12.9.',
        manual: 'EXCP8 int=80000b0d:0 sp=10:d000 fl=2 rax=800000000000',
      }),
      svm('#GP, then #GP with #GP intercepted', 'mov rax, 0x800000000000\nmov al, [rax]', {
        intercepts: ['EXCP13', 'EXCP8'],
        fields: { IDTR_LIMIT: 0x8f },
      }),
      svm('#PF while #UD is delivered', 'ud2', { intercepts: ['EXCP14'], before: absent, fields: { RSP: MemoryMap.test + 0x800 } }),
      svm('#PF while #GP with error code is delivered', 'mov ax, 0x1fb\nmov ds, ax', {
        intercepts: ['EXCP14'],
        before: absent,
        fields: { RSP: MemoryMap.test + 0x800 },
      }),
      svm('#PF while INT n is delivered', 'int 0x30', {
        intercepts: ['EXCP14'],
        before: absent,
        fields: { RSP: MemoryMap.test + 0x800 },
        after: present,
        bochs: 'reports the event of an earlier exit in EXITINTINFO; 15.7.2.',
      }),
    ],
  ),
  svmRom(
    'svm-shutdown',
    'A triple fault is an exit; what is saved of the guest is undefined (APM Vol. 2 15.14.3)',
    [
      svm('shutdown', 'ud2', { fields: { IDTR_LIMIT: 0 }, hide: ['int', 'rip', 'stack', 'flags', 'registers', 'changes'] }),
      svm('shutdown of real mode', 'ud2', {
        mode: 'real',
        fields: { IDTR_LIMIT: 0 },
        hide: ['int', 'rip', 'stack', 'flags', 'registers', 'changes'],
      }),
    ],
    { without: { peer: 'bochs', why: 'shuts down, whatever the intercept.' } },
  ),
];
