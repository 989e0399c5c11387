import { MemoryMap } from '../../prelude/memory-map.ts';
import type { GuestOptions, VtxAttempt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, vmread } from '../../prelude/vtx-host.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import { absent, allow, Ept, type EptEntry, ept, mend, pde, pdpte, pml4e, pte, put, store64, withBits } from './ept.ts';
import { READ, WRITE } from './ept-violations.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { test, pml4, pdpt, longDirectories, longTable, paging32Directory, paging32Table, paePointers, paeDirectories, paeTable } = MemoryMap;
const { R, W, X } = Ept;
const HUGE = 0x4000_0000;
const LARGE = 0x40_0000;
const PAGE_FAULTS_EXIT = { EXCEPTION_BITMAP: (1 << 14) | (1 << 13) };

/** A guest that begins at `test`. */
const AT_TEST: GuestOptions = { fields: { GUEST_RIP: test } };
const at = (mode: 'paging32' | 'pae' | 'compatibility'): GuestOptions => ({ ...AT_TEST, mode });

/** The guest's PDPT for 1 GiB and up has its directories one after the other. */
const HUGE_DIRECTORY = longDirectories + 0x1000;
const NO_DIRECTORY = [absent(pte(HUGE_DIRECTORY))];
const READ_HUGE = `mov eax, ${HUGE + 0x20_0123}\nmov bl, [rax]`;
const WRITE_HUGE = `mov eax, ${HUGE + 0x20_0123}\nmov [rax], bl`;

const ACCESSED = 0x20;
const DIRTY = 0x40;
const SETS_FLAGS = "sets the guest's accessed and dirty flags without asking EPT; SDM Vol. 3C 29.3.3.2.";
/** An access that sets flags in the guest's entry of `address`, which lies in a page that EPT does not let be written. */
function setsFlags(label: string, code: string, entry: number, flags: number, mode: 'long' | 'pae' | 'paging32' = 'long'): VtxAttempt {
  return ept(label, code, [allow(pte(entry), R | X)], {
    mode,
    before: `and dword [${entry}], ${~flags}\nor dword [${entry}], ${flags ^ (ACCESSED | DIRTY)}`,
    bochs: SETS_FLAGS,
    manual: `EPT_VIOLATION q=ab gpa=${entry.toString(16)} gla=40200123 at ${mode === 'long' ? '38' : '8'}:+5 sp=10:d000 fl=2 rax=40200123`,
  });
}
const entry8 = (table: number, index: number): number => table + index * 8;

const loadCr3 = (value: number): string => `mov eax, ${value}\nmov cr3, eax`;
const showPdpte = (n: 0 | 1 | 2 | 3): string => `${vmread(`GUEST_PDPTR${n}`, 'rdx')}\n${note({ [`pdpte${n}`]: 'rdx' })}`;
const badPdpte = (value: bigint): GuestOptions => ({
  mode: 'pae',
  before: store64(paePointers + 8, value),
  afterwards: `${showPdpte(1)}\n${store64(paePointers + 8, paeDirectories + 0x1001)}`,
});

/** Bits of an entry, each in an attempt of its own. */
const bits = (name: string, what: EptEntry, list: readonly number[], code: string, options: GuestOptions = {}) =>
  list.map((bit) => ept(`${name}, bit ${bit}`, code, [withBits(what, 1n << BigInt(bit))], options));
const types = (name: string, what: EptEntry, base: bigint, code: string) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((type) =>
    ept(`${name}, type ${type}`, code, [put(what, base | (BigInt(type) << 3n))], { hide: ['registers'] }),
  );
const readAt = (address: number): string => `mov eax, ${address + 0x123}\nmov bl, [rax]`;
const LARGE_PAGE = BigInt(LARGE) | Ept.PAGE | Ept.RWX;
const HUGE_PAGE = Ept.PAGE | Ept.RWX;
const HUGE_WB: EptEntry = { ...pdpte(HUGE), whole: HUGE_PAGE | Ept.WB };
/** `ept` puts the entry back that stands in the table, not the large page. */
const hugeBits = (list: readonly number[]) =>
  list.map((bit) => ept(`1 GByte, bit ${bit}`, readAt(HUGE), [put(pdpte(HUGE), HUGE_WB.whole | (1n << BigInt(bit)))]));
