import { type AssembleOptions, assemble } from '../assemble.ts';

/** Bytes as hexadecimal text. */
export const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** What a source assembles to, as hexadecimal text. */
export const assembled = (source: string, options: AssembleOptions = {}): string => hex(assemble(source, options).bytes);
