import { type FunctionRef, ModuleBuilder } from '@minusone/wasm';
import type { Subroutine } from '../../semantics/subroutine.ts';
import { STATE_BYTES, State } from '../../state/layout.ts';
import { FLAGS_OFFSET } from '../flags.ts';

/** Address of the one CPU state that tests use. */
export const CPU = 64;

/** Subroutines compiled for a test, over a memory with one CPU's state at `CPU`. */
export interface Instantiated {
  /** By the subroutine's name. i64 parameters and results are BigInts. */
  readonly call: Record<string, (...args: (number | bigint)[]) => number | bigint>;
  readonly view: DataView;
  /** Exception flags left by entry points. */
  flags: number;
}

/** Compiles subroutines, with those that they call, into one module. */
export function instantiate(subroutines: readonly Subroutine[]): Instantiated {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((CPU + STATE_BYTES) / 65536) });
  const module = new ModuleBuilder();
  module.importMemory('host', 'memory', { initial: 1 });
  const refs = new Map<Subroutine, FunctionRef>();
  const link = (subroutine: Subroutine): FunctionRef => {
    let ref = refs.get(subroutine);
    if (ref === undefined) {
      ref = module.declareFunction(subroutine.name, subroutine.type);
      refs.set(subroutine, ref);
      module.defineFunction(ref, (f) => subroutine.define(f, link));
    }
    return ref;
  };
  for (const subroutine of subroutines) module.exportFunction(subroutine.name, link(subroutine));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), { host: { memory } });
  const view = new DataView(memory.buffer);
  const at = CPU + State.scratch + FLAGS_OFFSET;
  return {
    call: instance.exports as Instantiated['call'],
    view,
    get flags() {
      return view.getInt32(at, true);
    },
    set flags(value) {
      view.setInt32(at, value, true);
    },
  };
}
