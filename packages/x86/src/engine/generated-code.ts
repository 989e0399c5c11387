import { InternalError } from '@minusone/core';
import type { MachineMemory } from '@minusone/memory';
import { FunctionRef, type FunctionType, ModuleBuilder } from '@minusone/wasm';
import type { Runtime } from '../semantics/runtime.ts';
import type { Subroutine } from '../semantics/subroutine.ts';

/** The slow paths as WebAssembly calls them; see `SlowPaths` in semantics/runtime. */
export interface SlowPathFunctions {
  load(cpu: number, low: number, high: number, access: number): number;
  store(cpu: number, low: number, high: number, access: number): number;
  claim(cpu: number, low: number, high: number, access: number): number;
  probe(cpu: number, low: number, high: number, access: number): number;
  raise(cpu: number, vector: number, errorCode: number): void;
}

const ACCESS_TYPE: FunctionType = { params: ['i32', 'i32', 'i32', 'i32'], results: ['i32'] };
const RAISE_TYPE: FunctionType = { params: ['i32', 'i32', 'i32'], results: [] };
const WASM_PAGE_BYTES = 65536;

/**
 * Generated modules of one machine: they import the memory, the dispatch table, the slow paths, and the subroutines they call, which are compiled when
 * first called for.
 */
export class GeneratedCode {
  readonly memory: MachineMemory;
  /** Handlers by index; 0 stays empty. */
  readonly table: WebAssembly.Table = new WebAssembly.Table({ element: 'anyfunc', initial: 1024 });
  /** The slow paths as WebAssembly functions, so that the modules that import them need no wrappers. */
  readonly #slow: Record<string, WebAssembly.ImportValue>;
  readonly #compiled = new Map<Subroutine, WebAssembly.ExportValue>();
  #slots = 1;

  constructor(memory: MachineMemory, slow: SlowPathFunctions) {
    this.memory = memory;
    this.#slow = wrapSlowPaths(slow);
  }

  /** Indices of `count` elements of the table that nothing else uses. */
  allocateSlots(count: number): number {
    const first = this.#slots;
    this.#slots += count;
    if (this.#slots > this.table.length) this.table.grow(Math.max(1024, this.#slots - this.table.length));
    return first;
  }

  /**
   * Builds and instantiates a module. `define` runs again if it calls subroutines that were not expected.
   * @param importTable without it the module cannot dispatch by itself, and nothing keeps its instance alive
   */
  build(
    expected: ReadonlySet<Subroutine>,
    define: (module: ModuleBuilder, runtime: Runtime) => void,
    importTable = true,
  ): WebAssembly.Instance {
    const needed = new Set(expected);
    for (;;) {
      const module = new ModuleBuilder();
      this.#importMemory(module);
      if (importTable) module.importTable('env', 'table', { initial: 1 });
      const slow = {
        load: module.importFunction('slow', 'load', ACCESS_TYPE),
        store: module.importFunction('slow', 'store', ACCESS_TYPE),
        claim: module.importFunction('slow', 'claim', ACCESS_TYPE),
        probe: module.importFunction('slow', 'probe', ACCESS_TYPE),
        raise: module.importFunction('slow', 'raise', RAISE_TYPE),
      };
      const imported = new Map<Subroutine, FunctionRef>();
      for (const subroutine of needed) imported.set(subroutine, module.importFunction('subroutine', subroutine.name, subroutine.type));
      let isComplete = true;
      const link = (subroutine: Subroutine): FunctionRef => {
        const ref = imported.get(subroutine);
        if (ref !== undefined) return ref;
        // Imports come before functions: note it, go on with a stand-in, and build again.
        isComplete = false;
        needed.add(subroutine);
        return new FunctionRef(0, subroutine.name, subroutine.type);
      };
      define(module, { slow, link });
      if (isComplete) return this.#instantiate(module, needed);
    }
  }

  /** A compiled subroutine, as an import for modules or to be called from TypeScript. */
  subroutine(subroutine: Subroutine): WebAssembly.ExportValue {
    const known = this.#compiled.get(subroutine);
    if (known !== undefined) return known;
    const wanted = this.#closure(subroutine);
    const module = new ModuleBuilder();
    this.#importMemory(module);
    const refs = new Map<Subroutine, FunctionRef>();
    for (const one of wanted) {
      if (this.#compiled.has(one)) refs.set(one, module.importFunction('subroutine', one.name, one.type));
    }
    const fresh = wanted.filter((one) => !this.#compiled.has(one));
    for (const one of fresh) {
      const ref = module.declareFunction(one.name, one.type);
      refs.set(one, ref);
      module.exportFunction(one.name, ref);
    }
    const link = (one: Subroutine): FunctionRef => refs.get(one) as FunctionRef;
    for (const one of fresh) module.defineFunction(link(one), (f) => one.define(f, link));
    const instance = this.#instantiate(module, new Set(wanted.filter((one) => this.#compiled.has(one))));
    for (const one of fresh) this.#compiled.set(one, instance.exports[one.name] as WebAssembly.ExportValue);
    return this.#compiled.get(subroutine) as WebAssembly.ExportValue;
  }

  /** The subroutine and all it calls that are not compiled yet, with the compiled ones that they call. */
  #closure(subroutine: Subroutine): Subroutine[] {
    const found = new Set<Subroutine>([subroutine]);
    for (const one of found) {
      if (this.#compiled.has(one)) continue;
      const scratch = new ModuleBuilder();
      scratch.function(one.name, one.type, (f) =>
        one.define(f, (callee) => {
          found.add(callee);
          return scratch.declareFunction(callee.name, callee.type);
        }),
      );
    }
    const names = new Set<string>();
    for (const { name } of found) {
      if (names.has(name)) throw new InternalError(`Two subroutines are called ${name}.`);
      names.add(name);
    }
    return [...found];
  }

  #importMemory(module: ModuleBuilder): void {
    const initial = this.memory.byteLength / WASM_PAGE_BYTES;
    const shared = typeof SharedArrayBuffer !== 'undefined' && this.memory.memory.buffer instanceof SharedArrayBuffer;
    module.importMemory('env', 'memory', { initial, maximum: initial, shared });
  }

  #instantiate(module: ModuleBuilder, subroutines: ReadonlySet<Subroutine>): WebAssembly.Instance {
    const imports: Record<string, WebAssembly.ImportValue> = {};
    for (const subroutine of subroutines) imports[subroutine.name] = this.subroutine(subroutine);
    const compiled = new WebAssembly.Module(module.toBytes());
    return new WebAssembly.Instance(compiled, {
      env: { memory: this.memory.memory, table: this.table },
      slow: this.#slow,
      subroutine: imports,
    });
  }
}

/** A module that does nothing but hand the slow paths on. */
function wrapSlowPaths(slow: SlowPathFunctions): Record<string, WebAssembly.ImportValue> {
  const module = new ModuleBuilder();
  const names = ['load', 'store', 'claim', 'probe'] as const;
  const refs = names.map((name) => module.importFunction('slow', name, ACCESS_TYPE));
  const raise = module.importFunction('slow', 'raise', RAISE_TYPE);
  names.forEach((name, n) => {
    module.function(name, ACCESS_TYPE, (f) => f.return(f.call(refs[n] as FunctionRef, ...f.params)), { export: true });
  });
  module.function('raise', RAISE_TYPE, (f) => f.callVoid(raise, ...f.params), { export: true });
  const imports = { slow: slow as unknown as Record<string, WebAssembly.ImportValue> };
  return new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), imports).exports as Record<string, WebAssembly.ImportValue>;
}
