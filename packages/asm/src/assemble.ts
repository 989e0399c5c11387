import { type InstructionForm, instructionTable } from '@minusone/x86';
import { dependsOnOperandSize, type Encoded, encodeForm, REX_W } from './encode.ts';
import { AssemblyError } from './errors.ts';
import { evaluate, type Lookup, unquote } from './expression.ts';
import { type AsmOperand, parseOperand, splitOperands } from './operand.ts';
import { registerNamed } from './registers.ts';

/** How to assemble. */
export interface AssembleOptions {
  /** Code size to start with; `bits 16|32|64` in the source changes it. Default 64. */
  readonly bits?: 16 | 32 | 64;
  /** Address of the first byte; `org` in the source changes it. Default 0. */
  readonly origin?: number | bigint;
  /** Constants that the source may name. */
  readonly symbols?: Readonly<Record<string, number | bigint>>;
  /** Instructions to choose from. Default: all that the CPU knows. */
  readonly forms?: readonly InstructionForm[];
}

/** What came out. */
export interface Assembly {
  readonly bytes: Uint8Array;
  readonly origin: bigint;
  /** Addresses of labels and values of `equ` constants. */
  readonly symbols: ReadonlyMap<string, bigint>;
}

const PREFIXES: Readonly<Record<string, number>> = { lock: 0xf0, rep: 0xf3, repe: 0xf3, repz: 0xf3, repne: 0xf2, repnz: 0xf2 };
const SIZE_PREFIXES: Readonly<Record<string, { size: number; address: boolean }>> = {
  o16: { size: 16, address: false },
  o32: { size: 32, address: false },
  o64: { size: 64, address: false },
  a16: { size: 16, address: true },
  a32: { size: 32, address: true },
};
const CONDITION_ALIASES: Readonly<Record<string, string>> = {
  C: 'B', NAE: 'B', NB: 'AE', NC: 'AE', Z: 'E', NZ: 'NE', NA: 'BE', NBE: 'A', PE: 'P', PO: 'NP', NGE: 'L', NL: 'GE', NG: 'LE', NLE: 'G',
}; // biome-ignore format: one list
const ALIASES: Readonly<Record<string, string>> = {
  SAL: 'SHL',
  XLATB: 'XLAT',
  RETN: 'RET',
  LOOPZ: 'LOOPE',
  LOOPNZ: 'LOOPNE',
  WAIT: 'FWAIT',
  INT3: 'INT3',
};
/** A far operand makes another instruction of these. */
const FAR_FORMS: Readonly<Record<string, string>> = { jmp: 'JMPF', call: 'CALLF' };
const DATA: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8 };
const MAX_PASSES = 30;

/** Forms by every mnemonic they answer to (upper case), with the operand size that the mnemonic fixes, or 0. */
type FormIndex = ReadonlyMap<string, readonly { form: InstructionForm; operandBytes: 0 | 2 | 4 | 8; addressBytes: 0 | 2 | 4 | 8 }[]>;
const indexes = new WeakMap<readonly InstructionForm[], FormIndex>();

function indexOf(forms: readonly InstructionForm[]): FormIndex {
  const known = indexes.get(forms);
  if (known !== undefined) return known;
  const index = new Map<string, { form: InstructionForm; operandBytes: 0 | 2 | 4 | 8; addressBytes: 0 | 2 | 4 | 8 }[]>();
  const add = (name: string, form: InstructionForm, operandBytes: 0 | 2 | 4 | 8, addressBytes: 0 | 2 | 4 | 8 = 0): void => {
    const list = index.get(name) ?? [];
    list.push({ form, operandBytes, addressBytes });
    index.set(name, list);
  };
  for (const form of forms) {
    if (form.alternative) continue;
    const { mnemonic } = form;
    if (mnemonic.includes('{size}')) {
      const isByte = form.operands.some(({ method, size }) => (method === 'X' || method === 'Y') && size === 'b');
      if (isByte) add(mnemonic.replace('{size}', 'B'), form, 0);
      else
        for (const [letter, size] of [
          ['W', 2],
          ['D', 4],
          ['Q', 8],
        ] as const)
          add(mnemonic.replace('{size}', letter), form, size);
    } else if (mnemonic.includes('/')) {
      mnemonic.split('/').forEach((name, i) => {
        const bytes = ([2, 4, 8] as const)[i as 0 | 1 | 2];
        add(name, form, form.byAddress ? 0 : bytes, form.byAddress ? bytes : 0);
      });
    } else add(mnemonic, form, 0);
  }
  indexes.set(forms, index);
  return index;
}

