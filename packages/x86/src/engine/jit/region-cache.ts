import type { MachineMemory } from '@minusone/memory';
import type { FunctionRef } from '@minusone/wasm';
import type { Insn } from '../../decode/insn.ts';
import type { Subroutine } from '../../semantics/subroutine.ts';
import { modeOf } from '../../state/mode.ts';
import type { CodeSpace } from '../interpreter/code-space.ts';
import { HANDLER_TYPE } from '../interpreter/dispatch.ts';
import { RecordField } from '../interpreter/record.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';
import { PlainAccess } from './plain-access.ts';
import { RegionCode, type RegionLinks } from './region-code.ts';
import { findRegion, REGION_LIMITS, type RegionBlock, type RegionGraph, type RegionLimits } from './region-graph.ts';
import { RegionRuntime } from './region-runtime.ts';

const DEFAULT_THRESHOLD = 4000;

export interface JitOptions {
  /** How often a block is interpreted before the region that begins with it is compiled; 1 to 2^31 - 1. Default 4000: a region costs as much time as running it some thousand times in the interpreter. */
  readonly threshold?: number;
  /** Regions that are compiled at a time, at most; with a threshold below 4 it is always one. Default 16. */
  readonly batch?: number;
  /** Regions that live at a time. When there are more, all are dropped. Default 8192. */
  readonly maxRegions?: number;
  /** Bytes of WebAssembly modules that live at a time, likewise. Default 16 MiB; the machine code takes some five times as much. */
  readonly maxBytes?: number;
  readonly limits?: RegionLimits;
  /** Regions return to TypeScript whenever they are left, so that `onRegionExit` hears of it. Slow: for lockstep tests. */
  readonly lockstep?: boolean;
}

/** A block that a region is to begin with. */
interface Head {
  readonly record: number;
  readonly hostPage: number;
  readonly modeWord: number;
}

/** A compiled region, and the record at whose block it begins. */
interface Region {
  readonly record: number;
  readonly slot: number;
  readonly hostPage: number;
  /** Page offsets, start and end of each block in turn. */
  readonly ranges: Int32Array;
  /** Instructions of the interpreter's block at the record. */
  readonly blockCount: number;
}

/**
 * The regions of one machine: which blocks are hot, what has been compiled for them, and when that is dropped. A block that is counted or compiled has another handler in
 * its first record; its own one is kept beside it.
 */
export class RegionCache {
  readonly runtime: RegionRuntime;
  readonly plain: PlainAccess;
  /** Called after each region that was left, if `lockstep` is set. */
  onRegionExit: ((cpu: number) => void) | undefined;
  regionsCompiled = 0;
  instructionsCompiled = 0;
  bytesCompiled = 0;
  flushes = 0;
  readonly #memory: MachineMemory;
  readonly #space: CodeSpace;
  readonly #threshold: number;
  readonly #maxRegions: number;
  readonly #maxBytes: number;
  readonly #limits: RegionLimits;
  readonly #regions = new Map<number, Region>();
  readonly #byPage = new Map<number, Set<Region>>();
  readonly #freeSlots: number[] = [];
  /** By form: the subroutines that its semantics call, as far as known. */
  readonly #expected = new Map<number, Set<Subroutine>>();
  /** Heads of regions to be compiled together, by record. */
  readonly #waiting = new Map<number, Head>();
  readonly #batch: number;
  #slots = 1;
  #bytes = 0;

  constructor(space: CodeSpace, options: JitOptions = {}) {
    this.#space = space;
    this.#memory = space.memory;
    this.#threshold = options.threshold ?? DEFAULT_THRESHOLD;
    this.#maxRegions = options.maxRegions ?? 8192;
    this.#maxBytes = options.maxBytes ?? 16 * 2 ** 20;
    this.#batch = options.batch ?? 16;
    this.#limits = options.limits ?? REGION_LIMITS;
    this.plain = new PlainAccess(space.memory);
    this.runtime = new RegionRuntime(space.generated, space.handlers, this.plain, options.lockstep === true);
  }

  addCpu(state: number, memory: LinearMemory): void {
    this.plain.addCpu(state, memory);
  }
  removeCpu(state: number): void {
    this.plain.removeCpu(state);
  }
  /** Regions that live now. */
  get size(): number {
    return this.#regions.size;
  }

