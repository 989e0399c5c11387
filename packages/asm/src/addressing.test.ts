import { describe, expect, test } from 'vitest';
import { assembled } from './testing/hex.ts';

/** ModRM with reg = 0 (AX, EAX): `mov`'s opcode 8B before it. */
const load = (memory: string, bits: 16 | 32 | 64, register = 'eax') => assembled(`mov ${register}, ${memory}`, { bits });

describe('16-bit addressing forms (SDM Vol. 2A, Table 2-1)', () => {
  test.each([
    ['[bx + si]', '00'],
    ['[bx + di]', '01'],
    ['[bp + si]', '02'],
    ['[bp + di]', '03'],
    ['[si]', '04'],
    ['[di]', '05'],
    ['[bx]', '07'],
    ['[bx + si + 0x12]', '40 12'],
    ['[bx + di - 1]', '41 ff'],
    ['[bp + si + 0x7f]', '42 7f'],
    ['[bp + di - 0x80]', '43 80'],
    ['[si + 1]', '44 01'],
    ['[di + 1]', '45 01'],
    ['[bp]', '46 00'],
    ['[bp + 1]', '46 01'],
    ['[bx + 1]', '47 01'],
    ['[bx + si + 0x80]', '80 80 00'],
    ['[bx + di - 0x81]', '81 7f ff'],
    ['[bp + 0x1234]', '86 34 12'],
    ['[bx + 0xffff]', '47 ff'],
    ['[si + bx]', '00'],
    ['[di + bp + 2]', '43 02'],
  ])('%s', (memory, modrm) => {
    expect(load(memory, 16, 'ax')).toBe(`8b ${modrm}`);
    expect(load(memory, 32, 'ax')).toBe(`67 66 8b ${modrm}`);
  });
});

describe('32-bit addressing forms (SDM Vol. 2A, Tables 2-2 and 2-3)', () => {
  test.each([
    ['[eax]', '00'],
    ['[ecx]', '01'],
    ['[edx]', '02'],
    ['[ebx]', '03'],
    ['[esp]', '04 24'],
    ['[esi]', '06'],
    ['[edi]', '07'],
    ['[eax + 1]', '40 01'],
    ['[esp + 1]', '44 24 01'],
    ['[ebp]', '45 00'],
    ['[ebp - 1]', '45 ff'],
    ['[eax + 0x80]', '80 80 00 00 00'],
    ['[esp + 0x100]', '84 24 00 01 00 00'],
    ['[ebp + 0x100]', '85 00 01 00 00'],
    ['[eax + ecx]', '04 08'],
    ['[eax + ecx*2]', '04 48'],
    ['[eax + ecx*4]', '04 88'],
    ['[eax + ecx*8]', '04 c8'],
    ['[esp + ebp*4]', '04 ac'],
    ['[ebp + ecx]', '44 0d 00'],
    ['[ebp + ecx*2 + 5]', '44 4d 05'],
    ['[ecx*4]', '04 8d 00 00 00 00'],
    ['[ebp*8 + 0x10]', '04 ed 10 00 00 00'],
    ['[2*ecx + eax]', '04 48'],
    ['[eax + esp]', '04 04'],
    ['[eax + 8 + ecx*2 - 4]', '44 48 04'],
  ])('%s', (memory, modrm) => {
    expect(load(memory, 32)).toBe(`8b ${modrm}`);
    expect(load(memory, 64)).toBe(`67 8b ${modrm}`);
    expect(load(memory, 16)).toBe(`67 66 8b ${modrm}`);
  });
});