/** The table's name for a mnemonic as written. */
function canonical(mnemonic: string, index: FormIndex): string {
  const upper = mnemonic.toUpperCase();
  if (index.has(upper)) return upper;
  const conditional = /^(J|SET|CMOV)(\w+)$/.exec(upper);
  const alias = conditional === null ? undefined : CONDITION_ALIASES[conditional[2] as string];
  if (alias !== undefined) return `${(conditional as RegExpExecArray)[1]}${alias}`;
  return ALIASES[upper] ?? upper;
}

/** One line of source: label, words, line number. */
interface Statement {
  readonly line: number;
  readonly source: string;
  readonly label: string | undefined;
  readonly text: string;
}

function withoutComment(line: string): string {
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const character = line[i] as string;
    if (quote !== '') {
      if (character === quote && line[i - 1] !== '\\') quote = '';
    } else if (character === "'" || character === '"') quote = character;
    else if (character === ';') return line.slice(0, i);
  }
  return line;
}

function parseStatements(source: string): Statement[] {
  return source.split('\n').flatMap((raw, i) => {
    let text = withoutComment(raw).trim();
    const statements: Statement[] = [];
    for (;;) {
      const label = /^([A-Za-z_.$?][\w.$?]*):(?!:)\s*/.exec(text);
      // `es:` before a bracket is a segment, not a label.
      if (label === null || registerNamed(label[1] as string) !== undefined) break;
      statements.push({ line: i + 1, source: raw, label: label[1], text: '' });
      text = text.slice(label[0].length);
    }
    if (text !== '') statements.push({ line: i + 1, source: raw, label: undefined, text });
    return statements;
  });
}

/**
 * Assembles Intel-syntax source (NASM's flavour) with the CPU's own instruction table.
 *
 * Statements: `label:`, instructions, `db dw dd dq` (numbers, strings), `times N statement`, `align N [, fill byte]`, `org`, `bits`, `name equ value`.
 * Jumps take their shortest form; `short` and `near` force one. `[rel label]` is RIP-relative.
 *
 * @throws {AssemblyError} naming the line
 */
export function assemble(source: string, options: AssembleOptions = {}): Assembly {
  const assembler = new Assembler(parseStatements(source), options);
  return assembler.run();
}

class Assembler {
  readonly #statements: readonly Statement[];
  readonly #options: AssembleOptions;
  readonly #index: FormIndex;
  /** Label addresses of the previous pass. */
  #previous = new Map<string, bigint>();
  #symbols = new Map<string, bigint>();
  /** Sizes that statements had so far: they only grow, so that the passes come to an end. */
  readonly #sizes: number[] = [];
  #scope = '';

  constructor(statements: readonly Statement[], options: AssembleOptions) {
    this.#statements = statements;
    this.#options = options;
    this.#index = indexOf(options.forms ?? instructionTable.forms);
  }

  run(): Assembly {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      this.#pass(false);
      const stable = pass > 0 && [...this.#symbols].every(([name, value]) => this.#previous.get(name) === value);
      this.#previous = this.#symbols;
      if (stable) {
        const final = this.#pass(true);
        return { bytes: final.bytes, origin: final.origin, symbols: this.#symbols };
      }
    }
    throw new AssemblyError('labels do not settle', 0, '', 'An expression depends on its own size; break the cycle.');
  }

  #pass(final: boolean): { bytes: Uint8Array; origin: bigint } {
    const bytes: number[] = [];
    let origin = BigInt(this.#options.origin ?? 0);
    let bits = this.#options.bits ?? 64;
    this.#symbols = new Map();
    this.#scope = '';
    for (const [i, statement] of this.#statements.entries()) {
      const address = origin + BigInt(bytes.length);
      if (statement.label !== undefined) {
        this.#define(statement, statement.label, address);
        continue;
      }
      const constant = /^([A-Za-z_.$?][\w.$?]*)\s+equ\s+(.+)$/i.exec(statement.text);
      if (constant !== null) {
        this.#symbols.set(this.#qualified(constant[1] as string), this.#number(constant[2] as string, statement, address, final));
        continue;
      }
      const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(statement.text) as unknown as [string, string, string];
      const directive = word.toLowerCase();
      if (directive === 'bits') {
        bits = Number(rest) as 16 | 32 | 64;
        if (![16, 32, 64].includes(bits)) throw this.#error(statement, `bits ${rest}`, 'Use 16, 32 or 64.');
      } else if (directive === 'org') {
        if (bytes.length > 0) throw this.#error(statement, 'org after code', 'Put org before the first byte; use times or align for gaps.');
        origin = this.#number(rest, statement, address, final);
      } else {
        const emitted = this.#emit(statement, statement.text, address, bits, final, i);
        for (const byte of emitted) bytes.push(byte);
      }
    }
    return { bytes: Uint8Array.from(bytes), origin };
  }

  /** A label that begins with a dot belongs to the last one that does not. */
  #qualified(name: string): string {
    return name.startsWith('.') ? `${this.#scope}${name}` : name;
  }

