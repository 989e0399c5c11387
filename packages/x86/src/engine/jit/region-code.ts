import {
  add,
  and,
  type Expr,
  eq,
  extendU,
  type FunctionBuilder,
  type FunctionRef,
  i32,
  i64,
  type Label,
  type Local,
  ltS,
  shrU,
  sub,
  wrap,
} from '@minusone/wasm';
import type { Insn } from '../../decode/insn.ts';
import type { Runtime } from '../../semantics/runtime.ts';
import { loadAt, storeTo } from '../../semantics/state-access.ts';
import { emitUnitChecks, emitUnitEffects } from '../../semantics/unit-checks.ts';
import { State } from '../../state/layout.ts';
import type { Mode } from '../../state/mode.ts';
import { CodeExit } from '../exit.ts';
import { flagsAreDeadAt } from './flag-liveness.ts';
import { type RegionContext, RegionEmit, type Transfer } from './region-emit.ts';
import { type KnownFlags, RegionFlags } from './region-flags.ts';
import { flowOf, type RegionBlock, type RegionGraph } from './region-graph.ts';
import { type StructuredBlock, structureRegion } from './region-structure.ts';

/**
 * Fields of the word that says where and how a region is left on its cold ways: page offset of the next instruction; instructions to be given back to the budget;
 * which of the region's forms of flags is in the locals (0: none); what decides on the exit code.
 */
const Site = { OFFSET_MASK: 0x1fff, RETURNED_SHIFT: 13, FLAGS_SHIFT: 19, LEAVE: 1 << 28, MIDWAY: 1 << 29, ALONE: 1 << 30 } as const;

/** What a region's function links to. */
export interface RegionLinks {
  readonly runtime: Runtime;
  /** (RIP, CPU) -> CodeExit: goes on at an address. */
  readonly dispatch: FunctionRef;
  /** Told of each instruction before it is emitted. */
  readonly begin: (insn: Insn) => void;
}

/**
 * The function of one region, of a handler's type: (record, CPU) -> CodeExit. On entry the budget has been charged with the entry block. General registers are loaded
 * into locals at the start and written back where the region is left: to the dispatcher, which goes on elsewhere, or (cold) to the engine.
 */
export class RegionCode {
  readonly #f: FunctionBuilder;
  readonly #links: RegionLinks;
  readonly #graph: RegionGraph;
  readonly #blocks: ReadonlyMap<number, StructuredBlock>;
  readonly #region: RegionContext;
  readonly #budget;
  readonly #entered;
  readonly #site;
  readonly #cold: Label;
  readonly #warm: Label;
  /** Forms of flags that some cold exit leaves in locals: the n-th has number n + 1. */
  readonly #flagForms: KnownFlags[] = [];
  /** Open scopes: where to branch for a block. */
  readonly #scopes = new Map<StructuredBlock, Label>();
  /** Instructions of the current block from the current one on. */
  #remaining = 0;

  constructor(f: FunctionBuilder, links: RegionLinks, graph: RegionGraph, mode: Mode) {
    this.#f = f;
    this.#links = links;
    this.#graph = graph;
    this.#blocks = structureRegion(graph);
    const cpu = f.params[1] as Expr;
    this.#region = {
      f,
      runtime: links.runtime,
      mode,
      cpu,
      gpr: Array.from({ length: 16 }, () => f.local('i64')),
      flags: new RegionFlags(f, cpu),
      ripBase: f.local('i64'),
      tlb: f.local('i32'),
      condition: f.local('i32'),
      target: f.local('i64'),
      used: 0,
      dirty: 0,
      offset: 0,
      budgetAfter: () => add(this.#budget, i32(this.#remaining - 1)),
      leaveAlone: (midway) => this.#leave(this.#region.offset, this.#remaining, Site.ALONE | (midway ? Site.MIDWAY : 0)),
    };
    this.#budget = f.local('i32');
    this.#entered = f.local('i32');
    this.#site = f.local('i32');
    this.#cold = f.openBlock();
    this.#warm = f.openBlock();
    this.#emitTree(this.#block(graph.entry.start));
    f.close();
    this.#emitWarmExit();
    f.close();
    this.#emitColdExit();
    f.prologue(() => this.#emitEntry());
  }

  #block(start: number): StructuredBlock {
    return this.#blocks.get(start) as StructuredBlock;
  }

