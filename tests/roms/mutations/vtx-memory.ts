import type { Mutation } from '../rom.ts';

/** For each ROM of `catalogue/vtx` that the name says, a change in our code that it notices. */
export const vtxMemoryMutations: Readonly<Record<string, Mutation>> = {};
