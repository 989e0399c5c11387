import { MemoryMap } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP, vmwrite } from '../../prelude/vtx-host.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import {
  allow,
  copyHierarchy,
  DESCRIPTOR,
  Ept,
  INVEPT_ALL,
  INVVPID_ALL,
  invalidate,
  mend,
  pde,
  pdpte,
  pml4e,
  pte,
  store64,
} from './ept.ts';
import { vtxRom } from './vtx-rom.ts';

const { longTable, longDirectories, paging32Table, paeTable } = MemoryMap;
const test: number = MemoryMap.test;
const { free, eptPml4, eptPdpt, eptDirectories, eptTable } = VtxMemory;
const { X } = Ept;
const LARGE = 0x40_0000;
const OTHER_LARGE = 0x80_0000;
const HUGE = 0x4000_0000;

/** What is read tells the frame: 11 where an address led first, 22 where it leads to after a change. */
const FRAMES = `mov dword [${test}], 0x11\nmov dword [${free}], 0x22\nmov dword [${LARGE}], 0x11\nmov dword [${OTHER_LARGE}], 0x22`;
/** The guest reads, lets the host change something, and reads again. */
const TWICE = (address: number): string => `mov ebx, [${address}]\nvmcall\nmov esi, [${address}]`;
const VPID = { secondary: ['enableVpid'] } as const;
const EPT = { secondary: ['enableEpt'] } as const;
const BOTH = { secondary: ['enableEpt', 'enableVpid'] } as const;
const VPID_1 = { VIRTUAL_PROCESSOR_ID: 1 };

/** The host stores a value between the two reads, and puts the old one back afterwards. */
interface Change {
  readonly at: number;
  readonly value: number | bigint;
  readonly whole: number | bigint;
}
const ENTRY_OF_TEST = (test >>> 12) * 8;
const TO_FREE: Change = { at: pte(test).at, value: BigInt(free) | 0x37n, whole: pte(test).whole };
const GUEST_TO_FREE: Change = { at: longTable + ENTRY_OF_TEST, value: free | 7, whole: test | 7 };
const GUEST_PDE: Change = { at: longDirectories + 16, value: OTHER_LARGE | 0x87, whole: LARGE | 0x87 };

function changed(label: string, change: Change, invalidation: string, options: GuestOptions = {}, address = test): VtxAttempt {
  const { before = '', afterwards = '' } = options;
  return vt(label, TWICE(address), {
    controls: BOTH,
    ...options,
    fields: { ...VPID_1, ...options.fields },
    before: `${FRAMES}\n${INVEPT_ALL}\n${before}`,
    afterwards: `${store64(change.at, change.value)}\n${invalidation}\n${SKIP}\n${RESUME}\n${afterwards}\n${store64(change.at, change.whole)}\n${INVEPT_ALL}\n${INVVPID_ALL}`,
  });
}
/** A second EPT hierarchy, in which the page at `test` is another. */
const OTHER_EPT = free + 0x1000;
const BUILD_OTHER_EPT = `${copyHierarchy([eptPml4, eptPdpt, eptDirectories, eptTable], OTHER_EPT)}
  ${store64(OTHER_EPT + 0x3000 + ENTRY_OF_TEST, free + 0x37)}`;

/** The guest changes its own entry and invalidates what is cached of it. */
function inside(
  label: string,
  invalidation: string,
  options: GuestOptions = {},
  entry: Change = GUEST_TO_FREE,
  address = test,
): VtxAttempt {
  return vt(label, `mov ebx, [${address}]\nmov dword [${entry.at}], ${entry.value}\n${invalidation}\nmov esi, [${address}]\nxor eax, eax`, {
    controls: BOTH,
    hide: ['flags'],
    ...options,
    fields: { ...VPID_1, ...options.fields },
    before: `${FRAMES}\n${options.before ?? ''}`,
    afterwards: `${store64(entry.at, entry.whole)}\n${INVEPT_ALL}\n${INVVPID_ALL}`,
  });
}
const RELOAD_CR3 = 'mov rax, cr3\nmov cr3, rax';
const INVLPG = `mov eax, ${test}\ninvlpg [rax]`;
const GLOBAL: Change = { ...GUEST_TO_FREE, value: free | 0x107 };
const GLOBAL_BEFORE: GuestOptions = {
  before: `or dword [${GUEST_TO_FREE.at}], 0x100`,
  fields: { GUEST_CR4: 0x20a0 },
};
const invpcid = (type: number, pcid = 0, linear = 0): string =>
  `${store64(DESCRIPTOR, pcid)}\n${store64(DESCRIPTOR + 8, linear)}\nmov eax, ${type}\ninvpcid rax, [${DESCRIPTOR}]`;
const PCIDS: GuestOptions = {
  controls: { secondary: [...BOTH.secondary, 'enableInvpcid'] },
  fields: { GUEST_CR4: 0x2_2020 },
};

