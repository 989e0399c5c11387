export type { AssembleOptions, Assembly } from './assemble.ts';
export { assemble } from './assemble.ts';
export { AssemblyError } from './errors.ts';
export type { AsmTag, AsmValue } from './tag.ts';
export { asm16, asm32, asm64 } from './tag.ts';
