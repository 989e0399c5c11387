import { InternalError, InvalidArgumentError } from '@minusone/core';
import { FunctionRef, Global } from './call.ts';
import { CodeBuffer } from './code-buffer.ts';
import { Constant } from './constants.ts';
import type { Expr } from './expr.ts';
import { FunctionBuilder } from './function-builder.ts';
import type { FunctionType, ValType } from './types.ts';
import { sameTypes, typeCode } from './types.ts';

export interface MemoryLimits {
  /** Pages of 64 KiB that the memory has at least. */
  initial: number;
  /** Pages of 64 KiB that it may grow to. */
  maximum?: number;
  /** Shared between threads: needs `maximum`. */
  shared?: boolean;
}

interface Elements {
  readonly offset: number;
  readonly refs: readonly FunctionRef[];
}

// Sections in the order that the format prescribes (Core Specification 5.5.2).
const SECTION = { custom: 0, type: 1, import: 2, function: 3, global: 6, export: 7, element: 9, code: 10 } as const;
const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;
const FUNCREF = 0x70;
const HEADER = new Uint8Array([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);

/** One WebAssembly module: imports first, then functions, then {@link toBytes}. */
export class ModuleBuilder {
  readonly #types: FunctionType[] = [];
  readonly #typeIndices = new Map<FunctionType, number>();
  readonly #imports = new CodeBuffer(256);
  #importCount = 0;
  readonly #exports = new CodeBuffer(256);
  #exportCount = 0;
  readonly #globals = new CodeBuffer(16);
  #globalCount = 0;
  #definedGlobals = 0;
  readonly #functions: FunctionRef[] = [];
  #importedFunctions = 0;
  /** Of the defined functions; undefined while only declared. */
  readonly #bodies: (FunctionBuilder | undefined)[] = [];
  readonly #elements: Elements[] = [];

  /** Imports the memory that loads and stores access. */
  importMemory(module: string, name: string, { initial, maximum, shared }: MemoryLimits): void {
    if (shared && maximum === undefined) throw new InvalidArgumentError('A shared memory has a maximum.', 'Give `maximum`, in pages.');
    this.#import(module, name, KIND.memory);
    this.#imports.byte(shared ? 3 : maximum === undefined ? 0 : 1);
    this.#imports.u32(initial);
    if (maximum !== undefined) this.#imports.u32(maximum);
  }

  /** Imports the table of functions that indirect calls go through; `initial` is its least number of elements. */
  importTable(module: string, name: string, { initial }: { initial: number }): void {
    this.#import(module, name, KIND.table);
    this.#imports.byte(FUNCREF);
    this.#imports.byte(0);
    this.#imports.u32(initial);
  }

  /** Imports a function. @throws {InternalError} after a function has been declared: imports have the first indices */
  importFunction(module: string, name: string, type: FunctionType): FunctionRef {
    if (this.#bodies.length > 0) throw new InternalError('Functions are imported before others are declared.', { module, name });
    this.#import(module, name, KIND.function);
    this.#imports.u32(this.#typeIndex(type));
    this.#importedFunctions++;
    return this.#newFunction(name, type);
  }

  /** Imports a global variable. @throws {InternalError} after a global has been defined */
  importGlobal(module: string, name: string, type: ValType, options?: { mutable?: boolean }): Global {
    if (this.#definedGlobals > 0) throw new InternalError('Globals are imported before others are defined.', { module, name });
    this.#import(module, name, KIND.global);
    this.#imports.byte(typeCode(type));
    this.#imports.byte(options?.mutable ? 1 : 0);
    return new Global(type, this.#globalCount++, options?.mutable === true);
  }

  /** Defines a global variable of `initial`'s type, which must be a constant. */
  global(initial: Expr, options?: { mutable?: boolean; export?: string }): Global {
    if (!(initial instanceof Constant)) throw new InternalError('A global begins with a constant.', { type: initial.type });
    const mutable = options?.mutable === true;
    this.#globals.byte(typeCode(initial.type));
    this.#globals.byte(mutable ? 1 : 0);
    initial.emit(this.#globals);
    this.#globals.byte(0x0b);
    this.#definedGlobals++;
    const global = new Global(initial.type, this.#globalCount++, mutable);
    if (options?.export !== undefined) this.#export(options.export, KIND.global, global.index);
    return global;
  }

  /**
   * Defines a function; `body` runs at once.
   *
   * @param name  for the names section, thus for stack traces and profilers; need not be unique
   * @param options.export  exports it, as `name` or as the given string
   */
  function(name: string, type: FunctionType, body: (f: FunctionBuilder) => void, options?: { export?: boolean | string }): FunctionRef {
    const ref = this.declareFunction(name, type);
    this.defineFunction(ref, body);
    const exported = options?.export;
    if (exported !== undefined && exported !== false) this.exportFunction(exported === true ? name : exported, ref);
    return ref;
  }

  /** A function that is defined later, by {@link defineFunction}: for recursion and use before definition. */
  declareFunction(name: string, type: FunctionType): FunctionRef {
    this.#typeIndex(type);
    this.#bodies.push(undefined);
    return this.#newFunction(name, type);
  }

  /** Defines a declared function; `body` runs at once. */
  defineFunction(ref: FunctionRef, body: (f: FunctionBuilder) => void): void {
    const index = ref.index - this.#importedFunctions;
    if (this.#functions[ref.index] !== ref || index < 0) throw new InternalError(`${ref.name} was not declared here.`);
    if (this.#bodies[index]) throw new InternalError(`${ref.name} is defined already.`);
    const builder = new FunctionBuilder(ref.type, this.#typeIndexOf);
    this.#bodies[index] = builder;
    body(builder);
  }

  /** Exports a function under a name, which must be unique among the exports. */
  exportFunction(name: string, ref: FunctionRef): void {
    this.#export(name, KIND.function, ref.index);
  }

  /** Puts functions into table 0, from `tableOffset` on, when the module is instantiated. */
  elements(tableOffset: number, refs: readonly FunctionRef[]): void {
    this.#elements.push({ offset: tableOffset, refs: [...refs] });
  }

  /** The module in the binary format. @throws {InternalError} a declared function is not defined, or has open scopes */
  toBytes(): Uint8Array<ArrayBuffer> {
    const out = new CodeBuffer(4096);
    const section = new CodeBuffer(4096);
    const finish = (id: number): void => {
      out.byte(id);
      out.u32(section.length);
      out.append(section);
      section.clear();
    };
    out.bytes(HEADER);
    if (this.#types.length > 0) {
      this.#writeTypes(section);
      finish(SECTION.type);
    }
    const counted = (id: number, count: number, entries: CodeBuffer): void => {
      if (count === 0) return;
      section.u32(count);
      section.append(entries);
      finish(id);
    };
    counted(SECTION.import, this.#importCount, this.#imports);
    if (this.#bodies.length > 0) {
      section.u32(this.#bodies.length);
      for (let i = this.#importedFunctions; i < this.#functions.length; i++) section.u32(this.#typeIndex(this.#functions[i]!.type));
      finish(SECTION.function);
    }
    counted(SECTION.global, this.#definedGlobals, this.#globals);
    counted(SECTION.export, this.#exportCount, this.#exports);
    if (this.#elements.length > 0) {
      this.#writeElements(section);
      finish(SECTION.element);
    }
    if (this.#bodies.length > 0) {
      this.#writeCode(section);
      finish(SECTION.code);
    }
    this.#writeNames(section);
    finish(SECTION.custom);
    return out.toBytes();
  }

  #writeTypes(section: CodeBuffer): void {
    section.u32(this.#types.length);
    for (const { params, results } of this.#types) {
      section.byte(0x60);
      section.u32(params.length);
      for (const param of params) section.byte(typeCode(param));
      section.u32(results.length);
      for (const result of results) section.byte(typeCode(result));
    }
  }

  #writeElements(section: CodeBuffer): void {
    section.u32(this.#elements.length);
    for (const { offset, refs } of this.#elements) {
      section.byte(0); // active, table 0, function indices
      section.byte(0x41);
      section.s32(offset);
      section.byte(0x0b);
      section.u32(refs.length);
      for (const ref of refs) section.u32(ref.index);
    }
  }

  #writeCode(section: CodeBuffer): void {
    section.u32(this.#bodies.length);
    for (let i = 0; i < this.#bodies.length; i++) {
      const body = this.#bodies[i];
      if (!body) throw new InternalError(`${this.#functions[this.#importedFunctions + i]!.name} is declared but not defined.`);
      body.writeTo(section);
    }
  }

  /** The custom section `name` with function names (Core Specification, appendix 7.4). */
  #writeNames(section: CodeBuffer): void {
    const names = new CodeBuffer(256);
    names.u32(this.#functions.length);
    for (const { index, name } of this.#functions) {
      names.u32(index);
      names.name(name);
    }
    section.name('name');
    section.byte(1);
    section.u32(names.length);
    section.append(names);
  }

  #import(module: string, name: string, kind: number): void {
    this.#importCount++;
    this.#imports.name(module);
    this.#imports.name(name);
    this.#imports.byte(kind);
  }

  #export(name: string, kind: number, index: number): void {
    this.#exportCount++;
    this.#exports.name(name);
    this.#exports.byte(kind);
    this.#exports.u32(index);
  }

  #newFunction(name: string, type: FunctionType): FunctionRef {
    const ref = new FunctionRef(this.#functions.length, name, type);
    this.#functions.push(ref);
    return ref;
  }

  readonly #typeIndexOf = (type: FunctionType): number => this.#typeIndex(type);

  /** The index of a type, added if no equal one is there. Each object is compared with the others once only. */
  #typeIndex(type: FunctionType): number {
    const known = this.#typeIndices.get(type);
    if (known !== undefined) return known;
    let index = this.#types.findIndex((other) => sameTypes(other.params, type.params) && sameTypes(other.results, type.results));
    if (index < 0) index = this.#types.push(type) - 1;
    this.#typeIndices.set(type, index);
    return index;
  }
}
