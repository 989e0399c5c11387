import { type AssembleOptions, type Assembly, assemble } from './assemble.ts';

/** What may stand in `${}`: numbers and text are put into the source as they are, bytes become data. */
export type AsmValue = number | bigint | string | Uint8Array;

/** A tagged template that assembles. */
export interface AsmTag {
  (strings: TemplateStringsArray, ...values: AsmValue[]): Uint8Array;
  /** The same with an address for the first byte and constants. */
  with(options: Omit<AssembleOptions, 'bits'>): AsmTag;
  /** As the tag, but returns labels too. */
  assembly(strings: TemplateStringsArray, ...values: AsmValue[]): Assembly;
}

function sourceOf(strings: TemplateStringsArray, values: readonly AsmValue[]): string {
  return strings.raw.reduce((source, text, i) => {
    const value = values[i - 1];
    return source + (value instanceof Uint8Array ? `db ${[...value].join(',')}` : String(value)) + text;
  });
}

function tag(options: AssembleOptions): AsmTag {
  const assembly = (strings: TemplateStringsArray, ...values: AsmValue[]): Assembly => assemble(sourceOf(strings, values), options);
  return Object.assign((strings: TemplateStringsArray, ...values: AsmValue[]) => assembly(strings, ...values).bytes, {
    assembly,
    with: (more: Omit<AssembleOptions, 'bits'>) => tag({ ...options, ...more }),
  });
}

/** Assembles 16-bit code. @example asm16`mov al, 1` */
export const asm16: AsmTag = tag({ bits: 16 });
/** Assembles 32-bit code. */
export const asm32: AsmTag = tag({ bits: 32 });
/** Assembles 64-bit code. @example asm64.with({ origin: 0x1000 })`lea rax, [rel there] \n there: hlt` */
export const asm64: AsmTag = tag({ bits: 64 });
