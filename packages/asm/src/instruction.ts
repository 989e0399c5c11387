import { dependsOnOperandSize, type EncodeContext, type Encoded, encodeForm, REX_W } from './encode.ts';
import type { Lookup } from './expression.ts';
import { canonical, FAR_FORMS, type FormIndex, PREFIXES, SIZE_PREFIXES } from './mnemonics.ts';
import { type AsmOperand, type Complain, parseOperand, splitOperands } from './operand.ts';

/** Where an instruction stands and what it may name. */
export interface InstructionContext {
  readonly index: FormIndex;
  readonly bits: 16 | 32 | 64;
  readonly address: bigint;
  readonly lookup: Lookup;
  /** Every name must be known by now. */
  readonly final: boolean;
  readonly complain: Complain;
}

type OperandBytes = 2 | 4 | 8;

const SIZE_WORDS: Readonly<Record<number, string>> = {
  1: 'byte',
  2: 'word',
  4: 'dword',
  6: 'fword',
  8: 'qword',
  10: 'tword',
  16: 'oword',
  32: 'yword',
};

/** What stands before the operands. */
interface Head {
  readonly prefixes: readonly number[];
  /** Operand size that a prefix word forces, or 0. */
  readonly forcedBytes: 0 | OperandBytes;
  /** Empty where there are prefixes only. */
  readonly mnemonic: string;
  readonly operands: string;
}

function parseHead(text: string, { bits, complain }: InstructionContext): Head {
  const prefixes: number[] = [];
  let forcedBytes: 0 | OperandBytes = 0;
  let rest = text;
  while (rest !== '') {
    const match = /^([A-Za-z]\w*)(?=\s|$)\s*/.exec(rest);
    if (match === null) return complain(`'${rest}' is not an instruction`, 'Begin with a mnemonic.');
    const word = match[1] as string;
    const lower = word.toLowerCase();
    rest = rest.slice(match[0].length);
    const prefix = PREFIXES[lower];
    const size = SIZE_PREFIXES[lower];
    if (prefix !== undefined) prefixes.push(prefix);
    else if (size === undefined) return { prefixes, forcedBytes, mnemonic: word, operands: rest };
    else if (size.address) {
      if (size.size !== bits) prefixes.push(0x67);
    } else {
      forcedBytes = (size.size / 8) as OperandBytes;
      if (size.size === 64) prefixes.push(REX_W);
      else if (size.size !== (bits === 64 ? 32 : bits)) prefixes.push(0x66);
    }
  }
  return { prefixes, forcedBytes, mnemonic: '', operands: '' };
}

/** Operand sizes to try, the mode's own first. */
function sizesToTry(form: Parameters<typeof dependsOnOperandSize>[0], bits: 16 | 32 | 64): readonly OperandBytes[] {
  if (!dependsOnOperandSize(form)) return [bits === 16 ? 2 : 4];
  if (bits === 16) return [2, 4];
  if (bits === 32) return [4, 2];
  return form.size64 === 'normal' ? [4, 2, 8] : [8, 4, 2];
}

/** The address is asked for only where the encoding depends on it. */
function encodeContextOf(prefixes: readonly number[], context: InstructionContext): EncodeContext {
  return {
    bits: context.bits,
    prefixes,
    get address() {
      return context.address;
    },
  };
}

