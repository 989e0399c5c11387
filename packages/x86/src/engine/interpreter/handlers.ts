import { type Expr, type FunctionBuilder, type FunctionRef, i32, type Local, type ModuleBuilder, or } from '@minusone/wasm';
import type { Insn } from '../../decode/insn.ts';
import { resolveOperands } from '../../decode/resolve-operands.ts';
import { readFlags } from '../../semantics/flags-in-state.ts';
import type { Runtime } from '../../semantics/runtime.ts';
import { loadAt } from '../../semantics/state-access.ts';
import type { Subroutine } from '../../semantics/subroutine.ts';
import { emitUnitChecks, emitUnitEffects, unitFault } from '../../semantics/unit-checks.ts';
import { Segment } from '../../state/layout.ts';
import type { Mode } from '../../state/mode.ts';
import { CodeExit } from '../exit.ts';
import type { GeneratedCode } from '../generated-code.ts';
import { enterBlock, exitAt, HANDLER_TYPE, instructionPointer, lookUp } from './dispatch.ts';
import { HandlerEmit } from './handler-emit.ts';
import { RecordField } from './record.ts';
import { TrackedMode } from './tracked-mode.ts';

/** A handler, and the modes that it serves: those whose word has `value` under `mask`. */
interface Variant {
  readonly mask: number;
  readonly value: number;
  readonly index: number;
}

/** An instruction for which no handler was there. */
export interface WantedHandler {
  readonly insn: Insn;
  readonly mode: Mode;
  readonly key: number;
}

/**
 * Handlers that stand for no row. `follow`: goes on with the next record of the page (its link), or looks for it; 64-bit code and other. `stop`: back to the engine. `stale`: the
 * block was dropped. `raise`: raises the exception whose vector is the first immediate, with the second as error code. `system`: a system row without a unit to check.
 */
const PSEUDO_HANDLERS = ['follow64', 'follow32', 'stop', 'stale', 'raise', 'system'] as const;
export type PseudoHandlers = Readonly<Record<(typeof PSEUDO_HANDLERS)[number], number>>;

/**
 * The interpreter's handlers, generated when first needed and shared by all instructions that need the same code: same form, sizes, addressing, and mode as far
 * as the semantics looked at it.
 */
export class Handlers {
  readonly pseudo: PseudoHandlers;
  /** Enters compiled code: (record, CPU) -> CodeExit. */
  readonly enter: (record: number, cpu: number) => number;
  readonly #code: GeneratedCode;
  readonly #variants = new Map<number, Variant[]>();
  /** By form: the subroutines that its semantics call, as far as known. */
  readonly #expected = new Map<number, Set<Subroutine>>();
  count = 0;

  constructor(code: GeneratedCode) {
    this.#code = code;
    const first = code.allocateSlots(PSEUDO_HANDLERS.length);
    this.pseudo = Object.fromEntries(PSEUDO_HANDLERS.map((name, n) => [name, first + n])) as PseudoHandlers;
    const instance = code.build(new Set(), (module, runtime) => definePseudoHandlers(module, runtime, first));
    this.enter = instance.exports.enter as (record: number, cpu: number) => number;
  }

  /** The handler's index, or 0 if it has to be made first. */
  find(insn: Insn, key: number, modeWord: number): number {
    const { form } = insn;
    if (form.row.semantics === undefined && form.unit === 'integer') return this.pseudo.system;
    const variants = this.#variants.get(key);
    if (variants === undefined) return 0;
    for (const { mask, value, index } of variants) if ((modeWord & mask) === value) return index;
    return 0;
  }

  /** Makes handlers, in one module. */
  make(wanted: readonly WantedHandler[]): void {
    if (wanted.length === 0) return;
    const first = this.#code.allocateSlots(wanted.length);
    const expected = new Set<Subroutine>([readFlags]);
    for (const { insn } of wanted) for (const subroutine of this.#expected.get(insn.form.id) ?? []) expected.add(subroutine);
    const masks: number[] = [];
    this.#code.build(expected, (module, runtime) => {
      masks.length = 0;
      const refs = wanted.map(({ insn, mode }) => {
        const tracked = new TrackedMode(mode.word);
        const noting = this.#noting(insn.form.id, runtime);
        const ref = module.function(insn.form.mnemonic, HANDLER_TYPE, (f) => {
          emitHandler(new HandlerEmit(insn, resolveOperands(insn), tracked, f, noting));
        });
        masks.push(tracked.used);
        return ref;
      });
      module.elements(first, refs);
    });
    wanted.forEach(({ key, mode }, n) => {
      const mask = masks[n] as number;
      const variants = this.#variants.get(key);
      const variant = { mask, value: mode.word & mask, index: first + n };
      if (variants === undefined) this.#variants.set(key, [variant]);
      else variants.push(variant);
    });
    this.count += wanted.length;
  }

  #noting(form: number, runtime: Runtime): Runtime {
    return {
      slow: runtime.slow,
      link: (subroutine): FunctionRef => {
        let known = this.#expected.get(form);
        if (known === undefined) {
          known = new Set();
          this.#expected.set(form, known);
        }
        known.add(subroutine);
        return runtime.link(subroutine);
      },
    };
  }
}

