import { MemoryMap, Selector } from '../../prelude/memory-map.ts';
import type { GuestOptions, VtxAttempt } from '../../prelude/vtx-attempt.ts';
import { RESUME } from '../../prelude/vtx-host.ts';
import type { Fields, GuestModeName } from '../../prelude/vtx-modes.ts';
import type { Rom } from '../../rom.ts';
import { absent, allow, Ept, type EptChange, ept, mend, pte, store64 } from './ept.ts';
import { vtxRom } from './vtx-rom.ts';

const test: number = MemoryMap.test;
const SECOND = test + 0x1000;
const { R, X } = Ept;
const NONE = [absent(pte(test))];
const NO_SECOND = [absent(pte(SECOND))];
const READ_ONLY = [allow(pte(test), R | X)];
const ALL_FLAGS = 0x8d7;
const SSE: Fields = { GUEST_CR4: 0x2220 };

/** A violation of an operand at `test`; then the entry is mended, and the instruction runs again. */
function again(label: string, code: string, changes: readonly EptChange[] = NONE, options: GuestOptions = {}): VtxAttempt {
  return ept(label, code, changes, { ...options, afterwards: `${mend(changes)}\n${RESUME}\n${options.afterwards ?? ''}` });
}
/** What is at `test` when an instruction reads it. */
const holds = (value: bigint | number, mode: GuestModeName = 'long'): GuestOptions => ({ mode, before: store64(test, value) });
/** A read-modify-write with all flags set: none of them changes before the write is made. */
const modify = (label: string, code: string, options: GuestOptions = {}): VtxAttempt =>
  again(label, code, READ_ONLY, { ...holds(0x1234_5678_9abc_def0n), ...options, fields: { GUEST_RFLAGS: ALL_FLAGS, ...options.fields } });
const OPERAND = `[${test}]`;

