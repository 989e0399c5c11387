import { type InstructionForm, instructionTable } from '@minusone/x86';
import { AssemblyError } from './errors.ts';
import { evaluate, type Lookup, unquote } from './expression.ts';
import { assembleInstruction } from './instruction.ts';
import { type FormIndex, indexOf } from './mnemonics.ts';
import { splitOperands } from './operand.ts';
import { parseStatements, type Statement } from './statements.ts';

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

const DATA: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8 };
const MAX_PASSES = 30;
/** No machine has more memory to put it into: a `times` that would make more is a mistake. */
const MAX_BYTES = 2 ** 26;
const NOP = 0x90;

/**
 * Assembles Intel-syntax source (NASM's flavour) with the CPU's own instruction table.
 *
 * Statements: `label:`, instructions, `db dw dd dq` (numbers, strings), `times N statement`, `align N [, fill byte]`, `org`, `bits`, `name equ value`.
 * Labels that begin with a dot belong to the last one that does not. Jumps take their shortest form; `short` and `near` force one. `[rel label]` is RIP-relative.
 *
 * @throws {AssemblyError} naming the line
 * @example assemble('loop: dec ecx\n jnz loop', { bits: 32 }).bytes // 49 75 fd
 */
export function assemble(source: string, options: AssembleOptions = {}): Assembly {
  return new Assembler(parseStatements(source), options).run();
}

/** What a statement is assembled for. */
interface Place {
  readonly statement: Statement;
  readonly address: bigint;
  readonly bits: 16 | 32 | 64;
  /** The last pass: every name must be known. */
  readonly final: boolean;
}