/** What a handler depends on besides the mode, as one number below 2^53. A missing base register reads as zero; flat segments share handlers. */
export function handlerKey(insn: Insn, mode: Mode): number {
  const { form, segment } = insn;
  const memory = form.hasModrm && !insn.isRegisterForm;
  const addressing = memory ? 1 + (insn.index >= 0 ? 2 : 0) + (insn.ripRelative ? 4 : 0) : 0;
  const flat = mode.codeBits === 64 ? segment < Segment.FS : mode.flatData && segment !== Segment.CS && segment < Segment.FS;
  const sharesSegment = flat && form.unit !== 'x87';
  const bits =
    (31 - Math.clz32(insn.operandBytes)) |
    ((31 - Math.clz32(insn.addressBytes)) << 2) |
    (addressing << 4) |
    ((sharesSegment ? 7 : segment) << 8) |
    ((insn.rep === 0 ? 0 : insn.rep & 3) << 11) |
    ((insn.lock ? 1 : 0) << 13) |
    ((insn.vectorBytes >> 4) << 14);
  const st = form.operands.some(({ method }) => method === 'ST') ? insn.modrm & 7 : 0;
  const depends = form.row.options.dependsOn?.(insn) ?? 0;
  return bits + (st + 8 * (form.id + 4096 * depends)) * 65536;
}

function emitHandler(e: HandlerEmit): void {
  const { form } = e.insn;
  const fault = unitFault(form, e.mode);
  if (fault !== undefined) {
    e.raise(fault);
    return;
  }
  emitUnitChecks(e);
  if (form.row.semantics === undefined) {
    e.leaveForSystem();
    return;
  }
  e.prepareOperands();
  form.row.semantics(e);
  if (!e.ended) emitUnitEffects(e);
  e.finish();
}

function definePseudoHandlers(module: ModuleBuilder, runtime: Runtime, first: number): void {
  const handler = (name: string, body: (f: FunctionBuilder, record: Expr, cpu: Expr) => void): FunctionRef =>
    module.function(name, HANDLER_TYPE, (f) => body(f, f.params[0] as Expr, f.params[1] as Expr));
  const follow = (wide: boolean): FunctionRef =>
    handler(`follow${wide ? '64' : '32'}`, (f, record, cpu) => {
      const target = f.let(loadAt(record, RecordField.follow, 4));
      f.if(target, () => enterBlock(f, cpu, target));
      lookUp(f, cpu, f.let(instructionPointer(record, cpu, RecordField.offset, wide)), or(record, i32(1)));
    });
  const leave = (name: string, code: number): FunctionRef => handler(name, (f, record, cpu) => exitAt(f, cpu, code, record));
  const raise = handler('raise', (f, record, cpu) => {
    f.callVoid(runtime.slow.raise, cpu, loadAt(record, RecordField.immediate, 4), loadAt(record, RecordField.immediate2, 4));
    exitAt(f, cpu, CodeExit.FAULT, record);
  });
  const pseudo: Record<keyof PseudoHandlers, FunctionRef> = {
    follow64: follow(true),
    follow32: follow(false),
    stop: leave('stop', CodeExit.STOP),
    stale: leave('stale', CodeExit.STALE),
    raise,
    system: leave('system', CodeExit.SYSTEM),
  };
  module.elements(
    first,
    PSEUDO_HANDLERS.map((name) => pseudo[name]),
  );
  module.function(
    'enter',
    HANDLER_TYPE,
    (f) => {
      const [record, cpu] = f.params as unknown as readonly [Local, Local];
      f.returnCallIndirect(HANDLER_TYPE, loadAt(record, RecordField.handler, 4), record, cpu);
    },
    { export: true },
  );
}
