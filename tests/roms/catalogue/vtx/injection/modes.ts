import { MemoryMap, Selector } from '../../../prelude/memory-map.ts';
import { type GuestOptions, type VtxAttempt, vt } from '../../../prelude/vtx-attempt.ts';
import { STATE } from '../../../prelude/vtx-host.ts';
import type { Fields, GuestModeName } from '../../../prelude/vtx-modes.ts';
import type { Rom } from '../../../rom.ts';
import { RING_3 } from '../instructions.ts';
import { vtxRom } from '../vtx-rom.ts';
import { RING_3_32 } from './event.ts';

const { test } = MemoryMap;

/** A guest that says how wide its registers, addresses and pushes are, and shows all of its state. */
const entered = (label: string, options: GuestOptions = {}, code = 'mov eax, -1\npush 1'): VtxAttempt =>
  vt(label, code, { ...options, afterwards: STATE });

type Name = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';
const segment = (name: Name, selector: number, base: number | string | bigint, limit: number | string, rights: number): Fields => ({
  [`GUEST_${name}_SELECTOR`]: selector,
  [`GUEST_${name}_BASE`]: base,
  [`GUEST_${name}_LIMIT`]: limit,
  [`GUEST_${name}_AR_BYTES`]: rights,
});
const UNUSABLE = 0x10000;
const unusable = (...names: readonly Name[]): Fields => Object.assign({}, ...names.map((name) => segment(name, 0, 0, 0, UNUSABLE)));

const CODE_16 = segment('CS', Selector.code16, 0, 0xffff, 0x9b);
const DATA_16 = segment('SS', Selector.data16, 0, 0xffff, 0x93);
const in16 = (code: string): string => `bits 16\n${code}`;
const BIG = 0xc093;
/** Segments of real mode that reach over 4 GiB. */
const UNREAL = Object.assign({}, ...(['DS', 'ES', 'FS', 'GS'] as const).map((name) => segment(name, 0, 0, 0xffffffff, BIG))) as Fields;
const CR4_PAE = 0x2020;

/** A #GP that exits. */
const inRealMode = (manual: string): GuestOptions => ({
  mode: 'real',
  bochs: 'reports an error code in real mode; SDM Vol. 3C 28.2.2.',
  manual,
});

const ring = (level: 1 | 2 | 3, code: number, data: number): Fields => ({
  GUEST_CS_SELECTOR: code,
  GUEST_CS_AR_BYTES: 0xc09b + (level << 5),
  GUEST_SS_SELECTOR: data,
  GUEST_SS_AR_BYTES: 0xc093 + (level << 5),
});
const RING_1 = ring(1, Selector.code1, Selector.data1);
const RING_2 = ring(2, Selector.code2, Selector.data2);
/** CPL is SS.DPL: of CS, conforming, it is not. */
const CONFORMING = segment('CS', Selector.conforming + 3, 0, 0xffffffff, 0xc09f);
const DATA_3 = segment('SS', Selector.data3, 0, 0xffffffff, 0xc0f3);
const privileged = (label: string, fields: Fields, mode: GuestModeName = 'paging32', code = 'cli\nmov ebx, 1\ninvd'): VtxAttempt =>
  vt(label, code, { mode, fields });

const HIGH = 0xffff_8000_0010_0000n;
const store = (operand: string): string => `mov eax, 0x55\nmov ${operand}, al\nmov ebx, 1`;

