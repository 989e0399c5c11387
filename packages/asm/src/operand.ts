import { evaluate, type Lookup } from './expression.ts';
import { type Register, registerNamed } from './registers.ts';

/** A memory operand as written: `dword fs:[rbx + rcx*4 + 8]`. */
export interface MemoryOperand {
  readonly kind: 'memory';
  /** 0 where no size was said. */
  readonly bytes: number;
  /** Segment register number or -1. */
  readonly segment: number;
  readonly base: Register | undefined;
  readonly index: Register | undefined;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: bigint;
  /** `[rel x]`: x is an address, to be reached relative to RIP. */
  readonly relative: boolean;
  /** `far [x]`: a pointer with a selector. */
  readonly isFar: boolean;
  /** The displacement is not known yet: 0 until it is. */
  readonly isForward: boolean;
}

/** An operand as written, with names looked up. */
export type AsmOperand =
  | { readonly kind: 'register'; readonly register: Register }
  | {
      readonly kind: 'immediate';
      readonly value: bigint;
      readonly isForward: boolean;
      readonly bytes: number;
      readonly distance: '' | 'short' | 'near';
    }
  | { readonly kind: 'far'; readonly selector: bigint; readonly offset: bigint }
  | MemoryOperand;

const SIZES: Readonly<Record<string, number>> = {
  byte: 1,
  word: 2,
  dword: 4,
  fword: 6,
  qword: 8,
  tword: 10,
  tbyte: 10,
  oword: 16,
  xmmword: 16,
  yword: 32,
  ymmword: 32,
};

/** Reports a mistake in the source; never returns. */
export type Complain = (message: string, hint: string) => never;

/** Splits at commas outside of brackets and quotes. */
export function splitOperands(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let part = '';
  for (const [i, character] of [...text].entries()) {
    if (quote !== '') {
      if (character === quote && text[i - 1] !== '\\') quote = '';
    } else if (character === "'" || character === '"') quote = character;
    else if (character === '[' || character === '(') depth++;
    else if (character === ']' || character === ')') depth--;
    if (character === ',' && depth === 0 && quote === '') {
      parts.push(part.trim());
      part = '';
    } else part += character;
  }
  if (part.trim() !== '' || parts.length > 0) parts.push(part.trim());
  return parts;
}

function value(text: string, lookup: Lookup, final: boolean, complain: Complain): { value: bigint; isForward: boolean } {
  const result = evaluate(text, lookup);
  if (result === undefined) return complain(`'${text}' is not an operand`, 'Write a register, a number, a label, or memory in brackets.');
  if (typeof result === 'bigint') return { value: result, isForward: false };
  if ('problem' in result) return complain(`${result.problem} in '${text}'`, 'Write an expression that has a value.');
  if (final) return complain(`'${result.unknown}' is not defined`, 'Define it as a label, by equ, or in the symbols handed in.');
  return { value: 0n, isForward: true };
}

/** Parses one operand. `final`: every name must be known by now. */
export function parseOperand(source: string, lookup: Lookup, final: boolean, complain: Complain): AsmOperand {
  let text = source.trim();
  let bytes = 0;
  let distance: '' | 'short' | 'near' = '';
  let isFar = false;
  for (;;) {
    const match = /^([a-z]+)\b\s*(?:ptr\b)?\s*(?=\S)/i.exec(text);
    const word = match?.[1]?.toLowerCase() ?? '';
    if (word in SIZES) bytes = SIZES[word] as number;
    else if (word === 'short' || word === 'near') distance = word;
    else if (word === 'far') isFar = true;
    else break;
    text = text.slice((match as RegExpExecArray)[0].length);
  }
  const register = registerNamed(text);
  if (register !== undefined && register.kind !== 'ip') return { kind: 'register', register };
  const memory = /^(?:([c-gs]s)\s*:\s*)?\[(.*)\]$/i.exec(text);
  if (memory !== null) return { ...parseMemory(memory[2] as string, memory[1], bytes, lookup, final, complain), isFar };
  const far = /^([^:[\]'"]+):([^:[\]'"]+)$/.exec(text);
  if (far !== null) {
    return {
      kind: 'far',
      selector: value(far[1] as string, lookup, final, complain).value,
      offset: value(far[2] as string, lookup, final, complain).value,
    };
  }
  return { kind: 'immediate', ...value(text, lookup, final, complain), bytes, distance };
}

function parseMemory(
  inner: string,
  segmentName: string | undefined,
  bytes: number,
  lookup: Lookup,
  final: boolean,
  complain: Complain,
): MemoryOperand {
  let text = inner.trim();
  let segment = segmentName === undefined ? -1 : (registerNamed(segmentName)?.index ?? -1);
  const within = /^([c-gs]s)\s*:\s*/i.exec(text);
  if (within !== null) {
    segment = registerNamed(within[1] as string)?.index ?? -1;
    text = text.slice(within[0].length);
  }
  let relative = false;
  const rel = /^(rel|abs)\b\s*/i.exec(text);
  if (rel !== null) {
    relative = (rel[1] as string).toLowerCase() === 'rel';
    text = text.slice(rel[0].length);
  }
  let base: Register | undefined;
  let index: Register | undefined;
  let scale: 1 | 2 | 4 | 8 = 1;
  const rest: string[] = [];
  for (const term of text.split(/(?=[+-])/)) {
    const bare = term.replace(/^\+/, '').trim();
    const scaled = /^([a-z]\w*)\s*\*\s*([1248])$/i.exec(bare) ?? /^([1248])\s*\*\s*([a-z]\w*)$/i.exec(bare);
    const [name, factor] =
      scaled === null
        ? [bare, '']
        : /^\d/.test(scaled[1] as string)
          ? [scaled[2] as string, scaled[1] as string]
          : [scaled[1] as string, scaled[2] as string];
    const register = registerNamed(name);
    if (register === undefined) {
      rest.push(term);
    } else if (factor !== '') {
      if (index !== undefined) complain('memory has two index registers', 'Use base + index*scale + displacement.');
      index = register;
      scale = Number(factor) as 1 | 2 | 4 | 8;
    } else if (base === undefined) base = register;
    else if (index === undefined) index = register;
    else complain('memory has three registers', 'Use base + index*scale + displacement.');
  }
  // The stack pointer cannot be an index.
  if (index?.kind === 'gpr' && index.index === 4 && scale === 1) [base, index] = [index, base];
  const displacement = rest.length === 0 ? { value: 0n, isForward: false } : value(rest.join(''), lookup, final, complain);
  return {
    kind: 'memory',
    bytes,
    segment,
    base,
    index,
    scale,
    displacement: displacement.value,
    relative,
    isFar: false,
    isForward: displacement.isForward,
  };
}