/** It leads to where there is no memory. */
const HUGE_PDPTE: Change = { at: MemoryMap.pdpt + 8, value: HUGE | 0x87, whole: (longDirectories + 0x1000) | 7 };
const PDE_32: Change = {
  at: MemoryMap.paging32Directory + 4,
  value: OTHER_LARGE | 0x87,
  whole: (BigInt(OTHER_LARGE | 0x87) << 32n) | BigInt(LARGE | 0x87),
};

export const vtxTranslationRoms: readonly Rom[] = [
  vtxRom('vtx-invept-flush', 'INVEPT ends mappings of an EPTP, whatever the VPID; other tables need none (SDM Vol. 3C 29.4.3.1)', [
    changed('single context, a PTE', TO_FREE, invalidate('invept', 1, EPTP)),
    changed('all contexts, a PTE', TO_FREE, invalidate('invept', 2, 0)),
    changed('bits 11-0 of the EPTP do not count', TO_FREE, invalidate('invept', 1, EPTP | 0x40)),
    changed('a PDE', { ...pde(LARGE), value: BigInt(OTHER_LARGE) | 0xb7n }, invalidate('invept', 1, EPTP), {}, LARGE),
    changed('a PDPTE', { ...pdpte(HUGE), value: 0xb7 }, invalidate('invept', 1, EPTP), {}, HUGE + test),
    changed('a right that is gone', allow(pte(test), X), invalidate('invept', 1, EPTP)),
    changed('a PML4E that is gone', { ...pml4e, value: 0 }, `${invalidate('invept', 1, EPTP)}\n${vmwrite('GUEST_RIP', test - 3)}`),
    changed("the guest's PTE, which combined mappings have, too", GUEST_TO_FREE, invalidate('invept', 1, EPTP)),
    changed('without VPIDs', TO_FREE, invalidate('invept', 1, EPTP), { controls: EPT, fields: { VIRTUAL_PROCESSOR_ID: 0 } }),
    changed('paging off', TO_FREE, invalidate('invept', 1, EPTP), { mode: 'protected' }),
    changed('32-bit paging', TO_FREE, invalidate('invept', 1, EPTP), { mode: 'paging32' }),
    changed('PAE paging', TO_FREE, invalidate('invept', 1, EPTP), { mode: 'pae' }),
    changed('another EPTP', { at: free + 0x9000, value: 0, whole: 0 }, vmwrite('EPT_POINTER', OTHER_EPT | 0x1e), {
      before: BUILD_OTHER_EPT,
    }),
  ]),
  vtxRom('vtx-invvpid-flush', 'INVVPID ends linear and combined mappings of a VPID (SDM Vol. 3C 29.4.3.1)', [
    ...([BOTH, VPID] as const).flatMap((controls, n) => {
      const suffix = n === 0 ? '' : ', without EPT';
      return [
        changed(`individual address${suffix}`, GUEST_TO_FREE, invalidate('invvpid', 0, 1, test), { controls }),
        changed(`single context${suffix}`, GUEST_TO_FREE, invalidate('invvpid', 1, 1), { controls }),
        changed(`all contexts${suffix}`, GUEST_TO_FREE, invalidate('invvpid', 2, 0), { controls }),
        changed(`single context, retaining globals${suffix}`, GUEST_TO_FREE, invalidate('invvpid', 3, 1), { controls }),
      ];
    }),
    changed('the end of the page', GUEST_TO_FREE, invalidate('invvpid', 0, 1, test + 0xfff)),
    changed('within a large page', GUEST_PDE, invalidate('invvpid', 0, 1, LARGE + 0x12_3456), {}, LARGE),
    changed('a table where a large page was', { ...GUEST_PDE, value: longTable | 7 }, invalidate('invvpid', 1, 1), {}, LARGE + test),
    changed('a page that is gone', { ...GUEST_TO_FREE, value: 0 }, invalidate('invvpid', 0, 1, test), {
      fields: { EXCEPTION_BITMAP: 1 << 14 },
    }),
    changed('VPID FFFF', GUEST_TO_FREE, invalidate('invvpid', 1, 0xffff), { fields: { VIRTUAL_PROCESSOR_ID: 0xffff } }),
    changed(
      '32-bit paging',
      { at: paging32Table + ENTRY_OF_TEST / 2, value: 0x10_1007_0000_0000n | BigInt(free | 7), whole: 0x10_1007_0010_0007n },
      invalidate('invvpid', 0, 1, test),
      { mode: 'paging32' },
    ),
    changed('PAE paging', { ...GUEST_TO_FREE, at: paeTable + ENTRY_OF_TEST }, invalidate('invvpid', 0, 1, test), { mode: 'pae' }),
  ]),
  vtxRom(
    'vtx-vpid',
    'Without VPIDs each entry and exit ends linear and combined mappings; another VPID has its own (SDM Vol. 3C 27.3.2.5, 28.5.5, 29.4)',
    [
      changed('VPID off, EPT', GUEST_TO_FREE, '', { controls: EPT, fields: { VIRTUAL_PROCESSOR_ID: 0 } }),
      changed('VPID off, no EPT', GUEST_TO_FREE, '', { controls: {}, fields: { VIRTUAL_PROCESSOR_ID: 0 } }),
      changed('VPID off, a large page', GUEST_PDE, '', { controls: {}, fields: { VIRTUAL_PROCESSOR_ID: 0 } }, LARGE),
      changed('VPID off, a global page', { ...GUEST_TO_FREE, value: free | 0x107 }, '', {
        ...GLOBAL_BEFORE,
        controls: {},
        fields: { VIRTUAL_PROCESSOR_ID: 0, GUEST_CR4: 0x20a0 },
      }),
      changed('VPID off, a page that is gone', { ...GUEST_TO_FREE, value: 0 }, '', {
        controls: EPT,
        fields: { VIRTUAL_PROCESSOR_ID: 0, EXCEPTION_BITMAP: 1 << 14 },
      }),
      changed('another VPID', GUEST_TO_FREE, vmwrite('VIRTUAL_PROCESSOR_ID', 0x77)),
      changed('another VPID, without EPT', GUEST_TO_FREE, vmwrite('VIRTUAL_PROCESSOR_ID', 0x77), { controls: VPID }),
      changed('VPID 8000', GUEST_TO_FREE, vmwrite('VIRTUAL_PROCESSOR_ID', 1), { fields: { VIRTUAL_PROCESSOR_ID: 0x8001 } }),
      vt('the host itself, after an exit without VPIDs', 'nop', {
        before: `${FRAMES}\nmov eax, [${test}]\n${store64(GUEST_TO_FREE.at, GUEST_TO_FREE.value)}`,
        afterwards: `mov ebp, [${test}]\n${note({ host: 'rbp' })}\n${store64(GUEST_TO_FREE.at, GUEST_TO_FREE.whole)}\nmov rax, cr3\nmov cr3, rax`,
      }),
      vt('a page of the guest is not one of the host', `mov ebx, [${test}]`, {
        controls: BOTH,
        fields: VPID_1,
        before: `${FRAMES}\n${store64(eptTable + ENTRY_OF_TEST, free | 0x37)}\n${INVEPT_ALL}\nmov ebp, [${test}]`,
        afterwards: `mov ebp, [${test}]\n${note({ host: 'rbp' })}\n${mend([{ ...pte(test), value: 0n }])}`,
      }),
    ],
  ),
  vtxRom('vtx-guest-flush', "A guest's own invalidations need no exit (SDM Vol. 3C 29.4.3.1, Vol. 3A 4.10.4)", [
    ...(
      [
        ['', BOTH],
        [', without VPIDs', EPT],
        [', without EPT', VPID],
        [', without both', {}],
      ] as const
    ).flatMap(([suffix, controls]) => {
      const options = { controls, fields: { VIRTUAL_PROCESSOR_ID: 'secondary' in controls && controls !== EPT ? 1 : 0 } };
      return [inside(`MOV to CR3${suffix}`, RELOAD_CR3, options), inside(`INVLPG${suffix}`, INVLPG, options)];
    }),
    inside('INVLPG of a global page', INVLPG, GLOBAL_BEFORE, GLOBAL),
    inside('CR4.PGE and a global page', 'mov eax, 0x2020\nmov cr4, rax', GLOBAL_BEFORE, GLOBAL),
    inside('INVLPG in a large page', `mov eax, ${LARGE + 0x1f_ffff}\ninvlpg [rax]`, {}, GUEST_PDE, LARGE),
    inside(
      'INVLPG in a page of 1 GByte',
      `mov eax, ${HUGE + 0x3fff_f000}\ninvlpg [rax]`,
      { before: store64(HUGE_PDPTE.at, 0x87) },
      HUGE_PDPTE,
      HUGE + test,
    ),
    inside('INVLPG in a page of 4 MBytes', `mov eax, ${LARGE + 0x3f_f000}\ninvlpg [eax]`, { mode: 'paging32' }, PDE_32, LARGE),
    inside('INVPCID, an address', invpcid(0, 0, test), PCIDS),
    inside('INVPCID, a PCID', invpcid(1), PCIDS),
    inside('INVPCID, all', invpcid(2), PCIDS),
    inside('INVPCID, all but globals', invpcid(3), PCIDS),
    inside(
      '32-bit, MOV to CR3',
      'mov eax, cr3\nmov cr3, eax',
      { mode: 'paging32' },
      { at: paging32Table + ENTRY_OF_TEST / 2, value: free | 7, whole: 0x10_1007_0010_0007n },
    ),
    inside('PAE, MOV to CR4', 'mov eax, 0x20a0\nmov cr4, eax', { mode: 'pae' }, { ...GUEST_TO_FREE, at: paeTable + ENTRY_OF_TEST }),
  ]),
];
