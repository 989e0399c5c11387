import { attempt32, attempt64, user32, user64 } from '../prelude/attempt.ts';
import { MemoryMap } from '../prelude/memory-map.ts';
import { Msr, wrmsr } from '../prelude/modes.ts';
import { departs, type Rom } from '../rom.ts';

const { paging32Directory, paging32Table, paePointers, paeDirectories, paeTable, pml4, pdpt, longDirectories, longTable } = MemoryMap;
const PAGE = MemoryMap.test;
const INDEX = PAGE >> 12;
/** Bits of paging entries (SDM Vol. 3A, Table 4-6). */
const [P, W, U, PS, G] = [1, 2, 4, 0x80, 0x100];
const PWU = P | W | U;

/** Sets the test page's entry and forgets its translation. */
const pte32 = (value: number, index = INDEX): string => `mov dword [${paging32Table + 4 * index}], ${value}\ninvlpg [${index << 12}]`;
const pteWide = (table: number, low: number, high = 0, index = INDEX): string =>
  `mov dword [${table + 8 * index}], ${low}\nmov dword [${table + 8 * index + 4}], ${high}\ninvlpg [${index << 12}]`;
const setBits = (register: string, control: string, bits: number): string =>
  `mov ${register}, ${control}\nor ${register}, ${bits}\nmov ${control}, ${register}`;
const clearBits = (register: string, control: string, bits: number): string =>
  `mov ${register}, ${control}\nand ${register}, ${~bits}\nmov ${control}, ${register}`;
const RESERVED_WITHOUT_P = 'leaves P clear in the error code where a reserved bit is set; SDM Vol. 3A 4.7.';
const READ_FIRST = 'reports the read of a read-modify-write; SDM Vol. 3A 4.7: W/R is set where the access needs to write.';
const CR0_WP = 0x10000;