describe('64-bit addressing forms: REX.B extends the base, REX.X the index (SDM Vol. 2A, 2.2.1.2)', () => {
  test.each([
    ['[rax]', '8b 00'],
    ['[r8]', '41 8b 00'],
    ['[r12]', '41 8b 04 24'],
    ['[r13]', '41 8b 45 00'],
    ['[rsp]', '8b 04 24'],
    ['[rbp]', '8b 45 00'],
    ['[r12 + 8]', '41 8b 44 24 08'],
    ['[rax + r12*8]', '42 8b 04 e0'],
    ['[r13 + r12]', '43 8b 44 25 00'],
    ['[r9*2 + 4]', '42 8b 04 4d 04 00 00 00'],
    ['[rbx + 0x7fffffff]', '8b 83 ff ff ff 7f'],
    ['[0x1000]', '8b 04 25 00 10 00 00'],
    ['[-0x1000]', '8b 04 25 00 f0 ff ff'],
    ['[abs 0x1000]', '8b 04 25 00 10 00 00'],
    ['[rip + 4]', '8b 05 04 00 00 00'],
    ['[rel 6]', '8b 05 00 00 00 00'],
    ['[r8d + ecx]', '67 41 8b 04 08'],
  ])('%s', (memory, expected) => expect(load(memory, 64)).toBe(expected));
});

test.each([
  ['mov eax, cs:[rbx]', '2e 8b 03'],
  ['mov eax, [fs:0x28]', '64 8b 04 25 28 00 00 00'],
  ['mov eax, gs:[rbx]', '65 8b 03'],
  ['mov eax, [gs:rbx]', '65 8b 03'],
  ['es mov eax, [rbx]', '26 8b 03'],
  ['mov eax, dword ptr ss:[rbx]', '36 8b 03'],
])('segment overrides: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['mov al, [0x1122334455667788]', '', 'a0 88 77 66 55 44 33 22 11'],
  ['mov [0x1122334455667788], rax', '', '48 a3 88 77 66 55 44 33 22 11'],
])('memory offsets of 64 bits are for the accumulator (SDM Vol. 2A, 2.2.1.4): %s', (source, _, expected) =>
  expect(assembled(source)).toBe(expected),
);

test('a displacement alone, for another register than the accumulator', () => {
  expect(load('[0x1234]', 16, 'cx')).toBe('8b 0e 34 12');
  expect(load('[0x12345678]', 32, 'ecx')).toBe('8b 0d 78 56 34 12');
  expect(load('[0x12345678]', 64, 'ecx')).toBe('8b 0c 25 78 56 34 12'); // without a SIB byte it would be RIP-relative (SDM Vol. 2A, 2.2.1.6)
  expect(load('[0x12345]', 16, 'cx')).toBe('67 8b 0d 45 23 01 00');
});

test('a16 and a32 say the address size where no register does', () => {
  expect(assembled('a32 mov ecx, [0xff4a00bc]')).toBe('67 8b 0c 25 bc 00 4a ff');
  expect(assembled('a16 mov ecx, [0x1234]', { bits: 32 })).toBe('67 8b 0e 34 12');
  expect(assembled('a32 mov cx, [0x1234]', { bits: 16 })).toBe('67 8b 0d 34 12 00 00');
  expect(assembled('a32 mov al, [0x1234]')).toBe('67 a0 34 12 00 00');
  expect(assembled('a32 mov eax, [ebx]')).toBe('67 8b 03');
});

test('memory offsets in 16- and 32-bit code', () => {
  expect(assembled('mov al, [0x1234]', { bits: 16 })).toBe('a0 34 12');
  expect(assembled('mov eax, es:[0x1234]', { bits: 32 })).toBe('26 a1 34 12 00 00');
});

test.each([
  ['mov spl, 1', '40 b4 01'],
  ['mov ah, 1', 'b4 01'],
  ['mov dil, al', '40 88 c7'],
  ['mov r8b, 1', '41 b0 01'],
  ['mov bh, ah', '88 e7'],
  ['movzx eax, sil', '40 0f b6 c6'],
])('byte registers: SPL to DIL need a REX, AH to BH forbid it (SDM Vol. 2A, 2.2.1.2): %s', (source, expected) =>
  expect(assembled(source)).toBe(expected),
);
