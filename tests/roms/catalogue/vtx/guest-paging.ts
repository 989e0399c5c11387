import { MemoryMap } from '../../prelude/memory-map.ts';
import { wrmsr } from '../../prelude/modes.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { absent, type EptChange, INVEPT_ALL, mend, pte, store64 } from './ept.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { longTable, paging32Directory, paePointers } = MemoryMap;
const test: number = MemoryMap.test;
const { msrBitmap } = VtxMemory;
const SECOND = test + 0x1000;
const LARGE = 0x40_0000;
const OTHER_LARGE = 0x80_0000;
const CR4_SMEP = 0x10_2020;
const CR4_SMAP = 0x20_2020;
const AC = 0x4_0002;
const EFER = 0xc000_0080;
const PAGE_FAULTS_EXIT: Fields = { EXCEPTION_BITMAP: (1 << 14) | (1 << 13) };
const EPT = { secondary: ['enableEpt'] } as const;
const EPT_AND_VPID = { secondary: ['enableEpt', 'enableVpid'] } as const;
const UNRESTRICTED = { secondary: ['enableEpt', 'enableVpid', 'unrestrictedGuest'] } as const;

/** The guest's own entry of `test`, or of the page behind it, is another. */
const GUEST_PTE = longTable + (test >>> 12) * 8;
const guestPte = (
  value: number | bigint,
  at = GUEST_PTE,
): { readonly at: number; readonly value: number | bigint; readonly whole: number } => ({
  at,
  value,
  whole: at === GUEST_PTE ? test | 7 : SECOND | 7,
});
type Entry = ReturnType<typeof guestPte>;

interface PagingOptions extends GuestOptions {
  /** Entries of the guest, as long as it runs. */
  readonly entries?: readonly Entry[];
  readonly ept?: readonly EptChange[];
}
/** A guest whose page faults exit, with EPT. */
function paged(label: string, code: string, { entries = [], ept = [], ...options }: PagingOptions = {}): VtxAttempt {
  return vt(label, code, {
    controls: EPT,
    ...options,
    fields: { ...PAGE_FAULTS_EXIT, ...options.fields },
    before: `${[...entries, ...ept].map(({ at, value }) => store64(at, value)).join('\n')}\n${INVEPT_ALL}\n${options.before ?? ''}`,
    afterwards: `${options.afterwards ?? ''}\n${entries.map(({ at, whole }) => store64(at, whole)).join('\n')}\n${mend(ept)}`,
  });
}
const NO_PAGE = guestPte(0);
const SECOND_PTE = GUEST_PTE + 8;
const ACROSS = `mov eax, [${test + 0xffe}]`;
const READ = `mov bl, [${test}]`;
const WRITE = `mov [${test}], bl`;

/** Memory that tells where an address leads: 11 at it, 22 where the guest's tables lead to. */
const FRAMES = `mov dword [${LARGE}], 0x11\nmov dword [${OTHER_LARGE}], 0x22`;
const MOVED_32: Entry = { at: paging32Directory + 4, value: (0x80_0087n << 32n) | 0x80_0087n, whole: LARGE | 0x87 };
const mov32 = (register: 'cr0' | 'cr3' | 'cr4', value: number): string => `mov eax, ${value}\nmov ${register}, eax`;
const mov64 = (register: 'cr0' | 'cr3' | 'cr4', value: number | bigint): string => `mov rax, ${value}\nmov ${register}, rax`;
const PG_PE_NE = 0x8000_0031;
const VPID_1: Fields = { VIRTUAL_PROCESSOR_ID: 1 };
const MOVED_PAE: Entry = { at: MemoryMap.paeDirectories + 16, value: OTHER_LARGE | 0x87, whole: LARGE | 0x87 };
const wrmsrPasses: GuestOptions = {
  controls: { ...EPT_AND_VPID, primary: ['useMsrBitmaps'] },
  fields: { ...VPID_1, MSR_BITMAP: msrBitmap },
};
const changes = (label: string, code: string, options: PagingOptions = {}): VtxAttempt =>
  paged(label, code, { controls: EPT_AND_VPID, ...options, fields: { ...VPID_1, ...options.fields } });

