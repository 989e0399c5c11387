import { Access, gate, setGdt, setIdt64 } from '../../prelude/descriptor.ts';
import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import type { GuestOptions } from '../../prelude/vtx-attempt.ts';
import { RESUME } from '../../prelude/vtx-host.ts';
import type { Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { absent, allow, copyBytes, Ept, ept, mend, pte, store64 } from './ept.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { code0, code3, data3, code64, free } = Selector;
const test: number = MemoryMap.test;
const SECOND = test + 0x1000;
const NONE = [absent(pte(test))];
const NO_SECOND = [absent(pte(SECOND))];
/** Where the stacks of ring 0 and of IST 1 lie, that the TSS of the prelude names. */
const RING_0_PAGE = MemoryMap.ring0Stack - 0x1000;
const IST_1_PAGE = MemoryMap.ist1Stack & ~0xfff;
const DPL_3 = 3 << 5;
const RING_3_32: Fields = {
  GUEST_CS_SELECTOR: code3,
  GUEST_CS_AR_BYTES: 0xc0fb,
  GUEST_SS_SELECTOR: data3,
  GUEST_SS_AR_BYTES: 0xc0f3,
};

/** Ring 3 calls by a gate, whose target is behind the call. */
const CALL = `callf ${free}:0\n.target:\nmov ebx, 1`;
const call32 = (fields: Fields = {}, parameters = 0, before = ''): GuestOptions => ({
  mode: 'paging32',
  fields: { ...RING_3_32, GUEST_RSP: SECOND + 0x800, ...fields },
  before: `${setGdt(free, gate(code0, '.target', Access.callGate32 | DPL_3, parameters))}\n${before}`,
});
const call64 = (fields: Fields = {}, before = ''): GuestOptions => ({
  fields: { ...RING_3, GUEST_RSP: SECOND + 0x800, ...fields },
  before: `${setGdt(free, gate(code64, '.target', Access.callGate32 | DPL_3))}\nmov qword [gdt + ${free + 8}], 0\n${store64(POINTER, BigInt(free) << 32n)}\n${before}`,
});
const POINTER = test + 0x9000;
const CALL_64 = `o32 callf [${POINTER}]\n.target:\nmov ebx, 1`;
/** 4-byte words on a guest's stack. */
const words = (at: number, ...values: readonly number[]): string =>
  values.map((value, n) => `mov dword [${at + n * 4}], ${value}`).join('\n');
const again = (page: number): string => `${mend([absent(pte(page))])}\n${RESUME}`;
const V86_FLAGS = 0x2_0002;
const SYSENTER: Fields = { GUEST_SYSENTER_CS: code0, GUEST_SYSENTER_EIP: test, GUEST_SYSENTER_ESP: 0x1234 };
/** XCR0, which the host sets for its guests. */
const XCR0 = 'mov rax, cr4\nor eax, 0x40000\nmov cr4, rax\nxor ecx, ecx\nxor edx, edx\nmov eax, 3\nxsetbv';
const XSTATE: GuestOptions = { fields: { GUEST_CR4: 0x4_2220 }, before: XCR0, registers: { rax: 3 } };

export const vtxEptGateRoms: readonly Rom[] = [
  vtxRom(
    'vtx-ept-gates',
    'Violations of stacks, TSSs and descriptors while the ring changes: nothing of the transfer is left (SDM Vol. 3C 28.1, 28.3)',
    [
      ept('CALL, the inner stack', CALL, [absent(pte(RING_0_PAGE))], { ...call32(), afterwards: again(RING_0_PAGE) }),
      ept('CALL, the stack in the TSS', CALL, NONE, call32({ GUEST_TR_BASE: test }, 0, copyBytes('tss', test, 0x68))),
      ept('CALL, its parameters', CALL, NONE, { ...call32({ GUEST_RSP: test + 0x800 }, 1), afterwards: again(test) }),
      ept('CALL, the gate', CALL, NONE, call32({ GUEST_GDTR_BASE: test }, 0, copyBytes('gdt', test, 0x200))),
      ept('CALL, 64-bit, the inner stack', CALL_64, [absent(pte(RING_0_PAGE))], { ...call64(), afterwards: again(RING_0_PAGE) }),
      ept('CALL, 64-bit, the upper half of the gate', CALL_64, NO_SECOND, {
        ...call64({ GUEST_GDTR_BASE: SECOND - free - 8, GUEST_RSP: test + 0x8000 }, copyBytes('gdt', SECOND - free - 8, 0x200)),
      }),
      ept('RETF to ring 3, its stack', 'retf', NO_SECOND, {
        mode: 'paging32',
        fields: { GUEST_RSP: SECOND - 12 },
        before: words(SECOND - 12, test, code3, SECOND + 0x800, data3),
      }),
      ept('IRET to ring 3, its stack', 'iretd', NO_SECOND, {
        mode: 'paging32',
        fields: { GUEST_RSP: SECOND - 16 },
        before: words(SECOND - 16, test, code3, 2, SECOND + 0x800, data3),
      }),
      ept('IRET to virtual-8086 mode, its segments', 'iretd', NO_SECOND, {
        mode: 'paging32',
        fields: { GUEST_RSP: SECOND - 20 },
        before: words(SECOND - 20, 0x100, 0, V86_FLAGS, 0x800, 0, 0, 0, 0, 0),
      }),
      ept('INT3 by IST', 'int3', [absent(pte(IST_1_PAGE))], {
        before: setIdt64(3, gate(code64, 'long_3', Access.interruptGate32 | DPL_3, 1)),
        afterwards: setIdt64(3, gate(code64, 'long_3', Access.interruptGate32 | DPL_3)),
      }),
      ept('SYSENTER, the target', 'sysenter', NONE, { mode: 'paging32', fields: { ...RING_3_32, ...SYSENTER } }),
      ept('LTR, the upper half of the descriptor', `mov eax, ${free}\nltr ax`, NO_SECOND, {
        fields: { GUEST_GDTR_BASE: SECOND - free - 8 },
        before: store64(SECOND - 8, 0x0000_8900_0000_0067n),
      }),
      ept('LLDT, the upper half of the descriptor', `mov eax, ${free}\nlldt ax`, NO_SECOND, {
        fields: { GUEST_GDTR_BASE: SECOND - free - 8 },
        before: store64(SECOND - 8, 0x0000_8200_0000_0067n),
      }),
    ],
  ),
  vtxRom(
    'vtx-ept-xsave',
    'XSAVE and its kin over two pages (SDM Vol. 3C 28.1; Vol. 1 13.7 to 13.9)',
    [
      ept('XSAVE, the header', `xsave [${SECOND - 512}]`, NO_SECOND, XSTATE),
      ept('XSAVE, the legacy region', `xsave [${SECOND - 512}]`, NONE, XSTATE),
      ept('XSAVE, read-only', `xsave [${test}]`, [allow(pte(test), Ept.R | Ept.X)], XSTATE),
      ept('XRSTOR, the header', `xrstor [${SECOND - 512}]`, NO_SECOND, XSTATE),
      ept('XRSTOR, the legacy region', `xrstor [${SECOND - 512}]`, NONE, {
        ...XSTATE,
        registers: { rax: 1 },
        before: `${XSTATE.before}\n${[0, 1, 2, 3, 4, 5, 6, 7].map((n) => store64(SECOND + n * 8, n === 0 ? 1 : 0)).join('\n')}`,
      }),
      ept('XRSTOR, nothing of it is asked for', `xrstor [${SECOND - 512}]`, NONE, {
        ...XSTATE,
        registers: { rax: 0 },
        before: `${XSTATE.before}\n${[0, 1, 2, 3, 4, 5, 6, 7].map((n) => store64(SECOND + n * 8, n === 0 ? 3 : 0)).join('\n')}`,
      }),
      ept('XGETBV needs no memory', 'xor ecx, ecx\nxgetbv', NONE, XSTATE),
    ],
    { features: ['XSAVE'] },
  ),
];