  #define(statement: Statement, name: string, address: bigint): void {
    if (!name.startsWith('.')) this.#scope = name;
    const full = this.#qualified(name);
    if (this.#symbols.has(full))
      throw this.#error(statement, `'${name}' is defined twice`, 'Rename one; names with a leading dot are local.');
    this.#symbols.set(full, address);
  }

  #lookup(address: bigint): Lookup {
    return (name) => {
      if (name === '$') return address;
      if (name === '$$') return BigInt(this.#options.origin ?? 0);
      const full = this.#qualified(name);
      const given = this.#options.symbols?.[name];
      return this.#symbols.get(full) ?? this.#previous.get(full) ?? (given === undefined ? undefined : BigInt(given));
    };
  }

  #error(statement: Statement, message: string, hint: string): AssemblyError {
    return new AssemblyError(message, statement.line, statement.source, hint);
  }

  #number(text: string, statement: Statement, address: bigint, final: boolean): bigint {
    const result = evaluate(text, this.#lookup(address));
    if (typeof result === 'bigint') return result;
    if (result === undefined) throw this.#error(statement, `'${text}' is not a number`, 'Write an integer expression.');
    if (final)
      throw this.#error(statement, `'${result.unknown}' is not defined`, 'Define it as a label, by equ, or in the symbols handed in.');
    return 0n;
  }

  #emit(statement: Statement, text: string, address: bigint, bits: 16 | 32 | 64, final: boolean, slot: number): number[] {
    const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(text) as unknown as [string, string, string];
    const directive = word.toLowerCase();
    if (directive in DATA) return this.#data(statement, rest, DATA[directive] as number, address, final);
    if (directive === 'align') {
      const [to, fill] = splitOperands(rest);
      const alignment = Number(this.#number(to ?? '', statement, address, final));
      const count = (alignment - Number(address % BigInt(Math.max(alignment, 1)))) % Math.max(alignment, 1);
      return new Array<number>(count).fill(fill === undefined ? 0x90 : Number(this.#number(fill, statement, address, final)));
    }
    if (directive === 'times') {
      const [, count, inner] = /^(\S+|\(.*?\))\s+(.*)$/s.exec(rest) ?? [];
      const bytes: number[] = [];
      const n = Number(this.#number(count ?? '', statement, address, final));
      for (let i = 0; i < n; i++)
        for (const byte of this.#emit(statement, inner ?? '', address + BigInt(bytes.length), bits, final, -1)) bytes.push(byte);
      return bytes;
    }
    const encoded = this.#instruction(statement, text, address, bits, final);
    if (slot < 0) return encoded;
    // A statement that shrank is filled with NOPs: sizes only grow.
    const size = Math.max(this.#sizes[slot] ?? 0, encoded.length);
    this.#sizes[slot] = size;
    while (encoded.length < size) encoded.push(0x90);
    return encoded;
  }

  #data(statement: Statement, text: string, width: number, address: bigint, final: boolean): number[] {
    const bytes: number[] = [];
    for (const item of splitOperands(text)) {
      const quoted = /^(['"]).*\1$/s.test(item) && (item[0] === '"' || item.length > 3 + width);
      if (quoted || (/^'.*'$/s.test(item) && width === 1)) {
        for (const byte of new TextEncoder().encode(unquote(item))) bytes.push(byte);
        while (bytes.length % width !== 0) bytes.push(0);
      } else {
        const value = this.#number(item, statement, address, final);
        for (let i = 0; i < width; i++) bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
      }
    }
    return bytes;
  }

  #instruction(statement: Statement, text: string, address: bigint, bits: 16 | 32 | 64, final: boolean): number[] {
    const prefixes: number[] = [];
    let rest = text;
    let forced: 0 | 2 | 4 | 8 = 0;
    let word = '';
    for (;;) {
      const match = /^([A-Za-z]\w*)\s*/.exec(rest);
      if (match === null) throw this.#error(statement, `'${rest}' is not an instruction`, 'Begin with a mnemonic.');
      word = match[1] as string;
      rest = rest.slice((match as RegExpExecArray)[0].length);
      const lower = word.toLowerCase();
      if (lower in PREFIXES) prefixes.push(PREFIXES[lower] as number);
      else if (lower in SIZE_PREFIXES) {
        const { size, address: isAddress } = SIZE_PREFIXES[lower] as { size: number; address: boolean };
        if (isAddress) {
          if (size !== bits) prefixes.push(0x67);
        } else {
          forced = (size / 8) as 2 | 4 | 8;
          if (size === 64) prefixes.push(REX_W);
          else if (size !== (bits === 64 ? 32 : bits)) prefixes.push(0x66);
        }
      } else break;
      if (rest.trim() === '') return prefixes.filter((byte) => byte !== REX_W);
    }
    const complain = (message: string, hint: string): never => {
      throw this.#error(statement, message, hint);
    };
    const lookup = this.#lookup(address);
    const operands: AsmOperand[] = splitOperands(rest).map((part) => parseOperand(part, lookup, final, complain));
    const isFar = operands.some((operand) => operand.kind === 'far' || (operand.kind === 'memory' && operand.isFar));
    const mnemonic = canonical(isFar ? (FAR_FORMS[word.toLowerCase()] ?? word) : word, this.#index);
    const candidates = this.#index.get(mnemonic);
    if (candidates === undefined) return complain(`the mnemonic '${word}' is unknown`, 'See the coverage page for what the CPU knows.');
    const unsized = operands.some((operand) => operand.kind === 'memory' && operand.bytes === 0);
    let best: Encoded | undefined;
    const memorySizes = new Set<number>();
    for (const { form, operandBytes, addressBytes } of candidates) {
      if (bits === 64 ? addressBytes === 2 : addressBytes === 8) continue;
      const formPrefixes = addressBytes === 0 || addressBytes * 8 === bits ? prefixes : [...prefixes, 0x67];
      const sizes: readonly (2 | 4 | 8)[] =
        forced !== 0
          ? [forced]
          : operandBytes !== 0
            ? [operandBytes]
            : dependsOnOperandSize(form)
              ? bits === 64
                ? form.size64 === 'normal'
                  ? [4, 2, 8]
                  : [8, 4, 2]
                : bits === 32
                  ? [4, 2]
                  : [2, 4]
              : [bits === 16 ? 2 : 4];
      // Where the operands leave the size open (`push 0x1234`), the mode's own size holds: the first that fits, not the shortest.
      let fits: Encoded | undefined;
      for (const size of sizes) {
        if (size === 8 && bits !== 64) continue;
        const encoded = encodeForm(form, operands, size, { bits, address, prefixes: formPrefixes });
        if (encoded === undefined) continue;
        if (encoded.memoryBytes > 0) memorySizes.add(encoded.memoryBytes);
        fits ??= encoded;
      }
      if (fits !== undefined && (best === undefined || fits.bytes.length < best.bytes.length)) best = fits;
    }
    if (best === undefined) {
      // Before the labels have settled a short jump may seem out of reach.
      return complain('no encoding fits these operands', `Check operand sizes and kinds for ${mnemonic} in ${bits}-bit code.`);
    }
    if (unsized && memorySizes.size > 1) {
      return complain(
        'the size of the memory operand is ambiguous',
        `Write ${[...memorySizes].map((n) => ({ 1: 'byte', 2: 'word', 4: 'dword', 8: 'qword', 10: 'tword', 16: 'oword' })[n] ?? n).join(' or ')} before it.`,
      );
    }
    return best.bytes;
  }
}
