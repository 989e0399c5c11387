import { Access } from '../../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../../prelude/memory-map.ts';
import type { VtxAttempt } from '../../../prelude/vtx-attempt.ts';
import { note } from '../../../prelude/vtx-host.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { RING_3 } from '../instructions.ts';
import { vtxRom } from '../vtx-rom.ts';
import { ABSENT, exception, type FrameOptions, frame, inject, interrupt, intN, NMI, PRESENT, RING_3_32, trap } from './event.ts';

const { test, paging32Table, longTable } = MemoryMap;

/** The return address as it is in the frame. */
const from = (label: string, injected: Fields, rip: number | bigint, options: FrameOptions = {}): VtxAttempt =>
  frame(label, injected, { absolute: true, ...options, fields: { GUEST_RIP: rip, ...options.fields } });

/** A stack segment of 16 bits. */
const SMALL: Fields = { GUEST_SS_SELECTOR: Selector.data16, GUEST_SS_LIMIT: 0xffff, GUEST_SS_AR_BYTES: 0x93 };
const small = (label: string, injected: Fields, sp: number, options: FrameOptions = {}): VtxAttempt =>
  frame(label, injected, {
    mode: 'paging32',
    ...options,
    fields: { ...SMALL, GUEST_RSP: sp, EXCEPTION_BITMAP: 1 << 12, ...options.fields },
  });

const PF_EXITS = 1 << 14;
const ABSENT_32 = `mov dword [${paging32Table + (test >>> 12) * 4}], 0`;
const PRESENT_32 = `mov dword [${paging32Table + (test >>> 12) * 4}], ${test | 7}`;
/** A page of the host's, and the guest's: its tables are copied there, then it is as an entry of a page table says. */
const page = (
  label: string,
  name: 'idt64' | 'idt32' | 'gdt' | 'tss' | 'tss64',
  injected: Fields,
  rights: string,
  options: FrameOptions,
): VtxAttempt => {
  const base = name.startsWith('idt') ? 'GUEST_IDTR_BASE' : name === 'gdt' ? 'GUEST_GDTR_BASE' : 'GUEST_TR_BASE';
  return inject(label, injected, {
    ...options,
    fields: { [base]: test, EXCEPTION_BITMAP: PF_EXITS, ...options.fields },
    before: `mov esi, ${name}\nmov edi, ${test}\nmov ecx, 0x400\nrep movsb\n${rights}\n${options.before ?? ''}`,
    afterwards: `${PRESENT}\n${PRESENT_32}\n${note({ cr2: 'cr2' })}\nxor eax, eax\nmov cr2, rax`,
  });
};
const supervisor = `mov byte [${longTable + (test >>> 12) * 8}], 3`;
const readOnly = `mov byte [${longTable + (test >>> 12) * 8}], 5`;
const CR4_SMAP = 0x20_2020;
const CR4_SMEP = 0x10_2020;
const CR0_WP = 0x8001_0031;
const AC = 0x40002;
const stack = (label: string, rights: string, fields: Fields): VtxAttempt =>
  frame(label, exception(6), {
    fields: { GUEST_RSP: test + 0x800, EXCEPTION_BITMAP: PF_EXITS, ...fields },
    before: rights,
    afterwards: PRESENT,
  });