  /** Counts how often the block at a record is entered from now on. */
  watch(record: number, first: Insn, modeWord: number): void {
    // Regions take page offsets for targets: CS must be flat.
    if (!modeOf(modeWord).flatCode || first.form.row.semantics === undefined) return;
    const { i32 } = this.#memory;
    i32[(record + RecordField.own) >>> 2] = i32[(record + RecordField.handler) >>> 2] as number;
    this.#count(record);
  }
  #count(record: number): void {
    const { i32 } = this.#memory;
    i32[(record + RecordField.handler) >>> 2] = this.runtime.countDown;
    i32[(record + RecordField.heat) >>> 2] = this.#threshold;
  }
  #restore(record: number): void {
    const { i32 } = this.#memory;
    i32[(record + RecordField.handler) >>> 2] = i32[(record + RecordField.own) >>> 2] as number;
  }

  /**
   * The block at a record has been entered as often as is worth a region. Modules are dear, whatever is in them: so the region waits for others, until there are enough of them or one
   * of those that wait has become hot again.
   */
  heated(record: number, hostPage: number, modeWord: number): void {
    const patience = this.#threshold >> 2;
    const isAgain = this.#waiting.has(record);
    this.#waiting.set(record, { record, hostPage, modeWord });
    if (isAgain || patience === 0 || this.#waiting.size >= this.#batch) this.#compileWaiting();
    else this.#memory.i32[(record + RecordField.heat) >>> 2] = patience;
  }
  /** Compiles what waits, in one module. A block that cannot be compiled is interpreted for good. */
  #compileWaiting(): void {
    const { u16 } = this.#memory;
    const found: { head: Head; graph: RegionGraph }[] = [];
    for (const head of this.#waiting.values()) {
      this.#restore(head.record);
      const offset = u16[(head.record + RecordField.offset) >>> 1] as number;
      const graph = findRegion(this.#memory, this.#space.decoder, head.hostPage, offset, modeOf(head.modeWord), this.#limits);
      if (graph !== undefined) found.push({ head, graph });
    }
    this.#waiting.clear();
    if (found.length === 0) return;
    if (this.#regions.size >= this.#maxRegions || this.#bytes >= this.#maxBytes) this.flush();
    const { exports, bytes } = this.runtime.build(this.#expectedOf(found), (module, links) => {
      found.forEach(({ head, graph }, n) => {
        const mode = modeOf(head.modeWord);
        module.function('region', HANDLER_TYPE, (f) => void new RegionCode(f, this.#noting(links), graph, mode), { export: String(n) });
      });
    });
    found.forEach(({ head, graph }, n) => {
      this.#install(head, graph, exports[String(n)] as WebAssembly.ExportValue);
    });
    this.#bytes += bytes;
    this.bytesCompiled += bytes;
  }
  #install({ record, hostPage }: Head, graph: RegionGraph, compiled: WebAssembly.ExportValue): void {
    const { u16, i32 } = this.#memory;
    const slot = this.#allocateSlot();
    this.runtime.table.set(slot, compiled as never);
    const blockCount = u16[(record + RecordField.count) >>> 1] as number;
    const region: Region = { record, slot, hostPage, ranges: rangesOf(graph), blockCount };
    this.#regions.set(record, region);
    this.#regionsOf(hostPage).add(region);
    for (const { start, end } of graph.blocks.values()) this.#memory.marks.markCode(hostPage + start, end - start);
    i32[(record + RecordField.handler) >>> 2] = this.runtime.enterRegion;
    i32[(record + RecordField.heat) >>> 2] = slot;
    u16[(record + RecordField.count) >>> 1] = graph.entry.insns.length;
    this.regionsCompiled++;
    for (const block of graph.blocks.values()) this.instructionsCompiled += block.insns.length;
  }
  #regionsOf(hostPage: number): Set<Region> {
    let regions = this.#byPage.get(hostPage);
    if (regions === undefined) {
      regions = new Set();
      this.#byPage.set(hostPage, regions);
    }
    return regions;
  }
  #allocateSlot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    const { table } = this.runtime;
    if (this.#slots >= table.length) table.grow(Math.min(1024, this.#maxRegions));
    return this.#slots++;
  }
  /** Notes which subroutines the semantics of each form call. */
  #noting({ runtime, dispatch }: Omit<RegionLinks, 'begin'>): RegionLinks {
    let form = 0;
    const link = (one: Subroutine): FunctionRef => {
      let known = this.#expected.get(form);
      if (known === undefined) {
        known = new Set();
        this.#expected.set(form, known);
      }
      known.add(one);
      return runtime.link(one);
    };
    const begin = (insn: Insn): void => {
      form = insn.form.id;
    };
    return { runtime: { slow: runtime.slow, link }, dispatch, begin };
  }
  #expectedOf(found: readonly { readonly graph: RegionGraph }[]): Set<Subroutine> {
    const expected = new Set<Subroutine>();
    for (const { graph } of found) {
      for (const { insns } of graph.blocks.values()) {
        for (const { form } of insns) for (const one of this.#expected.get(form.id) ?? []) expected.add(one);
      }
    }
    return expected;
  }

  // Dropping

  /** Bytes of a page were written: drops the regions that they touch. Their heads are counted again, if their blocks are still there. */
  codeWritten(hostPage: number, first: number, bytes: number): void {
    const regions = this.#byPage.get(hostPage);
    if (regions === undefined) return;
    for (const region of regions) if (touches(region.ranges, first, first + bytes)) this.#drop(region);
  }
  /** A page bears no code mark any more. */
  pageCleared(hostPage: number): void {
    for (const region of this.#byPage.get(hostPage) ?? []) this.#drop(region);
  }
  /** A record's block is gone. */
  recordDropped(record: number): void {
    const region = this.#regions.get(record);
    if (region !== undefined) this.#drop(region);
    this.#waiting.delete(record);
  }
  /** All records are gone: so is what waits. */
  recordsFlushed(): void {
    this.#waiting.clear();
    this.flush();
  }
  /** Drops all regions. Only while none runs. */
  flush(): void {
    for (const region of this.#regions.values()) this.#drop(region);
    this.#bytes = 0;
    this.flushes++;
  }
  #drop(region: Region): void {
    const { record, slot, hostPage, blockCount } = region;
    if (!this.#regions.delete(record)) return;
    const ofPage = this.#byPage.get(hostPage);
    ofPage?.delete(region);
    if (ofPage?.size === 0) this.#byPage.delete(hostPage);
    this.runtime.table.set(slot, null);
    this.#freeSlots.push(slot);
    const { i32, u16 } = this.#memory;
    u16[(record + RecordField.count) >>> 1] = blockCount;
    if (i32[(record + RecordField.handler) >>> 2] === this.runtime.enterRegion) this.#count(record);
  }
}

function rangesOf(graph: RegionGraph): Int32Array {
  return Int32Array.from([...graph.blocks.values()].flatMap(({ start, end }: RegionBlock) => [start, end]));
}

function touches(ranges: Int32Array, start: number, end: number): boolean {
  for (let n = 0; n < ranges.length; n += 2) if ((ranges[n] as number) < end && (ranges[n + 1] as number) > start) return true;
  return false;
}