  // Entry and exits

  #emitEntry(): void {
    const f = this.#f;
    const { cpu, gpr, used, ripBase, tlb } = this.#region;
    f.set(this.#budget, loadAt(cpu, State.budget, 4));
    f.set(this.#entered, add(this.#budget, i32(this.#graph.entry.insns.length)));
    f.set(ripBase, loadAt(cpu, State.ripBase, 8));
    f.set(tlb, loadAt(cpu, State.tlb, 4));
    for (let n = 0; n < 16; n++) if ((used & (1 << n)) !== 0) f.set(gpr[n] as Local, loadAt(cpu, State.gpr + n * 8, 8));
  }
  /** Writes back what the region has in locals, but for flags. */
  #spill(): void {
    const f = this.#f;
    const { cpu, gpr, dirty } = this.#region;
    for (let n = 0; n < 16; n++) if ((dirty & (1 << n)) !== 0) storeTo(f, cpu, State.gpr + n * 8, 8, gpr[n] as Local);
    storeTo(f, cpu, State.budget, 4, this.#budget);
    const count = loadAt(cpu, State.regionInstructions, 4);
    storeTo(f, cpu, State.regionInstructions, 4, add(count, sub(this.#entered, this.#budget)));
  }
  #emitWarmExit(): void {
    this.#spill();
    this.#f.returnCall(this.#links.dispatch, this.#region.target, this.#region.cpu);
  }
  #emitColdExit(): void {
    const f = this.#f;
    const { cpu, flags } = this.#region;
    const site = this.#site;
    f.set(this.#budget, add(this.#budget, and(shrU(site, i32(Site.RETURNED_SHIFT)), i32(63))));
    this.#spill();
    storeTo(f, cpu, State.rip, 8, this.#ip(and(site, i32(Site.OFFSET_MASK))));
    const form = and(shrU(site, i32(Site.FLAGS_SHIFT)), i32(0xff));
    for (const [n, known] of this.#flagForms.entries()) f.if(eq(form, i32(n + 1)), () => flags.store(known));
    storeTo(f, cpu, State.exitRecord, 4, i32(0));
    f.if(and(site, i32(Site.LEAVE)), () => f.return(i32(CodeExit.LEAVE_AT_RIP)));
    f.if(and(site, i32(Site.MIDWAY)), () => f.return(i32(CodeExit.MIDWAY)));
    f.if(and(site, i32(Site.ALONE)), () => f.return(i32(CodeExit.ALONE)));
    f.return(i32(CodeExit.REGION));
  }
  /** RIP, EIP or IP at a page offset (i32). */
  #ip(offset: Expr): Expr {
    const { mode, ripBase } = this.#region;
    return mode.codeBits === 64 ? add(ripBase, extendU(offset)) : extendU(add(wrap(ripBase), offset));
  }

  /** Leaves to the engine before the instruction at a page offset; so many instructions have been charged that did not run. */
  #leave(offset: number, returned: number, bits: number): void {
    const f = this.#f;
    const form = this.#flagForm(this.#region.flags.known);
    f.set(this.#site, i32(offset | (returned << Site.RETURNED_SHIFT) | (form << Site.FLAGS_SHIFT) | bits));
    f.br(this.#cold);
  }
  #flagForm(known: KnownFlags | undefined): number {
    if (known === undefined) return 0;
    const forms = this.#flagForms;
    const at = forms.findIndex(({ kind, bytes }) => kind === known.kind && bytes === known.bytes);
    return at < 0 ? forms.push(known) : at + 1;
  }
  /** Goes on at `target` (a local that is set), outside the region. */
  #exit(): void {
    this.#region.flags.store();
    this.#f.br(this.#warm);
  }
  #exitTo(offset: number): void {
    const { mode, ripBase, target } = this.#region;
    this.#f.set(target, mode.codeBits === 64 ? add(ripBase, i64(offset)) : extendU(add(wrap(ripBase), i32(offset | 0))));
    this.#exit();
  }

  // Control flow

  /** A block, and what it dominates. */
  #emitTree(node: StructuredBlock): void {
    const merges = node.children.filter(({ isMerge }) => isMerge);
    if (!node.isLoopHead) {
      this.#emitWithin(node, merges);
      return;
    }
    const f = this.#f;
    const { flags } = this.#region;
    if (!flagsAreDeadAt(node.block)) flags.store();
    flags.known = undefined;
    const label = f.openLoop();
    this.#scopes.set(node, label);
    this.#emitWithin(node, merges);
    f.close();
    this.#scopes.delete(node);
  }
  /** A block inside the scopes whose ends are the merge points that it dominates, the last outermost. */
  #emitWithin(node: StructuredBlock, merges: readonly StructuredBlock[]): void {
    const last = merges[merges.length - 1];
    if (last === undefined) {
      this.#emitBlock(node);
      return;
    }
    const f = this.#f;
    const label = f.openBlock();
    this.#scopes.set(last, label);
    this.#emitWithin(node, merges.slice(0, -1));
    f.close();
    this.#scopes.delete(last);
    this.#region.flags.known = undefined;
    this.#emitTree(last);
  }