export const modeRoms: readonly Rom[] = [
  vtxRom('vtx-enter-modes', 'Entry to each mode, and its state as the exit saves it (SDM Vol. 3C 27.3.2, 28.3)', [
    entered('64-bit mode'),
    entered('compatibility mode', { mode: 'compatibility' }),
    entered('compatibility mode, 16-bit', { mode: 'compatibility', fields: CODE_16 }, in16('mov eax, -1\npush 1')),
    entered('32-bit paging', { mode: 'paging32' }),
    entered('PAE paging', { mode: 'pae' }),
    entered('protected mode', { mode: 'protected' }),
    entered('protected mode, PAE set', { mode: 'protected', fields: { GUEST_CR4: CR4_PAE } }),
    entered('protected mode, 16-bit', { mode: 'protected', fields: { ...CODE_16, ...DATA_16 } }, in16('mov eax, -1\npush 1')),
    entered('real mode', { mode: 'real' }),
    entered('virtual-8086 mode', { mode: 'v86' }),
    entered('64-bit mode, unrestricted', { unrestricted: true }),
    entered('32-bit paging, unrestricted', { mode: 'paging32', unrestricted: true }),
    entered('PAE paging, unrestricted', { mode: 'pae', unrestricted: true }),
  ]),
  vtxRom(
    'vtx-enter-unreal',
    'Real mode with segments that are not those of real mode, and big real mode to protected (SDM Vol. 3C 27.3.1.2)',
    [
      entered('DS of 4 GiB', { mode: 'real', fields: UNREAL }, `mov dword [${test}], 0x1234\nmov ebx, [${test}]`),
      vt('DS of 64 KiB', `mov dword [${test}], 0x1234`, inRealMode('EXCEPTION_NMI info=8000030d at 0:+0 sp=0:d000 fl=2')),
      entered(
        'a base above 1 MiB',
        { mode: 'real', fields: segment('DS', 0x1234, test, 0xffff, 0x93) },
        'mov dword [0], 0x5678\nmov ebx, [0]',
      ),
      entered('loading DS gives it a base', { mode: 'real', fields: UNREAL }, `mov ax, 0x10\nmov ds, ax\nmov ebx, [${test} - 0x100]`),
      entered(
        'a stack of 32 bits',
        { mode: 'real', fields: { ...segment('SS', 0, 0, 0xffffffff, BIG), GUEST_RSP: test + 0x100 } },
        'push ax',
      ),
      entered('code of 32 bits', { mode: 'real', fields: segment('CS', 0, 0, 0xffffffff, 0xc093) }, 'bits 32\nmov eax, 0x12345678\nnop'),
      vt('read-only data', store('[0x600]'), {
        ...inRealMode('EXCEPTION_NMI info=8000030d at 0:+6 sp=0:d000 fl=2 rax=55'),
        fields: segment('DS', 0, 0, 0xffff, 0x91),
      }),
      entered(
        'to protected mode',
        { mode: 'real', fields: UNREAL },
        'mov eax, 0x31\nmov cr0, eax\nmov bx, 1\nmov dword [0x100000], 0x9abc',
      ),
    ],
  ),
  vtxRom('vtx-enter-rings', 'CPL is the DPL of SS: of each ring and mode (SDM Vol. 3C 25.4.1, 27.3.2.2)', [
    privileged('ring 0, 32-bit', {}),
    privileged('ring 1, 32-bit', { ...RING_1, EXCEPTION_BITMAP: 1 << 13 }),
    privileged('ring 2, 32-bit', RING_2),
    privileged('ring 3, 32-bit', RING_3_32),
    privileged('ring 1, IOPL 1', { ...RING_1, GUEST_RFLAGS: 0x1202 }),
    privileged('ring 2, IOPL 1', { ...RING_2, GUEST_RFLAGS: 0x1202 }),
    privileged('ring 3, IOPL 3', { ...RING_3_32, GUEST_RFLAGS: 0x3202 }),
    privileged('ring 3, conforming code', { ...CONFORMING, ...DATA_3 }),
    privileged('ring 3, 64-bit', RING_3, 'long'),
    privileged('ring 3, 64-bit, IOPL 3', { ...RING_3, GUEST_RFLAGS: 0x3202 }, 'long'),
    privileged('ring 3, compatibility mode', RING_3_32, 'compatibility'),
    privileged('ring 3, PAE paging', RING_3_32, 'pae'),
    privileged('ring 3, protected mode', RING_3_32, 'protected'),
    privileged('ring 3, virtual-8086 mode', {}, 'v86'),
    privileged('virtual-8086 mode, IOPL 0', { GUEST_RFLAGS: 0x20002 }, 'v86'),
    vt('ring 3, the state', 'mov ax, cs', { fields: RING_3, afterwards: STATE }),
    vt('ring 1, the state', 'mov ax, cs', { mode: 'paging32', fields: RING_1, afterwards: STATE }),
  ]),
  vtxRom('vtx-enter-segments', 'Segments as they are in the VMCS: base, limit, type, unusable (SDM Vol. 3C 27.3.2.2, 28.3.2)', [
    vt('a base and a limit', store('[0xff]'), { mode: 'paging32', fields: segment('DS', Selector.data0, test, 0xff, 0x4093) }),
    vt('beyond the limit', store('[0x100]'), { mode: 'paging32', fields: segment('DS', Selector.data0, test, 0xff, 0x4093) }),
    vt('expand-down', store('[0x100]'), { mode: 'paging32', fields: segment('DS', Selector.data0, test, 0xff, 0x4097) }),
    vt('expand-down, below', store('[0xff]'), { mode: 'paging32', fields: segment('DS', Selector.data0, test, 0xff, 0x4097) }),
    vt('read-only', store(`[${test}]`), { mode: 'paging32', fields: segment('ES', 0x10, 0, 0xffffffff, 0xc091) }),
    vt('read-only, written', store(`[es:${test}]`), { mode: 'paging32', fields: segment('ES', 0x10, 0, 0xffffffff, 0xc091) }),
    vt('execute-only', `mov al, [cs:${test}]`, { mode: 'paging32', fields: segment('CS', 8, 0, 0xffffffff, 0xc099) }),
    vt('DS unusable', store(`[${test}]`), { mode: 'paging32', fields: unusable('DS') }),
    vt('DS unusable, 64-bit', store(`[${test}]`), { fields: unusable('DS') }),
    vt('SS unusable, 64-bit', 'push 1', { fields: unusable('SS'), afterwards: STATE }),
    vt('all but CS unusable, 64-bit', 'mov ebx, [rsp]', { fields: unusable('SS', 'DS', 'ES', 'FS', 'GS', 'LDTR'), afterwards: STATE }),
    vt('FS unusable with a base', store('[fs:rcx]'), {
      fields: segment('FS', 0, HIGH, 0, UNUSABLE),
      registers: { rcx: 0x8000_0000_0000n },
    }),
    vt('GS with a base', store('[gs:rcx]'), { fields: segment('GS', 0x10, HIGH, 0xffff, BIG), registers: { rcx: 0x8000_0000_0000n } }),
    vt('fetch beyond the limit', 'nop', { mode: 'paging32', fields: segment('CS', 8, 0, '.guest - 1', 0x409b) }),
  ]),
];
