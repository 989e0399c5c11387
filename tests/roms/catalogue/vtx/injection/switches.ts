import { ENTRY_CONTROLS, EXIT_CONTROLS } from '@minusone/vtx';
import { MemoryMap } from '../../../prelude/memory-map.ts';
import { Msr, wrmsr } from '../../../prelude/modes.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import { note, vmread } from '../../../prelude/vtx-host.ts';
import { VtxMemory } from '../../../prelude/vtx-memory.ts';
import type { Fields, GuestModeName } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';

type Exit = keyof typeof EXIT_CONTROLS;
type Entry = keyof typeof ENTRY_CONTROLS;
const word = (table: Readonly<Record<string, { readonly bit: number }>>, names: readonly string[]): number =>
  names.reduce((bits, name) => bits | (1 << (table[name] as { bit: number }).bit), 0) >>> 0;
/** Exactly these controls of entries and exits, in a guest that reads and writes MSRs by itself. */
const controls = (entry: readonly Entry[], exit: readonly Exit[], mode: GuestModeName = 'long', more: Fields = {}): GuestOptions => ({
  mode,
  controls: { primary: ['useMsrBitmaps'] },
  fields: {
    MSR_BITMAP: VtxMemory.msrBitmap,
    VM_ENTRY_CONTROLS: word(ENTRY_CONTROLS, mode === 'long' || mode === 'compatibility' ? ['ia32eModeGuest', ...entry] : entry),
    VM_EXIT_CONTROLS: word(EXIT_CONTROLS, ['hostAddressSpaceSize', ...exit]),
    ...more,
  },
});
const rdmsr = (msr: number): string => `mov ecx, ${msr}\nrdmsr`;
/** An MSR as the host has it, and a field. */
const SHOW_EFER = `${rdmsr(Msr.efer)}\nmov ebp, eax\n${note({ host: 'rbp' })}\n${vmread('GUEST_IA32_EFER', 'rdx')}\n${note({ field: 'rdx' })}
  ${vmread('VM_ENTRY_CONTROLS', 'rdx')}\nand edx, 0x200\n${note({ 'ia-32e': 'rdx' })}\n${wrmsr(Msr.efer, 0x901)}`;
const SHOW_PAT = `${rdmsr(Msr.pat)}\nmov ebp, eax\nshl rdx, 32\nor rbp, rdx\n${note({ host: 'rbp' })}\n${vmread('GUEST_IA32_PAT', 'rdx')}\n${note({ field: 'rdx' })}
  ${wrmsr(Msr.pat, 0x00070406, 0x00070406)}`;
/** Bochs has no IA32_DEBUGCTL. */
const SHOW_DR7 = `${note({ host: 'dr7' })}\n${vmread('GUEST_DR7', 'rdx')}\n${note({ field: 'rdx' })}`;

const efer = (label: string, options: GuestOptions, code = rdmsr(Msr.efer), more: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { ...options, ...more, afterwards: SHOW_EFER });
const GUEST_PAT = 0x0000_0004_0506_0007n;
const pat = (label: string, entry: readonly Entry[], exit: readonly Exit[], code: string, more: Fields = {}): VtxAttempt =>
  vt(label, `${code}\n${rdmsr(Msr.pat)}`, {
    ...controls([...entry, 'loadIa32Efer'], [...exit, 'loadIa32Efer'], 'long', {
      GUEST_IA32_PAT: GUEST_PAT,
      HOST_IA32_PAT: 0x0006_0006_0006_0006n,
      ...more,
    }),
    afterwards: SHOW_PAT,
  });
const CHANGE_PAT = wrmsr(Msr.pat, 0x0005_0505, 0x0404_0404);
const debug = (
  label: string,
  entry: readonly Entry[],
  exit: readonly Exit[],
  code: string,
  more: Fields = {},
  options: GuestOptions = {},
): VtxAttempt =>
  vt(label, `${code}\nmov rbx, dr7`, {
    ...controls([...entry, 'loadIa32Efer'], [...exit, 'loadIa32Efer'], 'long', { GUEST_DR7: 0x700, ...more }),
    ...options,
    afterwards: SHOW_DR7,
  });
const CHANGE_DR7 = 'mov eax, 0x600\nmov dr7, rax';
const HOST_BREAKPOINT: GuestOptions = { before: 'mov eax, .guest\nmov dr0, rax\nmov eax, 0x401\nmov dr7, rax' };

const NXE = 0x800;
const CLEAR_NXE = `${rdmsr(Msr.efer)}\nand eax, ${~NXE}\nwrmsr\n${rdmsr(Msr.efer)}`;

