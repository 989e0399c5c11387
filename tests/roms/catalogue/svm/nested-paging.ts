import { MemoryMap } from '../../prelude/memory-map.ts';
import { type SvmAttempt, type SvmGuestOptions, svm } from '../../prelude/svm-attempt.ts';
import { SVM_AGAIN } from '../../prelude/svm-host.ts';
import { SvmMemory } from '../../prelude/svm-memory.ts';
import type { Rom } from '../../rom.ts';
import { svmRom } from './svm-rom.ts';

const { test } = MemoryMap;
const { nestedTable, nestedDirectories, nestedPdpt, nestedPml4 } = SvmMemory;
const P = 1;
const W = 2;
const U = 4;
const ALL = P | W | U;
/** Stores an entry of 8 bytes. */
const entry = (at: number, low: number, high = 0): string => `mov dword [${at}], ${low}\nmov dword [${at + 4}], ${high}`;
/** The nested entry of a guest-physical page of the first 2 MiB. */
const page = (gpa: number, bits: number, high = 0): string => entry(nestedTable + (gpa >>> 12) * 8, gpa | bits, high);
const NX = 0x80000000;

/** An attempt with one nested entry changed; it is put back afterwards. */
function npf(
  label: string,
  code: string,
  [gpa, bits, high]: readonly [number, number, number?],
  options: SvmGuestOptions = {},
): SvmAttempt {
  const { before = '', after = '' } = options;
  return svm(label, code, { ...options, before: `${page(gpa, bits, high)}\n${before}`, after: `${page(gpa, ALL)}\n${after}` });
}

const NO_P = 'clears P with RSV; 15.25.6.';
const READ = `mov al, [${test + 0x123}]`;
const WRITE = `mov [${test + 0x123}], al`;
const FETCH = `mov byte [${test}], 0xc3\nmov eax, ${test}\njmp rax`;
/** The guest's own tables: the PML4 is used first. */
const { pml4, pdpt, longDirectories, longTable, paging32Directory, paePointers } = MemoryMap;
const guestEntry = (at: number, low: number): string => `mov dword [${at}], ${low}`;
/** What the instruction bytes field holds: these and NOPs. */
const bytes = (...code: number[]): string =>
  `bytes=${[...code, ...Array<number>(15).fill(0x90)]
    .slice(0, 15)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')}`;
const NOPS = '\ntimes 15 nop';

