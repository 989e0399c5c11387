import { type GuestOptions, vt } from '../../prelude/vtx-attempt.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { EXIT_KEEPS_EFER, entry, HIGHEST, LONG_CR0, LONG_EFER, NOT_CANONICAL } from './entries.ts';
import { vtxRom } from './vtx-rom.ts';

const HOST_CR4 = 0x20a0;
/** VM-exit controls without "host address-space size", and without "load IA32_EFER". */
const HOST_32: Fields = { VM_EXIT_CONTROLS: 0x003f_6dff };
const SEGMENTS = ['CS', 'SS', 'DS', 'ES', 'FS', 'GS', 'TR'] as const;
const PAT: GuestOptions = { controls: { exit: ['loadIa32Pat'] } };

const BAD_CONTROLS: Fields = { CR3_TARGET_COUNT: 9 };
const BAD_HOST: Fields = { HOST_TR_SELECTOR: 0 };
const BAD_GUEST: Fields = { GUEST_RFLAGS: 0 };

export const vtxHostStateCheckRoms: readonly Rom[] = [
  vtxRom('vtx-fail-host-registers', "The host's control registers and MSRs: VMfail 8 (SDM Vol. 3C 27.2.2)", [
    entry('CR0 without NE', { HOST_CR0: LONG_CR0 - 0x20 }),
    entry('CR0 without PG', { HOST_CR0: 0x31 }),
    entry('CR0 without PE and PG', { HOST_CR0: 0x30 }),
    entry('CR0 with bit 32', { HOST_CR0: 0x1_0000_0000 + LONG_CR0 }),
    entry('CR4 without VMXE', { HOST_CR4: 0xa0 }),
    entry('CR4 without PAE', { HOST_CR4: 0x2080 }),
    entry('CR4 with bit 31', { HOST_CR4: 0x8000_0000 + HOST_CR4 }),
    entry('CR4 with bit 32', { HOST_CR4: 0x1_0000_0000 + HOST_CR4 }),
    entry('CR4 with bit 15', { HOST_CR4: 0x8000 + HOST_CR4 }),
    entry('CR3 too wide', { HOST_CR3: 1n << 56n }),
    entry('CR3 with bit 63', { HOST_CR3: 1n << 63n }),
    entry('SYSENTER_ESP not canonical', { HOST_IA32_SYSENTER_ESP: NOT_CANONICAL }),
    entry('SYSENTER_ESP, the highest half', { HOST_IA32_SYSENTER_ESP: HIGHEST }),
    entry('SYSENTER_EIP not canonical', { HOST_IA32_SYSENTER_EIP: NOT_CANONICAL }),
    entry('SYSENTER_CS of 32 bits', { HOST_IA32_SYSENTER_CS: -1 }),
    ...[2, 3, 8].map((type) => entry(`PAT with type ${type}`, { HOST_IA32_PAT: type }, PAT)),
    entry('PAT with type 2 in its last byte', { HOST_IA32_PAT: 0x0200_0000_0000_0000n }, PAT),
    entry('PAT with type 2, not loaded', { HOST_IA32_PAT: 2 }),
    ...[1, 9, 16, 63].map((bit) => entry(`EFER with bit ${bit}`, { HOST_IA32_EFER: BigInt(LONG_EFER) + (1n << BigInt(bit)) })),
    entry('EFER without LMA', { HOST_IA32_EFER: LONG_EFER - 0x400 }),
    entry('EFER without LME', { HOST_IA32_EFER: LONG_EFER - 0x100 }),
    entry('EFER without LME and LMA', { HOST_IA32_EFER: LONG_EFER - 0x500 }),
    vt('EFER of nonsense, not loaded', '', { fields: { HOST_IA32_EFER: -1 }, raw: EXIT_KEEPS_EFER }),
  ]),
  vtxRom('vtx-fail-host-segments', "The host's selectors and bases: VMfail 8 (SDM Vol. 3C 27.2.3)", [
    ...SEGMENTS.map((name) =>
      entry(`${name} with RPL 1`, { [`HOST_${name}_SELECTOR`]: name === 'TR' ? 0x49 : name === 'CS' ? 0x39 : 0x11 }),
    ),
    ...SEGMENTS.map((name) =>
      entry(`${name} with RPL 2`, { [`HOST_${name}_SELECTOR`]: name === 'TR' ? 0x4a : name === 'CS' ? 0x3a : 0x12 }),
    ),
    ...SEGMENTS.map((name) => entry(`${name} with TI`, { [`HOST_${name}_SELECTOR`]: name === 'TR' ? 0x4c : name === 'CS' ? 0x3c : 0x14 })),
    ...SEGMENTS.map((name) => entry(`${name} of 0`, { [`HOST_${name}_SELECTOR`]: 0 })),
    ...(['FS', 'GS', 'TR', 'GDTR', 'IDTR'] as const).map((name) =>
      entry(`${name} base not canonical`, { [`HOST_${name}_BASE`]: NOT_CANONICAL }),
    ),
    entry('FS base, the highest half', { HOST_FS_BASE: HIGHEST }),
  ]),
  vtxRom('vtx-fail-address-space', 'Host address-space size, in a host in IA-32e mode: VMfail 8 (SDM Vol. 3C 27.2.4)', [
    vt('a host of 32 bits', '', { fields: { HOST_IA32_EFER: 0x801 }, raw: HOST_32 }),
    vt('a host and a guest of 32 bits', '', { fields: { HOST_IA32_EFER: 0x801 }, raw: HOST_32, mode: 'paging32' }),
    entry('RIP not canonical', { HOST_RIP: NOT_CANONICAL }),
    entry('RIP with bit 63', { HOST_RIP: 0x8000_0000_0000_0000n }),
    entry('CR4 without PAE', { HOST_CR4: 0x2000 }),
    entry('a guest of 32 bits', {}, { mode: 'paging32' }),
  ]),
  vtxRom('vtx-check-order', 'Controls are checked first, then the host, then the guest (SDM Vol. 3C 27.2, 27.3.1)', [
    entry('controls and host', { ...BAD_CONTROLS, ...BAD_HOST }),
    entry('controls and guest', { ...BAD_CONTROLS, ...BAD_GUEST }),
    entry('host and guest', { ...BAD_HOST, ...BAD_GUEST }),
    entry('all three', { ...BAD_CONTROLS, ...BAD_HOST, ...BAD_GUEST }),
    entry('guest', BAD_GUEST),
    entry('guest and MSR loading', {
      ...BAD_GUEST,
      VM_ENTRY_MSR_LOAD_COUNT: 1,
      VM_ENTRY_MSR_LOAD_ADDR: 0x238000,
    }),
    entry('MSR loading', { VM_ENTRY_MSR_LOAD_COUNT: 1, VM_ENTRY_MSR_LOAD_ADDR: 0x238000 }, { before: 'mov dword [0x238000], 0xc0000100' }),
    entry('the link pointer comes after RFLAGS', { ...BAD_GUEST, VMCS_LINK_POINTER: 1 }),
  ]),
];
