import { MemoryMap } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, vmread, vmwrite } from '../../prelude/vtx-host.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import {
  absent,
  allow,
  Ept,
  type EptChange,
  type EptEntry,
  ept,
  INVEPT_ALL,
  mend,
  pde,
  pdpte,
  pml4e,
  pte,
  store64,
  withBits,
} from './ept.ts';
import { READ, WRITE } from './ept-violations.ts';
import { vtxRom } from './vtx-rom.ts';

const { test, pml4, pdpt, longDirectories, longTable, paePointers } = MemoryMap;
const { free } = VtxMemory;
const { R, X, A, D } = Ept;
const SECOND = test + 0x1000;
const HUGE = 0x4000_0000;
const LARGE = 0x40_0000;
const FLAGS = { EPT_POINTER: EPTP | 0x40 };

/** Bits 9:8 of EPT entries, once they are to be shown: 1 accessed, 2 dirty, 3 both. */
const shown = (entries: Readonly<Record<string, EptEntry>>): string =>
  Object.entries(entries)
    .map(([name, { at }]) => `mov ebp, [${at}]\nshr ebp, 8\nand ebp, 3\n${note({ [name]: 'rbp' })}`)
    .join('\n');
const fresh = (entries: Readonly<Record<string, EptEntry>>): EptChange[] =>
  Object.values(entries).map((what) => ({ ...what, value: what.whole }));

/** An attempt with accessed and dirty flags, which are clear in these entries before it, and shown after it. */
function flags(label: string, code: string, entries: Readonly<Record<string, EptEntry>>, options: GuestOptions = {}): VtxAttempt {
  const { afterwards = '', fields = {} } = options;
  return ept(label, code, fresh(entries), {
    ...options,
    fields: { ...FLAGS, ...fields },
    afterwards: `${shown(entries)}\n${afterwards}`,
  });
}
const LEVELS = { pml4e, pdpte: pdpte(0), pde: pde(0), pte: pte(test) };
const PTE = { pte: pte(test) };
const loaded = (address: number): string => `mov eax, ${address}\n`;

const LAST = 511;
const LOG = free;
/** Sets A and D in the EPT entries of all that the prelude uses: only what an attempt is about is set. */
const ALL_SET = `
    mov ecx, 32
    mov edi, ${pte(0).at}
  .dirty:
    or dword [rdi], ${A | D}
    add edi, 8
    dec ecx
    jnz .dirty
    ${[pml4e, pdpte(0), pde(0)].map(({ at }) => `or dword [${at}], ${A}`).join('\n')}
    mov edi, ${LOG}
    xor eax, eax
    mov ecx, 512
    rep stosq`;
/** Shows the index and entries of the log. */
const showLog = (...entries: readonly number[]): string =>
  `${vmread('GUEST_PML_INDEX', 'rbp')}\n${note({ index: 'rbp', ...Object.fromEntries(entries.map((n) => [`log${n}`, `[${LOG + n * 8}]`])) })}`;

interface PmlOptions extends GuestOptions {
  readonly index?: number;
  /** The log's entries to show, as the index counts them. */
  readonly entries?: readonly number[];
  /** Besides the two pages at `test`, which are not dirty. */
  readonly changes?: readonly EptChange[];
}
/** An attempt with page-modification logging. */
function pml(
  label: string,
  code: string,
  { index = LAST, entries = [LAST, LAST - 1], changes = [], ...options }: PmlOptions = {},
): VtxAttempt {
  const { before = '', afterwards = '', fields = {} } = options;
  const others = fresh({ first: pte(test), second: pte(SECOND) }).filter(({ at }) => !changes.some((change) => change.at === at));
  const all = [...others, ...changes];
  return vt(label, code, {
    ...options,
    controls: { secondary: ['enableEpt', 'enablePml'] },
    fields: { ...FLAGS, PML_ADDRESS: LOG, GUEST_PML_INDEX: index, ...fields },
    before: `${ALL_SET}\n${all.map(({ at, value }) => store64(at, value)).join('\n')}\n${INVEPT_ALL}\n${before}`,
    afterwards: `${showLog(...entries)}\n${afterwards}\n${mend(all)}`,
  });
}
/** Bochs agrees where the write is to the first byte of a page. */
const PAGE_OFFSET = 'logs bits 11:0, too; SDM Vol. 3C 29.3.6.';
const ALWAYS_FULL = 'exits although no flag is to be set; SDM Vol. 3C 29.3.6.';
const READ_FIRST = `mov bl, [${test}]`;
const WRITE_FIRST = `mov [${test}], al`;
const READ_SECOND = `mov bl, [${SECOND}]`;
const WRITE_SECOND = `mov [${SECOND}], al`;
const emptied = `${vmwrite('GUEST_PML_INDEX', LAST)}\n${RESUME}\n${showLog(LAST, LAST - 1)}`;
/** The first write fills the log. */
const full = (label: string, code: string, options: PmlOptions = {}): VtxAttempt =>
  pml(label, `${WRITE_FIRST}\n${code}`, { index: 0, entries: [0], ...options });

