import { MemoryMap } from '../../prelude/memory-map.ts';
import { show } from '../../prelude/print.ts';
import type { VtxAttempt } from '../../prelude/vtx-attempt.ts';
import { vt32, vtx32Source } from '../../prelude/vtx-host-32.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { vtxRom } from './vtx-rom.ts';

const REGISTERS = 'cr0 cr3 cr4 efer dr7 flags esp';
const SEGMENTS = 'cs ss ds es fs gs tr ldtr fsbase gsbase gdtlimit idtlimit';
/** VM-exit controls of a 32-bit host: with "load IA32_EFER", and with "host address-space size". */
const LOADS_EFER: Fields = { VM_EXIT_CONTROLS: 0x0023_6dff };
const HOST_64: Fields = { VM_EXIT_CONTROLS: 0x0003_6fff };
const CR4_PSE = 0x2090;
const CR4_PAE = 0x20a0;
const { paging32Directory, paePointers, paeDirectories, test } = MemoryMap;

const rom32 = (name: string, rule: string, mode: 'paging32' | 'pae', attempts: readonly VtxAttempt[]): Rom =>
  vtxRom(name, rule, attempts, {
    mode,
    source: vtx32Source(attempts, mode === 'pae' ? paePointers : paging32Directory, mode === 'pae' ? CR4_PAE : CR4_PSE),
  });

export const vtxHost32Roms: readonly Rom[] = [
  rom32('vtx-host-32bit', 'A host of 32 bits: what it may be, and its state after an exit (SDM Vol. 3C 27.2.3, 27.2.4, 28.5)', 'paging32', [
    vt32('32-bit paging', REGISTERS),
    vt32('32-bit paging, segments', SEGMENTS),
    vt32('PAE paging', REGISTERS, { mode: 'pae' }),
    vt32('v86 mode', REGISTERS, { mode: 'v86' }),
    vt32('v86 mode, segments', SEGMENTS, { mode: 'v86' }),
    vt32('the guest has other bits', REGISTERS, { code: 'std', fields: { GUEST_CR0: 0x8005_003b, GUEST_CR4: 0x2698, GUEST_DR7: 0x455 } }),
    vt32('SYSENTER MSRs', 'sysentercs sysenteresp', { fields: { HOST_IA32_SYSENTER_CS: 0x1234, HOST_IA32_SYSENTER_ESP: 0x5678 } }),
    vt32('FS and GS bases', 'fs gs fsbase gsbase', { fields: { HOST_FS_BASE: 0x1000, HOST_GS_BASE: 0x2000 } }),
    vt32('null DS, FS and GS', 'ds fs gs', { fields: { HOST_DS_SELECTOR: 0x10, HOST_FS_SELECTOR: 0, HOST_GS_SELECTOR: 0 } }),
    vt32('null SS', '', { fields: { HOST_SS_SELECTOR: 0 } }),
    vt32('null CS', '', { fields: { HOST_CS_SELECTOR: 0 } }),
    vt32('EFER is loaded', 'efer', { fields: { ...LOADS_EFER, HOST_IA32_EFER: 0x801 } }),
    vt32('EFER is loaded with LMA', '', { fields: { ...LOADS_EFER, HOST_IA32_EFER: 0x400 } }),
    vt32('EFER is loaded with LME', '', { fields: { ...LOADS_EFER, HOST_IA32_EFER: 0x100 } }),
    vt32('CR4.PCIDE', '', { fields: { HOST_CR4: 0x2_2090 } }),
    vt32('host address-space size', '', { fields: { ...HOST_64, HOST_CR4: CR4_PAE } }),
    vt32('an IA-32e mode guest', '', { mode: 'pae', fields: { VM_ENTRY_CONTROLS: 0x0000_13ff } }),
    vt32('an invalid guest', REGISTERS, { fields: { GUEST_RFLAGS: 0 } }),
    vt32('the host changes to PAE paging', 'cr3 cr4', { fields: { HOST_CR3: paePointers, HOST_CR4: CR4_PAE } }),
    vt32('and back', 'cr3 cr4'),
  ]),
  rom32('vtx-host-pae', 'A host with PAE paging: its page-directory pointers are loaded at an exit (SDM Vol. 3C 28.5.4)', 'pae', [
    vt32('32-bit paging', 'cr3 cr4'),
    vt32('PAE paging', 'cr3 cr4', { mode: 'pae' }),
    vt32('the pointers are read anew', 'cr3', {
      code: `mov dword [${paePointers + 8}], ${paeDirectories + 1}\nmov dword [${test}], 0x5a5a`,
      fields: { GUEST_CR3: paging32Directory },
      afterwards: `${show(32, 'alias', `[${0x4000_0000 + test}]`)}\nmov dword [${paePointers + 8}], ${paeDirectories + 0x1001}`,
    }),
    vt32('a pointer that is not present', 'cr3', {
      code: `mov dword [${paePointers + 24}], 0xfffffffe`,
      fields: { GUEST_CR3: paging32Directory },
      afterwards: `mov dword [${paePointers + 24}], ${paeDirectories + 0x3001}`,
    }),
    vt32('v86 mode', 'cr3 cr4 flags', { mode: 'v86' }),
  ]),
];
