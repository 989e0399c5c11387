import { expect, test } from 'vitest';
import { assembled } from './testing/hex.ts';

test.each([
  ['add al, 1', '04 01'],
  ['add eax, 1', '83 c0 01'],
  ['add eax, -128', '83 c0 80'],
  ['add eax, 128', '05 80 00 00 00'],
  ['add ebx, 128', '81 c3 80 00 00 00'],
  ['add eax, 0xffffffff', '83 c0 ff'],
  ['add rax, -1', '48 83 c0 ff'],
  ['and ax, 0xff00', '66 25 00 ff'],
  ['mov rax, -1', '48 c7 c0 ff ff ff ff'],
  ['mov rax, 0x7fffffff', '48 c7 c0 ff ff ff 7f'],
  ['mov rax, 0x80000000', '48 b8 00 00 00 80 00 00 00 00'],
  ['mov eax, -1', 'b8 ff ff ff ff'],
  ['push 5', '6a 05'],
  ['push 0x1234', '68 34 12 00 00'],
  ['push word 5', '66 6a 05'],
  ['push qword 5', '6a 05'],
  ['shl eax, 1', 'd1 e0'],
  ['shl eax, 3', 'c1 e0 03'],
  ['shl byte [rax], cl', 'd2 20'],
  ['imul eax, ebx, 3', '6b c3 03'],
  ['imul eax, ebx, 300', '69 c3 2c 01 00 00'],
  ['int3', 'cc'],
  ['int 0x80', 'cd 80'],
  ['in al, dx', 'ec'],
  ['out 0x60, eax', 'e7 60'],
  ['ret', 'c3'],
  ['ret 8', 'c2 08 00'],
  ['enter 16, 1', 'c8 10 00 01'],
])('the shortest encoding that the operands allow: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['xchg ebx, eax', '93'],
  ['xchg r8, rax', '49 90'],
  // 90 would leave bits 63:32 of RAX as they are (SDM Vol. 2D, "XCHG").
  ['xchg eax, eax', '87 c0'],
  ['nop', '90'],
  ['pause', 'f3 90'],
])('XCHG and NOP share an opcode: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['movsb', 'a4'],
  ['movsw', '66 a5'],
  ['movsd', 'a5'],
  ['movsq', '48 a5'],
  ['rep stosd', 'f3 ab'],
  ['repne scasb', 'f2 ae'],
  ['repe cmpsq', 'f3 48 a7'],
  ['cbw', '66 98'],
  ['cwde', '98'],
  ['cdqe', '48 98'],
  ['cqo', '48 99'],
  ['pushfq', '9c'],
  ['iretq', '48 cf'],
  ['iretd', 'cf'],
])('mnemonics that say the size, in 64-bit code: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['lock add [rax], ebx', 'f0 01 18'],
  ['lock cmpxchg8b [rdi]', 'f0 0f c7 0f'],
  ['rep movsb', 'f3 a4'],
  ['o16 push 5', '66 6a 05'],
  ['a32 lodsb', '67 ac'],
  ['o64 sysret', '48 0f 07'],
  ['o64 retf', '48 cb'],
  ['es lodsb', '26 ac'],
  ['lock', 'f0'],
])('prefix words: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['jmp 0x10:0x2000', 'ea 00 20 10 00'],
  ['jmp dword 0x10:0x20000', '66 ea 00 00 02 00 10 00'],
  ['o32 jmp 0x10:0x20000', '66 ea 00 00 02 00 10 00'],
  ['call 0x10:0x2000', '9a 00 20 10 00'],
  ['jmp far [bx]', 'ff 2f'],
  ['jmp far dword [bx]', 'ff 2f'],
  ['jmp far fword [bx]', '66 ff 2f'],
  ['call far [bx]', 'ff 1f'],
  ['jmp [bx]', 'ff 27'],
  ['jmp dword [bx]', '66 ff 27'],
  ['call ax', 'ff d0'],
  ['lds ax, [bx]', 'c5 07'],
  ['retf 4', 'ca 04 00'],
])('far and indirect transfers in 16-bit code: %s', (source, expected) => expect(assembled(source, { bits: 16 })).toBe(expected));

test.each([
  ['jmp far [rax]', 'ff 28'],
  ['o64 jmp far [rax]', '48 ff 28'],
  ['call rax', 'ff d0'],
  ['call [rax]', 'ff 10'],
  ['jmp r9', '41 ff e1'],
])('far and indirect transfers in 64-bit code: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['mov cr0, rax', '0f 22 c0'],
  ['mov rax, cr8', '44 0f 20 c0'],
  ['mov dr7, rbx', '0f 23 fb'],
  ['mov ds, ax', '8e d8'],
  ['mov eax, ss', '8c d0'],
  ['lgdt [rax]', '0f 01 10'],
  ['invlpg [rax]', '0f 01 38'],
  ['ltr ax', '0f 00 d8'],
  ['fs push 1', '64 6a 01'],
  ['push fs', '0f a0'],
])('system instructions: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['movaps xmm1, xmm2', '0f 28 ca'],
  ['addsd xmm9, [rax]', 'f2 44 0f 58 08'],
  ['movq xmm0, rax', '66 48 0f 6e c0'],
  ['movd eax, xmm1', '66 0f 7e c8'],
  ['pshufd xmm1, xmm2, 0x1b', '66 0f 70 ca 1b'],
  ['cvtsi2sd xmm0, rax', 'f2 48 0f 2a c0'],
  ['fld st3', 'd9 c3'],
  ['fld qword [rax]', 'dd 00'],
  ['fld tword [rax]', 'db 28'],
  ['fstp st(1)', 'dd d9'],
  ['fninit', 'db e3'],
])('x87 and SSE: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['jz', 'je'],
  ['jnae', 'jb'],
  ['jc', 'jb'],
  ['jnle', 'jg'],
  ['jpo', 'jnp'],
])('%s is another name of %s (SDM Vol. 1, Appendix B)', (alias, name) => {
  expect(assembled(`a: ${alias} a`)).toBe(assembled(`a: ${name} a`));
});
test('SAL is SHL, SETC is SETB, CMOVNZ is CMOVNE', () => {
  expect(assembled('sal eax, 2\n setc al\n cmovnz eax, ebx')).toBe(assembled('shl eax, 2\n setb al\n cmovne eax, ebx'));
});
