import { segment, setGdt } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, vt } from '../../prelude/vtx-attempt.ts';
import { note } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

/** An exception bitmap of these vectors. */
export const exits = (vectors: readonly number[], options: GuestOptions = {}): GuestOptions => ({
  ...options,
  fields: { EXCEPTION_BITMAP: vectors.reduce((bits, vector) => bits | (1 << vector), 0) >>> 0, ...options.fields },
});

const FREE = VtxMemory.free;
const NOT_PRESENT = Selector.free;
const absentSegment = setGdt(NOT_PRESENT, segment({ limit: 0xffff, access: 0x12 }));
export const TEST = MemoryMap.test;
const LONG_ENTRY = MemoryMap.longTable + (TEST >>> 12) * 8;
/** The entry of test memory in the 4-level tables, and in those of 32-bit paging. */
export const testPage = (entry: number, high = 0): string => `
  mov dword [${LONG_ENTRY}], ${entry}
  mov dword [${LONG_ENTRY + 4}], ${high}
  mov rax, cr3
  mov cr3, rax`;
const testPage32 = (entry: number): string => `mov dword [${MemoryMap.paging32Table + (TEST >>> 12) * 4}], ${entry}`;
export const absent = testPage(0);
export const present = testPage(TEST | 7);

const LONG_CR0 = 0x8000_0031;
const AM: Fields = { GUEST_CR0: LONG_CR0 + 0x4_0000, GUEST_RFLAGS: 0x4_0002 };
const SSE: Fields = { GUEST_CR4: 0x2620 };
const divideByZero = `mov word [${FREE}], 0\nfninit\nfldcw [${FREE}]\nfldz\nfld1\nfdivrp st1, st0\nfwait`;
const simdDivideByZero = `mov dword [${FREE}], 0\nldmxcsr [${FREE}]\nxorps xmm0, xmm0\ndivps xmm0, xmm0`;
const REAL_MODE_ERROR = 'reports an error code in real mode; SDM Vol. 3C 28.2.2.';
const INTO = 'mov al, 0x7f\ninc al\ninto';

/** Each way that bit 14 of the bitmap, mask and match may go together, for one access. */
const pageFault = (label: string, code: string, bit: 0 | 1, mask: number, match: number, options: GuestOptions = {}) =>
  vt(label, code, {
    before: absent,
    ...options,
    afterwards: `${options.afterwards ?? ''}\n${present}`,
    fields: {
      EXCEPTION_BITMAP: bit << 14,
      PAGE_FAULT_ERROR_CODE_MASK: mask,
      PAGE_FAULT_ERROR_CODE_MATCH: match,
      ...options.fields,
    },
  });
const READ = `mov al, [${TEST + 0x123}]`;
const WRITE = `mov [${TEST + 0x123}], al`;
const highBits = (high: number): GuestOptions => ({ before: testPage(TEST | 7, high) });
const readOnly = testPage(TEST | 5);

