import { MachineMemory } from '@minusone/memory';
import { expect, test } from 'vitest';
import { Decoder } from '../../decode/decoder.ts';
import { instructionTable } from '../../instructions/index.ts';
import { modeOf } from '../../state/mode.ts';
import { flagsAreDeadAt } from './flag-liveness.ts';
import { findRegion, type RegionBlock, type RegionGraph, successors } from './region-graph.ts';
import { structureRegion } from './region-structure.ts';

/** 64-bit code with a flat CS. */
const MODE = modeOf(0x40ca);
const memory = new MachineMemory({ ramBytes: 2 ** 16, reservedBytes: 2 ** 16 });
const decoder = new Decoder(instructionTable);

/** The region that begins at the start of a page with this code. */
function regionOf(code: readonly number[], limits?: { blocks: number; instructions: number }): RegionGraph {
  memory.u8.fill(0xcc, memory.ramOffset, memory.ramOffset + 4096);
  memory.u8.set(code, memory.ramOffset);
  const graph = findRegion(memory, decoder, memory.ramOffset, 0, MODE, limits);
  if (graph === undefined) throw new Error('No region.');
  return graph;
}
const starts = (graph: RegionGraph): number[] => [...graph.blocks.keys()].sort((a, b) => a - b);
/** A graph with these edges; block n is NOPs that end in nothing in particular. */
function madeUp(edges: Readonly<Record<number, readonly number[]>>): RegionGraph {
  const blocks = new Map<number, RegionBlock>();
  // JZ rel8 has two ways to go on, JMP rel8 one, RET none.
  for (const [name, targets] of Object.entries(edges)) {
    const code = targets.length === 2 ? [0x74, 0] : targets.length === 1 ? [0xeb, 0] : [0xc3];
    const insn = decoder.decode(Uint8Array.from(code), 0, 2, 64);
    if (typeof insn === 'string') throw new Error(insn);
    blocks.set(Number(name), { start: Number(name), insns: [insn], end: targets[1] ?? 4096, taken: targets[0] ?? -1 });
  }
  return { entry: blocks.get(0) as RegionBlock, blocks, returnSites: [] };
}

test('a region is what direct jumps, branches and falling through reach in the page', () => {
  // 0: jz 6; 2: inc eax; 4: jmp 0; 6: ret
  const graph = regionOf([0x74, 4, 0xff, 0xc0, 0xeb, 0xfa, 0xc3]);
  expect(starts(graph)).toEqual([0, 2, 6]);
  expect(successors(graph, graph.blocks.get(0) as RegionBlock)).toEqual([2, 6]);
  expect(successors(graph, graph.blocks.get(2) as RegionBlock)).toEqual([0]);
});
test('a block ends where another begins', () => {
  // 0: inc eax; 2: inc ecx; 4: jnz 2; 6: ret
  const graph = regionOf([0xff, 0xc0, 0xff, 0xc1, 0x75, 0xfc, 0xc3]);
  expect(starts(graph)).toEqual([0, 2, 6]);
  expect(graph.entry.insns.length).toBe(1);
});
test('system rows and what is no instruction end a block before them', () => {
  expect(regionOf([0xff, 0xc0, 0x0f, 0xa2, 0xff, 0xc1]).entry).toMatchObject({ end: 2 }); // inc eax; cpuid
  expect(findRegion(memory, decoder, memory.ramOffset, 2, MODE)).toBeUndefined();
});
test('a return in the region may lead to where a call in it goes on', () => {
  // 0: call 6; 5: ret; 6: ret
  const graph = regionOf([0xe8, 1, 0, 0, 0, 0xc3, 0xc3]);
  expect(graph.returnSites).toEqual([5]);
  expect(successors(graph, graph.blocks.get(6) as RegionBlock)).toEqual([5]);
});
test('a region stays within its limits', () => {
  const jumps = Array.from({ length: 100 }, () => [0x74, 0]).flat();
  expect(regionOf(jumps, { blocks: 10, instructions: 400 }).blocks.size).toBe(10);
});

test('nested loops: both heads are loop heads, the inner one dominated by the outer', () => {
  const blocks = structureRegion(madeUp({ 0: [1], 1: [2], 2: [2, 3], 3: [1, 4], 4: [] }));
  expect([...blocks.values()].filter(({ isLoopHead }) => isLoopHead).map(({ block }) => block.start)).toEqual([1, 2]);
  expect(blocks.get(1)?.children.map(({ block }) => block.start)).toEqual([2]);
});
test('where two ways meet is a merge, the child of the block that dominates both', () => {
  const blocks = structureRegion(madeUp({ 0: [1, 2], 1: [3], 2: [3], 3: [] }));
  expect([...blocks.values()].filter(({ isMerge }) => isMerge).map(({ block }) => block.start)).toEqual([3]);
  expect(blocks.get(0)?.children.map(({ block }) => block.start)).toContain(3);
});
test('a loop with two entries is cut: one edge leaves the region', () => {
  const edges = { 0: [1, 2], 1: [2], 2: [1, 3], 3: [] };
  const blocks = structureRegion(madeUp(edges));
  const kept = [...blocks.values()].flatMap(({ block, successors: to }) => [...to].map((target) => `${block.start}-${target}`));
  expect(kept.length).toBe(Object.values(edges).flat().length - 1);
  for (const node of blocks.values()) expect(node.isLoopHead).toBe(false);
});

test('flags are dead where all are set before any is seen and before any place to leave', () => {
  const deadAt = (code: readonly number[]): boolean => flagsAreDeadAt(regionOf([...code, 0xc3]).entry);
  expect(deadAt([0x01, 0xd8])).toBe(true); // add eax, ebx
  expect(deadAt([0x89, 0xd8, 0x39, 0xd8])).toBe(true); // mov eax, ebx; cmp eax, ebx
  expect(deadAt([0x8b, 0x03, 0x01, 0xd8])).toBe(false); // mov eax, [rbx] may fault
  expect(deadAt([0x11, 0xd8])).toBe(false); // adc eax, ebx
  expect(deadAt([0xff, 0xc0])).toBe(false); // inc eax keeps CF
  expect(deadAt([0xd3, 0xe0])).toBe(false); // shl eax, cl: not for a count of zero
  expect(deadAt([0x89, 0xd8])).toBe(false); // mov alone
});