const BIT_12 = 'does not look at bit 12 of a large page; SDM Vol. 3C 29.3.2.';

/** A guest's PTE of `test` with other bits; it is put back afterwards. */
const GUEST_PTE = entry8(longTable, test >>> 12);
const guestPte = (value: bigint): GuestOptions => ({
  fields: PAGE_FAULTS_EXIT,
  before: store64(GUEST_PTE, value),
  afterwards: store64(GUEST_PTE, BigInt(test) | 7n),
});
const guestEntry = (where: number, value: bigint, whole: bigint | number, mode: 'long' | 'pae' | 'paging32' = 'long'): GuestOptions => ({
  mode,
  fields: PAGE_FAULTS_EXIT,
  before: store64(where, value),
  afterwards: store64(where, whole),
});

/** A PML4 of the guest alone, whose first entry is this. */
const guestPml4 = (value: bigint): GuestOptions => ({
  fields: { ...PAGE_FAULTS_EXIT, GUEST_RIP: test, GUEST_CR3: VtxMemory.free },
  before: store64(VtxMemory.free, value),
});

export const vtxEptStructureRoms: readonly Rom[] = [
  vtxRom('vtx-ept-table', "Violations on the guest's own paging structures: bit 8 is clear (SDM Vol. 3C 28.2.1, Table 28-7)", [
    ...(
      [
        ['PML4', pml4],
        ['PDPT', pdpt],
        ['directory', longDirectories],
        ['table', longTable],
      ] as const
    ).map(([name, gpa]) => ept(`${name}, fetch`, '', [absent(pte(gpa))], AT_TEST)),
    ept('directory, read', READ_HUGE, NO_DIRECTORY),
    ept('directory, write', WRITE_HUGE, NO_DIRECTORY),
    ept('ring 3', WRITE_HUGE, NO_DIRECTORY, { fields: RING_3 }),
    ept('execute-only', WRITE_HUGE, [allow(pte(HUGE_DIRECTORY), X)]),
    ept('32-bit directory', '', [absent(pte(paging32Directory))], at('paging32')),
    ept('32-bit table', '', [absent(pte(paging32Table))], at('paging32')),
    ept('PAE directory', '', [absent(pte(paeDirectories))], at('pae')),
    ept('PAE table', '', [absent(pte(paeTable))], at('pae')),
    ept('a PAE directory for data', 'mov bl, [0xc0000123]', [absent(pte(paeDirectories + 0x3000))], { mode: 'pae' }),
    ept('compatibility mode', '', [absent(pte(longTable))], at('compatibility')),
    ept('v86 mode', '', [absent(pte(paging32Directory))], { mode: 'v86', fields: { GUEST_RIP: 0x100 } }),
    ept('the host mends it', `${READ_HUGE}\nmov ebx, 7`, NO_DIRECTORY, { afterwards: `${mend(NO_DIRECTORY)}\n${RESUME}` }),
    ept('during delivery', 'int3', NO_DIRECTORY, { fields: { GUEST_IDTR_BASE: HUGE } }),
  ]),
  vtxRom('vtx-ept-table-flags', "Setting the guest's accessed and dirty flags is a write to its paging structures (SDM Vol. 3C 29.3.3.2)", [
    ept('A of a PML4E, fetch', '', [allow(pte(pml4), R | X)], {
      ...AT_TEST,
      before: `and dword [${pml4}], ${~ACCESSED}`,
      bochs: SETS_FLAGS,
      manual: 'EPT_VIOLATION q=ab gpa=18000 gla=100000 at 38:100000 sp=10:d000 fl=2',
    }),
    setsFlags('A of a PDPTE', READ_HUGE, entry8(pdpt, 1), ACCESSED),
    setsFlags('A of a PDE', READ_HUGE, entry8(HUGE_DIRECTORY, 1), ACCESSED | DIRTY),
    setsFlags('D of a PDE', WRITE_HUGE, entry8(HUGE_DIRECTORY, 1), DIRTY),
    ept('a 32-bit directory that may be written', 'nop', [], { mode: 'paging32' }),
    setsFlags('A of a 32-bit PDE', READ_HUGE.replace('rax]', 'eax]'), paging32Directory + 0x100 * 4, ACCESSED, 'paging32'),
    setsFlags('A of a PAE PDE', READ_HUGE.replace('rax]', 'eax]'), entry8(paeDirectories + 0x1000, 1), ACCESSED | DIRTY, 'pae'),
    ept('flags that are set', `${READ_HUGE}\n${WRITE_HUGE}`, [allow(pte(HUGE_DIRECTORY), R | X)], {
      before: `or dword [${entry8(HUGE_DIRECTORY, 1)}], ${ACCESSED | DIRTY}`,
    }),
    ept('D that a read need not set', READ_HUGE, [allow(pte(HUGE_DIRECTORY), R | X)], {
      before: `and dword [${entry8(HUGE_DIRECTORY, 1)}], ${~DIRTY}`,
    }),
  ]),
  vtxRom(
    'vtx-ept-pdpte',
    'PDPTEs that MOV to CR loads: no linear address; at entry they come from the VMCS (SDM Vol. 3C 28.2.1, 29.3.1, 28.3.4)',
    [
      ept('MOV to CR3', loadCr3(paePointers), [absent(pte(paePointers))], { mode: 'pae' }),
      ept('MOV to CR3, execute-only', loadCr3(paePointers), [allow(pte(paePointers), X)], { mode: 'pae' }),
      ept('MOV to CR3, read-only', `${loadCr3(paePointers)}\nmov ebx, 1`, [allow(pte(paePointers), R)], { mode: 'pae' }),
      ept('MOV to CR3, read-only, with accessed and dirty flags', `${loadCr3(paePointers)}\nmov ebx, 1`, [allow(pte(paePointers), R)], {
        mode: 'pae',
        fields: { EPT_POINTER: EPTP | 0x40 },
      }),
      ept('MOV to CR3, misconfigured', loadCr3(paePointers), [allow(pte(paePointers), W)], { mode: 'pae' }),
      ept('MOV to CR0', 'mov eax, 0x80000031\nmov cr0, eax', [absent(pte(paePointers))], {
        mode: 'protected',
        fields: { GUEST_CR3: paePointers, GUEST_CR4: 0x2020 },
      }),
      ept('MOV to CR4', 'mov eax, 0x20a0\nmov cr4, eax', [absent(pte(paePointers))], { mode: 'pae' }),
      ept('MOV to CR4 of a bit that paging does not look at', 'mov eax, 0x2028\nmov cr4, eax', [absent(pte(paePointers))], { mode: 'pae' }),
      ept('entry does not read them', 'mov ebx, 1', [absent(pte(paePointers))], { mode: 'pae' }),
      ept('entry takes those of the VMCS', 'mov bl, [0x40000123]', [], { mode: 'pae', fields: { GUEST_PDPTR1: 0, ...PAGE_FAULTS_EXIT } }),
      ept('an exit saves them', loadCr3(paePointers), [], { mode: 'pae', fields: { GUEST_PDPTR2: 0 }, afterwards: showPdpte(2) }),
      ept('not present', loadCr3(paePointers), [], badPdpte(0xffff_ffff_ffff_fffen)),
      ept('a reserved bit', loadCr3(paePointers), [], badPdpte(0x14003n)),
      ept('beyond the physical-address width', loadCr3(paePointers), [], badPdpte(0x100_0001_4001n)),
      ept('the host mends it', `${loadCr3(paePointers)}\nmov ebx, 1`, [absent(pte(paePointers))], {
        mode: 'pae',
        afterwards: `${mend([absent(pte(paePointers))])}\n${RESUME}`,
      }),
    ],
  ),
  vtxRom(
    'vtx-ept-misconfigured',
    'Misconfigurations by reserved bits and by the physical-address width at each level (SDM Vol. 3C 29.3.3.1)',
    [
      ...bits('PML4E', pml4e, [3, 7, 40, 51], '', AT_TEST),
      ept('PML4E, bits that are ignored', `${READ}\nxor eax, eax`, [withBits(pml4e, 0xfff0_0000_0000_0f00n)]),
      ...bits('PDPTE', pdpte(HUGE), [3, 6, 40], readAt(HUGE)),
      ...bits('PDE', pde(0), [3, 5, 6, 40], '', AT_TEST),
      ...bits('PTE', pte(test), [40, 51], READ),
      ept('PTE, bits that are ignored', `${READ}\nxor eax, eax`, [withBits(pte(test), 0xfff0_0000_0000_0fc0n)]),
      ...bits('2 MBytes', pde(LARGE), [13, 20, 40], readAt(LARGE)),
      ept('2 MBytes, bit 12', readAt(LARGE), [withBits(pde(LARGE), 0x1000n)], {
        bochs: BIT_12,
        manual: 'EPT_MISCONFIG gpa=400123 at 38:+5 sp=10:d000 fl=2 rax=400123',
      }),
      ...hugeBits([13, 29, 45]),
      ept('1 GByte, bit 12', readAt(HUGE), [put(pdpte(HUGE), HUGE_WB.whole | 0x1000n)], {
        bochs: BIT_12,
        manual: 'EPT_MISCONFIG gpa=40000123 at 38:+5 sp=10:d000 fl=2 rax=40000123',
      }),
      ept('2 MBytes, W without R', readAt(LARGE), [allow(pde(LARGE), W)]),
      ept('1 GByte, WX without R', readAt(HUGE), [put(pdpte(HUGE), HUGE_WB.whole & ~R)]),
    ],
  ),
  vtxRom(
    'vtx-ept-misconfigured-where',
    'Misconfigurations and violations: what is looked at first; accesses that are not of an instruction (SDM Vol. 3C 29.3.3)',
    [
      ept('reserved bits of an entry that is not present', READ, [put(pte(test), 0xfff_ffff_ffff_fff8n)]),
      ept('a right that is missing, too', WRITE, [put(pte(test), BigInt(test) | 0x39n)]),
      ept('below an entry that is not present', readAt(LARGE), [absent(pde(LARGE)), allow(pte(test), W)]),
      ept('below an entry without the right', WRITE, [allow(pde(0), R | X), allow(pte(test), W)], { before: `or byte [${test}], 0` }),
      ept('above an entry that is not present', READ, [absent(pte(test)), put(pde(0), pde(0).whole | 8n)], AT_TEST),
      ept('PDPTE, W without R', readAt(HUGE), [allow(pdpte(HUGE), W)]),
      ept('PML4E, WX', '', [allow(pml4e, W | X)], AT_TEST),
      ept("the guest's tables", '', [allow(pte(longTable), W)], AT_TEST),
      ept('delivery', 'int3', [allow(pte(test), W)], { fields: { GUEST_IDTR_BASE: test } }),
      ept('the second page', `mov eax, [${test + 0xffe}]`, [allow(pte(test + 0x1000), W)]),
      ept('paging off', READ, [allow(pte(test), W)], { mode: 'protected' }),
      ept('mended', `mov ebx, [${test + 0x123}]\nmov ebx, 5`, [allow(pte(test), W)], {
        afterwards: `${store64(pte(test).at, pte(test).whole)}\n${RESUME}`,
      }),
    ],
  ),
  vtxRom('vtx-ept-memory-type', 'Memory types 2, 3 and 7 are misconfigurations (SDM Vol. 3C 29.3.3.1)', [
    ...types('PTE', pte(test), BigInt(test) | Ept.RWX, READ),
    ...types('2 MBytes', pde(LARGE), LARGE_PAGE, readAt(LARGE)),
    ...types('1 GByte', pdpte(HUGE), HUGE_PAGE, readAt(HUGE)),
  ]),
  vtxRom('vtx-ept-priority', "The guest's own faults come before EPT sees the final address (SDM Vol. 3C 28.1, 29.3.3.4)", [
    ept('not present', READ, [absent(pte(test))], guestPte(0n)),
    ept('read-only, CR0.WP is 0', WRITE, [absent(pte(test))], guestPte(BigInt(test) | 5n)),
    ept('read-only, CR0.WP is 1', WRITE, [absent(pte(test))], {
      ...guestPte(BigInt(test) | 5n),
      fields: { ...PAGE_FAULTS_EXIT, GUEST_CR0: 0x8001_0031 },
    }),
    ept('a supervisor page in ring 3', READ, [absent(pte(test))], {
      ...guestPte(BigInt(test) | 3n),
      fields: { ...PAGE_FAULTS_EXIT, ...RING_3 },
    }),
    ept('execute-disable', `mov eax, ${test}\njmp rax`, [absent(pte(test))], guestPte(BigInt(test) | 7n | (1n << 63n))),
    ept('a reserved bit', READ, [absent(pte(test))], guestPte(BigInt(test) | 7n | (1n << 51n))),
    ept('not canonical', 'mov rax, 0x8000000000000000\nmov bl, [rax]', [absent(pte(test))], { fields: PAGE_FAULTS_EXIT }),
    ept('a segment limit', `mov al, [${test}]`, [absent(pte(test))], {
      mode: 'paging32',
      fields: { GUEST_DS_LIMIT: 0xfffff, GUEST_DS_AR_BYTES: 0x4093 },
    }),
    ept('a PDE that is not present, its table neither', `mov al, [${HUGE}]`, [absent(pte(HUGE_DIRECTORY))], {
      ...guestEntry(entry8(pdpt, 1), 0n, HUGE_DIRECTORY | 7),
    }),
    ept('a table that EPT refuses, its entry not present', READ, [absent(pte(longTable))], { ...guestPte(0n), ...AT_TEST }),
  ]),
  vtxRom(
    'vtx-ept-width',
    'Guest-physical addresses up to the width, and beyond it: #PF with RSVD, no violation (SDM Vol. 3C 29.3.2, 29.3.3; Vol. 3A 4.7)',
    [
      ept('the highest bit', READ, [], guestPte((1n << 39n) | 7n)),
      ept('one above', READ, [], guestPte((1n << 40n) | 7n)),
      ept('bit 51, a write', WRITE, [], guestPte((1n << 51n) | 7n)),
      ept('PDE, the highest bit', READ_HUGE, [], guestEntry(entry8(HUGE_DIRECTORY, 1), (1n << 39n) | 0x87n, HUGE + 0x20_0087)),
      ept('PDE, one above', READ_HUGE, [], guestEntry(entry8(HUGE_DIRECTORY, 1), (1n << 40n) | 0x87n, HUGE + 0x20_0087)),
      ept('PDPTE, the highest bit', READ_HUGE, [], guestEntry(entry8(pdpt, 1), (1n << 39n) | 7n, HUGE_DIRECTORY | 7)),
      ept('PDPTE, one above', READ_HUGE, [], guestEntry(entry8(pdpt, 1), (1n << 40n) | 7n, HUGE_DIRECTORY | 7)),
      ept('PML4E, the highest bit', '', [], guestPml4((1n << 39n) | 7n)),
      ept('PML4E, one above', '', [], guestPml4((1n << 40n) | 7n)),
      ept('PAE PTE, the highest bit', READ, [], guestEntry(entry8(paeTable, test >>> 12), (1n << 39n) | 7n, BigInt(test) | 7n, 'pae')),
      ept('PAE PTE, one above', READ, [], guestEntry(entry8(paeTable, test >>> 12), (1n << 40n) | 7n, BigInt(test) | 7n, 'pae')),
      ept('a 4-MByte page with address bits 39-32', 'mov bl, [0x400123]', [], {
        ...guestEntry(paging32Directory + 4, (0x80_0087n << 32n) | 0x40_2087n, (0x80_0087n << 32n) | 0x40_0087n, 'paging32'),
      }),
      ept('CR3', `mov rax, ${1n << 40n}\nmov cr3, rax`, []),
      ept('CR3 at entry, the highest bit', '', [], { fields: { GUEST_CR3: 1n << 39n, GUEST_RIP: test } }),
    ],
  ),
];
