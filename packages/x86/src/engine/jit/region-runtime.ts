import { type Expr, eq, eqz, extendU, FunctionRef, type FunctionType, i32, ltS, ModuleBuilder, ne, sub } from '@minusone/wasm';
import { loadAt, storeTo } from '../../semantics/state-access.ts';
import type { Subroutine } from '../../semantics/subroutine.ts';
import { State } from '../../state/layout.ts';
import { CodeExit } from '../exit.ts';
import type { GeneratedCode } from '../generated-code.ts';
import { exitAt, HANDLER_TYPE, jumpEntry } from '../interpreter/dispatch.ts';
import type { Handlers } from '../interpreter/handlers.ts';
import { RecordField } from '../interpreter/record.ts';
import { JumpField } from '../memory/tlb-layout.ts';
import type { PlainAccess } from './plain-access.ts';
import type { RegionLinks } from './region-code.ts';

const ACCESS_TYPE: FunctionType = { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] };
const DISPATCH_TYPE: FunctionType = { params: ['i64', 'i32'], results: ['i32'] };
const WASM_PAGE_BYTES = 65536;
type Four<T> = [T, T, T, T];
const SLOW = ['load', 'store', 'claim', 'probe'] as const;

/**
 * The fixed WebAssembly code between regions. It owns the table of regions, which no region imports: a table keeps every importing instance alive, and each `table.set`
 * visits them all. Regions call the dispatcher and the slow paths as WebAssembly functions, so that their instances need no wrappers.
 */
export class RegionRuntime {
  /** Regions by slot. */
  readonly table: WebAssembly.Table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
  /** Handlers that stand for no instruction: enters the region whose slot is the record's heat; counts the heat down, then goes on with the record's own handler. */
  readonly enterRegion: number;
  readonly countDown: number;
  readonly #code: GeneratedCode;
  readonly #exports: Record<string, WebAssembly.ExportValue>;