export const vtxExceptionRoms: readonly Rom[] = [
  vtxRom('vtx-exceptions', 'Exceptions without an error code, by the exception bitmap (SDM Vol. 3C 26.2, 25.6.3, 28.2.2)', [
    vt('#DE', 'xor ecx, ecx\ndiv ecx', exits([0])),
    vt('#BR', `mov dword [${FREE}], 1\nmov dword [${FREE + 4}], 2\nbound eax, [${FREE}]`, exits([5], { mode: 'paging32' })),
    vt('#UD', 'ud2', exits([6])),
    vt('#NM by TS', 'fninit', exits([7], { fields: { GUEST_CR0: LONG_CR0 + 8 } })),
    vt('#NM by EM', 'fninit', exits([7], { fields: { GUEST_CR0: LONG_CR0 + 4 } })),
    vt('#MF', divideByZero, exits([16])),
    vt('#XM', simdDivideByZero, exits([19], { fields: SSE })),
    vt('#UD without OSXMMEXCPT', simdDivideByZero, exits([6, 19], { fields: { GUEST_CR4: 0x2220 } })),
    vt('the bits of others do nothing', 'xor ecx, ecx\ndiv ecx', exits([1, 2, 6, 8, 13, 14, 16, 31])),
    vt('all bits but one', 'ud2', { fields: { EXCEPTION_BITMAP: ~(1 << 6) >>> 0 } }),
    vt('ring 3', 'ud2', exits([6], { fields: RING_3 })),
    vt('compatibility mode', 'ud2', exits([6], { mode: 'compatibility' })),
    vt('PAE paging', 'xor ecx, ecx\ndiv ecx', exits([0], { mode: 'pae' })),
    vt('protected mode', 'ud2', exits([6], { mode: 'protected' })),
    vt('real mode', 'xor cx, cx\ndiv cx', exits([0], { mode: 'real' })),
    vt('real mode, no bit', 'xor cx, cx\ndiv cx', exits([6], { mode: 'real' })),
    vt('virtual-8086 mode', 'xor cx, cx\ndiv cx', exits([0], { mode: 'v86' })),
  ]),
  vtxRom('vtx-exceptions-error', 'Exceptions with an error code (SDM Vol. 3C 26.2, 28.2.2)', [
    vt('#GP(0)', 'mov rax, 0x800000000000\nmov al, [rax]', exits([13])),
    vt('#GP of a selector', 'mov ax, 0x1fb\nmov ds, ax', exits([13])),
    vt('#GP of the IDT', 'int 0x80', exits([13])),
    vt('#NP', `mov ax, ${NOT_PRESENT}\nmov ds, ax`, exits([11], { before: absentSegment })),
    vt('#SS of a selector', `mov ax, ${NOT_PRESENT}\nmov ss, ax`, exits([12], { before: absentSegment })),
    vt('#SS(0)', 'mov rbp, 0x800000000000\nmov al, [rbp]', exits([12])),
    vt('#SS(0) of a PUSH', 'mov rsp, 0x800000000008\npush rax', exits([12], { hide: ['registers'] })),
    vt('#AC', `mov eax, [${FREE + 1}]`, exits([17], { fields: { ...RING_3, ...AM } })),
    vt('#AC, no bit', `mov eax, [${FREE + 1}]`, exits([13], { fields: { ...RING_3, ...AM } })),
    vt('#TS by IRET with NT', 'mov dword [tss], 0\niretd', exits([10], { mode: 'protected', fields: { GUEST_RFLAGS: 0x4002 } })),
    vt('#TS of a TSS that is too short', 'ud2', exits([10], { fields: { ...RING_3, GUEST_TR_LIMIT: 7 } })),
    vt(
      'real mode has none',
      'mov ax, [0xffff]',
      exits([13], { mode: 'real', bochs: REAL_MODE_ERROR, manual: 'EXCEPTION_NMI info=8000030d at 0:+0 sp=0:d000 fl=2' }),
    ),
    vt(
      '#SS in real mode',
      'mov bp, 0xffff\nmov ax, [bp]',
      exits([12], { mode: 'real', bochs: REAL_MODE_ERROR, manual: 'EXCEPTION_NMI info=8000030c at 0:+3 sp=0:d000 fl=2 rbp=ffff' }),
    ),
    vt('#GP in virtual-8086 mode', 'hlt', exits([13], { mode: 'v86' })),
    vt('#GP in compatibility mode', 'mov ax, 0x1fb\nmov ds, ax', exits([13], { mode: 'compatibility' })),
    vt('not intercepted, pushed', 'mov ax, 0x1fb\nmov ds, ax', exits([6])),
  ]),
  vtxRom(
    'vtx-page-fault',
    '#PF exits by bit 14 of the bitmap, PFEC_MASK and PFEC_MATCH; its address is the qualification, CR2 stays (SDM Vol. 3C 26.2, 28.2.1)',
    [
      pageFault('bit 1, mask 0, match 0', READ, 1, 0, 0, {
        afterwards: note({ cr2: 'cr2' }),
        before: `xor eax, eax\nmov cr2, rax\n${absent}`,
      }),
      pageFault('bit 1, mask 0, match 1', READ, 1, 0, 1),
      pageFault('bit 0, mask 0, match 0', READ, 0, 0, 0),
      pageFault('bit 0, mask 0, match 1', READ, 0, 0, 1),
      pageFault('a read for the writes', READ, 1, 2, 2),
      pageFault('a write for the writes', WRITE, 1, 2, 2),
      pageFault('a read for all but the writes', READ, 0, 2, 2),
      pageFault('a write for all but the writes', WRITE, 0, 2, 2),
      pageFault('present', WRITE, 1, 1, 1, { before: readOnly, fields: { GUEST_CR0: LONG_CR0 + 0x1_0000 } }),
      pageFault('not present', WRITE, 1, 1, 1),
      pageFault('user', READ, 1, 4, 4, { fields: RING_3 }),
      pageFault('supervisor', READ, 1, 4, 4),
      pageFault('fetch', `mov eax, ${TEST}\njmp rax`, 1, 0x10, 0x10, highBits(0x8000_0000)),
      pageFault('no fetch', READ, 1, 0x10, 0x10),
      pageFault('a reserved bit', READ, 1, 8, 8, highBits(0x8_0000)),
      pageFault('every bit of mask and match', WRITE, 1, 0xffff_ffff, 2),
      pageFault('a bit of the upper half', WRITE, 1, 0x8000_0000, 0x8000_0000),
      pageFault('a high address', 'mov rax, 0xffff900012345678\nmov al, [rax]', 1, 0, 0),
      pageFault('across pages', `mov eax, [${TEST - 2}]`, 1, 0, 0),
      pageFault('32-bit paging', READ, 1, 0, 0, { mode: 'paging32', before: testPage32(0), afterwards: testPage32(TEST | 7) }),
      pageFault('virtual-8086 mode', 'mov al, [0x7123]', 1, 4, 4, {
        mode: 'v86',
        before: `mov dword [${MemoryMap.paging32Table + 7 * 4}], 0`,
        afterwards: `mov dword [${MemoryMap.paging32Table + 7 * 4}], 0x7007`,
      }),
    ],
  ),
  vtxRom(
    'vtx-software-exceptions',
    'INT3 and INTO are software exceptions, INT1 a privileged one, with their length; INT n is not for the bitmap (SDM Vol. 3C 26.2, 28.2.2, 28.2.5)',
    [
      vt('INT3', 'int3', exits([3])),
      vt('INT3, no bit', 'int3', exits([4])),
      vt('INT3 with prefixes', 'db 0x66, 0x67, 0xcc', exits([3])),
      vt('INT 3 by CD', 'db 0xcd, 3', exits([3])),
      vt('INTO', INTO, exits([4], { mode: 'paging32' })),
      vt('INTO without overflow', 'mov al, 1\ninto', exits([4], { mode: 'paging32' })),
      vt('INTO in compatibility mode', INTO, exits([4], { mode: 'compatibility' })),
      vt('INTO in 64-bit mode', 'db 0xce', exits([4, 6])),
      vt('INT 4 by CD', 'int 4', exits([4])),
      vt('INT1', 'db 0xf1', exits([1], { afterwards: note({ dr6: 'dr6' }) })),
      vt('INT1, no bit', 'db 0xf1', exits([3])),
      vt('INT 1 by CD', 'int 1', exits([1])),
      vt('INT 6', 'int 6', exits([6])),
      vt('INT 2', 'int 2', exits([2], { controls: { pin: ['nmiExiting'] } })),
      vt('INT3 in real mode', 'int3', exits([3], { mode: 'real' })),
      vt('INT3 in virtual-8086 mode', 'int3', exits([3], { mode: 'v86' })),
      vt('INT3 in ring 3', 'int3', exits([3], { fields: RING_3 })),
      vt('INT1 in ring 3', 'db 0xf1', exits([1], { fields: RING_3 })),
      vt(
        'INT3 in ring 3, DPL 0',
        'int3',
        exits([3, 13], {
          fields: RING_3,
          before: 'mov byte [idt64 + 3*16 + 5], 0x8e',
          afterwards: 'mov byte [idt64 + 3*16 + 5], 0xee',
        }),
      ),
    ],
  ),
];
