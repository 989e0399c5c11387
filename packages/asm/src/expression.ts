/** Names that an expression may use: labels, `equ` constants, `$` (this statement's address). Undefined: not known (yet). */
export type Lookup = (name: string) => bigint | undefined;

const TOKEN =
  /\s*(0x[0-9a-f_]+|0b[01_]+|0o[0-7_]+|\d[\d_]*|'(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+"|[A-Za-z_.$?][\w.$?]*|<<|>>|[-+*/%&|^~()])/iy;

/** Splits an expression into tokens, or returns undefined where it is none. */
function tokenize(text: string): string[] | undefined {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (match === null) return undefined;
    tokens.push(match[1] as string);
    if (text.slice(TOKEN.lastIndex).trim() === '') break;
  }
  return tokens;
}

const PRECEDENCE: Readonly<Record<string, number>> = { '|': 1, '^': 2, '&': 3, '<<': 4, '>>': 4, '+': 5, '-': 5, '*': 6, '/': 6, '%': 6 };

/** Numbers are far narrower: a wider shift is a mistake, and would fill the host's memory. */
const MAX_SHIFT = 1024n;

/** What is wrong with an operation, or its value. */
function apply(operator: string, a: bigint, b: bigint): bigint | string {
  if ((operator === '/' || operator === '%') && b === 0n) return 'division by zero';
  if ((operator === '<<' || operator === '>>') && (b < 0n || b > MAX_SHIFT)) return `a shift by ${b}`;
  switch (operator) {
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '<<':
      return a << b;
    case '>>':
      return a >> b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    default:
      return a % b;
  }
}

/** Characters of a quoted text with C escapes. */
export function unquote(text: string): string {
  return text.slice(1, -1).replace(/\\(x[0-9a-f]{2}|.)/gi, (_, sequence: string) => {
    if (sequence[0] === 'x' && sequence.length === 3) return String.fromCharCode(Number.parseInt(sequence.slice(1), 16));
    return { n: '\n', r: '\r', t: '\t', '0': '\0' }[sequence] ?? sequence;
  });
}

/** A character constant of up to eight characters, first character lowest, as in NASM. */
function characters(text: string): bigint {
  return [...unquote(text)].reduceRight((value, character) => (value << 8n) | BigInt(character.charCodeAt(0) & 0xff), 0n);
}

/**
 * Evaluates an expression: integers (decimal, 0x, 0b, 0o, 'c'), names, + - * / % & | ^ ~ << >> and parentheses.
 *
 * @returns the value; the first name that `lookup` does not know; what cannot be computed (a division by zero); or undefined where the text is no expression
 */
export function evaluate(text: string, lookup: Lookup): bigint | { unknown: string } | { problem: string } | undefined {
  const tokens = tokenize(text);
  if (tokens === undefined || tokens.length === 0) return undefined;
  let at = 0;
  let unknown: string | undefined;
  let problem: string | undefined;
  const primary = (): bigint | undefined => {
    const token = tokens[at++];
    if (token === undefined) return undefined;
    if (token === '-' || token === '~' || token === '+') {
      const value = primary();
      if (value === undefined) return undefined;
      return token === '-' ? -value : token === '~' ? ~value : value;
    }
    if (token === '(') {
      const value = binary(0);
      return tokens[at++] === ')' ? value : undefined;
    }
    if (token[0] === "'" || token[0] === '"') return characters(token);
    if (/^\d/.test(token)) return BigInt(token.replaceAll('_', ''));
    if (/^[A-Za-z_.$?]/.test(token)) {
      const value = lookup(token);
      if (value === undefined) unknown ??= token;
      return value ?? 0n;
    }
    return undefined;
  };
  const binary = (level: number): bigint | undefined => {
    let left = primary();
    for (;;) {
      const precedence = PRECEDENCE[tokens[at] ?? ''] ?? 0;
      if (left === undefined || precedence <= level) return left;
      const operator = tokens[at++] as string;
      const right = binary(precedence);
      if (right === undefined) return undefined;
      const result = apply(operator, left, right);
      if (typeof result === 'string') problem ??= result;
      left = typeof result === 'string' ? 0n : result;
    }
  };
  const value = binary(0);
  if (value === undefined || at !== tokens.length) return undefined;
  if (unknown !== undefined) return { unknown };
  return problem === undefined ? value : { problem };
}