export const vtxEptOperandRoms: readonly Rom[] = [
  vtxRom(
    'vtx-ept-modify',
    'A read-modify-write that EPT refuses changes neither flags nor registers, and is made when it may (SDM Vol. 3C 28.1, 28.3.3)',
    [
      modify('ADD', `add dword ${OPERAND}, 0x10`),
      modify('ADC', `adc qword ${OPERAND}, 1`),
      modify('SUB by LOCK', `lock sub word ${OPERAND}, 7`),
      modify('NEG', `neg dword ${OPERAND}`),
      modify('INC', `inc byte ${OPERAND}`),
      modify('NOT', `not qword ${OPERAND}`),
      modify('SHL', `shl dword ${OPERAND}, 1`),
      modify('RCR', `rcr dword ${OPERAND}, 1`),
      modify('SHLD', `mov eax, -1\nshld ${OPERAND}, eax, 1`),
      modify('BTC', `btc dword ${OPERAND}, 4`),
      modify('XCHG', `mov rax, 5\nxchg ${OPERAND}, rax`),
      modify('XADD', `mov eax, 5\nxadd ${OPERAND}, eax`),
      modify('CMPXCHG that matches', `mov eax, 0x9abcdef0\nmov ebx, 7\ncmpxchg ${OPERAND}, ebx`),
      modify('CMPXCHG that does not', `mov eax, 1\nmov ebx, 7\ncmpxchg ${OPERAND}, ebx`),
      modify('CMPXCHG8B that does not match', `cmpxchg8b ${OPERAND}`),
      modify('SETC', `setc ${OPERAND}`),
    ],
  ),
  vtxRom(
    'vtx-ept-operands',
    'Memory operands of all kinds: the violation leaves registers alone, and the instruction runs again (SDM Vol. 3C 28.1)',
    [
      again('LSS, the selector', `lss eax, [${SECOND - 4}]`, NO_SECOND, {
        mode: 'paging32',
        before: store64(SECOND - 4, (0x10n << 32n) | 0x1234n),
      }),
      again('MOV to a segment register', `mov es, ${OPERAND}`, NONE, holds(Selector.data0)),
      again('POP to a segment register', 'pop fs', NONE, { ...holds(Selector.data0), fields: { GUEST_RSP: test } }),
      again('POP to memory by RSP', 'pop qword [rsp + 8]', READ_ONLY, { ...holds(0x77), fields: { GUEST_RSP: test } }),
      again('PUSHF', 'pushfq', READ_ONLY, { fields: { GUEST_RSP: test + 8 } }),
      again('POPF', 'popfq', NONE, { ...holds(0xad7), fields: { GUEST_RSP: test } }),
      again('near CALL by memory', `call ${OPERAND}`, NONE, {
        ...holds(SECOND),
        before: `${store64(test, SECOND)}\n${store64(SECOND, 0xc1_010fn)}`,
      }),
      again('far JMP by memory', `jmp far ${OPERAND}`, NONE, {
        mode: 'paging32',
        before: `${store64(test, (BigInt(Selector.code0) << 32n) | BigInt(SECOND))}\n${store64(SECOND, 0xc1_010fn)}`,
      }),
      again('DIV', `mov eax, 100\ndiv dword ${OPERAND}`, NONE, { ...holds(7), hide: ['flags'] }),
      again('IMUL', `imul eax, ${OPERAND}, 9`, NONE, { ...holds(7), hide: ['flags'] }),
      again('CMP', `cmp dword ${OPERAND}, 7`, NONE, holds(7)),
      again('MOVSX', `movsx rax, word ${OPERAND}`, NONE, holds(0x8001)),
      again('SMSW', `smsw word ${OPERAND}\nmov ax, ${OPERAND}`, READ_ONLY, holds(0)),
      again('SIDT', `sidt ${OPERAND}\nmov ax, ${OPERAND}`, READ_ONLY, { ...holds(0), fields: { GUEST_IDTR_LIMIT: 0x777 } }),
      again('STR', `str word ${OPERAND}\nmov ax, ${OPERAND}`, READ_ONLY, holds(0)),
      again('VERW', `verw word ${OPERAND}`, NONE, holds(Selector.data0)),
      again('ARPL', `mov eax, 3\narpl ${OPERAND}, ax`, READ_ONLY, holds(0x10, 'paging32')),
      again('MONITOR reads', `mov eax, ${test}\nmonitor`, NONE),
    ],
    { features: ['MONITOR'] },
  ),
  vtxRom(
    'vtx-ept-x87-sse',
    'Operands of x87, SSE and state instructions: no stack of registers moves before the access (SDM Vol. 3C 28.1)',
    [
      again('FLD', `fninit\nfld dword ${OPERAND}\nfnstsw ax`, NONE, holds(0x3f80_0000)),
      again('FLD of 80 bits, the second page', `fninit\nfld tword [${SECOND - 8}]\nfnstsw ax`, NO_SECOND),
      again('FSTP', `fninit\nfld1\nfstp qword ${OPERAND}\nfnstsw ax\nmov rbx, ${OPERAND}`, READ_ONLY, holds(0)),
      again('FSTP of 80 bits, the second page', `fninit\nfld1\nfstp tword [${SECOND - 8}]\nfnstsw ax\nmov rbx, [${SECOND - 8}]`, NO_SECOND),
      again('FISTP', `fninit\nfldpi\nfistp word ${OPERAND}\nfnstsw ax\nmov bx, ${OPERAND}`, READ_ONLY, holds(0)),
      again('FBSTP', `fninit\nfldpi\nfbstp tword ${OPERAND}\nfnstsw ax\nmov rbx, ${OPERAND}`, READ_ONLY, holds(0)),
      again('FADD', `fninit\nfld1\nfadd dword ${OPERAND}\nfistp dword [${SECOND}]\nmov ebx, [${SECOND}]`, NONE, holds(0x4000_0000)),
      again('FNSTCW', `fninit\nfnstcw ${OPERAND}\nmov ax, ${OPERAND}`, READ_ONLY, holds(0)),
      again('FLDCW', `fninit\nfldcw ${OPERAND}\nfnstcw [${SECOND}]\nmov ax, [${SECOND}]`, NONE, holds(0x27f)),
      again('MOVAPS', `movaps xmm1, ${OPERAND}\nmovd eax, xmm1`, NONE, { ...holds(0x77), fields: SSE }),
      again('MOVUPS over two pages', `movups [${SECOND - 8}], xmm1`, NO_SECOND, { fields: SSE }),
      again('MOVNTI', `mov eax, 3\nmovnti ${OPERAND}, eax`, READ_ONLY, { fields: SSE }),
      again('MASKMOVDQU', `pcmpeqb xmm0, xmm0\nmov edi, ${test}\nmaskmovdqu xmm0, xmm0\nmov rbx, ${OPERAND}`, READ_ONLY, {
        ...holds(0),
        fields: SSE,
      }),
      again('LDMXCSR', `ldmxcsr ${OPERAND}\nstmxcsr [${SECOND}]\nmov eax, [${SECOND}]`, NONE, { ...holds(0x1f00), fields: SSE }),
      again('PADDD', `pxor xmm0, xmm0\npaddd xmm0, ${OPERAND}\nmovd eax, xmm0`, NONE, { ...holds(5), fields: SSE }),
      again('CVTSI2SD', `cvtsi2sd xmm0, dword ${OPERAND}\ncvttsd2si eax, xmm0`, NONE, { ...holds(9), fields: SSE }),
    ],
  ),
  vtxRom('vtx-ept-blocking', 'Violations in the shadow of STI and of MOV to SS: the blocking is saved (SDM Vol. 3C 28.3.4)', [
    ept('STI', `sti\nmov al, ${OPERAND}`, NONE),
    ept('STI, already set', `sti\nmov al, ${OPERAND}`, NONE, { fields: { GUEST_RFLAGS: 0x202 } }),
    ept('one later', `sti\nnop\nmov al, ${OPERAND}`, NONE),
    ept('MOV to SS', `mov eax, ${Selector.data0}\nmov ss, ax\nmov al, ${OPERAND}`, NONE),
    ept('POP SS', `push ${Selector.data0}\npop ss\nmov al, ${OPERAND}`, NONE, { mode: 'paging32' }),
    ept('MOV to SS that is refused itself', `mov ss, ${OPERAND}`, NONE),
    ept('the fetch after it', `mov eax, ${SECOND - 1}\njmp rax`, NO_SECOND, { before: store64(SECOND - 8, 0xfbn << 56n) }),
    ept('real mode', 'sti\nmov ax, [0x7123]', [absent(pte(0x7000))], { mode: 'real' }),
    ept('at entry', `mov al, ${OPERAND}`, NONE, { fields: { GUEST_INTERRUPTIBILITY_INFO: 2 } }),
    ept('delivery of INT3', 'sti\nint3', NONE, { fields: { GUEST_IDTR_BASE: test } }),
    ept('misconfigured', `sti\nmov al, ${OPERAND}`, [allow(pte(test), 2n)]),
    again('it goes on', `sti\nmov al, ${OPERAND}\nmov ebx, 1`, NONE, holds(0)),
  ]),
];
