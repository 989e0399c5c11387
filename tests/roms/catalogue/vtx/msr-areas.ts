import { Msr, wrmsr } from '../../prelude/modes.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP, STATE, vmwrite } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { LONG_EFER, NOT_CANONICAL, showFields, WIDE_ADDRESS } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

const { exitMsrStore, exitMsrLoad, entryMsrLoad, msrBitmap } = VtxMemory;
type Area = 'VM_EXIT_MSR_STORE' | 'VM_EXIT_MSR_LOAD' | 'VM_ENTRY_MSR_LOAD';
const AREAS: Readonly<Record<Area, number>> = {
  VM_EXIT_MSR_STORE: exitMsrStore,
  VM_EXIT_MSR_LOAD: exitMsrLoad,
  VM_ENTRY_MSR_LOAD: entryMsrLoad,
};
/** An entry of an MSR area: index, value, and what stands in its reserved half. */
type Entry = readonly [index: number, value?: number | bigint, reserved?: number];

const fill = (area: Area, entries: readonly Entry[]): string =>
  entries
    .map(([index, value = 0, reserved = 0], n) => {
      const at = AREAS[area] + 16 * n;
      return `mov dword [${at}], ${index}\nmov dword [${at + 4}], ${reserved}\nmov rax, ${value}\nmov [${at + 8}], rax`;
    })
    .join('\n');
const counted = (area: Area, count: number): Fields => ({ [`${area}_COUNT`]: count, [`${area}_ADDR`]: AREAS[area] });
/** MSRs pass to the guest; the areas hold these entries, and count so many, or all. */
const areas = (lists: Partial<Record<Area, readonly Entry[]>>, more: GuestOptions = {}, count?: number): GuestOptions => {
  const named = Object.entries(lists) as [Area, readonly Entry[]][];
  return {
    controls: { primary: ['useMsrBitmaps'] },
    ...more,
    fields: Object.assign({ MSR_BITMAP: msrBitmap }, ...named.map(([area, list]) => counted(area, count ?? list.length)), more.fields),
    before: `${named.map(([area, list]) => fill(area, list)).join('\n')}\n${more.before ?? ''}`,
  };
};
const loads = (entries: readonly Entry[], more: GuestOptions = {}, count?: number): GuestOptions =>
  areas({ VM_ENTRY_MSR_LOAD: entries }, more, count);
const stores = (entries: readonly Entry[], more: GuestOptions = {}, count?: number): GuestOptions =>
  areas({ VM_EXIT_MSR_STORE: entries }, { afterwards: stored(Math.max(2, entries.length)), ...more }, count);
const read = (msr: number): string => `mov ecx, ${msr}\nrdmsr`;
/** What the host reads of an MSR. */
const hostReads = (msr: number, name = 'msr'): string =>
  `${read(msr)}\nmov edi, eax\nmov ebp, edx\n${note({ [`${name}_high`]: 'rbp', [name]: 'rdi' })}`;
/** Entries of the store area as they are. */
const stored = (count: number): string =>
  Array.from({ length: count }, (_, n) =>
    note({ [`index${n}`]: `[${exitMsrStore + 16 * n}]`, [`value${n}`]: `[${exitMsrStore + 16 * n + 8}]` }),
  ).join('\n');
const refused = (label: string, entries: readonly Entry[], more: GuestOptions = {}): VtxAttempt => vt(label, '', loads(entries, more));
const CLEAR_HOST = [Msr.lstar, Msr.cstar, Msr.kernelGsBase].map((msr) => wrmsr(msr, 0)).join('\n');

