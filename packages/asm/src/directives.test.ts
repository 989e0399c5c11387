import { expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { asm16, asm32, asm64 } from './tag.ts';
import { assembled, hex } from './testing/hex.ts';

test.each([
  ['db 1, 0xff, -1, -128', '01 ff ff 80'],
  ['dw 1, 0xffff, -2', '01 00 ff ff fe ff'],
  ['dd 0x12345678, -1', '78 56 34 12 ff ff ff ff'],
  ['dq 0x1122334455667788, -1', '88 77 66 55 44 33 22 11 ff ff ff ff ff ff ff ff'],
])('numbers are little-endian: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ["db 'abc', 0", '61 62 63 00'],
  ['db "a;b", \'c;d\' ; a comment', '61 3b 62 63 3b 64'],
  ["db 'a,b'", '61 2c 62'],
  ["db 'line\\n\\0'", '6c 69 6e 65 0a 00'],
  ['db "\\"", 1', '22 01'],
  ['db "é"', 'c3 a9'],
  ["db 'a' + 1", '62'],
  ["dw 'ab'", '61 62'],
  ['dw "abc"', '61 62 63 00'],
  ['dd "abcdef"', '61 62 63 64 65 66 00 00'],
])('strings, filled with zeros to the width: %s', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['times 4 db 7', '07 07 07 07'],
  ['times 2 db 1, 2', '01 02 01 02'],
  ['times 3 nop', '90 90 90'],
  ['times 2 times 2 db 1', '01 01 01 01'],
  ['times 0 nop', ''],
  ['times (1 + 1) * 2 nop', '90 90 90 90'],
  ['db 1\n times 6 - ($ - $$) db 0xcc', '01 cc cc cc cc cc'],
  ['times 3 db $ - $$', '00 01 02'],
  ['times 3 jmp 0', 'eb fe eb fc eb fa'],
  ['db 1\n times 3 align 4, 0', '01 00 00 00'],
  ['count equ 2\n times count db 1', '01 01'],
])('times repeats a statement: %j', (source, expected) => expect(assembled(source)).toBe(expected));

test.each([
  ['db 1\n align 4', '01 90 90 90'],
  ['db 1\n align 4, 0xff', '01 ff ff ff'],
  ['align 16\n db 1', '01'],
  ['db 1\n align 1\n db 2', '01 02'],
])('align fills up to a power of two with NOPs or what is given: %j', (source, expected) => expect(assembled(source)).toBe(expected));

test('align counts from address 0, not from the first byte', () => {
  expect(assembled('db 1\n align 4, 0', { origin: 0x1001 })).toBe('01 00 00');
});

test('org and the origin option set the first address; $ is the statement, $$ the first byte', () => {
  expect(assembled('org 0x7c00\n nop\n dw $, $$, end\n end:', { bits: 16 })).toBe('90 01 7c 00 7c 07 7c');
  expect(assembled('nop\n dd $, $$', { origin: 0x10_0000 })).toBe('90 01 00 10 00 00 00 10 00');
});

test('equ names a number, which may come later and may use other names', () => {
  expect(assembled('db size\n size equ end - start\n start: dd 0\n end:')).toBe('04 00 00 00 00');
});

test('bits changes the code size in the middle of a source', () => {
  expect(assembled('bits 16\n mov eax, 1\n bits 32\n mov eax, 1\n bits 64\n mov rax, rbx')).toBe(
    '66 b8 01 00 00 00 b8 01 00 00 00 48 89 d8',
  );
});

test('symbols handed in are known by name; the source may define its own of the same name', () => {
  expect(assembled('db limit, own\n own equ 3', { symbols: { limit: 9, own: 1n } })).toBe('09 03');
});

test('labels and constants come back with the bytes', () => {
  const { bytes, origin, symbols } = assemble('size equ 4\n start: nop\n .inner: hlt', { origin: 0x100 });
  expect(hex(bytes)).toBe('90 f4');
  expect(origin).toBe(0x100n);
  expect([...symbols]).toEqual([
    ['size', 4n],
    ['start', 0x100n],
    ['start.inner', 0x101n],
  ]);
});

test('the tags: code size, numbers, big numbers, text and bytes put in', () => {
  expect(hex(asm16`mov ax, ${0x1234}`)).toBe('b8 34 12');
  expect(hex(asm32`mov eax, ${-1}`)).toBe('b8 ff ff ff ff');
  expect(hex(asm64`mov rax, ${0x1122334455667788n}`)).toBe('48 b8 88 77 66 55 44 33 22 11');
  expect(hex(asm64`${'nop\nhlt'}`)).toBe('90 f4');
  expect(
    hex(asm64`nop
    ${Uint8Array.of(1, 2, 255)}
    hlt`),
  ).toBe('90 01 02 ff f4');
  expect(hex(asm64`db 'a\n', 0`)).toBe('61 0a 00');
});

test('bytes put in that are none are nothing', () => {
  expect(
    hex(asm64`nop
    ${new Uint8Array(0)}
    hlt`),
  ).toBe('90 f4');
});

test('.with gives a tag an address and names, .assembly its labels', () => {
  const { symbols, bytes } = asm64.with({ origin: 0x4000, symbols: { port: 0xe9 } }).assembly`here: out port, al`;
  expect(symbols.get('here')).toBe(0x4000n);
  expect(hex(bytes)).toBe('e6 e9');
});

test('case does not matter in mnemonics, registers and directives; it does in labels', () => {
  expect(assembled('MOV EAX, 1\n Db 2\n LOCK ADD DWORD [RAX], 3')).toBe('b8 01 00 00 00 02 f0 83 00 03');
  expect(() => assemble('a: jmp A')).toThrow("'A' is not defined");
});