const LONG_CR0 = 0x8000_0031;
const TEST = MemoryMap.test;
const FS_BASE = 0xc0000100;
const GS_BASE = 0xc0000101;
const KERNEL_GS_BASE = 0xc0000102;
const SYSENTER_ESP = 0x175;
/** A guest that uses MSRs by itself. */
const shared = (label: string, code: string, options: GuestOptions): VtxAttempt =>
  vt(label, code, {
    ...options,
    controls: { primary: ['useMsrBitmaps'] },
    fields: { MSR_BITMAP: VtxMemory.msrBitmap, ...options.fields },
  });

export const switchRoms: readonly Rom[] = [
  vtxRom('vtx-enter-efer', 'IA32_EFER by the entry and exit controls; LMA and LME without them (SDM Vol. 3C 27.3.2.1, 28.3.1, 28.5.1)', [
    efer('loaded', controls(['loadIa32Efer'], ['loadIa32Efer'])),
    efer('loaded, without NXE', controls(['loadIa32Efer'], ['loadIa32Efer'], 'long', { GUEST_IA32_EFER: 0x501 })),
    efer('loaded and saved', controls(['loadIa32Efer'], ['loadIa32Efer', 'saveIa32Efer']), CLEAR_NXE),
    efer('loaded, not saved', controls(['loadIa32Efer'], ['loadIa32Efer']), CLEAR_NXE),
    efer('saved, the host keeps it', controls(['loadIa32Efer'], ['saveIa32Efer']), CLEAR_NXE),
    efer('not loaded', controls([], ['loadIa32Efer'])),
    efer('not loaded, the host has NXE', controls([], ['loadIa32Efer']), rdmsr(Msr.efer), { before: wrmsr(Msr.efer, 0x901) }),
    efer('neither loaded nor saved', controls([], []), CLEAR_NXE),
    efer('not loaded, compatibility mode', controls([], ['saveIa32Efer'], 'compatibility')),
    efer('not loaded, 32-bit paging', controls([], ['saveIa32Efer'], 'paging32')),
    efer('not loaded, PAE paging', controls([], ['saveIa32Efer', 'loadIa32Efer'], 'pae')),
    efer('loaded, 32-bit paging, the host does not load it', controls(['loadIa32Efer'], [], 'paging32', { GUEST_IA32_EFER: 0x801 })),
    efer('not loaded, no paging', { ...controls([], ['saveIa32Efer', 'loadIa32Efer'], 'protected'), unrestricted: true }),
    efer('loaded, no paging, LME', {
      ...controls(['loadIa32Efer'], ['saveIa32Efer', 'loadIa32Efer'], 'protected', { GUEST_IA32_EFER: 0x100 }),
      unrestricted: true,
    }),
  ]),
  vtxRom('vtx-enter-pat', 'IA32_PAT by the entry and exit controls (SDM Vol. 3C 27.3.2.1, 28.3.1, 28.5.1)', [
    pat('loaded', ['loadIa32Pat'], ['loadIa32Pat'], ''),
    pat('loaded, kept by the host', ['loadIa32Pat'], [], ''),
    pat('not loaded', [], ['loadIa32Pat'], ''),
    pat('neither loaded nor saved', [], [], CHANGE_PAT),
    pat('loaded, not saved', ['loadIa32Pat'], ['loadIa32Pat'], CHANGE_PAT),
    pat('loaded and saved', ['loadIa32Pat'], ['loadIa32Pat', 'saveIa32Pat'], CHANGE_PAT),
    pat('not loaded, saved', [], ['saveIa32Pat'], ''),
    pat('saved at each exit', ['loadIa32Pat'], ['saveIa32Pat', 'loadIa32Pat'], `cpuid\n${CHANGE_PAT}`),
  ]),
  vtxRom('vtx-enter-debug-controls', 'DR7 by the entry and exit controls (SDM Vol. 3C 27.3.2.1, 28.3.1, 28.5.1)', [
    debug('loaded', ['loadDebugControls'], [], ''),
    debug('loaded, not saved', ['loadDebugControls'], [], CHANGE_DR7),
    debug('loaded and saved', ['loadDebugControls'], ['saveDebugControls'], CHANGE_DR7),
    debug('not loaded', [], [], ''),
    debug('not loaded, of the host', [], [], '', {}, { before: 'mov eax, 0x500\nmov dr7, rax' }),
    debug('not loaded, saved', [], ['saveDebugControls'], CHANGE_DR7),
    debug(
      'reserved bits of DR7',
      ['loadDebugControls'],
      ['saveDebugControls'],
      '',
      { GUEST_DR7: 0xd300 },
      {
        bochs: 'loads bit 12; SDM Vol. 3C 27.3.2.1.',
        manual: 'VMCALL len=3 at 38:+3 sp=10:d000 fl=2 rbx=700\n host=400\n field=700',
      },
    ),
    debug(
      'a breakpoint of the host is off',
      ['loadDebugControls'],
      ['saveDebugControls'],
      'nop',
      {
        GUEST_DR7: 0x400,
        EXCEPTION_BITMAP: 2,
      },
      HOST_BREAKPOINT,
    ),
    debug('a breakpoint of the host stays', [], ['saveDebugControls'], 'nop', { EXCEPTION_BITMAP: 2 }, HOST_BREAKPOINT),
    vt("DR6 and DR0 to DR3 are the host's", 'mov rax, dr6\nmov rbx, dr3\nmov ecx, 0x4444\nmov dr3, rcx', {
      before: 'mov eax, 0xffff4ff2\nmov dr6, rax\nmov eax, 0x3333\nmov dr3, rax',
      afterwards: `${note({ dr6: 'dr6', dr3: 'dr3' })}\nmov eax, 0xffff0ff0\nmov dr6, rax`,
    }),
  ]),
  vtxRom(
    'vtx-enter-not-switched',
    'What entries and exits leave alone: x87, SSE, DR0 to DR3, DR6, CR2, MSRs without a field (SDM Vol. 3C 27.3.2, 28.5, 32.2)',
    [
      shared('x87', 'fnstsw ax\nfist word [rcx]\nmovzx ebx, word [rcx]\nfninit', {
        registers: { rcx: TEST },
        before: 'fninit\nfild dword [.seven]\njmp .loaded\n.seven: dd 7\n.loaded:',
        afterwards: `fnstsw ax\nmovzx ebp, ax\n${note({ status: 'rbp' })}`,
      }),
      shared('x87 with TS', 'fnstsw ax', { fields: { GUEST_CR0: LONG_CR0 + 8, EXCEPTION_BITMAP: 1 << 7 } }),
      shared('x87 with EM', 'fnstsw ax', { fields: { GUEST_CR0: LONG_CR0 + 4, EXCEPTION_BITMAP: 1 << 7 } }),
      shared('CR2', 'mov rbx, cr2\nmov ecx, 0x4444\nmov cr2, rcx', {
        before: 'mov eax, 0x3333\nmov cr2, rax',
        afterwards: note({ cr2: 'cr2' }),
      }),
      ...(
        [
          ['STAR', 0xc0000081],
          ['LSTAR', 0xc0000082],
          ['CSTAR', 0xc0000083],
          ['FMASK', 0xc0000084],
          ['KERNEL_GS_BASE', 0xc0000102],
        ] as const
      ).map(([name, msr]) =>
        shared(name, `${rdmsr(msr)}\nmov ebx, eax\n${wrmsr(msr, 0x2222)}`, {
          before: wrmsr(msr, 0x1111),
          afterwards: `${rdmsr(msr)}\nmov ebp, eax\n${note({ host: 'rbp' })}`,
        }),
      ),
      shared('SWAPGS', 'swapgs', {
        fields: { GUEST_GS_BASE: 0x5555 },
        before: wrmsr(KERNEL_GS_BASE, 0x6666),
        afterwards: `${vmread('GUEST_GS_BASE', 'rdx')}\n${note({ gs: 'rdx' })}\n${rdmsr(KERNEL_GS_BASE)}\nmov ebp, eax\n${note({ kernel: 'rbp' })}
        ${rdmsr(GS_BASE)}\nmov ebp, eax\n${note({ host: 'rbp' })}`,
      }),
      shared('FS base of the host', `${rdmsr(FS_BASE)}\n${wrmsr(FS_BASE, 0x8888)}`, {
        fields: { GUEST_FS_BASE: 0x7777, HOST_FS_BASE: 0x9999 },
        afterwards: `${vmread('GUEST_FS_BASE', 'rdx')}\n${note({ fs: 'rdx' })}\n${rdmsr(FS_BASE)}\nmov ebp, eax\n${note({ host: 'rbp' })}`,
      }),
      shared('SYSENTER of the host', `${rdmsr(SYSENTER_ESP)}\n${wrmsr(SYSENTER_ESP, 0x2222)}`, {
        fields: { GUEST_SYSENTER_ESP: 0x1111, HOST_IA32_SYSENTER_ESP: 0x3333 },
        afterwards: `${vmread('GUEST_SYSENTER_ESP', 'rdx')}\n${note({ guest: 'rdx' })}\n${rdmsr(SYSENTER_ESP)}\nmov ebp, eax\n${note({ host: 'rbp' })}`,
      }),
    ],
  ),
];
