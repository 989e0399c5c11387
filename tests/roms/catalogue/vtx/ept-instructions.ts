import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import { type GuestOptions, vt } from '../../prelude/vtx-attempt.ts';
import { note, RESUME } from '../../prelude/vtx-host.ts';
import { VtxMemory } from '../../prelude/vtx-memory.ts';
import type { Controls, Fields } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { absent, allow, copyBytes, Ept, type EptChange, ept, mend, pte, store64 } from './ept.ts';
import { RING_3 } from './instructions.ts';
import { vtxRom } from './vtx-rom.ts';

const { test } = MemoryMap;
const SECOND = test + 0x1000;
const { R, X } = Ept;
const none = (gpa: number) => [absent(pte(gpa))];
const readOnly = (gpa: number) => [allow(pte(gpa), R | X)];
const stack = (rsp: number): Fields => ({ GUEST_RSP: rsp });
/** REP instructions that come to the second page after some iterations. */
const repeats = (rcx: number, rsi: number, rdi: number): GuestOptions => ({ registers: { rcx, rsi, rdi } });
const resumed = (gpa: number): string => `${mend(none(gpa))}\n${RESUME}`;

/** Tables of the prelude, copied to where EPT may refuse them. */
const copied = (label: string, bytes: number): string => copyBytes(label, test, bytes);
const GDT: GuestOptions = { before: copied('gdt', 0x200), fields: { GUEST_GDTR_BASE: test }, mode: 'paging32' };
const idt = (bits: 32 | 64, mode: GuestOptions['mode']): GuestOptions => ({
  mode: mode as 'long',
  before: copied(`idt${bits}`, bits * 64),
  fields: { GUEST_IDTR_BASE: test },
});
const tss = (label: 'tss' | 'tss64'): GuestOptions => ({ before: copied(label, 0x204), fields: { GUEST_TR_BASE: test } });
/** Code in ring 3 that an event takes to ring 0. */
const ring3 = (more: Fields = {}): Fields => ({ ...RING_3, GUEST_RFLAGS: 0x3002, ...more });
const RING_0_STACK = MemoryMap.ring0Stack - 0x1000;
const INT_3 = 'int3';

const BLOCKED: Fields = { GUEST_INTERRUPTIBILITY_INFO: 8 };
const VIRTUAL_NMIS: Controls = { pin: ['nmiExiting', 'virtualNmis'] };
/** A frame of IRETQ at `test`: to an address that an attempt may change. */
const FRAME: GuestOptions = {
  before: [test + 0x100, Selector.code64, 2, MemoryMap.ring0Stack, Selector.data0]
    .map((value, n) => store64(test + n * 8, value))
    .join('\n'),
};
/** All of IRET's frame is there but the flags, and what is above. */
const FLAGS_IN_SECOND = stack(SECOND - 16);
const iret = (label: string, changes: readonly EptChange[], options: GuestOptions) => ept(label, 'iretq', changes, options);