export const pagingRoms: readonly Rom[] = [
  {
    name: 'paging-32bit-rights',
    rule: 'Access rights and #PF error codes with 32-bit paging (SDM Vol. 3A 4.6, 4.7)',
    mode: 'paging32',
    // The test page holds INT 30 for ring 3 to run.
    source: [
      ['not present', 0],
      ['supervisor read-only', P],
      ['supervisor', P | W],
      ['user read-only', P | U],
      ['user', PWU],
    ]
      .map(
        ([name, bits]) => `
      ${pte32(PAGE | PWU)}
      mov word [${PAGE + 0x10}], 0x30cd
      ${pte32(bits === 0 ? 0 : PAGE | Number(bits))}
      ${attempt32(`${name}, ring 0 read`, `mov eax, [${PAGE}]\nxor eax, eax`)}
      ${attempt32(`${name}, ring 0 write`, `mov [${PAGE}], eax`)}
      ${user32(`${name}, ring 3 read`, `mov eax, [${PAGE + 4}]\nxor eax, eax`)}
      ${user32(`${name}, ring 3 write`, `mov [${PAGE + 4}], eax`)}
      ${user32(`${name}, ring 3 read-modify-write`, `add dword [${PAGE + 4}], 0`)}
      ${user32(`${name}, ring 3 fetch`, `mov ebx, ${PAGE + 0x10}\njmp ebx`)}`,
      )
      .join('\n'),
    departures: departs(
      'qemu',
      ['not present', 'supervisor read-only', 'supervisor'].map((name) => `${name}, ring 3 read-modify-write`),
      READ_FIRST,
    ),
  },
  {
    name: 'paging-wp',
    rule: 'CR0.WP makes read-only pages hold for ring 0 (SDM Vol. 3A 4.6.1)',
    mode: 'paging32',
    source: `
      ${pte32(PAGE | P)}
      ${attempt32('WP 0, supervisor read-only', `mov dword [${PAGE}], 5\nmov ebx, [${PAGE}]`)}
      ${pte32(PAGE | P | U)}
      ${attempt32('WP 0, user read-only', `mov dword [${PAGE}], 6\nmov ebx, [${PAGE}]`)}
      ${setBits('eax', 'cr0', CR0_WP)}
      ${pte32(PAGE | P)}
      ${attempt32('WP 1, supervisor read-only', `mov dword [${PAGE}], 5`)}
      ${pte32(PAGE | P | U)}
      ${attempt32('WP 1, user read-only', `mov dword [${PAGE}], 6`)}
      ${attempt32('WP 1, read', `mov ebx, [${PAGE}]`)}
      ${clearBits('eax', 'cr0', CR0_WP)}
      ${attempt32('WP 0 again at once', `mov dword [${PAGE}], 7\nmov ebx, [${PAGE}]`)}
      ${pte32(PAGE | PWU)}
      mov dword [${paging32Directory + 4}], ${paging32Table | P | U}
      mov eax, cr3
      mov cr3, eax
      ${attempt32('W is the AND of all levels', `${setBits('eax', 'cr0', CR0_WP)}\nmov dword [${PAGE + 0x400000}], 5`)}`,
  },
  {
    name: 'paging-accessed-dirty',
    rule: 'The processor sets A and D (SDM Vol. 3A 4.8)',
    mode: 'paging32',
    source: `
      mov dword [${paging32Directory}], ${paging32Table | PWU}
      ${pte32(PAGE | PWU)}
      ${attempt32('untouched', `mov eax, [${paging32Table + 4 * INDEX}]`)}
      ${attempt32('read', `mov ebx, [${PAGE}]\nmov eax, [${paging32Table + 4 * INDEX}]\nmov ebx, [${paging32Directory}]`)}
      ${attempt32('write', `mov dword [${PAGE}], 1\nmov eax, [${paging32Table + 4 * INDEX}]`)}
      ${pte32(PAGE | PWU)}
      ${attempt32('write at once', `mov dword [${PAGE}], 1\nmov eax, [${paging32Table + 4 * INDEX}]`)}
      ${pte32(PAGE | P)}
      ${user32('a fault sets nothing', `mov eax, [${PAGE}]`)}
      ${attempt32('after the fault', `mov eax, [${paging32Table + 4 * INDEX}]`)}
      ${pte32(PAGE | PWU)}
      ${attempt32('CMPXCHG that fails is a write', `mov eax, 7\nmov dword [0x600], 0\ncmpxchg [${PAGE}], ebx\nmov eax, [${paging32Table + 4 * INDEX}]`)}
      mov dword [${paging32Directory + 4}], ${0x400000 | PWU | PS}
      invlpg [0x400000]
      ${attempt32('4 MiB page read', `mov ebx, [0x400000]\nmov eax, [${paging32Directory + 4}]\nxor ebx, ebx`)}
      ${attempt32('4 MiB page write', `mov dword [0x400000], 0\nmov eax, [${paging32Directory + 4}]`)}`,
  },
  {
    name: 'paging-pse',
    rule: '4 MiB pages: CR4.PSE, PSE-36 and reserved bits (SDM Vol. 3A 4.3, Table 4-4)',
    mode: 'paging32',
    source: `
      mov dword [0x800000], 0x88888888
      mov dword [0xc00000], 0xcccccccc
      mov dword [${paging32Directory + 4}], ${0x800000 | PWU | PS}
      invlpg [0x400000]
      ${attempt32('maps 4 MiB', 'mov eax, [0x400000]\nmov dword [0x7ffffc], 5\nmov ebx, [0xbffffc]')}
      mov dword [${paging32Directory + 4}], ${0x800000 | PWU | PS | (1 << 21)}
      invlpg [0x400000]
      ${attempt32('bit 21 is reserved', 'mov eax, [0x400000]')}
      mov dword [${paging32Directory + 4}], ${0xc00000 | PWU | PS | G | (1 << 12)}
      invlpg [0x400000]
      ${attempt32('bit 12 is PAT', 'mov eax, [0x400000]')}
      ${user32('reserved bit from ring 3', 'nop\nmov eax, [0x400000]')}
      mov dword [0x14000], ${0x800000 | PWU}
      mov dword [${paging32Directory + 4}], ${0x14000 | PWU | PS}
      ${clearBits('eax', 'cr4', 0x10)}
      mov eax, cr3
      mov cr3, eax
      ${attempt32('without PSE the bit is ignored', 'mov eax, [0x400000]')}`,
    departures: departs('qemu', ['bit 21 is reserved'], RESERVED_WITHOUT_P),
  },
  {
    name: 'paging-tlb',
    rule: 'INVLPG, MOV to CR3, global pages, CR4.PGE (SDM Vol. 3A 4.10.4)',
    mode: 'paging32',
    source: `
      mov dword [0x101000], 0x11111111
      mov dword [0x102000], 0x22222222
      ${pte32(0x101000 | PWU)}
      ${attempt32('first', `mov eax, [${PAGE}]`)}
      ${pte32(0x102000 | PWU)}
      ${attempt32('after INVLPG', `mov eax, [${PAGE}]`)}
      mov dword [${paging32Table + 4 * INDEX}], ${0x101000 | PWU}
      mov eax, cr3
      mov cr3, eax
      ${attempt32('after MOV to CR3', `mov eax, [${PAGE}]`)}
      ${pte32(0x101000 | PWU | G)}
      mov eax, [${PAGE}]
      mov dword [${paging32Table + 4 * INDEX}], ${0x102000 | PWU | G}
      invlpg [${PAGE}]
      ${attempt32('INVLPG drops global pages', `mov eax, [${PAGE}]`)}
      mov dword [${paging32Table + 4 * INDEX}], ${0x101000 | PWU | G}
      ${clearBits('eax', 'cr4', 0x80)}
      ${attempt32('clearing PGE drops global pages', `mov eax, [${PAGE}]`)}
      ${attempt32('INVLPG of an unmapped page does nothing', `${pte32(0)}\nmov eax, 1`)}
      ${user32('INVLPG is privileged', `invlpg [${PAGE}]`)}
      ${attempt32('a page fault drops the translation', `mov eax, [${PAGE}]`)}
      mov dword [${paging32Table + 4 * INDEX}], ${0x101000 | PWU}
      ${attempt32('a new entry needs no INVLPG', `mov eax, [${PAGE}]`)}`,
  },
  {
    name: 'paging-pae',
    rule: 'PAE paging: NX, reserved bits, 2 MiB pages (SDM Vol. 3A 4.4)',
    mode: 'pae',
    source: `
      mov dword [0x101000], 0x11111111
      ${pteWide(paeTable, 0x101000 | PWU)}
      ${attempt32('4 KiB page', `mov eax, [${PAGE}]`)}
      ${pteWide(paeTable, 0x101000 | PWU, 0x80000000)}
      ${attempt32('NX read', `mov eax, [${PAGE}]`)}
      ${attempt32('NX fetch', `mov eax, ${PAGE}\njmp eax`)}
      ${user32('NX fetch in ring 3', `mov eax, ${PAGE}\njmp eax`)}
      ${pteWide(paeTable, 0, 0)}
      ${attempt32('fetch of an absent page', `mov eax, ${PAGE}\njmp eax`)}
      ${pteWide(paeTable, 0x101000 | PWU, 0x00080000)}
      ${attempt32('reserved bit 51', `mov eax, [${PAGE}]`)}
      ${pteWide(paeTable, 0x101000 | PWU, 0x40000000)}
      ${attempt32('bit 62 is reserved', `mov eax, [${PAGE}]`)}
      ${pteWide(paeTable, 0x101000, 0x40000000)}
      ${attempt32('reserved bits of absent entries are ignored', `mov eax, [${PAGE}]`)}
      mov dword [${paeDirectories + 16}], ${0x600000 | PWU | PS}
      mov dword [0x600000], 0x66666666
      invlpg [0x400000]
      ${attempt32('2 MiB page', 'mov eax, [0x400000]')}
      mov dword [${paeDirectories + 16}], ${0x600000 | PWU | PS | (1 << 13)}
      invlpg [0x400000]
      ${attempt32('bit 13 is reserved', 'mov eax, [0x400000]')}
      mov dword [${paeDirectories + 16}], ${0x600000 | PWU | PS}
      mov dword [${paeDirectories + 20}], 0x80000000
      invlpg [0x400000]
      ${attempt32('2 MiB NX fetch', 'mov eax, 0x400000\njmp eax')}
      ${pteWide(paeTable, 0x101000 | PWU, 0x80000000)}
      ${wrmsr(Msr.efer, 0)}
      ${attempt32('without NXE bit 63 is reserved', `mov eax, [${PAGE}]`)}`,
    departures: departs(
      'qemu',
      ['reserved bit 51', 'bit 62 is reserved', 'bit 13 is reserved', 'without NXE bit 63 is reserved'],
      RESERVED_WITHOUT_P,
    ),
  },
  {
    name: 'paging-pae-pdpte',
    rule: 'PDPTEs are loaded with CR3 and checked then (SDM Vol. 3A 4.4.1)',
    mode: 'pae',
    source: `
      mov dword [${paePointers + 8}], ${(paeDirectories + 0x1000) | 1 | 2}
      ${attempt32('a reserved bit raises GP', 'mov eax, cr3\nmov cr3, eax')}
      mov dword [${paePointers + 8}], 0
      ${attempt32('the old one holds until CR3 is loaded', 'mov eax, [0x40000000]\nxor eax, eax')}
      ${attempt32('absent', 'mov eax, cr3\nmov cr3, eax\nmov eax, [0x40000000]')}
      mov dword [${paePointers + 8}], ${(paeDirectories + 0x1000) | 1}
      mov dword [${paePointers + 12}], 0x00080000
      ${attempt32('a reserved address bit raises GP', 'mov eax, cr3\nmov cr3, eax')}
      mov dword [${paePointers + 12}], 0
      ${attempt32('low bits of CR3', `mov eax, ${paePointers | 0x18}\nmov cr3, eax\nmov ebx, cr3`)}`,
    departures: departs(
      'qemu',
      ['a reserved bit raises GP', 'the old one holds until CR3 is loaded', 'a reserved address bit raises GP'],
      'reads PDPTEs from memory in every walk; SDM Vol. 3A 4.4.1.',
    ),
  },
  {
    name: 'paging-4level',
    rule: '4-level paging: 4 KiB, 2 MiB, 1 GiB pages, reserved bits, rights (SDM Vol. 3A 4.5)',
    mode: 'long',
    source: `
      mov dword [0x101000], 0x11111111
      ${pteWide(longTable, 0x101000 | PWU)}
      ${attempt64('4 KiB page', `mov eax, [${PAGE}]`)}
      ${pteWide(longTable, 0x101000 | PWU, 0x80000000)}
      ${attempt64('NX fetch', `mov eax, ${PAGE}\njmp rax`)}
      ${pteWide(longTable, 0x101000 | PWU, 0x00080000)}
      ${attempt64('reserved bit 51', `mov eax, [${PAGE}]`)}
      ${user64('reserved bit 51, ring 3 write', `mov [${PAGE}], eax`)}
      ${pteWide(longTable, 0x101000 | PWU, 0x7ff00000)}
      ${attempt64('bits 62 to 52 are ignored', `mov eax, [${PAGE}]`)}
      mov dword [0x600000], 0x66666666
      mov dword [${longDirectories + 16}], ${0x600000 | PWU | PS}
      invlpg [0x400000]
      ${attempt64('2 MiB page', 'mov eax, [0x400000]')}
      mov dword [${longDirectories + 16}], ${0x600000 | PWU | PS | (1 << 13)}
      invlpg [0x400000]
      ${attempt64('2 MiB page with bit 13', 'mov eax, [0x400000]')}
      mov dword [${pdpt + 8 * 8}], ${PWU | PS}
      ${attempt64('1 GiB page', 'mov rbx, 0x200600000\nmov eax, [rbx]')}
      mov dword [${pdpt + 8 * 9}], ${PWU | PS | (1 << 13)}
      ${attempt64('1 GiB page with bit 13', 'mov rbx, 0x240600000\nmov eax, [rbx]')}
      mov dword [${pml4 + 8}], ${pdpt | PWU | PS}
      ${attempt64('PS in a PML4 entry', 'mov rbx, 0x8000000000\nmov eax, [rbx]')}
      ${attempt64('absent PML4 entry', 'mov rbx, 0x10000000000\nmov eax, [rbx]')}
      ${attempt64('absent in the upper half', 'mov rbx, -8\nmov [rbx], eax')}
      mov dword [${pml4 + 8 * 3}], ${pdpt | P | W}
      ${user64('U/S of an upper level', 'mov rbx, 0x18000000000\nmov eax, [rbx]')}
      mov dword [${pml4 + 8 * 4}], ${pdpt | P | U}
      ${user64('R/W of an upper level', `mov rbx, ${0x20000000000 + 0x600}\nmov [rbx], eax`)}
      mov dword [${pml4 + 8 * 5}], ${pdpt | PWU}
      mov dword [${pml4 + 8 * 5 + 4}], 0x80000000
      ${attempt64('NX of an upper level', 'mov rbx, 0x28000004000\njmp rbx')}
      mov dword [${pml4 + 8 * 6}], ${pdpt | PWU}
      ${attempt64('another PML4 entry reaches the same page', 'mov dword [0x600], 0x1234\nmov rbx, 0x30000000600\nmov eax, [rbx]')}`,
    departures: departs(
      'qemu',
      ['reserved bit 51', 'reserved bit 51, ring 3 write', '2 MiB page with bit 13', '1 GiB page with bit 13', 'PS in a PML4 entry'],
      RESERVED_WITHOUT_P,
    ),
  },
  {
    name: 'smep-smap',
    rule: 'CR4.SMEP and CR4.SMAP, EFLAGS.AC (SDM Vol. 3A 4.6.1)',
    mode: 'long',
    source: `
      mov dword [${PAGE}], 0xc3
      ; code, tables and stacks become supervisor pages
      mov edi, ${longTable}
    next:
      and dword [rdi], ~4
      add edi, 8
      cmp edi, ${longTable + 8 * 0x100}
      jb next
      mov dword [${longTable + 8 * 13}], ${0xd000 | PWU}
      mov rax, cr3
      mov cr3, rax
      ${setBits('rax', 'cr4', 0x300000)}
      ${attempt64('read of a user page', `mov eax, [${PAGE}]`)}
      ${attempt64('write to a user page', `mov [${PAGE}], eax`)}
      ${attempt64('fetch from a user page', `mov eax, ${PAGE}\ncall rax`)}
      ${attempt64('STAC lets data through', `stac\nmov eax, [${PAGE}]\nclac`)}
      ${attempt64('STAC does not let fetches through', `stac\nmov eax, ${PAGE}\ncall rax`)}
      ${attempt64('CLAC', `stac\npushfq\nclac\npushfq\npop rax\npop rbx\nmov ecx, [${PAGE}]`)}
      ${clearBits('rax', 'cr4', 0x200000)}
      ${attempt64('SMEP alone', `mov ecx, [${PAGE}]\nmov eax, ${PAGE}\ncall rax`)}
      ${clearBits('rax', 'cr4', 0x100000)}
      ${attempt64('neither', `mov eax, ${PAGE}\ncall rax\nxor eax, eax`)}
      ${user64('supervisor pages keep ring 3 out', 'nop')}`,
  },
  {
    name: 'page-crossing',
    rule: 'Accesses that cross a page: CR2 is the first address that faults (SDM Vol. 3A 4.7)',
    mode: 'paging32',
    source: `
      ${pte32(0, INDEX + 1)}
      mov dword [${PAGE + 0xffc}], 0x44332211
      ${attempt32('read across', `mov eax, [${PAGE + 0xffd}]`)}
      ${attempt32('write across changes nothing', `mov dword [${PAGE + 0xffd}], 0x99999999`)}
      ${attempt32('the first part after', `mov eax, [${PAGE + 0xffc}]`)}
      ${attempt32('read-modify-write across', `add dword [${PAGE + 0xffe}], 1`)}
      ${attempt32('16 bytes across', `${setBits('ecx', 'cr4', 0x200)}\nmovups xmm0, [${PAGE + 0xff8}]`)}
      ${attempt32('x87 across', `fninit\nfld tword [${PAGE + 0xff8}]`)}
      ${user32('PUSHAD across in ring 3', 'pushad', { sp: PAGE + 0x1010 })}
      ${attempt32('fetch across', `mov word [${PAGE + 0xffe}], 0xb890\nmov eax, ${PAGE + 0xffe}\njmp eax`)}
      ${attempt32('fetch of the next page', `mov word [${PAGE + 0xffe}], 0x9090\nmov eax, ${PAGE + 0xffe}\njmp eax`)}
      ${pte32(0, INDEX)}
      ${pte32((PAGE + 0x1000) | PWU, INDEX + 1)}
      ${attempt32('first page absent', `mov eax, [${PAGE + 0xffd}]`)}
      ${pte32(PAGE | PWU, INDEX)}
      ${pte32(0x105000 | PWU, INDEX + 1)}
      ${attempt32('pages that do not lie together', `mov dword [${PAGE + 0xffe}], 0x12345678\nmov ax, [${PAGE + 0xffe}]\nmov bx, [${PAGE + 0x1000}]\nmov ecx, [${PAGE + 0xffe}]`)}`,
    departures: [
      ...departs('qemu', ['read-modify-write across'], READ_FIRST),
      ...departs('qemu', ['PUSHAD across in ring 3'], 'stores the lowest register first; SDM Vol. 2B PUSHA: EAX is pushed first.'),
    ],
  },
  {
    name: 'string-faults',
    rule: 'A REP string instruction that faults shows the iteration that faulted (SDM Vol. 2B REP)',
    mode: 'paging32',
    source: `
      ${pte32(0, INDEX + 1)}
      ${attempt32('REP MOVSB forward', `mov esi, 0x4000\nmov edi, ${PAGE + 0xff0}\nmov ecx, 0x40\nrep movsb`)}
      ${attempt32('REP MOVSD with a fault in the source', `mov edi, 0x200000\nmov esi, ${PAGE + 0xff6}\nmov ecx, 9\nrep movsd`)}
      ${attempt32('REP STOSD', `mov eax, 0x77777777\nmov edi, ${PAGE + 0xfe8}\nmov ecx, 9\nrep stosd`)}
      ${attempt32('what was stored', `mov eax, [${PAGE + 0xffc}]`)}
      ${attempt32('REP STOSB backward', `std\nmov edi, ${PAGE + 0x2003}\nmov ecx, 9\nrep stosb`)}
      cld
      ${attempt32('REPE CMPSB', `mov esi, ${PAGE + 0xffc}\nmov edi, ${PAGE + 0xffc}\nmov ecx, 9\nrepe cmpsb`)}
      ${attempt32('REPNE SCASB', `mov eax, 0x55\nmov edi, ${PAGE + 0xffd}\nmov ecx, 9\nrepne scasb`)}
      ${attempt32('REP LODSD', `mov esi, ${PAGE + 0xff8}\nmov ecx, 9\nrep lodsd`)}
      ${attempt32('REP with ECX 0 touches nothing', `mov esi, ${PAGE + 0x1000}\nmov edi, ${PAGE + 0x1000}\nrep movsd`)}
      ${attempt32('a whole page', `mov edi, ${PAGE}\nmov ecx, 0x1000\nmov al, 1\nrep stosb`)}
      ${attempt32('REP INSB', `mov edx, 0x84\nmov edi, ${PAGE + 0xffe}\nmov ecx, 9\nrep insb\n`)}
      ${attempt32('REP OUTSB', `mov edx, 0x84\nmov esi, ${PAGE + 0xffe}\nmov ecx, 9\nrep outsb\n`)}`,
  },
  {
    name: 'pcid',
    rule: 'CR4.PCIDE and the low bits of CR3 (SDM Vol. 3A 4.10.1)',
    mode: 'long',
    source: `
      ${attempt64('PCIDE needs a PCID of 0', `mov rax, cr3\nor rax, 0x18\nmov cr3, rax\n${setBits('rax', 'cr4', 0x20000)}`)}
      mov rax, cr3
      and rax, ~0xfff
      mov cr3, rax
      ${attempt64('set PCIDE', `${setBits('rax', 'cr4', 0x20000)}\nmov rbx, cr4`)}
      ${attempt64('PCID 5', `mov rax, ${pml4 | 5}\nmov cr3, rax\nmov rbx, cr3`)}
      ${attempt64('bit 63 is not kept', `mov rax, ${pml4 | 6}\nbts rax, 63\nmov cr3, rax\nmov rbx, cr3`)}
      ${attempt64('INVPCID of all', 'mov qword [0x600], 0\nmov qword [0x608], 0\nmov eax, 2\ninvpcid rax, [0x600]')}
      ${attempt64('INVPCID type 4', 'mov eax, 4\ninvpcid rax, [0x600]')}
      ${attempt64('INVPCID with reserved bits', 'mov qword [0x600], 0x1000\nmov eax, 1\ninvpcid rax, [0x600]')}
      ${attempt64('INVPCID non-canonical', 'mov qword [0x600], 1\nmov rax, 0x800000000000\nmov [0x608], rax\nxor eax, eax\ninvpcid rax, [0x600]')}
      ${user64('INVPCID in ring 3', 'invpcid rax, [0x600]')}
      ${attempt64('paging cannot end with PCIDE', 'mov rax, cr0\nbtr rax, 31\nmov cr0, rax')}`,
    without: { peer: 'qemu', why: 'TCG has no PCID and no INVPCID, and does not advertise them.' },
  },
];
