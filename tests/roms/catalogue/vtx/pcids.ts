import { MemoryMap } from '../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { RESUME, SKIP } from '../../prelude/vtx-host.ts';
import { EPTP, VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Rom } from '../../rom.ts';
import { copyHierarchy, DESCRIPTOR, Ept, INVEPT_ALL, INVVPID_ALL, invalidate, pte, store64 } from './ept.ts';
import { vtxRom } from './vtx-rom.ts';

const { pml4, pdpt, longDirectories, longTable } = MemoryMap;
const test: number = MemoryMap.test;
const { free } = VtxMemory;
/** Frames that tell which they are. */
const [FIRST, SECOND, THIRD] = [test, free, free + 0x7000] as const;
const FRAMES = `mov dword [${FIRST}], 0x11\nmov dword [${SECOND}], 0x22\nmov dword [${THIRD}], 0x33`;
const ENTRY = (test >>> 12) * 8;
/** The guest's second hierarchy, in which `test` is the second frame. */
const OTHER = free + 0x1000;
const BUILD = `${copyHierarchy([pml4, pdpt, longDirectories, longTable], OTHER)}
  ${store64(OTHER + 0x3000 + ENTRY, SECOND | 7)}
  ${FRAMES}`;

const NO_FLUSH = 1n << 63n;
/** MOV to CR3 that keeps what is cached of a PCID. */
const to = (pcid: 1 | 2, bits: bigint = NO_FLUSH): string =>
  `mov rax, ${BigInt(pcid === 1 ? pml4 : OTHER) | BigInt(pcid) | bits}\nmov cr3, rax`;
const read = (register: string): string => `mov ${register}, [${test}]`;
const VPID = { secondary: ['enableVpid', 'enableInvpcid'] } as const;
const BOTH = { secondary: ['enableEpt', 'enableVpid', 'enableInvpcid'] } as const;
const EPT = { secondary: ['enableEpt', 'enableInvpcid'] } as const;

/** A guest with PCIDs 1 and 2. Its own entry of PCID 1 is put back afterwards. */
function pcids(label: string, code: string, options: GuestOptions = {}): VtxAttempt {
  const controls = options.controls ?? BOTH;
  const hasVpid = controls.secondary?.includes('enableVpid') === true;
  return vt(label, `${code}\nxor eax, eax`, {
    hide: ['flags'],
    ...options,
    controls,
    fields: { GUEST_CR3: pml4 | 1, GUEST_CR4: 0x2_2020, VIRTUAL_PROCESSOR_ID: hasVpid ? 1 : 0, ...options.fields },
    before: `${BUILD}\n${options.before ?? ''}`,
    afterwards: `${options.afterwards ?? ''}\n${store64(longTable + ENTRY, FIRST | 7)}\n${store64(pte(test).at, pte(test).whole)}\n${INVEPT_ALL}\n${INVVPID_ALL}`,
  });
}
const MOVES_FIRST = store64(longTable + ENTRY, THIRD | 7);
const invpcid = (type: number, pcid = 0, linear = 0): string =>
  `${store64(DESCRIPTOR, pcid)}\n${store64(DESCRIPTOR + 8, linear)}\nmov eax, ${type}\ninvpcid rax, [${DESCRIPTOR}]`;
/** The host changes something while the guest has the other PCID. */
const between = (label: string, change: string, options: GuestOptions = {}): VtxAttempt =>
  pcids(label, `${read('ebx')}\n${to(2)}\n${read('ecx')}\nvmcall\n${to(1)}\n${read('edx')}`, {
    ...options,
    afterwards: `${change}\n${SKIP}\n${RESUME}`,
  });
/** The guest does. */
const within = (label: string, invalidation: string): VtxAttempt =>
  pcids(label, `${read('ebx')}\n${to(2)}\n${read('ecx')}\n${MOVES_FIRST}\n${invalidation}\n${to(1)}\n${read('edx')}`);

export const vtxPcidRoms: readonly Rom[] = [
  vtxRom('vtx-pcid', "A guest's PCIDs, each with translations of its own, and what ends those of all (SDM Vol. 3C 29.4; Vol. 3A 4.10.1)", [
    ...(
      [
        ['VPID and EPT', BOTH],
        ['VPID', VPID],
        ['EPT', EPT],
        ['neither', { secondary: ['enableInvpcid'] }],
      ] as const
    ).map(([name, controls]) =>
      pcids(`there and back, ${name}`, `${read('ebx')}\n${to(2)}\n${read('ecx')}\n${to(1)}\n${read('edx')}\n${to(2)}\n${read('esi')}`, {
        controls,
      }),
    ),
    within('MOV to CR3 that flushes', `${to(1, 0n)}\n${to(2)}`),
    within('INVPCID, an address of the other', invpcid(0, 1, test)),
    within('INVPCID, the other', invpcid(1, 1)),
    within('INVPCID, all', invpcid(2)),
    within('INVPCID, all but globals', invpcid(3)),
    within(
      'CR4.PCIDE is cleared',
      `${to(2)}\nmov rax, ${OTHER}\nmov cr3, rax\nmov eax, 0x2020\nmov cr4, rax\nmov eax, 0x22020\nmov cr4, rax`,
    ),
    between('INVVPID, single context', `${MOVES_FIRST}\n${invalidate('invvpid', 1, 1)}`),
    between('INVVPID, all contexts', `${MOVES_FIRST}\n${invalidate('invvpid', 2, 0)}`),
    between('INVVPID, retaining globals', `${MOVES_FIRST}\n${invalidate('invvpid', 3, 1)}`),
    between('INVEPT', `${store64(pte(test).at, BigInt(THIRD) | Ept.WB | Ept.RWX)}\n${invalidate('invept', 1, EPTP)}`),
    between('an entry without VPIDs', MOVES_FIRST, { controls: EPT }),
  ]),
];