export const svmNestedPagingRoms: readonly Rom[] = [
  svmRom('svm-npf-access', 'Nested page faults of the final address: what the access was (APM Vol. 2 15.25.6)', [
    npf('read', READ, [test, 0]),
    npf('write', WRITE, [test, 0]),
    npf('read-modify-write', `add byte [${test + 0x123}], 1`, [test, 0], { qemu: 'reports the read of a read-modify-write; 15.25.6.' }),
    npf('fetch', `mov eax, ${test + 8}\njmp rax`, [test, 0]),
    npf('ring 3', READ, [test, 0], { mode: 'ring3' }),
    npf('paging off', READ, [test, 0], { mode: 'protected' }),
    npf('real mode', 'mov ax, [0x7123]', [0x7000, 0], { mode: 'real' }),
    npf('32-bit paging', WRITE, [test, 0], { mode: 'paging32' }),
    npf('PAE paging', READ, [test, 0], { mode: 'pae' }),
    npf('over two pages', `mov eax, [${test + 0xffe}]`, [test + 0x1000, 0]),
    npf('a write over two pages', `mov [${test + 0xffe}], eax`, [test + 0x1000, 0]),
    npf('PUSH', 'push rax', [test, 0], { fields: { RSP: test + 0x800 } }),
    npf('MOVS', 'movsd', [test, 0], { registers: { rsi: SvmMemory.free, rdi: test + 4 } }),
    npf('REP MOVS midway', 'rep movsd', [test, 0], { registers: { rsi: SvmMemory.free, rdi: test - 8, rcx: 8 } }),
  ]),
  svmRom(
    'svm-npf-rights',
    'Nested page faults: the rights of nested entries; every access is a user access (APM Vol. 2 15.25.5, 15.25.7)',
    [
      npf('write of a read-only page', WRITE, [test, P | U]),
      npf('read of a read-only page', `${READ}\nxor eax, eax`, [test, P | U]),
      npf("read-only, the guest's CR0.WP is 0", WRITE, [test, P | U], { fields: { CR0: 0x80000031 } }),
      npf('read of a supervisor page', READ, [test, P | W]),
      npf('write of a supervisor page', WRITE, [test, P | W]),
      npf('fetch of a no-execute page', FETCH, [test, ALL, NX]),
      npf('read of a no-execute page', `${READ}\nxor eax, eax`, [test, ALL, NX]),
      npf('the guest allows no write', WRITE, [test, P | U], {
        intercepts: ['EXCP14'],
        fields: { CR0: 0x80010031 },
        before: guestEntry(longTable + (test >>> 12) * 8, test | P | U),
        after: guestEntry(longTable + (test >>> 12) * 8, test | ALL),
      }),
      npf('not present for the guest', READ, [test, 0], {
        intercepts: ['EXCP14'],
        before: guestEntry(longTable + (test >>> 12) * 8, 0),
        after: guestEntry(longTable + (test >>> 12) * 8, test | ALL),
      }),
    ],
  ),
  svmRom('svm-npf-reserved', 'Nested page faults: reserved bits of nested entries (APM Vol. 2 15.25.6)', [
    npf('a physical address too high', READ, [test, ALL, 0x80000], { qemu: NO_P }),
    npf('in a write', WRITE, [test, ALL, 0x80000], { qemu: NO_P }),
    svm('of a PDE', 'mov al, [0x400000]', {
      before: entry(nestedDirectories + 16, 0x400087, 0x80000),
      after: entry(nestedDirectories + 16, 0x400087),
      qemu: NO_P,
    }),
    svm('a large page that is not aligned', 'mov al, [0x400000]', {
      before: entry(nestedDirectories + 16, 0x402087),
      after: entry(nestedDirectories + 16, 0x400087),
      qemu: NO_P,
    }),
    svm('of a PDPTE', 'mov eax, 0x80000000\nmov al, [rax]', {
      before: entry(nestedPdpt + 16, (nestedDirectories + 0x2000) | ALL, 0x80000),
      after: entry(nestedPdpt + 16, (nestedDirectories + 0x2000) | ALL),
      qemu: NO_P,
    }),
    svm('a PDE that is not present', 'mov al, [0x400000]', {
      before: entry(nestedDirectories + 16, 0),
      after: entry(nestedDirectories + 16, 0x400087),
    }),
    svm('a PDPTE that is not present', 'mov eax, 0x80000000\nmov al, [rax]', {
      before: entry(nestedPdpt + 16, 0),
      after: entry(nestedPdpt + 16, (nestedDirectories + 0x2000) | ALL),
    }),
    svm('a PML4E that is read-only', WRITE, { before: entry(nestedPml4, nestedPdpt | P | U), after: entry(nestedPml4, nestedPdpt | ALL) }),
  ]),
  svmRom('svm-npf-table', "Nested page faults on the guest's tables: bit 33, always as a write (APM Vol. 2 15.25.5, 15.25.6)", [
    npf('PML4 not present', 'nop', [pml4, 0]),
    npf('PDPT not present', 'nop', [pdpt, 0]),
    npf('directory not present', 'nop', [longDirectories, 0]),
    npf('table not present', 'nop', [longTable, 0]),
    npf('table read-only', 'nop', [longTable, P | U]),
    npf('table of a supervisor', 'nop', [longTable, P | W]),
    npf('a directory that one access needs', 'mov rax, 0xc0000000\nmov al, [rax]', [longDirectories + 0x3000, 0]),
    npf('32-bit directory', 'nop', [paging32Directory, 0], { mode: 'paging32' }),
    npf('PAE pointers', 'nop', [paePointers, 0], { mode: 'pae' }),
    npf('no-execute table', 'nop', [longTable, ALL, NX]),
  ]),
  svmRom('svm-npf-ad', 'Accessed and dirty bits of nested entries, also by walks of the guest (APM Vol. 2 15.25.5)', [
    ...(
      [
        ['read', READ, test],
        ['write', WRITE, test],
        ['not touched', 'nop', test],
        ['the table of the guest', 'nop', longTable],
      ] as const
    ).map(([label, code, gpa]) =>
      svm(label, `${code}\nxor eax, eax`, {
        before: page(gpa, ALL),
        after: `mov eax, [${nestedTable + (gpa >>> 12) * 8}]\nand eax, 0xfff\nmov rdx, rax\nmov al, 32\nout 0xe9, al\nout 0xe9, al\nmov rax, rdx\ncall svm_hex\ncall newline64`,
      }),
    ),
  ]),
  svmRom('svm-npf-mended', 'The fault is mended and the guest goes on (APM Vol. 2 15.25.6)', [
    npf('read', `mov dword [${test}], 0x55\nmov ebx, [${test}]`, [test, 0], { after: SVM_AGAIN }),
    npf('table', 'mov ebx, 7', [longTable, 0], { after: SVM_AGAIN }),
    npf('another frame', `mov ebx, [${test}]`, [test, 0], {
      before: `mov dword [${SvmMemory.free}], 0x1234`,
      after: `${entry(nestedTable + (test >>> 12) * 8, SvmMemory.free | ALL)}\n${SVM_AGAIN}\n${page(test, ALL)}`,
    }),
  ]),
  svmRom('svm-npf-large', 'Large nested pages, and small pages of the guest in them (APM Vol. 2 15.25.9)', [
    svm('2 MiB moved', 'mov ebx, [0x400123]', {
      before: `mov dword [0x800123], 0x77\n${entry(nestedDirectories + 16, 0x800087)}`,
      after: entry(nestedDirectories + 16, 0x400087),
    }),
    svm('1 GiB', 'mov eax, 0x40000000\nmov ebx, [rax + 0x123]', {
      before: `mov dword [0x123], 0x78\n${entry(nestedPdpt + 8, 0x87)}`,
      after: entry(nestedPdpt + 8, (nestedDirectories + 0x1000) | ALL),
    }),
    svm('2 MiB read-only', 'mov [0x400123], ebx', {
      before: entry(nestedDirectories + 16, 0x400085),
      after: entry(nestedDirectories + 16, 0x400087),
    }),
  ]),
  svmRom('svm-npt-pae', 'PDPTEs of a guest are read when they are used: an illegal one is no #GP of MOV CR3 (APM Vol. 2 15.25.10)', [
    svm('MOV CR3', `mov eax, ${paePointers}\nmov cr3, eax\nmov ebx, 1`, { mode: 'pae' }),
    svm('an illegal PDPTE', `mov dword [${paePointers + 8}], 0x13003\nmov eax, ${paePointers}\nmov cr3, eax\nmov ebx, 1`, {
      mode: 'pae',
      intercepts: ['EXCP13'],
      after: guestEntry(paePointers + 8, (MemoryMap.paeDirectories + 0x1000) | 1),
    }),
  ]),
  svmRom('svm-instruction-bytes', 'Decode assists: the bytes of the instruction, for #PF and NPF of data (APM Vol. 2 15.8.4)', [
    npf('NPF of a read', `${READ}${NOPS}`, [test, 0], { assists: bytes(0x8a, 0x04, 0x25, 0x23, 0x01, 0x10, 0x00) }),
    npf('NPF of a write in 32-bit code', `${WRITE}${NOPS}`, [test, 0], { mode: 'paging32', assists: bytes(0xa2, 0x23, 0x01, 0x10, 0x00) }),
    npf('#PF', `mov rax, 0xffff900000000000\nmov al, [rax]${NOPS}`, [test, ALL], { intercepts: ['EXCP14'], assists: bytes(0x8a, 0x00) }),
  ]),
  svmRom('svm-no-npt', 'Without nested paging the tables of the guest map host-physical memory (APM Vol. 2 15.25.1)', [
    svm('CPUID', 'mov rax, cr3\nmov eax, 1\ncpuid', { intercepts: ['CPUID'], fields: { NP_ENABLE: 0 } }),
    svm('#PF intercepted', 'mov rax, 0xffff900000000000\nmov al, [rax]', { intercepts: ['EXCP14'], fields: { NP_ENABLE: 0 } }),
    svm('paged real mode', 'mov ax, [0x7123]', {
      mode: 'pagedReal',
      intercepts: ['EXCP14'],
      fields: { NP_ENABLE: 0 },
      before: guestEntry(MemoryMap.paging32Table + 7 * 4, 0),
      after: guestEntry(MemoryMap.paging32Table + 7 * 4, 0x7007),
    }),
    svm('N_CR3 is not looked at', 'nop', { fields: { NP_ENABLE: 0, N_CR3: 0x8000000000000000n } }),
    svm('G_PAT is not looked at', `mov ecx, 0x277\nrdmsr`, { fields: { NP_ENABLE: 0, G_PAT: 0x02n } }),
  ]),
  svmRom(
    'svm-g-pat',
    'G_PAT is the PAT of the guest with nested paging (APM Vol. 2 15.25.4)',
    [
      svm('read', 'mov ecx, 0x277\nrdmsr', { fields: { G_PAT: 0x0606060606060600n } }),
      svm('written', 'mov ecx, 0x277\nmov eax, 0x01040506\nmov edx, 0x00010405\nwrmsr'),
      svm("the host's is its own", 'mov ecx, 0x277\nmov eax, 0x01040506\nmov edx, 0x00010405\nwrmsr', {
        after: `mov ecx, 0x277\nrdmsr\nmov edi, eax\nmov al, 32\nout 0xe9, al\nout 0xe9, al\nmov eax, edi\ncall svm_hex\ncall newline64`,
      }),
      svm('a bad type is #GP', 'mov ecx, 0x277\nmov eax, 2\nxor edx, edx\nwrmsr', { intercepts: ['EXCP13'] }),
    ],
    { without: { peer: 'qemu', why: 'TCG has one PAT for guest and host.' } },
  ),
];
