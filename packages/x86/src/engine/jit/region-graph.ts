import type { MachineMemory } from '@minusone/memory';
import type { Decoder } from '../../decode/decoder.ts';
import type { Insn } from '../../decode/insn.ts';
import { unitFault } from '../../semantics/unit-checks.ts';
import type { Mode } from '../../state/mode.ts';
import type { Flow } from '../../table/row.ts';

/** How large a region may become. */
export interface RegionLimits {
  readonly blocks: number;
  readonly instructions: number;
}
export const REGION_LIMITS: RegionLimits = { blocks: 64, instructions: 400 };
/** Return sites that a return is compared with at most. */
const MAX_RETURN_SITES = 6;
/** Instructions of a block at most: what a budget has to cover before the block is entered. */
const MAX_BLOCK = 48;
const PAGE_BYTES = 4096;

/** A basic block of a region. All places are page offsets. */
export interface RegionBlock {
  readonly start: number;
  readonly insns: readonly Insn[];
  /** After the last instruction: where control goes on unless the last one transfers it. May be 4096: the next page. */
  readonly end: number;
  /** Target of the jump, branch or call that ends the block, if it lies in the page; otherwise -1. */
  readonly taken: number;
}

/** Code of one page that hangs together by direct jumps, branches and falling through. */
export interface RegionGraph {
  readonly entry: RegionBlock;
  readonly blocks: ReadonlyMap<number, RegionBlock>;
  /** Blocks that follow a call whose target is in the region: where a return may lead without leaving it. */
  readonly returnSites: readonly number[];
}

/** Where a relative jump leads, if that is in its page: page offsets are enough for linking only where CS is flat and EIP is not cut to 16 bits. */
function targetInPage(insn: Insn, end: number): number {
  if (insn.operandBytes === 2) return -1;
  const { flow } = insn.form;
  if (flow !== 'jump' && flow !== 'branch' && flow !== 'call') return -1;
  const target = end + insn.immediate;
  return target >= 0 && target < PAGE_BYTES ? target : -1;
}

/** Straight-line code from an offset on, up to what ends a block or cannot be compiled; undefined where not even the first instruction can. */
function decodeRun(memory: MachineMemory, decoder: Decoder, hostPage: number, mode: Mode, start: number): RegionBlock | undefined {
  const insns: Insn[] = [];
  let at = start;
  let taken = -1;
  while (insns.length < MAX_BLOCK && at < PAGE_BYTES) {
    const insn = decoder.decode(memory.u8, hostPage + at, hostPage + PAGE_BYTES, mode.codeBits);
    if (typeof insn === 'string') break;
    if (insn.form.row.semantics === undefined || unitFault(insn.form, mode) !== undefined) break;
    insns.push(insn);
    at += insn.length;
    if (insn.form.flow !== 'next') {
      taken = targetInPage(insn, at);
      break;
    }
  }
  return insns.length === 0 ? undefined : { start, insns, end: at, taken };
}

/** Finds the blocks of a region from its entry on. Undefined where the entry cannot be compiled. */
export function findRegion(
  memory: MachineMemory,
  decoder: Decoder,
  hostPage: number,
  entry: number,
  mode: Mode,
  limits: RegionLimits = REGION_LIMITS,
): RegionGraph | undefined {
  const runs = new Map<number, RegionBlock>();
  const queue = [entry];
  let instructions = 0;
  for (let next = 0; next < queue.length && runs.size < limits.blocks && instructions < limits.instructions; next++) {
    const start = queue[next] as number;
    if (runs.has(start)) continue;
    const run = decodeRun(memory, decoder, hostPage, mode, start);
    if (run === undefined) continue;
    runs.set(start, run);
    instructions += run.insns.length;
    const { flow } = (run.insns[run.insns.length - 1] as Insn).form;
    // What follows a call that leaves the page is reached by a return from there: a region of its own.
    if ((flow === 'next' || flow === 'branch' || (flow === 'call' && run.taken >= 0)) && run.end < PAGE_BYTES) queue.push(run.end);
    if (run.taken >= 0) queue.push(run.taken);
  }
  const blocks = new Map<number, RegionBlock>();
  for (const run of runs.values()) blocks.set(run.start, cutAt(run, runs));
  const first = blocks.get(entry);
  return first === undefined ? undefined : { entry: first, blocks, returnSites: returnSitesOf(blocks) };
}

function returnSitesOf(blocks: ReadonlyMap<number, RegionBlock>): number[] {
  const sites: number[] = [];
  for (const block of blocks.values()) {
    if (flowOf(block) === 'call' && blocks.has(block.taken) && blocks.has(block.end) && sites.length < MAX_RETURN_SITES)
      sites.push(block.end);
  }
  return sites;
}

/** How a block hands control on. */
export function flowOf(block: RegionBlock): Flow {
  return (block.insns[block.insns.length - 1] as Insn).form.flow;
}

/** A run up to where another block begins. */
function cutAt(run: RegionBlock, starts: ReadonlyMap<number, unknown>): RegionBlock {
  let at = run.start;
  for (let n = 0; n < run.insns.length; n++) {
    if (n > 0 && starts.has(at)) return { start: run.start, insns: run.insns.slice(0, n), end: at, taken: -1 };
    at += (run.insns[n] as Insn).length;
  }
  return run;
}

/** Offsets of the blocks of the region that may follow a block, without repetition. A call leads to its target, a return to where calls inside the region go on. */
export function successors(graph: RegionGraph, block: RegionBlock): number[] {
  const flow = flowOf(block);
  if (flow === 'return') return [...graph.returnSites];
  const found: number[] = [];
  if ((flow === 'next' || flow === 'branch') && graph.blocks.has(block.end)) found.push(block.end);
  if (block.taken >= 0 && block.taken !== found[0] && graph.blocks.has(block.taken)) found.push(block.taken);
  return found;
}
