import { MinusOneError } from '@minusone/core';
import { expect, test } from 'vitest';
import { type AssembleOptions, assemble } from './assemble.ts';
import { AssemblyError } from './errors.ts';

/** The mistake in line 2 of a source. */
function mistake(line: string, options: AssembleOptions = {}): AssemblyError {
  try {
    assemble(`nop\n${line}\nnop`, options);
  } catch (error) {
    if (error instanceof AssemblyError) return error;
    throw error;
  }
  throw new Error(`'${line}' was assembled`);
}

test.each([
  ['inc [rax]', /size of the memory operand is ambiguous.*byte or word or dword or qword/],
  ['mov [rax], 1', /size of the memory operand is ambiguous/],
  ['movzx eax, [rbx]', /ambiguous.*byte or word/],
  ['fld [rax]', /ambiguous.*dword or qword or tword/],
  ['frobnicate eax', /mnemonic 'frobnicate' is unknown/],
  ['section .text', /mnemonic 'section' is unknown/],
  ['+ 3', /not an instruction/],
  ['mov eax, nowhere', /'nowhere' is not defined/],
  ['jmp nowhere', /'nowhere' is not defined/],
  ['mov eax, [rbx + nowhere]', /'nowhere' is not defined/],
  ['db nowhere', /'nowhere' is not defined/],
  ['times nowhere nop', /'nowhere' is not defined/],
  ['mov eax, rbx', /no encoding fits/],
  ['mov ah, sil', /no encoding fits/],
  ['mov [rax], [rbx]', /no encoding fits/],
  ['mov 5, eax', /no encoding fits/],
  ['lea eax, ebx', /no encoding fits/],
  ['mov eax', /no encoding fits/],
  ['nop eax, ebx', /no encoding fits/],
  ['push eax', /no encoding fits/],
  ['daa', /no encoding fits/],
  ['mov eax, [rax + ebx]', /no encoding fits/],
  ['mov eax, [ax]', /no encoding fits/],
  ['mov eax, [rsp*2]', /no encoding fits/],
  ['mov eax, [rax + rbx + rcx]', /three registers/],
  ['mov eax, [rax*2 + rbx*4]', /two index registers/],
  ['mov al, 256', /256 \(0x100\) is out of range/],
  ['mov al, -129', /-129 .* is out of range/],
  ['mov ax, 0x10000', /65536 .* is out of range/],
  ['mov eax, 0x100000000', /is out of range/],
  ['mov qword [rax], 0x80000000', /is out of range/],
  ['int 256', /is out of range/],
  ['a: times 200 nop\n jmp short a', /is out of range/],
  ['loop $ + 200', /is out of range/],
  ['db 256', /256 \(0x100\) is out of range/],
  ['dw -32769', /is out of range/],
  ['dd 0x100000000', /is out of range/],
  ['dq 1.5', /'1.5' is not a number/],
  ['mov eax, 1 / 0', /division by zero/],
  ['db 1 << -1', /a shift by -1/],
  ['mov eax, 3 3', /not an operand/],
  ['times -1 nop', /times -1/],
  ['times 0x10000000 nop', /times 268435456/],
  ['times 0x100000 times 0x100000 nop', /more than 64 MiB/],
  ['times nop', /count and a statement/],
  ['align 3', /power of two/],
  ['align 0', /power of two/],
  ['bits 48', /16, 32 or 64/],
  ['org 0x100', /org after code/],
  ['a: nop\n a: nop', /'a' is defined twice/],
  ['a equ 1\n a equ 2', /'a' is defined twice/],
  ['f: .l: nop\n .l: nop', /'.l' is defined twice/],
])('%s', (line, message) => {
  const error = mistake(line);
  expect(error.message.replaceAll('\n', ' ')).toMatch(message);
  const wrongLine = /twice|short a/.test(`${error.message}${line}`) ? 3 : 2;
  expect(error.details.line, 'the line').toBe(wrongLine);
  expect(error.message).toContain(`Line ${wrongLine}:`);
});

test.each([
  ['mov rax, rbx', 32],
  ['mov r8d, 1', 32],
  ['mov spl, 1', 32],
  ['syscall eax', 64],
  ['pushfq', 16],
  ['mov eax, [rax]', 16],
  ['jmp 0x10:0x2000', 64],
  ['push cs', 64],
] as const)('%s is not in %i-bit code', (line, bits) => expect(mistake(line, { bits }).code).toBe('ASSEMBLY'));

test('a constant that depends on itself does not settle', () => {
  expect(() => assemble('a equ a + 1')).toThrow(/do not settle/);
});

test('a mistake is one of ours: it has a code, a hint and the source line', () => {
  const error = mistake('  inc [rax] ; what size?');
  expect(error).toBeInstanceOf(MinusOneError);
  expect(error).toMatchObject({ name: 'AssemblyError', code: 'ASSEMBLY', hint: 'Write byte or word or dword or qword before it.' });
  expect(error.details).toEqual({ line: 2, source: '  inc [rax] ; what size?' });
});