export const vtxGuestPagingRoms: readonly Rom[] = [
  vtxRom(
    'vtx-guest-paging',
    'A guest changes its paging without an exit: what was cached under the old one is not used (SDM Vol. 3C 26.3, 29.4.3.1; Vol. 3A 4.10.4)',
    [
      changes(
        'paging off, on, off',
        `mov ebx, [${LARGE}]\n${mov32('cr0', PG_PE_NE)}\nmov ecx, [${LARGE}]\n${mov32('cr0', 0x31)}\nmov edx, [${LARGE}]`,
        {
          mode: 'protected',
          controls: UNRESTRICTED,
          fields: { GUEST_CR3: paging32Directory, GUEST_CR4: 0x2010 },
          before: FRAMES,
          entries: [MOVED_32],
        },
      ),
      changes(
        '32-bit, off, PAE',
        `mov ebx, [${LARGE}]\n${mov32('cr0', 0x31)}\n${mov32('cr4', 0x2020)}\n${mov32('cr3', paePointers)}\n${mov32('cr0', PG_PE_NE)}\nmov ecx, [${LARGE}]`,
        {
          mode: 'paging32',
          controls: UNRESTRICTED,
          before: FRAMES,
          entries: [MOVED_PAE],
        },
      ),
      changes(
        'PAE to 32-bit by CR4',
        `mov ebx, [${LARGE}]\n${mov32('cr0', 0x31)}\n${mov32('cr3', paging32Directory)}\n${mov32('cr4', 0x2010)}\n${mov32('cr0', PG_PE_NE)}\nmov ecx, [${LARGE}]`,
        {
          mode: 'pae',
          controls: UNRESTRICTED,
          before: FRAMES,
          entries: [MOVED_32],
        },
      ),
      changes('CR0.WP after a write', `mov eax, ${PG_PE_NE + 0x10000}\n${WRITE}\nmov cr0, rax\n${WRITE}`, {
        entries: [guestPte(test | 5)],
      }),
      changes('CR0.WP is cleared', `${mov64('cr0', PG_PE_NE)}\n${WRITE}`, {
        entries: [guestPte(test | 5)],
        fields: { GUEST_CR0: PG_PE_NE + 0x10000 },
      }),
      changes('CR4.PSE is cleared', `mov bl, [${LARGE}]\n${mov32('cr4', 0x2000)}\nmov bl, [${LARGE}]`, {
        mode: 'paging32',
        before: store64(LARGE, 0),
      }),
      changes('CR4.SMAP is set', `${READ}\n${mov64('cr4', CR4_SMAP)}\n${READ}`),
      changes('CR4.SMAP is cleared', `${mov64('cr4', 0x2020)}\n${READ}`, { fields: { GUEST_CR4: CR4_SMAP } }),
      changes('EFER.NXE is set', `${wrmsr(EFER, 0xd01)}\n${READ}\nmov esi, ${test}\njmp rsi`, {
        ...wrmsrPasses,
        fields: { ...wrmsrPasses.fields, GUEST_IA32_EFER: 0x501 },
        entries: [guestPte((1n << 63n) | BigInt(test | 7))],
      }),
      changes('STAC and CLAC', `stac\n${READ}\nclac\n${READ}`, { fields: { GUEST_CR4: CR4_SMAP } }),
    ],
    { features: ['SMAP', 'SMEP'] },
  ),
  vtxRom(
    'vtx-smep-smap',
    "The guest's SMEP and SMAP come before EPT, and are none of the host's (SDM Vol. 3A 4.6.1; Vol. 3C 29.3.3)",
    [
      paged('SMEP', '', { fields: { GUEST_CR4: CR4_SMEP, GUEST_RIP: test } }),
      paged('SMEP, a page that EPT refuses', '', { fields: { GUEST_CR4: CR4_SMEP, GUEST_RIP: test }, ept: [absent(pte(test))] }),
      paged('SMAP, a read', READ, { fields: { GUEST_CR4: CR4_SMAP } }),
      paged('SMAP, a write', WRITE, { fields: { GUEST_CR4: CR4_SMAP } }),
      paged('SMAP with AC', READ, { fields: { GUEST_CR4: CR4_SMAP, GUEST_RFLAGS: AC } }),
      paged('SMAP with AC, a page that EPT refuses', READ, { fields: { GUEST_CR4: CR4_SMAP, GUEST_RFLAGS: AC }, ept: [absent(pte(test))] }),
      paged('SMAP, a page that EPT refuses', READ, { fields: { GUEST_CR4: CR4_SMAP }, ept: [absent(pte(test))] }),
      paged('SMAP, a page of the supervisor', READ, { fields: { GUEST_CR4: CR4_SMAP }, entries: [guestPte(test | 3)] }),
      paged('SMAP, the IDT with AC', 'int3', {
        fields: { GUEST_CR4: CR4_SMAP, GUEST_RFLAGS: AC, GUEST_IDTR_BASE: test },
        bochs: 'lets AC suspend SMAP for implicit accesses; SDM Vol. 3A 4.6.1.',
        manual: 'EXCEPTION_NMI q=100030 info=80000b0e:1 vectoring=80000603 len=1 at 38:+0 sp=10:d000 fl=40002',
      }),
      paged('SMAP in ring 3', READ, { fields: { ...RING_3, GUEST_CR4: CR4_SMAP } }),
      paged('SMAP in ring 3, the GDT', 'mov eax, 0x33\nmov es, ax', { fields: { ...RING_3, GUEST_CR4: CR4_SMAP, GUEST_GDTR_BASE: test } }),
      paged('the host after it', READ, {
        fields: { GUEST_CR4: CR4_SMAP },
        before: `mov dword [${test}], 0x33`,
        afterwards: `mov ebp, [${test}]\n${note({ host: 'rbp' })}`,
      }),
    ],
    { features: ['SMAP', 'SMEP'] },
  ),
  vtxRom('vtx-ept-page-faults', 'Page faults and violations of one instruction: what is met first (SDM Vol. 3C 29.3.3.4; Vol. 3A 4.7)', [
    paged('over two pages, EPT refuses the first', ACROSS, { ept: [absent(pte(test))], entries: [guestPte(0, SECOND_PTE)] }),
    paged('over two pages, the guest lacks the first', ACROSS, { ept: [absent(pte(SECOND))], entries: [NO_PAGE] }),
    paged('over two pages, EPT refuses the second', ACROSS, { ept: [absent(pte(SECOND))] }),
    paged('over two pages, the guest lacks the second', ACROSS, { entries: [guestPte(0, SECOND_PTE)] }),
    paged('MOVS, the guest lacks the destination', 'movsb', {
      registers: { rsi: test, rdi: SECOND },
      ept: [absent(pte(test))],
      entries: [guestPte(0, SECOND_PTE)],
    }),
    paged('MOVS, the guest lacks the source', 'movsb', {
      registers: { rsi: test, rdi: SECOND },
      ept: [absent(pte(SECOND))],
      entries: [NO_PAGE],
    }),
    paged('the accessed flag of a page that EPT refuses', READ, {
      ept: [absent(pte(test))],
      entries: [guestPte(test | 7)],
      afterwards: `mov ebp, [${GUEST_PTE}]\nand ebp, 0x40\n${note({ dirty: 'rbp' })}`,
    }),
    paged('no flag is set by a page fault', WRITE, {
      fields: { GUEST_CR0: PG_PE_NE + 0x10000 },
      entries: [guestPte(test | 5)],
      afterwards: `mov ebp, [${GUEST_PTE}]\nand ebp, 0x60\n${note({ flags: 'rbp' })}`,
    }),
    paged('delivery, the guest lacks the IDT', 'int3', { entries: [NO_PAGE], ept: [absent(pte(test))], fields: { GUEST_IDTR_BASE: test } }),
    paged('delivery, EPT refuses the IDT of a page fault', `mov bl, [${SECOND}]`, {
      entries: [guestPte(0, SECOND_PTE)],
      ept: [absent(pte(test))],
      fields: { GUEST_IDTR_BASE: test, EXCEPTION_BITMAP: 0 },
      afterwards: `mov rbp, cr2\n${note({ cr2: 'rbp' })}`,
    }),
    paged('a double fault whose gate EPT refuses', 'mov eax, 0xffff\nmov es, ax', {
      ept: [absent(pte(test))],
      fields: { GUEST_IDTR_BASE: SECOND - 0xa0, GUEST_IDTR_LIMIT: 0xfff, EXCEPTION_BITMAP: 0 },
      before: `${store64(SECOND + 0x30, 0)}\n${store64(SECOND + 0x38, 0)}`,
    }),
  ]),
];
