import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluate, unquote } from './expression.ts';

const names: Readonly<Record<string, bigint>> = { here: 0x1000n, '.local': 7n, a_b$1: 3n };
const value = (text: string) => evaluate(text, (name) => names[name]);

test.each([
  ['255', 255n],
  ['0xff', 255n],
  ['0XFF', 255n],
  ['0xffff_ffff', 0xffff_ffffn],
  ['0b1010_0101', 0xa5n],
  ['0o17', 15n],
  ['1_000', 1000n],
])('numbers: %s', (text, expected) => expect(value(text)).toBe(expected));

test.each([
  ["'A'", 0x41n],
  ['"A"', 0x41n],
  ["'ab'", 0x6261n],
  ["'abcd'", 0x64636261n],
  ["'\\n'", 10n],
  ["'\\x7f'", 0x7fn],
  ["'\\''", 0x27n],
])('a character constant has its first character lowest: %s', (text, expected) => expect(value(text)).toBe(expected));

test.each([
  ['2 + 3 * 4', 14n],
  ['(2 + 3) * 4', 20n],
  ['1 << 4 + 1', 32n],
  ['0xf0 | 1 ^ 3 & 2', 0xf3n],
  ['10 - 4 - 3', 3n],
  ['100 / 10 / 2', 5n],
  ['7 % 4', 3n],
  ['-7 / 2', -3n],
  ['~0 & 0xff', 255n],
  ['-(1 + 2)', -3n],
  ['--5', 5n],
  ['256 >> 4', 16n],
  ['here + .local * a_b$1', 0x1015n],
])('operators by precedence, left to right: %s', (text, expected) => expect(value(text)).toBe(expected));

test.each(['', '1 +', '(1', '1)', '1 2', '* 3', '0x', '0b2', "''", '1 ? 2', 'here here', '#'])('no expression: %j', (text) => {
  expect(value(text)).toBeUndefined();
});

test('the first name that is not known is named', () => {
  expect(value('here + there * elsewhere')).toEqual({ unknown: 'there' });
});

test('a division by zero and a shift by too much are problems, unless a name is still to come', () => {
  expect(value('1 / (2 - 2)')).toEqual({ problem: 'division by zero' });
  expect(value('1 % 0')).toEqual({ problem: 'division by zero' });
  expect(value('1 << -1')).toEqual({ problem: 'a shift by -1' });
  expect(value('1 << 1000000000')).toEqual({ problem: 'a shift by 1000000000' });
  expect(value('1 / later')).toEqual({ unknown: 'later' });
});

test('escapes in text', () => {
  expect(unquote("'a\\n\\r\\t\\0\\\\\\'\\x41'")).toBe("a\n\r\t\0\\'A");
});

test('sums, products and masks are what BigInt says', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 64n), fc.bigInt(0n, 2n ** 64n), fc.bigInt(1n, 2n ** 64n), (a, b, c) => {
      expect(value(`${a} + 0x${b.toString(16)} * ${c} - (${a} ^ ${b}) / ${c}`)).toBe(a + b * c - (a ^ b) / c);
    }),
  );
});
