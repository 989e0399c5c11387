import { describe, expect, test } from 'vitest';
import { oneOf, parseOptions, seconds, wholeNumber } from './option.ts';

const ROWS = [
  { name: 'file', value: 'FILE', help: '' },
  { name: 'quiet', help: '' },
];

describe('parseOptions', () => {
  test('values by space or by =; switches; operands anywhere', () => {
    const options = parseOptions('test', ROWS, ['one', '--file', 'a', '--quiet', 'two'], 2);
    expect([options.value('file'), options.isSet('quiet'), options.operands]).toEqual(['a', true, ['one', 'two']]);
    expect(parseOptions('test', ROWS, ['--file=a=b']).value('file')).toBe('a=b');
  });

  test("a value may be '-', or begin with a dash, or be empty", () => {
    for (const value of ['-', '-x', '--quiet']) expect(parseOptions('test', ROWS, [`--file=${value}`]).value('file')).toBe(value);
    expect(parseOptions('test', ROWS, ['--file', '-']).value('file')).toBe('-');
    expect(parseOptions('test', ROWS, ['--file', '-x']).value('file')).toBe('-x');
    expect(parseOptions('test', ROWS, ['--file', '']).value('file')).toBe('');
  });

  test('the last one counts', () => {
    expect(parseOptions('test', ROWS, ['--file', 'a', '--file', 'b']).value('file')).toBe('b');
  });

  test('what is not given is not set', () => {
    const options = parseOptions('test', ROWS, []);
    expect([options.value('file'), options.isSet('file'), options.isSet('quiet')]).toEqual([undefined, false, false]);
  });

  test('--no-quiet and --__proto__ are no options', () => {
    for (const option of ['--no-quiet', '--__proto__', '--constructor', '-f', '-quiet'])
      expect(() => parseOptions('test', ROWS, [option])).toThrow(/There is no option/);
  });

  test('after -- there are only operands', () => {
    expect(parseOptions('test', ROWS, ['--', '--file'], 1).operands).toEqual(['--file']);
  });
});

describe('values', () => {
  test('whole numbers are decimal or hexadecimal', () => {
    expect([wholeNumber('x', '10', 0, 20), wholeNumber('x', '0x10', 0, 20), wholeNumber('x', '0', 0, 0)]).toEqual([10, 16, 0]);
  });
  test.each(['', ' 1', '1e1', '-1', '1.0', '0x', '0b1', '21', '99999999999999999999', 'NaN'])(
    '%j is no whole number from 0 to 20',
    (text) => {
      expect(() => wholeNumber('x', text, 0, 20)).toThrow(/no possible x.*from 0 to 20/);
    },
  );
  test('seconds may have a fraction', () => {
    expect([seconds('time', '2'), seconds('time', '0.25')]).toEqual([2, 0.25]);
  });
  test.each(['', '0', '0.0', '-1', 'soon', 'Infinity', '1e3', '9999999'])('%j is no time', (text) => {
    expect(() => seconds('time', text)).toThrow(/no possible time/);
  });
  test('one of several words', () => {
    expect(oneOf('fruit', 'pear', ['apple', 'pear'])).toBe('pear');
    expect(() => oneOf('fruit', 'stone', ['apple', 'pear'])).toThrow("There is no fruit 'stone'. Use apple or pear.");
  });
});
