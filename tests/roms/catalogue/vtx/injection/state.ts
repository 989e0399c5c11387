import { Access, segment as descriptor } from '../../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import { note, RESUME, SKIP, STATE, vmread } from '../../../prelude/vtx-host.ts';
import { VtxMemory } from '../../../prelude/vtx-memory.ts';
import type { Fields } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { vtxRom } from '../vtx-rom.ts';
import { handled, RING_3_32 } from './event.ts';

const EPT: GuestOptions = { controls: { secondary: ['enableEpt'] } };
const { paePointers, paeDirectories, test } = MemoryMap;
const PDPTES = ['GUEST_PDPTR0', 'GUEST_PDPTR1', 'GUEST_PDPTR2', 'GUEST_PDPTR3'] as const;

/** A guest with PAE paging whose pointers are as given: in memory, or with EPT in the VMCS. */
const pointers = (label: string, entries: Readonly<Record<number, string>>, options: GuestOptions = {}, code = 'mov ebx, 1'): VtxAttempt =>
  vt(label, code, {
    mode: 'pae',
    ...options,
    before: Object.entries(entries)
      .map(([i, value]) => `mov rax, ${value}\nmov [${paePointers + 8 * Number(i)}], rax`)
      .join('\n'),
    afterwards: `${options.afterwards ?? ''}\n${Object.keys(entries)
      .map((i) => `mov qword [${paePointers + 8 * Number(i)}], ${paeDirectories + 0x1000 * Number(i) + 1}`)
      .join('\n')}`,
  });
const pdptes = (label: string, fields: Fields, code = 'mov ebx, 1', more: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { mode: 'pae', ...EPT, ...more, fields });
const SHOW_PDPTES = PDPTES.map((name, i) => `${vmread(name, 'rdx')}\n${note({ [`pdpte${i}`]: 'rdx' })}`).join('\n');
/** Reads above 1 GiB: by the second pointer. */
const SECOND = 'mov ebx, [0x40000000]';

const LDT = VtxMemory.free + 0x1000;
const dwords = (at: number, values: readonly (number | string)[]): string =>
  values.map((value, i) => `mov dword [${at + 4 * i}], ${value}`).join('\n');
const LDT_FIELDS: Fields = {
  GUEST_LDTR_SELECTOR: Selector.ldt,
  GUEST_LDTR_BASE: LDT,
  GUEST_LDTR_LIMIT: 0xf,
  GUEST_LDTR_AR_BYTES: 0x82,
};
const withLdt = (label: string, selector: number, fields: Fields = {}, mode: 'paging32' | 'long' = 'paging32'): VtxAttempt =>
  vt(label, `mov eax, ${selector}\nmov fs, ax\nsldt ebx\nmov ecx, [fs:4]`, {
    mode,
    fields: { ...LDT_FIELDS, ...fields },
    before: dwords(LDT, [0, 0, ...descriptor({ base: test, limit: 0xff, access: Access.data, flags: 4 })]),
    afterwards: STATE,
  });
const TSS = VtxMemory.free + 0x2000;
const task = (rights: number, limit: number, base: number | string = TSS): Fields => ({
  ...RING_3_32,
  GUEST_TR_SELECTOR: Selector.tss,
  GUEST_TR_BASE: base,
  GUEST_TR_LIMIT: limit,
  GUEST_TR_AR_BYTES: rights,
});
/** ESP0 of a TSS of 32 bits; its low half is SS0 of one of 16 bits, that has SP0 before it. */
const TSS_STACK = 0x23_0000 + Selector.data0;
const inner = (label: string, fields: Fields): VtxAttempt =>
  handled(label, 0x31, false, {
    mode: 'paging32',
    outer: true,
    access: 0xee,
    code: 'str eax\nint 0x31',
    fields,
    before: dwords(TSS, [0xc000_0000, TSS_STACK, Selector.data0]),
    afterwards: STATE,
  });