/** The shortest encoding, and the sizes that the memory operand could have. */
function choose(
  mnemonic: string,
  head: Head,
  operands: readonly AsmOperand[],
  context: InstructionContext,
): { best: Encoded | undefined; memorySizes: Set<number> } {
  const { bits } = context;
  const memorySizes = new Set<number>();
  const usual = encodeContextOf(head.prefixes, context);
  let otherAddresses: EncodeContext | undefined;
  let best: Encoded | undefined;
  for (const { form, operandBytes, addressBytes } of context.index.get(mnemonic) ?? []) {
    if (bits === 64 ? addressBytes === 2 : addressBytes === 8) continue;
    const encodeContext =
      addressBytes === 0 || addressBytes * 8 === bits ? usual : (otherAddresses ??= encodeContextOf([...head.prefixes, 0x67], context));
    const sizes = head.forcedBytes !== 0 ? [head.forcedBytes] : operandBytes !== 0 ? [operandBytes] : sizesToTry(form, bits);
    // JMP and CALL through memory that has no size take the mode's own.
    const usesDefault =
      operands.some((operand) => operand.kind === 'memory' && operand.isFar) || form.flow === 'indirect' || form.flow === 'jump';
    // Where the operands leave the size open (`push 0x1234`), the mode's own size holds: the first that fits, not the shortest.
    let fits: Encoded | undefined;
    for (const size of sizes) {
      if (size === 8 && bits !== 64) continue;
      const encoded = encodeForm(form, operands, size, encodeContext);
      if (encoded === undefined) continue;
      if (encoded.memoryBytes > 0 && (fits === undefined || !usesDefault)) memorySizes.add(encoded.memoryBytes);
      fits ??= encoded;
    }
    if (fits !== undefined && (best === undefined || fits.bytes.length < best.bytes.length)) best = fits;
  }
  return { best, memorySizes };
}

/** Encodings of instructions that depend on no place and no name, by code size and text. */
const known = new WeakMap<FormIndex, Map<string, readonly number[]>>();
const MOST_KNOWN = 20_000;

/** Encodes one instruction with its prefixes, or takes what it was encoded as before: the passes of an assembly, and many sources, say the same again. */
export function assembleInstruction(text: string, context: InstructionContext): number[] {
  const { index, bits, final, complain } = context;
  let cache = known.get(index);
  if (cache === undefined) {
    cache = new Map();
    known.set(index, cache);
  }
  const key = `${bits} ${text}`;
  const before = cache.get(key);
  if (before !== undefined) return [...before];
  let depends = false;
  const bytes = encodeInstruction(text, {
    index,
    bits,
    final,
    complain,
    get address() {
      depends = true;
      return context.address;
    },
    lookup: (name) => {
      depends = true;
      return context.lookup(name);
    },
  });
  if (depends) return bytes;
  if (cache.size >= MOST_KNOWN) cache.clear();
  cache.set(key, [...bytes]);
  return bytes;
}

/** Encodes one instruction; prefixes alone are bytes too. Complains, naming what is wrong, where there is no such instruction. */
function encodeInstruction(text: string, context: InstructionContext): number[] {
  const { complain, bits } = context;
  const head = parseHead(text, context);
  if (head.mnemonic === '') return head.prefixes.filter((byte) => byte !== REX_W);
  const operands = splitOperands(head.operands).map((part) => parseOperand(part, context.lookup, context.final, complain));
  const isFar = operands.some((operand) => operand.kind === 'far' || (operand.kind === 'memory' && operand.isFar));
  const mnemonic = canonical(isFar ? (FAR_FORMS[head.mnemonic.toLowerCase()] ?? head.mnemonic) : head.mnemonic, context.index);
  if (!context.index.has(mnemonic))
    return complain(`the mnemonic '${head.mnemonic}' is unknown`, 'See the coverage page for what the CPU knows.');
  const { best, memorySizes } = choose(mnemonic, head, operands, context);
  if (best === undefined) {
    const withoutValues = operands.map((operand) => (operand.kind === 'immediate' ? { ...operand, value: 0n, isForward: true } : operand));
    const value = operands.find((operand) => operand.kind === 'immediate')?.value;
    if (value !== undefined && choose(mnemonic, head, withoutValues, context).best !== undefined) {
      return complain(
        `${value} (0x${BigInt.asUintN(64, value).toString(16)}) is out of range`,
        'Use a wider operand, or a jump that reaches further.',
      );
    }
    return complain('no encoding fits these operands', `Check operand sizes and kinds for ${mnemonic} in ${bits}-bit code.`);
  }
  const isUnsized = operands.some((operand) => operand.kind === 'memory' && operand.bytes === 0);
  if (isUnsized && memorySizes.size > 1) {
    const words = [...memorySizes].sort((a, b) => a - b).map((bytes) => SIZE_WORDS[bytes] ?? bytes);
    return complain('the size of the memory operand is ambiguous', `Write ${words.join(' or ')} before it.`);
  }
  return best.bytes;
}