export const edgeRoms: readonly Rom[] = [
  vtxRom(
    'vtx-inject-return-address',
    'RIP in the frame: as wide as the code, with the length of what is thought to precede it (SDM Vol. 3C 27.6.1.1)',
    [
      from('64-bit, across 4 GiB', intN(0x31, 2), 0xffff_ffff),
      from('64-bit, not by an interrupt', interrupt(), 0xffff_ffff),
      from('64-bit, out of the lower half', trap(3), 0x7fff_ffff_ffffn),
      from('64-bit, across the end', intN(0x31, 4), 0xffff_ffff_ffff_fffen),
      from('64-bit, above', exception(13, 0), 0xffff_8000_1234_5678n),
      from('32-bit, across 4 GiB', trap(4, 3), 0xffff_fffe, { mode: 'paging32' }),
      from('32-bit, beyond the limit', exception(6), 0x2_0000, {
        mode: 'paging32',
        fields: { GUEST_CS_LIMIT: 0xffff, GUEST_CS_AR_BYTES: 0x409b },
      }),
      from('real mode, across 64 KiB', intN(0x31, 3), 0xffff, { mode: 'real' }),
      from('real mode, the limit', NMI, 0xffff, { mode: 'real' }),
      from('virtual-8086 mode, across 64 KiB', trap(3), 0xffff, { mode: 'v86', access: 0xee }),
      from('16-bit gate', intN(0x31, 2), 0x1_fffe, { mode: 'paging32', access: Access.interruptGate16 }),
    ],
  ),
  vtxRom(
    'vtx-inject-small-stack',
    'The frame on a stack of 16 bits: SP wraps around, its upper half stays (SDM Vol. 3A 6.12.1; Vol. 3C 27.6.1)',
    [
      small('32-bit gate', interrupt(), 0xd000),
      small('an error code', exception(13, 0x7ff8), 0xd000),
      small('the upper half of ESP stays', NMI, 0x1234_d000),
      small('SP is 0', exception(6), 0),
      small('SP wraps around', interrupt(), 4),
      small('SP is 2', interrupt(), 2),
      small('16-bit gate', intN(), 0xd000, { access: Access.interruptGate16 }),
      small('16-bit gate, an error code', exception(14, 7), 0xd000, { access: Access.interruptGate16 }),
      small('SP below the limit of an expand-down segment', exception(6), 0x1008, {
        fields: { GUEST_SS_LIMIT: 0xfff, GUEST_SS_AR_BYTES: 0x97 },
      }),
      small('compatibility mode takes 64 bits', interrupt(), 0xd000, { mode: 'compatibility' }),
      small('16-bit code', intN(), 0xd000, {
        fields: { GUEST_CS_SELECTOR: Selector.code16, GUEST_CS_LIMIT: 0xffff, GUEST_CS_AR_BYTES: 0x9b },
      }),
    ],
  ),
  vtxRom(
    'vtx-inject-page-faults',
    'Page faults of the delivery of an injected event: by the tables and the stack, as a supervisor (SDM Vol. 3A 4.6.1, 4.7; Vol. 3C 27.6.1.2)',
    [
      page('IDT absent', 'idt64', interrupt(), ABSENT, {}),
      page('IDT absent, ring 3', 'idt64', intN(0x30), ABSENT, { fields: RING_3 }),
      page('IDT absent, 32-bit', 'idt32', NMI, ABSENT_32, { mode: 'paging32' }),
      page('GDT absent', 'gdt', exception(6), ABSENT, {}),
      page('GDT absent, 32-bit, ring 3', 'gdt', exception(13, 8), ABSENT_32, { mode: 'paging32', fields: RING_3_32 }),
      page('TSS absent, ring 3', 'tss64', exception(6), ABSENT, { fields: RING_3 }),
      page('TSS absent, ring 3, 32-bit', 'tss', exception(6), ABSENT_32, { mode: 'paging32', fields: RING_3_32 }),
      page('TSS absent, virtual-8086 mode', 'tss', interrupt(), ABSENT_32, { mode: 'v86' }),
      page('IDT of the supervisor, ring 3', 'idt64', intN(0x30), supervisor, { fields: RING_3 }),
      page('IDT read-only', 'idt64', interrupt(), readOnly, { fields: { GUEST_CR0: CR0_WP } }),
      page('IDT, SMAP', 'idt64', interrupt(), '', { fields: { GUEST_CR4: CR4_SMAP } }),
      page('IDT, SMAP and AC', 'idt64', exception(6), '', {
        fields: { GUEST_CR4: CR4_SMAP, GUEST_RFLAGS: AC },
        bochs: 'lets AC allow an implicit access; SDM Vol. 3A 4.6.1.',
        manual: 'EXCEPTION_NMI q=100060 info=80000b0e:1 vectoring=80000306 at 38:+0 sp=10:d000 fl=40002\n cr2=0',
      }),
      page('IDT absent, the guest gets it', 'idt64', interrupt(), ABSENT, { fields: { EXCEPTION_BITMAP: 0 } }),
      stack('stack absent', ABSENT, {}),
      stack('stack read-only', readOnly, {}),
      stack('stack read-only, WP', readOnly, { GUEST_CR0: CR0_WP }),
      stack('handler, SMEP', '', { GUEST_CR4: CR4_SMEP }),
    ],
  ),
];
