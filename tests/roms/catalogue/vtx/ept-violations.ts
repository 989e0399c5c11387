import { MemoryMap } from '../../prelude/memory-map.ts';
import type { GuestOptions } from '../../prelude/vtx-attempt.ts';
import { RESUME } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import { absent, allow, Ept, type EptChange, ept, INVEPT_ALL, mend, pde, pdpte, pml4e, pte, put, store64 } from './ept.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { test } = MemoryMap;
const { free } = VtxMemory;
const { R, W, X } = Ept;
const AT = test + 0x123;
export const READ = `mov al, [${AT}]`;
export const WRITE = `mov [${AT}], al`;
/** Runs code that `CODE_AT_TEST` has put there: it does VMCALL. */
const FETCH = `mov eax, ${test + 8}\njmp rax`;
const CODE_AT_TEST = store64(test + 8, 0xc1_010f_9090n);
/** Begins there. */
const FETCHES_TEST: GuestOptions = { fields: { GUEST_RIP: test } };
const NONE: readonly EptChange[] = [absent(pte(test))];
const READ_ONLY: readonly EptChange[] = [allow(pte(test), R)];

const RIGHTS: readonly (readonly [string, bigint])[] = [
  ['nothing', 0n],
  ['R', R],
  ['W', W],
  ['RW', R | W],
  ['X', X],
  ['RX', R | X],
  ['WX', W | X],
  ['RWX', R | W | X],
];
const ACCESSES: readonly (readonly [string, string])[] = [
  ['read', READ],
  ['write', WRITE],
  ['fetch', FETCH],
];
/** Every access to the page that an entry with these rights leads to. */
const accesses = (name: string, change: EptChange) =>
  ACCESSES.map(([access, code]) => ept(`${access}, ${name}`, code, [change], { before: CODE_AT_TEST, hide: ['registers'] }));

/** 1 GiB at 40000000 and 2 MiB at 400000, mapped to the first; what lies there at `test` is so at `test` in them, too. */
const HUGE = 0x4000_0000 + test;
const LARGE = 0x40_0000 + test;
const hugePage = (rights: bigint): EptChange => put(pdpte(HUGE), Ept.PAGE | Ept.WB | rights);
const largePage = (rights: bigint): EptChange => put(pde(LARGE), Ept.PAGE | Ept.WB | rights);
const readAt = (address: number): string => `mov eax, ${address + 0x123}\nmov bl, [rax]`;
const writeAt = (address: number): string => `mov eax, ${address + 0x123}\nmov [rax], bl`;
const fetchAt = (address: number): string => `mov eax, ${address + 8}\njmp rax`;

/** DS reaches above 1 MiB in real mode. */
const HIGH_MEMORY: GuestOptions = { fields: { GUEST_DS_SELECTOR: 0xffff, GUEST_DS_BASE: 0xffff0 } };
/** Sets the accessed and dirty flags of the guest's own entries, which are the host's, too. */
const touch = (address: number): GuestOptions => ({ before: `mov eax, ${address}\nor byte [rax], 0` });
/** Two pages, of which the second is not there. */
const SECOND: readonly EptChange[] = [absent(pte(test + 0x1000))];
const SECOND_READ_ONLY: readonly EptChange[] = [allow(pte(test + 0x1000), R)];
const ACROSS = test + 0xffe;
/** Shows what of a write to two pages was made. */
const showAcross = { before: store64(test + 0xff8, 0x1122334455667788n) };