export const vtxEptInstructionRoms: readonly Rom[] = [
  vtxRom(
    'vtx-ept-string',
    'A violation in the middle of a string instruction: registers count the iterations that are done (SDM Vol. 3C 28.1, Vol. 2B REP)',
    [
      ept('REP MOVSB, the source', 'rep movsb', none(SECOND), { ...repeats(8, SECOND - 3, test), afterwards: resumed(SECOND) }),
      ept('REP MOVSB, the destination', 'rep movsb', none(SECOND), { ...repeats(8, test, SECOND - 3), afterwards: resumed(SECOND) }),
      ept('REP MOVSD across', 'rep movsd', none(SECOND), repeats(4, test, SECOND - 6)),
      ept('REP MOVSQ at once', 'rep movsq', readOnly(SECOND), repeats(4, test, SECOND)),
      ept('down', 'std\nrep movsb', none(test), { ...repeats(8, SECOND + 8, SECOND + 3), afterwards: resumed(test) }),
      ept('REP STOSW', 'rep stosw', none(SECOND), { ...repeats(8, 0, SECOND - 6), afterwards: resumed(SECOND) }),
      ept('REP LODSD', 'rep lodsd', none(SECOND), { ...repeats(8, SECOND - 8, 0), before: store64(SECOND - 8, 0x55_0000_0000n) }),
      ept('REPE CMPSB', 'repe cmpsb', none(SECOND), repeats(8, SECOND - 2, VtxMemory.free + 0x100)),
      ept('REPNE SCASB', 'mov al, 1\nrepne scasb', none(SECOND), repeats(8, 0, SECOND - 2)),
      ept('a count of 0', 'rep movsb', none(test), repeats(0, test, test)),
      ept('32-bit', 'rep movsb', none(SECOND), { ...repeats(8, test, SECOND - 3), mode: 'paging32' }),
      ept('16-bit', 'mov cx, 8\nmov si, 0x6000\nmov di, 0x3ffd\nrep movsb', none(0x10_3000), {
        mode: 'real',
        fields: { GUEST_ES_SELECTOR: 0xffff, GUEST_ES_BASE: 0xff000 + 0x1000 },
      }),
      ept('single step', 'rep movsb', none(SECOND), {
        ...repeats(2, test, SECOND),
        fields: { GUEST_RFLAGS: 0x102 },
        bochs: 'saves a pending single step; SDM Vol. 3C 28.3.4.',
        manual: 'EPT_VIOLATION q=182 gpa=101000 gla=101000 at 38:+0 sp=10:d000 fl=102 rcx=2 rsi=100000 rdi=101000',
      }),
      ept('REP INSB', 'mov edx, 0x5000\nrep insb', none(SECOND), repeats(3, 0, SECOND - 1)),
      ept('REP OUTSB', 'mov edx, 0x5000\nrep outsb', none(SECOND), repeats(3, SECOND - 1, 0)),
    ],
  ),
  vtxRom('vtx-ept-instructions', 'Instructions that access memory more than once leave registers as they were (SDM Vol. 3C 28.1, 28.3)', [
    ept('POP to memory', `pop qword [${test}]`, none(test)),
    ept('PUSH of memory', `push qword [${test}]`, none(test)),
    ept('CALL', 'call .there\n.there:', none(test), { fields: stack(SECOND) }),
    ept('RET', 'ret', none(test), { fields: stack(test + 8) }),
    ept('far RET, the second word', 'retf', none(SECOND), { mode: 'paging32', fields: stack(SECOND - 4) }),
    ept('IRET', 'iretd', none(SECOND), { mode: 'paging32', fields: stack(SECOND - 8) }),
    ept('IRETQ, the fifth', 'iretq', none(SECOND), {
      before: `${store64(SECOND - 32, test)}\n${store64(SECOND - 24, Selector.code64)}\n${store64(SECOND - 16, 2)}\n${store64(SECOND - 8, 0)}`,
      fields: stack(SECOND - 32),
    }),
    ept('PUSHA', 'pushad', none(test), { mode: 'paging32', fields: stack(SECOND + 8) }),
    ept('POPA', 'popad', none(SECOND), { mode: 'paging32', fields: stack(SECOND - 8) }),
    ept('ENTER', 'enter 0x20, 2', none(test), { fields: stack(SECOND + 8), registers: { rbp: VtxMemory.free + 0x800 } }),
    ept('LEAVE', 'leave', none(test), { registers: { rbp: test + 8 } }),
    ept('CMPXCHG16B', `lock cmpxchg16b [${test}]`, readOnly(test), { registers: { rbx: 3, rcx: 4 } }),
    ept('XADD', `mov eax, 5\nxadd [${test}], eax`, readOnly(test)),
    ept('BTS with a distant bit', `mov eax, 0x8000\nbts [${test}], eax`, readOnly(SECOND)),
    ept('FXSAVE', `fxsave [${SECOND - 0x100}]`, none(SECOND), { fields: { GUEST_CR4: 0x2220 } }),
    ept('FXRSTOR', `fxrstor [${SECOND - 0x100}]`, none(SECOND), { fields: { GUEST_CR4: 0x2220 } }),
    ept('FNSAVE', `fnsave [${SECOND - 0x20}]`, none(SECOND)),
    ept('BOUND', `bound eax, [${test}]`, none(test), { mode: 'paging32' }),
    ept('XLAT', 'xlatb', none(test), { registers: { rbx: test, rax: 0x33 } }),
    ept('CMOV reads always', `test eax, eax\ncmovnz ebx, [${test}]`, none(test)),
    ept('PREFETCH does not', `prefetcht0 [${test}]`, none(test)),
    ept('CLFLUSH', `clflush [${test}]`, none(test)),
  ]),
  vtxRom(
    'vtx-ept-descriptors',
    'Implicit accesses: descriptor tables, accessed and busy bits, the I/O map (SDM Vol. 3C 28.2.1, Table 28-7)',
    [
      ept('loading a segment register', `mov eax, ${Selector.data0}\nmov es, ax`, none(test), GDT),
      ept('the accessed bit', `mov eax, ${Selector.code16}\nmov es, ax`, readOnly(test), GDT),
      ept('an accessed bit that is set', `mov eax, ${Selector.data0}\nmov es, ax\nxor eax, eax`, readOnly(test), {
        ...GDT,
        before: `${GDT.before}\nor byte [${test + Selector.data0 + 5}], 1`,
      }),
      ept('far JMP', `jmp far dword ${Selector.code0}:.there\n.there:`, none(test), GDT),
      ept('LAR', `mov eax, ${Selector.data0}\nlar ebx, ax`, none(test), GDT),
      ept('VERR', `mov eax, ${Selector.data0}\nverr ax`, none(test), GDT),
      ept('LTR', `mov eax, ${Selector.free}\nltr ax`, none(test), {
        ...GDT,
        before: `${GDT.before}\n${store64(test + Selector.free, 0x0000_8900_0000_0067n)}`,
      }),
      ept('LLDT', `mov eax, ${Selector.ldt}\nlldt ax`, none(test), GDT),
      ept('a descriptor of the LDT', 'mov eax, 4\nmov ds, ax', none(test), {
        mode: 'paging32',
        fields: { GUEST_LDTR_SELECTOR: Selector.ldt, GUEST_LDTR_BASE: test, GUEST_LDTR_LIMIT: 0x3f, GUEST_LDTR_AR_BYTES: 0x82 },
      }),
      ept('the I/O map of the TSS', 'mov edx, 0x5000\nout dx, al', none(SECOND), {
        before: `${copied('tss64', 0x68)}\nmov word [${test + 0x66}], 0x800`,
        fields: { ...RING_3, GUEST_TR_BASE: test, GUEST_TR_LIMIT: 0x2fff },
      }),
      ept('LGDT, the base', `lgdt [${SECOND - 2}]`, none(SECOND)),
      ept('SIDT', `sidt [${SECOND - 4}]`, none(SECOND)),
    ],
  ),
  vtxRom('vtx-ept-delivery', 'Violations while an event is delivered: IDT-vectoring information (SDM Vol. 3C 28.2.4, 25.9.3)', [
    ept('INT3, the IDT', INT_3, none(test), idt(64, 'long')),
    ept('INT n, the IDT', 'int 0x20', none(test), idt(64, 'long')),
    ept('#DE, the IDT', 'div eax', none(test), idt(64, 'long')),
    ept('INT1', 'db 0xf1', none(test), idt(64, 'long')),
    ept('INTO', 'mov al, 0x7f\nadd al, al\ninto', none(test), idt(32, 'paging32')),
    ept('#PF with its error code', 'mov rax, 0xffff900000000000\nmov [rax], bl', none(test), {
      ...idt(64, 'long'),
      afterwards: `mov rbp, cr2\n${note({ cr2: 'rbp' })}`,
    }),
    ept('a single step', 'nop', none(test), { ...idt(32, 'paging32'), fields: { GUEST_IDTR_BASE: test, GUEST_RFLAGS: 0x102 } }),
    ept('real mode', 'int 0x20', none(0), { mode: 'real' }),
    ept('the stack', INT_3, none(test), { fields: stack(SECOND) }),
    ept('the stack is read-only', INT_3, readOnly(test), { fields: stack(SECOND) }),
    ept('the stack, 32-bit', 'int 0x20', none(test), { mode: 'paging32', fields: stack(SECOND) }),
    ept('RSP0 in the TSS', INT_3, none(test), { ...tss('tss64'), fields: { ...ring3(), GUEST_TR_BASE: test } }),
    ept('the stack of ring 0', INT_3, none(RING_0_STACK), { fields: ring3(stack(test + 0x800)) }),
    ept('the descriptor of CS', INT_3, none(test), GDT),
    ept('#GP, the IDT', 'mov eax, 0xffff\nmov es, ax', none(test), {
      ...idt(64, 'long'),
      fields: { GUEST_IDTR_BASE: test, EXCEPTION_BITMAP: 0 },
    }),
    ept('#BP exits before', INT_3, none(test), { ...idt(64, 'long'), fields: { GUEST_IDTR_BASE: test, EXCEPTION_BITMAP: 8 } }),
    vt('without EPT', 'nop'),
  ]),
  vtxRom(
    'vtx-ept-iret',
    'Violations while IRET runs: "NMI unblocking due to IRET", and the blocking that is saved (SDM Vol. 3C 26.3, 28.2.1, 28.2.3)',
    [
      iret('the stack', none(SECOND), { fields: { ...BLOCKED, ...FLAGS_IN_SECOND } }),
      iret('no blocking', none(SECOND), { fields: FLAGS_IN_SECOND }),
      iret('virtual NMIs', none(SECOND), { controls: VIRTUAL_NMIS, fields: { ...BLOCKED, ...FLAGS_IN_SECOND } }),
      iret('virtual NMIs, no blocking', none(SECOND), { controls: VIRTUAL_NMIS, fields: FLAGS_IN_SECOND }),
      iret('the GDT', none(SECOND), {
        ...FRAME,
        before: `${FRAME.before}\n${copyBytes('gdt', SECOND, 0x200)}`,
        fields: { ...BLOCKED, ...stack(test), GUEST_GDTR_BASE: SECOND },
      }),
      iret('behind it', none(SECOND), {
        ...FRAME,
        before: `${FRAME.before}\nmov dword [${test}], ${SECOND}`,
        fields: { ...BLOCKED, ...stack(test) },
      }),
      iret('misconfigured', [allow(pte(SECOND), 2n)], { fields: { ...BLOCKED, ...FLAGS_IN_SECOND } }),
      ept('another instruction', 'pop rax', none(test), { fields: { ...BLOCKED, ...stack(test) } }),
      ept('32-bit', 'iretd', none(SECOND), { mode: 'paging32', fields: { ...BLOCKED, ...stack(SECOND - 8) } }),
      ept('real mode', 'iret', none(0xd000), { mode: 'real', fields: { ...BLOCKED, ...stack(0xcffc) } }),
    ],
  ),
];
