import { type RegionBlock, type RegionGraph, successors } from './region-graph.ts';

/** A block with its place in the structured control flow. */
export interface StructuredBlock {
  readonly block: RegionBlock;
  /** Number in reverse postorder. */
  readonly order: number;
  /** Blocks of the region that follow; an edge that would make the graph irreducible is left out: it leaves the region. */
  readonly successors: ReadonlySet<number>;
  /** Reached by an edge from a later block: the head of a Wasm loop. */
  isLoopHead: boolean;
  /** Reached by two or more forward edges: the end of a Wasm block. */
  isMerge: boolean;
  /** Blocks that it immediately dominates, in reverse postorder. */
  readonly children: StructuredBlock[];
}

/**
 * Lays a region's control flow out as nested loops and blocks by its dominator tree (N. Ramsey, "Beyond Relooper: Recursive Translation of Unstructured Control Flow to
 * Structured Control Flow", ICFP 2022), which for reducible graphs gives the loop nest of Bourdoncle's weak topological order. A loop with two entries is cut open: the edge
 * back to a block that does not dominate its source is not an edge of the result.
 */
export function structureRegion(graph: RegionGraph): ReadonlyMap<number, StructuredBlock> {
  const edges = new Map<number, Set<number>>();
  for (const block of graph.blocks.values()) edges.set(block.start, new Set(successors(graph, block)));
  for (;;) {
    const order = reversePostorder(graph.entry.start, edges);
    const rank = new Map(order.map((start, n) => [start, n]));
    const dominators = immediateDominators(order, rank, edges);
    let cut = false;
    for (const start of order) {
      for (const target of edges.get(start) as Set<number>) {
        if (!isBackward(rank, start, target) || dominates(dominators, rank, target, start)) continue;
        (edges.get(start) as Set<number>).delete(target);
        cut = true;
      }
    }
    if (!cut) return assemble(graph, order, dominators, edges);
  }
}

type Edges = ReadonlyMap<number, Set<number>>;
type Rank = ReadonlyMap<number, number>;

const isBackward = (rank: Rank, from: number, to: number): boolean => (rank.get(to) as number) <= (rank.get(from) as number);

function reversePostorder(entry: number, edges: Edges): number[] {
  const seen = new Set<number>();
  const order: number[] = [];
  const visit = (start: number): void => {
    seen.add(start);
    for (const target of edges.get(start) as Set<number>) if (!seen.has(target)) visit(target);
    order.push(start);
  };
  visit(entry);
  return order.reverse();
}

/** Immediate dominators by order number (K. Cooper, T. Harvey, K. Kennedy, "A Simple, Fast Dominance Algorithm"); the entry's is itself. */
function immediateDominators(order: readonly number[], rank: Rank, edges: Edges): number[] {
  const predecessors: number[][] = order.map(() => []);
  order.forEach((start, n) => {
    for (const target of edges.get(start) as Set<number>) (predecessors[rank.get(target) as number] as number[]).push(n);
  });
  const dominator: number[] = order.map(() => -1);
  dominator[0] = 0;
  const meet = (a: number, b: number): number => {
    let x = a;
    let y = b;
    while (x !== y) {
      if (x > y) x = dominator[x] as number;
      else y = dominator[y] as number;
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 1; n < order.length; n++) {
      let found = -1;
      for (const p of predecessors[n] as number[]) if (dominator[p] !== -1) found = found < 0 ? p : meet(p, found);
      if (dominator[n] === found) continue;
      dominator[n] = found;
      changed = true;
    }
  }
  return dominator;
}

function dominates(dominators: readonly number[], rank: Rank, above: number, below: number): boolean {
  const wanted = rank.get(above) as number;
  let n = rank.get(below) as number;
  while (n > wanted) n = dominators[n] as number;
  return n === wanted;
}

function assemble(
  graph: RegionGraph,
  order: readonly number[],
  dominators: readonly number[],
  edges: Edges,
): ReadonlyMap<number, StructuredBlock> {
  const result = new Map<number, StructuredBlock>();
  const forward = order.map(() => 0);
  for (const [n, start] of order.entries()) {
    const block = graph.blocks.get(start) as RegionBlock;
    result.set(start, { block, order: n, successors: edges.get(start) as Set<number>, isLoopHead: false, isMerge: false, children: [] });
  }
  for (const node of result.values()) {
    for (const target of node.successors) {
      const to = result.get(target) as StructuredBlock;
      if (to.order <= node.order) to.isLoopHead = true;
      else if (++(forward[to.order] as number) === 2) to.isMerge = true;
    }
    if (node.order > 0) (result.get(order[dominators[node.order] as number] as number) as StructuredBlock).children.push(node);
  }
  return result;
}