/** Assembles in passes until no label moves. The first takes what is not known yet for near, so that statements only ever grow. */
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
  #origin = 0n;

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
      if (stable) return { bytes: this.#pass(true), origin: this.#origin, symbols: this.#symbols };
    }
    throw new AssemblyError('labels do not settle', 0, '', 'An expression depends on its own size; break the cycle.');
  }

  #pass(final: boolean): Uint8Array {
    const bytes: number[] = [];
    let bits = this.#options.bits ?? 64;
    this.#origin = BigInt(this.#options.origin ?? 0);
    this.#symbols = new Map();
    this.#scope = '';
    for (const [i, statement] of this.#statements.entries()) {
      const place = { statement, address: this.#origin + BigInt(bytes.length), bits, final };
      if (statement.label !== undefined) {
        if (!statement.label.startsWith('.')) this.#scope = statement.label;
        this.#define(statement, statement.label, place.address);
        continue;
      }
      const constant = /^([A-Za-z_.$?][\w.$?]*)\s+equ\s+(.+)$/i.exec(statement.text);
      const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(statement.text) as unknown as [string, string, string];
      if (constant !== null) this.#define(statement, constant[1] as string, this.#number(constant[2] as string, place));
      else if (word.toLowerCase() === 'bits') {
        bits = Number(rest) as 16 | 32 | 64;
        if (![16, 32, 64].includes(bits)) throw this.#error(statement, `bits ${rest}`, 'Use 16, 32 or 64.');
      } else if (word.toLowerCase() === 'org') {
        if (bytes.length > 0) throw this.#error(statement, 'org after code', 'Put org before the first byte; use times or align for gaps.');
        this.#origin = this.#number(rest, place);
      } else {
        for (const byte of this.#emit(place, statement.text, i)) bytes.push(byte);
        if (bytes.length > MAX_BYTES) throw this.#error(statement, 'more than 64 MiB', 'Put what is that large into memory by itself.');
      }
    }
    return Uint8Array.from(bytes);
  }

  /** A label that begins with a dot belongs to the last one that does not. */
  #qualified(name: string): string {
    return name.startsWith('.') ? `${this.#scope}${name}` : name;
  }

  #define(statement: Statement, name: string, value: bigint): void {
    const full = this.#qualified(name);
    if (this.#symbols.has(full))
      throw this.#error(statement, `'${name}' is defined twice`, 'Rename one; names with a leading dot are local.');
    this.#symbols.set(full, value);
  }

  #lookup(address: bigint): Lookup {
    return (name) => {
      if (name === '$') return address;
      if (name === '$$') return this.#origin;
      const full = this.#qualified(name);
      const given = this.#options.symbols?.[name];
      return this.#symbols.get(full) ?? this.#previous.get(full) ?? (given === undefined ? undefined : BigInt(given));
    };
  }

  #error(statement: Statement, message: string, hint: string): AssemblyError {
    return new AssemblyError(message, statement.line, statement.source, hint);
  }

  /** The value of an expression; 0 while a name is not known yet. */
  #number(text: string, { statement, address, final }: Place): bigint {
    const result = evaluate(text, this.#lookup(address));
    if (typeof result === 'bigint') return result;
    if (result === undefined) throw this.#error(statement, `'${text}' is not a number`, 'Write an integer expression.');
    if ('problem' in result) throw this.#error(statement, `${result.problem} in '${text}'`, 'Write an expression that has a value.');
    if (final)
      throw this.#error(statement, `'${result.unknown}' is not defined`, 'Define it as a label, by equ, or in the symbols handed in.');
    return 0n;
  }

  /** Bytes of one statement. `slot` is its place in `#sizes`, or -1. */
  #emit(place: Place, text: string, slot: number): number[] {
    const { statement, address, bits, final } = place;
    const [, word, rest] = /^(\S+)\s*(.*)$/s.exec(text) as unknown as [string, string, string];
    const directive = word.toLowerCase();
    if (directive in DATA) return this.#data(place, rest, DATA[directive] as number);
    if (directive === 'align') return this.#align(place, rest);
    if (directive === 'times') return this.#times(place, rest);
    const encoded = assembleInstruction(text, {
      index: this.#index,
      bits,
      address,
      final,
      lookup: this.#lookup(address),
      complain: (message, hint) => {
        throw this.#error(statement, message, hint);
      },
    });
    if (slot < 0) return encoded;
    // A statement that shrank is filled with NOPs: sizes only grow.
    const size = Math.max(this.#sizes[slot] ?? 0, encoded.length);
    this.#sizes[slot] = size;
    while (encoded.length < size) encoded.push(NOP);
    return encoded;
  }

  #align(place: Place, text: string): number[] {
    const [to, fill] = splitOperands(text);
    const alignment = this.#number(to ?? '', place);
    if (alignment < 1n || alignment > MAX_BYTES || (alignment & (alignment - 1n)) !== 0n)
      throw this.#error(place.statement, `align ${alignment}`, 'Use a power of two.');
    const byte = fill === undefined ? NOP : Number(this.#number(fill, place) & 0xffn);
    return new Array<number>(Number(-place.address & (alignment - 1n))).fill(byte);
  }

  #times(place: Place, text: string): number[] {
    const { countText, inner } = this.#splitTimes(place, text);
    const count = this.#number(countText, place);
    if (count < 0n || count > MAX_BYTES) throw this.#error(place.statement, `times ${count}`, 'Use a count from 0 to 67108864.');
    const bytes: number[] = [];
    let last: number[] | undefined;
    for (let i = 0; i < count; i++) {
      const emitted = this.#emit({ ...place, address: place.address + BigInt(bytes.length) }, inner, -1);
      // Only `$` and relative targets tell one repetition from the next: two that are equal speak for all.
      const isSame = last?.length === emitted.length && last.every((byte, at) => byte === emitted[at]) && !inner.includes('$');
      const repetitions = isSame ? Number(count) - i : 1;
      if (bytes.length + emitted.length * repetitions > MAX_BYTES)
        throw this.#error(place.statement, 'more than 64 MiB', 'Use a smaller count.');
      for (let n = 0; n < repetitions; n++) for (const byte of emitted) bytes.push(byte);
      if (isSame) break;
      last = emitted;
    }
    return bytes;
  }

  /** The count ends where an expression does and a word follows: `510 - ($ - $$) db 0`. */
  #splitTimes(place: Place, text: string): { countText: string; inner: string } {
    for (const blank of text.matchAll(/\s+(?=[A-Za-z])/g)) {
      const countText = text.slice(0, blank.index);
      if (evaluate(countText, this.#lookup(place.address)) !== undefined) {
        return { countText, inner: text.slice(blank.index + blank[0].length) };
      }
    }
    throw this.#error(place.statement, `times ${text}`, 'Write a count and a statement: times 4 nop.');
  }

  #data(place: Place, text: string, width: number): number[] {
    const bytes: number[] = [];
    for (const item of splitOperands(text)) {
      if (isString(item, width)) {
        for (const byte of new TextEncoder().encode(unquote(item))) bytes.push(byte);
        while (bytes.length % width !== 0) bytes.push(0);
        continue;
      }
      const value = this.#number(item, place);
      const bits = BigInt(8 * width);
      if (value >= 1n << bits || value < -(1n << (bits - 1n)))
        throw this.#error(place.statement, `${value} (0x${value.toString(16)}) is out of range`, `Use a number of ${bits} bits.`);
      for (let i = 0; i < width; i++) bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
    }
    return bytes;
  }
}

/** Text in double quotes is a string; in single quotes it is a number where it fits one wider than a byte, as in NASM. */
function isString(item: string, width: number): boolean {
  if (/^"(?:[^"\\]|\\.)*"$/s.test(item)) return true;
  return /^'(?:[^'\\]|\\.)*'$/s.test(item) && (width === 1 || unquote(item).length > width);
}