const Cr0 = {
  pe: 1,
  mp: 2,
  em: 4,
  ts: 8,
  et: 0x10,
  ne: 0x20,
  wp: 0x10000,
  am: 0x40000,
  nw: 0x2000_0000,
  cd: 0x4000_0000,
  pg: 0x8000_0000,
} as const;
const LONG_CR0 = Cr0.pe + Cr0.ne + Cr0.pg;
const LONG_CR4 = 0x2020;
/** CD and NW of the host: what it had is set again behind the exit. */
const hostCr0 = (bits: number, options: GuestOptions): GuestOptions => ({
  ...options,
  before: `mov rax, cr0\nmov [vtx_r8], rax\nand eax, 0x9fffffff\nor eax, ${bits}\nmov cr0, rax`,
  afterwards: `${note({ host: 'cr0' })}\n${STATE}\nmov rax, cr0\nor eax, 0x60000000\nmov cr0, rax`,
});
const registers = (label: string, fields: Fields, code = 'mov rax, cr0\nmov rbx, cr4', more: GuestOptions = {}): VtxAttempt =>
  vt(label, code, { ...more, fields, afterwards: STATE });

const RF = 0x10000;
const flags = (label: string, value: number, options: GuestOptions = {}, code = 'pushfq\npop rbx'): VtxAttempt =>
  vt(label, code, { ...options, showsResumeFlag: true, fields: { GUEST_RFLAGS: value, ...options.fields } });

