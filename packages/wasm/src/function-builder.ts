import { InternalError } from '@minusone/core';
import {
  CALL,
  CALL_INDIRECT,
  Call,
  CallIndirect,
  emitCall,
  emitCallIndirect,
  type FunctionRef,
  type Global,
  RETURN_CALL,
  RETURN_CALL_INDIRECT,
} from './call.ts';
import { CodeBuffer } from './code-buffer.ts';
import { condition } from './comparison.ts';
import { Constant, I32Constant } from './constants.ts';
import type { Expr } from './expr.ts';
import { Local, Snapshot } from './local.ts';
import { emitStore, type MemoryOptions } from './memory-access.ts';
import { emitStoreLane, type LaneBytes, type VectorMemoryOptions } from './simd.ts';
import type { FunctionType, ValType } from './types.ts';
import { requireType, requireTypes, typeCode } from './types.ts';

const UNREACHABLE = 0x00;
const BLOCK = 0x02;
const LOOP = 0x03;
const IF = 0x04;
const ELSE = 0x05;
const END = 0x0b;
const BR = 0x0c;
const BR_IF = 0x0d;
const BR_TABLE = 0x0e;
const RETURN = 0x0f;
const DROP = 0x1a;
const GLOBAL_SET = 0x24;
const NO_RESULT = 0x40;
const MEMORY_COPY = 0xfc000a;
const MEMORY_FILL = 0xfc000b;

/** A branch target: the end of a block or an `if`, the start of a loop. Valid until its scope is closed. */
export class Label {
  readonly #kind: 'block' | 'loop' | 'if';

  constructor(kind: 'block' | 'loop' | 'if') {
    this.#kind = kind;
  }

  /** What was opened. */
  get kind(): 'block' | 'loop' | 'if' {
    return this.#kind;
  }
}

/**
 * The body of one function: statements, emitted in the order of the calls. Made by `ModuleBuilder.function`.
 *
 * Falling off the end of a function that has results traps: leave it by `return`. Every method throws
 * {@link InternalError} on operands of the wrong type and on labels that are not open.
 */
export class FunctionBuilder {
  readonly type: FunctionType;
  readonly params: Local[];
  #code = new CodeBuffer();
  readonly #labels: Label[] = [];
  readonly #typeIndex: (type: FunctionType) => number;
  // Declared locals as runs of one type each, which is how the binary format writes them.
  readonly #runTypes: ValType[] = [];
  readonly #runCounts: number[] = [];
  #locals: number;
  // Locals of values whose scope is over, and those of the scope that is open: see `scratch`.
  readonly #free = new Map<ValType, number[]>();
  #scratch: Snapshot[] | undefined;

  /** @param typeIndex  gives the module's index of a function type, for indirect calls */
  constructor(type: FunctionType, typeIndex: (type: FunctionType) => number) {
    this.type = type;
    this.params = type.params.map((param, index) => new Local(param, index));
    this.#locals = type.params.length;
    this.#typeIndex = typeIndex;
  }

  /** Bytes of code so far, without the declaration of the locals. */
  get size(): number {
    return this.#code.length;
  }