export const vtxEptFlagRoms: readonly Rom[] = [
  vtxRom('vtx-ept-ad', 'Accessed and dirty flags of EPT at each level (SDM Vol. 3C 29.3.5)', [
    flags('read', READ, LEVELS, { hide: ['registers', 'flags'] }),
    flags('write', WRITE, LEVELS),
    flags('fetch', `${loaded(test)}jmp rax`, LEVELS, { before: store64(test, 0xc1_010fn) }),
    flags('read-modify-write', `inc byte [${test}]`, PTE),
    flags('CMPXCHG that does not match', `mov al, 1\nlock cmpxchg [${test + 8}], bl`, PTE, { before: store64(test, 0) }),
    flags('a write after a read', `${READ}\n${WRITE}`, PTE, { hide: ['registers'] }),
    flags('2 MBytes, read', `${loaded(LARGE)}mov bl, [rax]`, { pde: pde(LARGE) }),
    flags('2 MBytes, write', `${loaded(LARGE)}mov [rax], bl`, { pde: pde(LARGE) }),
    flags('two pages', `mov [${SECOND - 2}], eax`, { first: pte(test), second: pte(SECOND) }),
    flags('off', WRITE, LEVELS, { fields: { EPT_POINTER: EPTP } }),
    flags('paging off', WRITE, PTE, { mode: 'protected' }),
    flags('the stack', 'push rax', { pte: pte(test), second: pte(SECOND) }, { fields: { GUEST_RSP: SECOND } }),
    flags('the guest faults before', WRITE, PTE, {
      fields: { GUEST_CR0: 0x8001_0031, EXCEPTION_BITMAP: 1 << 14 },
      before: store64(longTable + (test >>> 12) * 8, test | 5),
      afterwards: store64(longTable + (test >>> 12) * 8, test | 7),
    }),
  ]),
  vtxRom(
    'vtx-ept-ad-tables',
    "With accessed and dirty flags, accesses to the guest's paging structures are writes (SDM Vol. 3C 29.3.3.2, 29.3.5)",
    [
      flags(
        'all of them are dirty',
        READ,
        { pml4: pte(pml4), pdpt: pte(pdpt), directory: pte(longDirectories), table: pte(longTable) },
        {
          hide: ['registers'],
        },
      ),
      flags(
        'without A of the guest to set',
        `${READ}\nxor eax, eax`,
        { table: pte(longTable) },
        {
          before: `or dword [${longTable + (test >>> 12) * 8}], 0x60`,
        },
      ),
      flags('PDPTEs of MOV to CR3 are read', `mov eax, ${paePointers}\nmov cr3, eax`, { pointers: pte(paePointers) }, { mode: 'pae' }),
      ...(
        [
          ['PML4', pml4],
          ['PDPT', pdpt],
          ['directory', longDirectories],
          ['table', longTable],
        ] as const
      ).map(([name, gpa]) => {
        const at = gpa === longTable ? gpa + 0x800 : gpa;
        return ept(`a read-only ${name}`, '', [allow(pte(gpa), R | X)], {
          fields: { ...FLAGS, GUEST_RIP: test },
          bochs: 'clears bit 0; SDM Vol. 3C Table 28-7, note 1.',
          manual: `EPT_VIOLATION q=ab gpa=${at.toString(16)} gla=100000 at 38:100000 sp=10:d000 fl=2`,
        });
      }),
      ept('an absent table', '', [absent(pte(longTable))], {
        fields: { ...FLAGS, GUEST_RIP: test },
        bochs: 'clears bit 0; SDM Vol. 3C Table 28-7, note 1.',
        manual: 'EPT_VIOLATION q=83 gpa=1e800 gla=100000 at 38:100000 sp=10:d000 fl=2',
      }),
      ept('a read-only table without the flags', `${READ}\nxor eax, eax`, [allow(pte(longTable), R | X)], {
        before: `or dword [${longTable + (test >>> 12) * 8}], 0x60`,
      }),
    ],
  ),
  vtxRom('vtx-pml', 'Page-modification logging: a D flag that is set is logged, the index counts down (SDM Vol. 3C 29.3.6)', [
    pml('a write', WRITE_FIRST),
    pml('a write within the page', WRITE, {
      bochs: PAGE_OFFSET,
      manual: 'VMCALL len=3 at 38:+7 sp=10:d000 fl=2\n index=1fe log511=100000 log510=0',
    }),
    pml('a read', READ_FIRST),
    pml('two pages', `${WRITE_SECOND}\n${WRITE_FIRST}`, { entries: [LAST, LAST - 1, LAST - 2] }),
    pml('twice the same', `${WRITE_FIRST}\n${WRITE_FIRST}`),
    pml('after a read', `${READ_FIRST}\n${WRITE_FIRST}`),
    pml('read-modify-write', `add byte [${test}], 0`, { hide: ['flags'] }),
    pml('dirty already', WRITE_FIRST, { changes: [withBits(pte(test), D)] }),
    pml("a guest's table, as it is read", `${loaded(HUGE)}mov bl, [rax]`, { changes: fresh({ pte: pte(longDirectories + 0x1000) }) }),
    pml('2 MBytes: the page of 4 KBytes that was written', `${loaded(LARGE + 0x12000)}mov [rax], bl`, {
      changes: fresh({ pde: pde(LARGE) }),
    }),
    pml('a violation is not logged', WRITE_FIRST, { changes: [allow(pte(test), R)] }),
    pml('index 1', WRITE_FIRST, { index: 1, entries: [1] }),
    pml('index 0', WRITE_FIRST, { index: 0, entries: [0] }),
    pml('paging off', WRITE_FIRST, { mode: 'protected' }),
    pml('PUSH', 'push rax', { fields: { GUEST_RSP: test + 8 } }),
  ]),
  vtxRom('vtx-pml-full', 'A full log exits before a flag is set and the access is made (SDM Vol. 3C 29.3.6, 28.2.1, 28.2.4)', [
    full('a write', WRITE_SECOND, { afterwards: `${shown({ pte: pte(SECOND) })}\n${emptied}` }),
    full('a read that sets A', READ_SECOND, { afterwards: `${shown({ pte: pte(SECOND) })}\n${emptied}` }),
    full('a fetch that sets A', `${loaded(SECOND)}jmp rax`),
    full('the page that is dirty', WRITE_FIRST),
    full('a read of an accessed page', READ_SECOND, {
      changes: [withBits(pte(SECOND), A)],
      bochs: ALWAYS_FULL,
      manual: 'VMCALL len=3 at 38:+e sp=10:d000 fl=2\n index=ffff log0=100000',
    }),
    full('a write of a dirty page', WRITE_SECOND, {
      changes: [withBits(pte(SECOND), A | D)],
      bochs: ALWAYS_FULL,
      manual: 'VMCALL len=3 at 38:+e sp=10:d000 fl=2\n index=ffff log0=100000',
    }),
    full('a violation comes first', WRITE_SECOND, {
      changes: [allow(pte(SECOND), R)],
      bochs: ALWAYS_FULL,
      manual: 'EPT_VIOLATION q=18a gpa=101000 gla=101000 at 38:+7 sp=10:d000 fl=2\n index=ffff log0=100000',
    }),
    full("a guest's table", `${loaded(HUGE)}mov bl, [rax]`, { changes: fresh({ pte: pte(longDirectories + 0x1000) }) }),
    full('INT3, the stack', 'int3', { fields: { GUEST_RSP: SECOND + 0x100 } }),
    full('IRET with NMIs blocked', 'iretq', { fields: { GUEST_RSP: SECOND, GUEST_INTERRUPTIBILITY_INFO: 8 } }),
    full('REP STOSB midway', 'rep stosb', { registers: { rdi: test, rcx: 0x1008 }, afterwards: emptied }),
    full('a large page', `${loaded(LARGE)}mov [rax], bl`, { changes: fresh({ pde: pde(LARGE) }) }),
    pml('index FFFF', WRITE_FIRST, { index: 0xffff, entries: [], afterwards: shown(PTE) }),
    pml('index 512', WRITE_FIRST, { index: 512, entries: [] }),
    ept('without the control', WRITE_FIRST, fresh(PTE), { fields: { ...FLAGS, GUEST_PML_INDEX: 0xffff } }),
  ]),
];