export const vtxEptViolationRoms: readonly Rom[] = [
  vtxRom('vtx-ept-access', 'EPT violations of the final address: what the access was, its addresses (SDM Vol. 3C 28.2.1, Table 28-7)', [
    ept('read', READ, NONE),
    ept('write', WRITE, NONE),
    ept('read-modify-write of a read-only page', `add byte [${AT}], 1`, READ_ONLY),
    ept('XCHG with a read-only page', `xchg [${AT}], al`, READ_ONLY),
    ept('LOCK CMPXCHG that does not match', `mov al, 1\nlock cmpxchg [${AT}], bl`, READ_ONLY),
    ept('fetch', FETCH, NONE),
    ept('ring 3', WRITE, NONE, { fields: RING_3 }),
    ept('compatibility mode', READ, NONE, { mode: 'compatibility' }),
    ept('32-bit paging', WRITE, NONE, { mode: 'paging32' }),
    ept('PAE paging', READ, NONE, { mode: 'pae' }),
    ept('paging off', WRITE, NONE, { mode: 'protected' }),
    ept('real mode', 'mov ax, [0x7123]', [absent(pte(0x10_7000))], { mode: 'real', ...HIGH_MEMORY }),
    ept('v86 mode', 'mov ax, [0x123]', NONE, { mode: 'v86', ...HIGH_MEMORY }),
    ept('segment base', 'mov al, [fs:0x77]', NONE, { fields: { GUEST_FS_BASE: test + 0x100 } }),
    ept('the linear address is another', 'mov rax, 0xffff800000000123\nmov bl, [rax]', NONE, {
      before: `${store64(MemoryMap.pml4 + 0x800, MemoryMap.pdpt | 7)}\n${store64(MemoryMap.longTable, test | 7)}`,
      fields: { GUEST_IDTR_BASE: 'idt64' },
      afterwards: `${store64(MemoryMap.longTable, 7)}\n${store64(MemoryMap.pml4 + 0x800, 0)}`,
    }),
  ]),
  vtxRom(
    'vtx-ept-rights',
    'Every access with every combination of R, W and X; W without R is a misconfiguration (SDM Vol. 3C 29.3.3)',
    RIGHTS.flatMap(([name, rights]) => accesses(name, allow(pte(test), rights))),
  ),
  vtxRom(
    'vtx-ept-levels',
    'An access needs the right in the entries of all levels; bits 5:3 of the qualification are their AND (29.3.3.2, Table 28-7)',
    [
      ...(
        [
          ['PML4E', pml4e],
          ['PDPTE', pdpte(HUGE)],
          ['PDE', pde(LARGE)],
        ] as const
      ).flatMap(([name, what]) => {
        const address = name === 'PDE' ? LARGE : HUGE;
        return [
          ept(`no ${name}`, name === 'PML4E' ? '' : readAt(address), [absent(what)], name === 'PML4E' ? FETCHES_TEST : {}),
          ept(`${name} read-only`, writeAt(address), [allow(what, R | (name === 'PML4E' ? X : 0n))], touch(address)),
          ...(name === 'PML4E' ? [] : [ept(`${name} execute-only`, readAt(address), [allow(what, X)])]),
        ];
      }),
      ept('PDE read-only, PTE without X', WRITE, [allow(pde(0), R | X), allow(pte(test), R | W)], touch(test)),
      ept('PDE without X, PTE execute-only', `mov eax, ${LARGE}\nmov bl, [rax]`, [
        put(pde(LARGE), VtxMemory.eptTable | 3),
        allow(pte(test), X),
      ]),
      ept('PML4E without W, PTE without R and W', READ, [allow(pml4e, R | X), allow(pte(test), X)], touch(test)),
      ept('no X in the PML4E', '', [allow(pml4e, R | W)], FETCHES_TEST),
    ],
  ),
  vtxRom('vtx-ept-large', 'Pages of 2 MBytes and of 1 GByte, small and large pages of the guest in them (SDM Vol. 3C 29.3.2, 29.3.3)', [
    ...(
      [
        ['2 MBytes', LARGE, largePage],
        ['1 GByte', HUGE, hugePage],
      ] as const
    ).flatMap(([name, address, make]) => [
      ept(`${name}, moved`, readAt(address), [make(Ept.RWX)], { before: `mov dword [${AT}], 0x77` }),
      ept(`${name}, read-only`, writeAt(address), [make(R)]),
      ept(`${name}, without X`, fetchAt(address), [make(R | W)]),
      ept(`${name}, execute-only`, readAt(address), [make(X)]),
      ept(`${name}, executed`, fetchAt(address), [make(X)], { before: CODE_AT_TEST, hide: ['registers'] }),
    ]),
    ept('a small page in 2 MBytes', `mov ebx, [${AT}]`, [put(pde(0), Ept.PAGE | Ept.WB | Ept.RWX)], { before: `mov dword [${AT}], 0x78` }),
    ept(
      '4 MBytes of the guest, a small page in them',
      'mov bl, [0x500123]',
      [put(pde(0x40_0000), VtxMemory.eptTable | 7), absent(pte(test))],
      { mode: 'paging32' },
    ),
    ept(
      '2 MBytes of the guest, a small page in them',
      'mov bl, [0x500123]',
      [put(pde(0x40_0000), VtxMemory.eptTable | 7), absent(pte(test))],
      {
        mode: 'pae',
      },
    ),
  ]),
  vtxRom(
    'vtx-ept-across',
    'Accesses to two pages: the violation is of the one that is not there; nothing is written (SDM Vol. 3C 28.2.1, 29.3.3)',
    [
      ept('read, the second', `mov eax, [${ACROSS}]`, SECOND),
      ept('read, the first', `mov eax, [${ACROSS}]`, NONE),
      ept('write, the second', `mov [${ACROSS}], eax`, SECOND_READ_ONLY, {
        ...showAcross,
        afterwards: `${mend(SECOND_READ_ONLY)}\nmov rax, [${test + 0xff8}]\nmov [vtx_r8], rax\nmov dword [vtx_rax], 0x55667788\n${RESUME}`,
      }),
      ept('write, the first', `mov [${ACROSS}], eax`, READ_ONLY),
      ept('8 bytes', `mov [${test + 0xff9}], rax`, SECOND),
      ept('16 bytes', `movups [${test + 0xff1}], xmm0`, SECOND, { fields: { GUEST_CR4: 0x2220 } }),
      ept('PUSH', 'push rax', SECOND, { fields: { GUEST_RSP: test + 0x1004 } }),
      ept('PUSH, the lower one', 'push rax', NONE, { fields: { GUEST_RSP: test + 0x1004 } }),
      ept('POP', 'pop rax', SECOND, { fields: { GUEST_RSP: test + 0xffc } }),
      ept('fetch', `mov eax, ${test + 0xffd}\njmp rax`, SECOND, { before: store64(test + 0xff8, 0xb8n << 40n) }),
      ept('32-bit', `mov [${ACROSS}], eax`, SECOND, { mode: 'paging32' }),
      ept('paging off', `mov eax, [${ACROSS}]`, SECOND, { mode: 'protected' }),
      ept('the pages lie apart', `mov eax, [${ACROSS}]`, [absent(pte(test + 0x5000))], {
        before: store64(MemoryMap.longTable + (test >>> 12) * 8 + 8, (test + 0x5000) | 7),
        afterwards: store64(MemoryMap.longTable + (test >>> 12) * 8 + 8, (test + 0x1000) | 7),
      }),
    ],
  ),
  vtxRom('vtx-ept-mended', 'The entry is mended, and the instruction runs again (SDM Vol. 3C 28.1, 29.4.3.1)', [
    ept('read', `mov ebx, [${AT}]`, NONE, { before: `mov dword [${AT}], 0x5678`, afterwards: `${mend(NONE)}\n${RESUME}` }),
    ept('without INVEPT', `mov ebx, [${AT}]`, NONE, {
      afterwards: `${store64(pte(test).at, pte(test).whole)}\n${RESUME}`,
    }),
    ept('a write after a read, without INVEPT', `mov ebx, [${AT}]\nmov byte [${AT}], 7\nmov esi, [${AT}]`, READ_ONLY, {
      ...touch(AT),
      afterwards: `${store64(pte(test).at, pte(test).whole)}\n${RESUME}`,
    }),
    ept('another frame', `mov ebx, [${AT}]`, NONE, {
      before: `mov dword [${free + 0x123}], 0x1234`,
      afterwards: `${store64(pte(test).at, BigInt(free) + 0x37n)}\n${INVEPT_ALL}\n${RESUME}`,
    }),
    ept('a fetch, execute-only', FETCH, NONE, {
      before: CODE_AT_TEST,
      afterwards: `${store64(pte(test).at, allow(pte(test), X).value)}\n${INVEPT_ALL}\n${RESUME}`,
    }),
    ept('two of one instruction', 'movsd', [...NONE, absent(pte(test + 0x1000))], {
      registers: { rsi: test, rdi: test + 0x1000 },
      afterwards: `${mend(NONE)}\n${RESUME}\n${mend(SECOND)}\n${RESUME}`,
    }),
  ]),
];