  /** @param returns regions come back to TypeScript whenever they are left: for lockstep tests */
  constructor(code: GeneratedCode, handlers: Handlers, plain: PlainAccess, returns: boolean) {
    this.#code = code;
    this.enterRegion = code.allocateSlots(2);
    this.countDown = this.enterRegion + 1;
    code.build(new Set(), (module) => {
      const countDown = module.function('countDown', HANDLER_TYPE, (f) => {
        const [record, cpu] = f.params as unknown as readonly [Expr, Expr];
        const heat = f.let(sub(loadAt(record, RecordField.heat, 4), i32(1)));
        storeTo(f, record, RecordField.heat, 4, heat);
        f.if(eqz(heat), () => exitAt(f, cpu, CodeExit.HOT, record));
        f.returnCallIndirect(HANDLER_TYPE, loadAt(record, RecordField.own, 4), record, cpu);
      });
      module.elements(this.countDown, [countDown]);
    });
    const module = new ModuleBuilder();
    this.#importMemory(module);
    module.importTable('env', 'table', { initial: 1 });
    const slow = SLOW.map((name) => module.importFunction('slow', name, ACCESS_TYPE));
    const interpret = module.importFunction('interpreter', 'enter', HANDLER_TYPE);
    SLOW.forEach((name, n) => {
      module.function(name, ACCESS_TYPE, (f) => f.returnCall(slow[n] as FunctionRef, ...f.params), { export: true });
    });
    module.function(
      'enterRegion',
      HANDLER_TYPE,
      (f) => {
        const [record, cpu] = f.params as unknown as readonly [Expr, Expr];
        f.returnCallIndirect(HANDLER_TYPE, loadAt(record, RecordField.heat, 4), record, cpu);
      },
      { export: true },
    );
    this.#defineDispatch(module, interpret, returns);
    this.#exports = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), {
      env: { memory: code.memory.memory, table: this.table },
      slow: plain as unknown as Record<string, WebAssembly.ImportValue>,
      interpreter: { enter: handlers.enter as unknown as WebAssembly.ImportValue },
    }).exports;
    code.table.set(this.enterRegion, this.#exports.enterRegion as never);
  }

  #importMemory(module: ModuleBuilder): void {
    const { memory } = this.#code;
    const pages = memory.byteLength / WASM_PAGE_BYTES;
    const shared = typeof SharedArrayBuffer !== 'undefined' && memory.memory.buffer instanceof SharedArrayBuffer;
    module.importMemory('env', 'memory', { initial: pages, maximum: pages, shared });
  }

  /** (RIP, CPU): to the block at an address, if the jump cache knows it and the budget covers it. */
  #defineDispatch(module: ModuleBuilder, interpret: FunctionRef, returns: boolean): void {
    module.function(
      'dispatch',
      DISPATCH_TYPE,
      (f) => {
        const [target, cpu] = f.params as unknown as readonly [Expr, Expr];
        if (returns) {
          storeTo(f, cpu, State.rip, 8, target);
          exitAt(f, cpu, CodeExit.REGION, i32(0));
          return;
        }
        const entry = jumpEntry(f, cpu, target);
        f.if(ne(loadAt(entry, JumpField.rip, 8), target), () => {
          storeTo(f, cpu, State.rip, 8, target);
          exitAt(f, cpu, CodeExit.REGION, i32(0));
        });
        const record = f.let(loadAt(entry, JumpField.record, 4));
        storeTo(f, cpu, State.ripBase, 8, sub(target, extendU(loadAt(record, RecordField.offset, 2))));
        const budget = f.let(sub(loadAt(cpu, State.budget, 4), loadAt(record, RecordField.count, 2)));
        f.if(ltS(budget, i32(0)), () => exitAt(f, cpu, CodeExit.BUDGET, record));
        storeTo(f, cpu, State.budget, 4, budget);
        f.if(eq(loadAt(record, RecordField.handler, 4), i32(this.enterRegion)), () =>
          f.returnCallIndirect(HANDLER_TYPE, loadAt(record, RecordField.heat, 4), record, cpu),
        );
        f.returnCall(interpret, record, cpu);
      },
      { export: true },
    );
  }

  /**
   * Builds a module of regions. `define` runs again if it calls subroutines that were not expected.
   * @returns the exports, and the bytes of the module
   */
  build(
    expected: Set<Subroutine>,
    define: (module: ModuleBuilder, links: Omit<RegionLinks, 'begin'>) => void,
  ): { readonly exports: Record<string, WebAssembly.ExportValue>; readonly bytes: number } {
    for (;;) {
      const module = new ModuleBuilder();
      this.#importMemory(module);
      const dispatch = module.importFunction('runtime', 'dispatch', DISPATCH_TYPE);
      const [load, store, claim, probe] = SLOW.map((name) => module.importFunction('runtime', name, ACCESS_TYPE)) as Four<FunctionRef>;
      const linked = new Map<Subroutine, FunctionRef>();
      const subroutines: Record<string, WebAssembly.ImportValue> = {};
      for (const one of expected) {
        linked.set(one, module.importFunction('subroutine', one.name, one.type));
        subroutines[one.name] = this.#code.subroutine(one);
      }
      let isComplete = true;
      const link = (one: Subroutine): FunctionRef => {
        const ref = linked.get(one);
        if (ref !== undefined) return ref;
        // Imports come before functions: note it, go on with a stand-in, and build again.
        isComplete = false;
        expected.add(one);
        return new FunctionRef(0, one.name, one.type);
      };
      // Regions raise nothing: they leave.
      define(module, { runtime: { slow: { load, store, claim, probe, raise: dispatch }, link }, dispatch });
      if (!isComplete) continue;
      const bytes = module.toBytes();
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
        env: { memory: this.#code.memory.memory },
        runtime: this.#exports as Record<string, WebAssembly.ImportValue>,
        subroutine: subroutines,
      });
      return { exports, bytes: bytes.length };
    }
  }
}