export const stateRoms: readonly Rom[] = [
  vtxRom(
    'vtx-enter-pdptes',
    'PDPTEs of a guest with PAE paging: from memory, or with EPT from the VMCS (SDM Vol. 3C 27.3.1.6, 27.3.2.4, 28.3.4)',
    [
      pointers('from memory', {}, {}, SECOND),
      pointers('absent', { 1: '0' }, { fields: { EXCEPTION_BITMAP: 1 << 14 } }, SECOND),
      pointers('absent, with reserved bits', { 1: '0x1e6' }, { fields: { EXCEPTION_BITMAP: 1 << 14 } }, SECOND),
      ...['0x2', '0x4', '0x20', '0x100', '0x8000000000000000', '0x1000000000000'].map((bits) =>
        pointers(`reserved bits ${bits}`, { 2: `${paeDirectories + 0x2001} | ${bits}` }),
      ),
      pointers('bits that are not reserved', { 2: `${paeDirectories + 0x2001} | 0xe18` }),
      pointers('CR3 with other bits', {}, { fields: { GUEST_CR3: paePointers + 0x1f } }, `${SECOND}\nmov eax, cr3`),
      pointers(
        'not read again',
        {},
        {},
        `mov dword [${paePointers + 8}], 0\n${SECOND}\nmov dword [${paePointers + 8}], ${paeDirectories + 0x1001}`,
      ),
      pointers('of no interest without PAE', { 0: '-1' }, { mode: 'paging32' }),
      pointers('with EPT, not from memory', { 1: '0xffffffffffffffe7' }, EPT, SECOND),
      pdptes('with EPT, absent', { GUEST_PDPTR1: 0, EXCEPTION_BITMAP: 1 << 14 }, SECOND),
      pdptes('with EPT, reserved bits', { GUEST_PDPTR3: paeDirectories + 0x3003 }),
      pdptes('with EPT, reserved bits, absent', { GUEST_PDPTR3: 0x1e6 }),
      pdptes('with EPT, saved', { GUEST_PDPTR3: 0 }, 'mov ebx, 1', { afterwards: SHOW_PDPTES }),
      pdptes('with EPT, saved behind a MOV to CR3', { GUEST_PDPTR3: 0 }, 'mov eax, cr3\nmov cr3, eax', { afterwards: SHOW_PDPTES }),
      vt('with EPT, of no interest in 64-bit mode', 'mov ebx, 1', { ...EPT, fields: { GUEST_PDPTR0: -1 } }),
      vt('with EPT, of no interest without paging', 'mov ebx, 1', {
        mode: 'protected',
        fields: { GUEST_CR4: LONG_CR4, GUEST_PDPTR0: -1 },
      }),
    ],
  ),
  vtxRom('vtx-enter-ldtr-tr', 'LDTR and TR as they are in the VMCS (SDM Vol. 3C 27.3.2.2; Vol. 3A 7.2)', [
    withLdt('a segment of the LDT', 0xc),
    withLdt('beyond its limit', 0x14),
    withLdt('LDTR unusable', 0xc, { GUEST_LDTR_AR_BYTES: 0x10000 }),
    withLdt('64-bit mode', 0xc, {}, 'long'),
    inner('TSS of 32 bits', task(0x8b, 0x67)),
    inner('TSS of 16 bits', task(0x83, 0x2b)),
    inner('TSS with a small limit', { ...task(0x8b, 7), EXCEPTION_BITMAP: 1 << 10 }),
    inner('TSS of 16 bits with a small limit', { ...task(0x83, 3), EXCEPTION_BITMAP: 1 << 10 }),
  ]),
  vtxRom(
    'vtx-enter-control-registers',
    'CR0, CR3 and CR4 at entry: ET, CD, NW and reserved bits of CR0 are left alone (SDM Vol. 3C 27.3.2.1, 28.5.1)',
    [
      registers('CR0 as it is', {}),
      vt('CD and NW of the host are clear', 'mov rax, cr0', hostCr0(0, {})),
      vt('CD and NW of the guest, the host has none', 'mov rax, cr0', hostCr0(0, { fields: { GUEST_CR0: LONG_CR0 + Cr0.cd } })),
      vt('CD of the host', 'mov rax, cr0', hostCr0(Cr0.cd, {})),
      vt('the guest clears CD', 'mov eax, 0x80000031\nmov cr0, rax', hostCr0(Cr0.cd + Cr0.nw, {})),
      registers('all others', { GUEST_CR0: LONG_CR0 + Cr0.mp + Cr0.em + Cr0.ts + Cr0.wp + Cr0.am }),
      registers('ET clear', { GUEST_CR0: LONG_CR0 }, 'mov rax, cr0'),
      registers('CR4', { GUEST_CR4: LONG_CR4 + 0x79f }),
      registers('CR4 in real mode', { GUEST_CR4: 0x2090 }, 'mov eax, cr0\nmov ebx, cr4', { mode: 'real' }),
      registers('CR3 with PWT and PCD', { GUEST_CR3: MemoryMap.pml4 + 0x18 }, 'mov rax, cr3'),
      registers('CR3 without paging', { GUEST_CR3: 0xfffff000 }, 'mov eax, cr3', { mode: 'protected' }),
      registers("CR2 is the host's", {}, 'mov rax, cr2', { before: 'mov eax, 0x2222\nmov cr2, rax' }),
      registers(
        'GDTR and IDTR',
        { GUEST_GDTR_BASE: 0x12345, GUEST_GDTR_LIMIT: 0xabcd },
        `sgdt [${test}]\nmov eax, [${test}]\nmov ebx, [${test} + 4]`,
      ),
      registers(
        'SYSENTER',
        { GUEST_SYSENTER_CS: 0x108, GUEST_SYSENTER_ESP: 0xffff_8000_0000_1000n, GUEST_SYSENTER_EIP: 0x7fff_ffff_f000n },
        'nop',
      ),
    ],
  ),
  vtxRom('vtx-enter-rflags', 'RFLAGS at entry, and as the exit saves it (SDM Vol. 3C 27.3.2.3, 28.3.3)', [
    flags('arithmetic flags', 0x8d7),
    flags('DF, IOPL, NT', 0x7402),
    flags('AC, VIF, VIP, ID', 0x3c0002),
    flags('IF', 0x202),
    flags('DF counts', 0x402, { registers: { rsi: test } }, 'lodsb'),
    flags('ZF counts', 0x42, {}, 'setz bl'),
    flags('real mode', 0x7f02, { mode: 'real', fields: { GUEST_RFLAGS: 0x7602 } }, 'pushf\npop bx'),
    flags('virtual-8086 mode', 0x23e02, { mode: 'v86' }, 'pushf\npop bx'),
    flags('RF holds an instruction breakpoint back', 2 + RF, {
      fields: { GUEST_DR7: 0x401, EXCEPTION_BITMAP: 2 },
      before: 'mov eax, .guest\nmov dr0, rax',
    }),
    flags('without RF it comes', 2, {
      fields: { GUEST_DR7: 0x401, EXCEPTION_BITMAP: 2 },
      before: 'mov eax, .guest\nmov dr0, rax',
    }),
    flags('RF is for one instruction', 2 + RF, { afterwards: `${SKIP}\n${RESUME}` }, 'nop\ncpuid\ncpuid'),
  ]),
];