  /** A new local variable, zero when the function is entered. */
  local(type: ValType): Local {
    return new Local(type, this.#declare(type));
  }

  /** Computes `x` now and keeps it: the result can be used any number of times from here on. Constants and earlier results are given back as they are. */
  let(x: Expr): Expr {
    if (x instanceof Constant || x instanceof Snapshot) return x;
    // The local is chosen before the value is computed: `x` may not be built from values of a scope that is over.
    const snapshot = this.#snapshot(x.type, x.significantBits);
    x.emit(this.#code);
    this.#code.localSet(snapshot.index);
    return snapshot;
  }

  /**
   * Runs `body`, and gives the locals of all values that were computed by {@link let} and {@link ifExpr} in it free for others: none of them may be used
   * afterwards. What outlives the scope is put into a {@link local}. Keeps large functions small: the engines' baseline compilers visit every local at every branch.
   */
  scratch(body: () => void): void {
    const outer = this.#scratch;
    const mine: Snapshot[] = [];
    this.#scratch = mine;
    body();
    this.#scratch = outer;
    for (const { type, index } of mine) {
      const free = this.#free.get(type);
      if (free === undefined) this.#free.set(type, [index]);
      else free.push(index);
    }
  }

  /** Builds code that comes before all that has been built so far: for what is known only afterwards, such as which locals have to be loaded. */
  prologue(body: () => void): void {
    const rest = this.#code;
    this.#code = new CodeBuffer(rest.length + 256);
    body();
    this.#code.append(rest);
  }

  /** Assigns to a local (or to a mutable global). */
  set(target: Local | Global, x: Expr): void {
    requireType(x.type, target.type, 'set');
    if (x === target) return;
    x.emit(this.#code);
    if (target instanceof Local) {
      this.#code.localSet(target.index);
      return;
    }
    if (!target.mutable) throw new InternalError('set needs a mutable global.', { index: target.index });
    this.#code.byte(GLOBAL_SET);
    this.#code.u32(target.index);
  }

  /** Writes `value` to memory at `pointer` plus `offset` (see `load`); with `bytes`, only its low bytes. */
  store(pointer: Expr, value: Expr, options?: MemoryOptions): void {
    emitStore(this.#code, pointer, value, options);
  }

  /** Writes one lane of a vector, `bytes` wide. */
  storeLane(bytes: LaneBytes, pointer: Expr, vector: Expr, lane: number, options?: VectorMemoryOptions): void {
    emitStoreLane(this.#code, bytes, pointer, vector, lane, options);
  }

  /** Copies `bytes` bytes within memory 0; the ranges may overlap. All i32. */
  memoryCopy(dst: Expr, src: Expr, bytes: Expr): void {
    this.#emitAll([dst, src, bytes], ['i32', 'i32', 'i32'], 'memoryCopy');
    this.#code.op(MEMORY_COPY);
    this.#code.byte(0);
    this.#code.byte(0);
  }

  /** Sets `bytes` bytes of memory 0 to the low byte of `value`. All i32. */
  memoryFill(dst: Expr, value: Expr, bytes: Expr): void {
    this.#emitAll([dst, value, bytes], ['i32', 'i32', 'i32'], 'memoryFill');
    this.#code.op(MEMORY_FILL);
    this.#code.byte(0);
  }

  /** Runs `then` if the i32 `cond` is not zero, else `otherwise`. Of a constant condition, only the arm that is taken is built. */
  if(cond: Expr, then: () => void, otherwise?: () => void): void {
    const asked = condition(cond, 'if');
    if (asked instanceof I32Constant) {
      if (asked.value !== 0) then();
      else otherwise?.();
      return;
    }
    this.openIf(asked);
    then();
    if (otherwise) {
      this.else();
      otherwise();
    }
    this.close();
  }

  /** {@link if} with a value: computed now, and usable any number of times from here on. */
  ifExpr(type: ValType, cond: Expr, then: () => Expr, otherwise: () => Expr): Expr {
    const asked = condition(cond, 'ifExpr');
    if (asked instanceof I32Constant) {
      const value = asked.value !== 0 ? then() : otherwise();
      requireType(value.type, type, 'ifExpr');
      return this.let(value);
    }
    asked.emit(this.#code);
    this.#open('if', IF, typeCode(type));
    const value = then();
    requireType(value.type, type, 'ifExpr');
    value.emit(this.#code);
    this.else();
    const other = otherwise();
    requireType(other.type, type, 'ifExpr');
    other.emit(this.#code);
    this.close();
    const snapshot = this.#snapshot(type, Math.max(value.significantBits, other.significantBits));
    this.#code.localSet(snapshot.index);
    return snapshot;
  }

  /** A scope whose label is its end: a branch to it leaves it. */
  block(body: (label: Label) => void): void {
    body(this.openBlock());
    this.close();
  }

  /** A scope whose label is its start: a branch to it repeats it, reaching its end leaves it. */
  loop(body: (label: Label) => void): void {
    body(this.openLoop());
    this.close();
  }

  /** As {@link block}, up to the matching {@link close}. */
  openBlock(): Label {
    return this.#open('block', BLOCK, NO_RESULT);
  }

  /** As {@link loop}, up to the matching {@link close}. */
  openLoop(): Label {
    return this.#open('loop', LOOP, NO_RESULT);
  }

  /** As {@link if}, up to {@link else} or the matching {@link close}; its label is its end. */
  openIf(cond: Expr): Label {
    condition(cond, 'openIf').emit(this.#code);
    return this.#open('if', IF, NO_RESULT);
  }

  /** Begins the other arm of the innermost scope, which must be an `if`. */
  else(): void {
    if (this.#labels.at(-1)?.kind !== 'if') throw new InternalError('else needs an if as the innermost scope.');
    this.#code.byte(ELSE);
  }

  /** Closes the innermost scope. */
  close(): void {
    if (this.#labels.pop() === undefined) throw new InternalError('close needs an open scope.');
    this.#code.byte(END);
  }

  /** Branches to a label. */
  br(label: Label): void {
    const depth = this.#depth(label);
    this.#code.byte(BR);
    this.#code.u32(depth);
  }

  /** Branches to a label if the i32 `cond` is not zero. */
  brIf(label: Label, cond: Expr): void {
    const asked = condition(cond, 'brIf');
    if (asked instanceof I32Constant) {
      if (asked.value !== 0) this.br(label);
      return;
    }
    const depth = this.#depth(label);
    asked.emit(this.#code);
    this.#code.byte(BR_IF);
    this.#code.u32(depth);
  }

  /** Branches to `labels[index]`, or to `defaultLabel` if the i32 `index`, unsigned, lies beyond them. */
  brTable(index: Expr, labels: readonly Label[], defaultLabel: Label): void {
    requireType(index.type, 'i32', 'brTable');
    index.emit(this.#code);
    this.#code.byte(BR_TABLE);
    this.#code.u32(labels.length);
    for (const label of labels) this.#code.u32(this.#depth(label));
    this.#code.u32(this.#depth(defaultLabel));
  }

  /** Leaves the function with its results. */
  return(...values: Expr[]): void {
    this.#emitAll(values, this.type.results, 'return');
    this.#code.byte(RETURN);
  }

  /** Traps. */
  unreachable(): void {
    this.#code.byte(UNREACHABLE);
  }

  /** Computes `x` for its effect only. */
  drop(x: Expr): void {
    if (x.pure) return;
    x.emit(this.#code);
    this.#code.byte(DROP);
  }

  /** A call with one result, made wherever (and as often as) the expression is used: usually through {@link let}. */
  call(fn: FunctionRef, ...args: Expr[]): Expr {
    requireTypes(args, fn.type.params, `call of ${fn.name}`);
    requireOneResult(fn.type, `call of ${fn.name}`);
    return new Call(fn, args);
  }

  /** A call as a statement; results are dropped. */
  callVoid(fn: FunctionRef, ...args: Expr[]): void {
    requireTypes(args, fn.type.params, `call of ${fn.name}`);
    emitCall(this.#code, CALL, fn, args);
    this.#dropResults(fn.type);
  }

  /** A call through table 0 with one result, made wherever the expression is used; traps if the element is not of this type. */
  callIndirect(type: FunctionType, index: Expr, ...args: Expr[]): Expr {
    this.#checkIndirect(type, index, args, 'callIndirect');
    requireOneResult(type, 'callIndirect');
    return new CallIndirect(type.results[0]!, this.#typeIndex(type), index, args);
  }

  /** {@link callIndirect} as a statement; results are dropped. */
  callIndirectVoid(type: FunctionType, index: Expr, ...args: Expr[]): void {
    this.#checkIndirect(type, index, args, 'callIndirectVoid');
    emitCallIndirect(this.#code, CALL_INDIRECT, this.#typeIndex(type), index, args);
    this.#dropResults(type);
  }

  /** Leaves the function by calling another with the same results, which takes its place on the stack. */
  returnCall(fn: FunctionRef, ...args: Expr[]): void {
    requireTypes(args, fn.type.params, `returnCall of ${fn.name}`);
    this.#checkTailResults(fn.type, 'returnCall');
    emitCall(this.#code, RETURN_CALL, fn, args);
  }

  /** {@link returnCall} through table 0. */
  returnCallIndirect(type: FunctionType, index: Expr, ...args: Expr[]): void {
    this.#checkIndirect(type, index, args, 'returnCallIndirect');
    this.#checkTailResults(type, 'returnCallIndirect');
    emitCallIndirect(this.#code, RETURN_CALL_INDIRECT, this.#typeIndex(type), index, args);
  }

  /** Appends this function to the code section: size, locals, body, end. Called by `ModuleBuilder.toBytes`. */
  writeTo(section: CodeBuffer): void {
    if (this.#labels.length > 0) throw new InternalError(`A function ends with ${this.#labels.length} open scopes.`);
    const locals = new CodeBuffer(16);
    locals.u32(this.#runTypes.length);
    for (let i = 0; i < this.#runTypes.length; i++) {
      locals.u32(this.#runCounts[i]!);
      locals.byte(typeCode(this.#runTypes[i]!));
    }
    // With results on the stack expected at the end, falling off it would not validate: `unreachable` makes it a trap.
    const trap = this.type.results.length > 0;
    section.u32(locals.length + this.#code.length + (trap ? 2 : 1));
    section.append(locals);
    section.append(this.#code);
    if (trap) section.byte(UNREACHABLE);
    section.byte(END);
  }

  #declare(type: ValType): number {
    const last = this.#runTypes.length - 1;
    if (last >= 0 && this.#runTypes[last] === type) this.#runCounts[last]!++;
    else {
      this.#runTypes.push(type);
      this.#runCounts.push(1);
    }
    return this.#locals++;
  }

  #snapshot(type: ValType, significantBits: number): Snapshot {
    const index = this.#free.get(type)?.pop() ?? this.#declare(type);
    const snapshot = new Snapshot(type, index, significantBits);
    this.#scratch?.push(snapshot);
    return snapshot;
  }

  #open(kind: 'block' | 'loop' | 'if', opcode: number, result: number): Label {
    const label = new Label(kind);
    this.#labels.push(label);
    this.#code.byte(opcode);
    this.#code.byte(result);
    return label;
  }

  /** How many scopes lie within the label's: what branches are encoded with. */
  #depth(label: Label): number {
    const labels = this.#labels;
    for (let i = labels.length - 1; i >= 0; i--) if (labels[i] === label) return labels.length - 1 - i;
    throw new InternalError('A branch needs a label whose scope is open.', { kind: label.kind });
  }

  #emitAll(values: readonly Expr[], types: readonly ValType[], where: string): void {
    requireTypes(values, types, where);
    for (const value of values) value.emit(this.#code);
  }

  #dropResults(type: FunctionType): void {
    for (let i = 0; i < type.results.length; i++) this.#code.byte(DROP);
  }

  #checkIndirect(type: FunctionType, index: Expr, args: readonly Expr[], where: string): void {
    requireType(index.type, 'i32', where);
    requireTypes(args, type.params, where);
  }

  #checkTailResults(type: FunctionType, where: string): void {
    const results = type.results.map((result) => ({ type: result }));
    requireTypes(results, this.type.results, `${where}'s results`);
  }
}

function requireOneResult(type: FunctionType, where: string): void {
  if (type.results.length !== 1) throw new InternalError(`${where} as an expression needs one result.`, { results: type.results });
}