  #emitBlock({ block, successors }: StructuredBlock): void {
    const f = this.#f;
    const region = this.#region;
    const { flags } = region;
    let at = block.start;
    let transfer: Transfer = 'next';
    block.insns.forEach((insn, n) => {
      region.offset = at;
      this.#remaining = block.insns.length - n;
      transfer = this.#emitInstruction(insn);
      at += insn.length;
    });
    const inside = (offset: number): boolean => successors.has(offset);
    const go = (offset: number): void => (inside(offset) ? this.#goTo(this.#block(offset)) : this.#exitTo(offset));
    switch (transfer as Transfer) {
      case 'next':
        go(block.end);
        return;
      case 'jump':
        this.#goTaken(block, inside);
        return;
      case 'branch': {
        const before = flags.known;
        f.openIf(region.condition);
        this.#goTaken(block, inside);
        f.close();
        flags.known = before;
        go(block.end);
        return;
      }
      case 'indirect':
        if (flowOf(block) === 'return') this.#goToReturnSite(inside);
        this.#exit();
    }
  }
  /** To the target of a relative jump, branch or call. */
  #goTaken(block: RegionBlock, inside: (offset: number) => boolean): void {
    const last = block.insns[block.insns.length - 1] as Insn;
    if (block.taken >= 0 && inside(block.taken)) this.#goTo(this.#block(block.taken));
    else if (last.operandBytes === 2) {
      // Cut to 16 bits: the emitter knows how.
      this.#f.scratch(() => this.#f.set(this.#region.target, new RegionEmit(this.#region, last).relativeTarget()));
      this.#exit();
    } else this.#exitTo(block.end + last.immediate);
  }
  /** To the block that follows a call inside the region, if that is where the return address leads. */
  #goToReturnSite(inside: (offset: number) => boolean): void {
    const f = this.#f;
    const { flags, target } = this.#region;
    const before = flags.known;
    for (const site of this.#graph.returnSites) {
      if (!inside(site)) continue;
      f.openIf(eq(target, this.#ip(i32(site))));
      this.#goTo(this.#block(site));
      f.close();
      flags.known = before;
    }
  }
  /** To a block of the region, if the budget covers it. */
  #goTo(target: StructuredBlock): void {
    const f = this.#f;
    const { flags } = this.#region;
    const count = target.block.insns.length;
    f.set(this.#budget, sub(this.#budget, i32(count)));
    f.if(ltS(this.#budget, i32(0)), () => this.#leave(target.block.start, count, 0));
    const label = this.#scopes.get(target);
    if (label === undefined) {
      this.#emitTree(target);
      return;
    }
    if (!flagsAreDeadAt(target.block)) flags.store();
    f.br(label);
  }

  // Instructions

  #emitInstruction(insn: Insn): Transfer {
    let transfer: Transfer = 'next';
    this.#links.begin(insn);
    this.#f.scratch(() => {
      const e = new RegionEmit(this.#region, insn);
      emitUnitChecks(e);
      e.prepareOperands();
      (insn.form.row.semantics as NonNullable<Insn['form']['row']['semantics']>)(e);
      transfer = e.transfer;
      if (transfer === 'next') emitUnitEffects(e);
      // The run loop looks at events after this one.
      if (e.endsBlock) this.#leave(this.#region.offset + insn.length, this.#remaining - 1, Site.LEAVE);
    });
    return transfer;
  }
}