export const vtxMsrAreaRoms: readonly Rom[] = [
  vtxRom('vtx-entry-msr-load', 'The VM-entry MSR-load area: which MSRs, how many, in which order (SDM Vol. 3C 25.8.2, 27.4)', [
    vt('none', read(Msr.lstar), loads([[Msr.lstar, 0x1234]], { before: CLEAR_HOST }, 0)),
    vt('one', read(Msr.lstar), loads([[Msr.lstar, WIDE_ADDRESS]])),
    vt(
      'two',
      `${read(Msr.cstar)}\nmov ebx, eax\n${read(Msr.kernelGsBase)}`,
      loads([
        [Msr.cstar, 0x11],
        [Msr.kernelGsBase, 0x22],
      ]),
    ),
    vt(
      'the second is not counted',
      read(Msr.kernelGsBase),
      loads(
        [
          [Msr.cstar, 0x11],
          [Msr.kernelGsBase, 0x22],
        ],
        { before: CLEAR_HOST },
        1,
      ),
    ),
    vt(
      'the same one twice',
      read(Msr.lstar),
      loads([
        [Msr.lstar, 0x11],
        [Msr.lstar, 0x22],
      ]),
    ),
    vt(
      'after the guest state, SYSENTER_CS',
      '',
      loads([[Msr.sysenterCs, 0x1234]], { fields: { GUEST_SYSENTER_CS: 0x55 }, afterwards: STATE }),
    ),
    vt(
      'after the guest state, SYSENTER_ESP',
      '',
      loads([[Msr.sysenterEsp, WIDE_ADDRESS]], { fields: { GUEST_SYSENTER_ESP: 0x55 }, afterwards: STATE }),
    ),
    vt('EFER without SCE', '', loads([[Msr.efer, LONG_EFER - 1]], { afterwards: showFields('GUEST_IA32_EFER') })),
    vt('EFER without NXE', '', loads([[Msr.efer, LONG_EFER - 0x800]], { afterwards: showFields('GUEST_IA32_EFER') })),
    vt('PAT', read(Msr.pat), loads([[Msr.pat, 0x0007_0406_0007_0401n]], { afterwards: wrmsr(Msr.pat, 0x0007_0406, 0x0007_0406) })),
    vt('the host keeps what was loaded', '', loads([[Msr.kernelGsBase, WIDE_ADDRESS]], { afterwards: hostReads(Msr.kernelGsBase) })),
    vt('real mode', '', loads([[Msr.kernelGsBase, WIDE_ADDRESS]], { mode: 'real', afterwards: hostReads(Msr.kernelGsBase) })),
    vt(
      'at every entry',
      `${read(Msr.lstar)}\nmov ebx, eax\nvmcall\n${read(Msr.lstar)}`,
      loads([[Msr.lstar, 0x11]], {
        afterwards: `mov dword [${entryMsrLoad + 8}], 0x22\n${SKIP}\n${RESUME}`,
      }),
    ),
  ]),
  vtxRom(
    'vtx-entry-msr-refused',
    'Entries that cannot be loaded: exit reason 34, the number of the entry is the qualification (SDM Vol. 3C 27.4, 27.8)',
    [
      refused('FS_BASE', [[Msr.fsBase, 0]]),
      refused('GS_BASE', [[Msr.gsBase, 0]]),
      refused('no such MSR', [[0x12345, 0]]),
      refused('x2APIC TPR', [[0x808, 0]]),
      refused('x2APIC, the last', [[0x8ff, 0]]),
      refused('SMM_MONITOR_CTL', [[0x9b, 0]]),
      refused('reserved bits', [[Msr.lstar, 0, 1]]),
      refused('reserved bit 63', [[Msr.lstar, 0, 0x8000_0000]]),
      refused('LSTAR not canonical', [[Msr.lstar, NOT_CANONICAL]]),
      refused('KERNEL_GS_BASE not canonical', [[Msr.kernelGsBase, NOT_CANONICAL]]),
      refused('SYSENTER_EIP not canonical', [[Msr.sysenterEip, NOT_CANONICAL]]),
      refused('PAT with type 2', [[Msr.pat, 2]]),
      refused('EFER with bit 1', [[Msr.efer, LONG_EFER + 2]]),
      refused('EFER without LME', [[Msr.efer, LONG_EFER - 0x100]]),
      refused('a capability MSR', [[0x480, 0]]),
      refused(
        'the second',
        [
          [Msr.lstar, 0x11],
          [Msr.fsBase, 0],
        ],
        { before: CLEAR_HOST, afterwards: hostReads(Msr.lstar) },
      ),
      refused(
        'the third, and nothing after it',
        [
          [Msr.lstar, 0x11],
          [Msr.cstar, 0x22],
          [Msr.fsBase, 0],
          [Msr.kernelGsBase, 0x33],
        ],
        {
          before: CLEAR_HOST,
          afterwards: `${hostReads(Msr.cstar)}\n${hostReads(Msr.kernelGsBase)}`,
        },
      ),
      vt(
        'the launch state stays clear',
        'mov ebx, 1',
        loads([[Msr.fsBase, 0]], { afterwards: `${vmwrite('VM_ENTRY_MSR_LOAD_COUNT', 0)}\n${RESUME}` }),
      ),
    ],
  ),
  vtxRom('vtx-exit-msr-store', 'The VM-exit MSR-store area (SDM Vol. 3C 25.7.2, 28.4)', [
    vt('one', wrmsr(Msr.lstar, 0x1234, 0x7000), stores([[Msr.lstar]])),
    vt('two', `${wrmsr(Msr.lstar, 0x11)}\n${wrmsr(Msr.cstar, 0x22)}`, stores([[Msr.lstar], [Msr.cstar]])),
    vt(
      'the second is not counted',
      `${wrmsr(Msr.lstar, 0x33)}\n${wrmsr(Msr.cstar, 0x44)}`,
      stores([[Msr.lstar], [Msr.cstar, 0x5555]], {}, 1),
    ),
    vt(
      "the guest's FS and GS bases",
      '',
      stores([[Msr.fsBase], [Msr.gsBase]], { fields: { GUEST_FS_BASE: WIDE_ADDRESS, GUEST_GS_BASE: 0x1234 } }),
    ),
    vt("the guest's EFER", '', stores([[Msr.efer]], { fields: { GUEST_IA32_EFER: LONG_EFER - 1 } })),
    vt("the guest's EFER, real mode", '', stores([[Msr.efer]], { mode: 'real' })),
    vt(
      "the guest's SYSENTER MSRs",
      '',
      stores([[Msr.sysenterCs], [Msr.sysenterEip]], { fields: { GUEST_SYSENTER_CS: 0x1234, GUEST_SYSENTER_EIP: WIDE_ADDRESS } }),
    ),
    vt('nothing is stored by an entry that fails', '', stores([[Msr.lstar, 0x5555]], { fields: { GUEST_RFLAGS: 0 } })),
    vt(
      'at every exit',
      `${wrmsr(Msr.lstar, 0x11)}\nvmcall\n${wrmsr(Msr.lstar, 0x22)}`,
      stores([[Msr.lstar]], { afterwards: `${stored(1)}\n${SKIP}\n${RESUME}\n${stored(1)}` }),
    ),
  ]),
  vtxRom('vtx-exit-msr-load', 'The VM-exit MSR-load area (SDM Vol. 3C 25.7.2, 28.6)', [
    vt('one', wrmsr(Msr.lstar, 0x11), areas({ VM_EXIT_MSR_LOAD: [[Msr.lstar, WIDE_ADDRESS]] }, { afterwards: hostReads(Msr.lstar) })),
    vt(
      'the same one twice',
      '',
      areas(
        {
          VM_EXIT_MSR_LOAD: [
            [Msr.lstar, 0x11],
            [Msr.lstar, 0x22],
          ],
        },
        { afterwards: hostReads(Msr.lstar) },
      ),
    ),
    vt(
      'the second is not counted',
      '',
      areas(
        {
          VM_EXIT_MSR_LOAD: [
            [Msr.lstar, 0x33],
            [Msr.cstar, 0x44],
          ],
        },
        {
          before: CLEAR_HOST,
          afterwards: `${hostReads(Msr.lstar)}\n${hostReads(Msr.cstar)}`,
        },
        1,
      ),
    ),
    vt(
      'after the store',
      wrmsr(Msr.lstar, 0x11),
      areas(
        { VM_EXIT_MSR_STORE: [[Msr.lstar]], VM_EXIT_MSR_LOAD: [[Msr.lstar, 0x22]] },
        {
          afterwards: `${stored(1)}\n${hostReads(Msr.lstar)}`,
        },
      ),
    ),
    vt(
      'all three',
      read(Msr.lstar),
      areas(
        { VM_ENTRY_MSR_LOAD: [[Msr.lstar, 0x11]], VM_EXIT_MSR_STORE: [[Msr.lstar]], VM_EXIT_MSR_LOAD: [[Msr.lstar, 0x22]] },
        {
          afterwards: `${stored(1)}\n${hostReads(Msr.lstar)}`,
        },
      ),
    ),
    vt(
      'after the host state, SYSENTER_CS',
      '',
      areas(
        { VM_EXIT_MSR_LOAD: [[Msr.sysenterCs, 0x11]] },
        {
          fields: { HOST_IA32_SYSENTER_CS: 0x22 },
          afterwards: hostReads(Msr.sysenterCs),
        },
      ),
    ),
    vt(
      'by an entry with an invalid guest',
      '',
      areas(
        { VM_EXIT_MSR_LOAD: [[Msr.lstar, 0x55]] },
        {
          fields: { GUEST_RFLAGS: 0 },
          afterwards: hostReads(Msr.lstar),
        },
      ),
    ),
    vt(
      'by an entry with an MSR that is refused',
      '',
      areas(
        { VM_ENTRY_MSR_LOAD: [[Msr.fsBase]], VM_EXIT_MSR_LOAD: [[Msr.lstar, 0x66]] },
        {
          afterwards: hostReads(Msr.lstar),
        },
      ),
    ),
    vt(
      'not where the controls are refused',
      '',
      areas(
        { VM_EXIT_MSR_LOAD: [[Msr.lstar, 0x77]] },
        {
          fields: { CR3_TARGET_COUNT: 9 },
          before: CLEAR_HOST,
          afterwards: hostReads(Msr.lstar),
        },
      ),
    ),
  ]),
];
