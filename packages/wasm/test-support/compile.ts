import * as wasm from '@minusone/wasm';
import { type Expr, type FunctionBuilder, type FunctionType, ModuleBuilder, type ValType } from '@minusone/wasm';

// biome-ignore lint/suspicious/noExplicitAny: what WebAssembly exports take and give depends on their type
export type Compiled = (...args: any[]) => any;

/** Compiles a module and instantiates it. */
export function instantiate(builder: ModuleBuilder, imports: WebAssembly.Imports = {}): Record<string, Compiled> {
  return new WebAssembly.Instance(new WebAssembly.Module(builder.toBytes()), imports).exports as Record<string, Compiled>;
}

/** One function, with one page of memory (`memory`) to work on. */
export function compile(type: FunctionType, body: (f: FunctionBuilder) => void, memory?: WebAssembly.Memory): Compiled {
  const builder = new ModuleBuilder();
  builder.importMemory('host', 'memory', { initial: 1 });
  builder.function('test', type, body, { export: true });
  return instantiate(builder, { host: { memory: memory ?? new WebAssembly.Memory({ initial: 1 }) } }).test!;
}

/** A function that gives the value of one expression of its parameters. */
export function compileExpr(params: readonly ValType[], result: ValType, of: (...params: Expr[]) => Expr): Compiled {
  return compile({ params, results: [result] }, (f) => f.return(of(...f.params)));
}

/** The bytes of the code of an expression: what its emission looks like. */
export function codeOf(params: readonly ValType[], of: (...params: Expr[]) => Expr): number {
  let size = 0;
  const builder = new ModuleBuilder();
  builder.function('test', { params, results: [] }, (f) => {
    f.set(f.local(of(...f.params).type), of(...f.params));
    size = f.size - 2; // without local.set
  });
  return size;
}

const builders = new Map<string, unknown>(Object.entries(wasm));

/** An operation of the package by its name, for tests over tables of names. */
export function operation(name: string): (...operands: Expr[]) => Expr {
  const builder = builders.get(name);
  if (typeof builder !== 'function') throw new Error(`no operation ${name}`);
  return builder as (...operands: Expr[]) => Expr;
}
