import type { FunctionRef, ModuleBuilder } from '@minusone/wasm';
import { i32, wrap } from '@minusone/wasm';
import type { Insn } from '../../decode/insn.ts';
import { resolveOperands } from '../../decode/resolve-operands.ts';
import { readFlags } from '../../semantics/flags-in-state.ts';
import type { Runtime } from '../../semantics/runtime.ts';
import { loadAt, storeTo } from '../../semantics/state-access.ts';
import type { Subroutine } from '../../semantics/subroutine.ts';
import { emitUnitChecks, emitUnitEffects, unitFault } from '../../semantics/unit-checks.ts';
import { State } from '../../state/layout.ts';
import type { Mode } from '../../state/mode.ts';
import { CodeExit } from '../exit.ts';
import type { GeneratedCode } from '../generated-code.ts';
import { HANDLER_TYPE, HandlerEmit } from './handler-emit.ts';
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

/** Handlers that stand for no row. */
export interface PseudoHandlers {
  /** Goes on with the next record of the page (link `follow`), or looks for it. */
  readonly follow: number;
  /** The block was dropped. */
  readonly stale: number;
  /** Raises the exception whose vector is the first immediate, with the second as error code. */
  readonly raise: number;
  /** A system row without a unit to check. */
  readonly system: number;
}

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
    const first = code.allocateSlots(4);
    this.pseudo = { follow: first, stale: first + 1, raise: first + 2, system: first + 3 };
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

/** What a handler depends on besides the mode, as one number below 2^53. */
export function handlerKey(insn: Insn): number {
  const { form } = insn;
  const memory = form.hasModrm && !insn.isRegisterForm;
  const addressing = memory ? 1 + (insn.base >= 0 ? 1 : 0) + (insn.index >= 0 ? 2 : 0) + (insn.ripRelative ? 4 : 0) : 0;
  const bits =
    (insn.operandBytes >> 1 >> (insn.operandBytes >> 3)) |
    ((insn.addressBytes >> 1 >> (insn.addressBytes >> 3)) << 2) |
    (addressing << 4) |
    (insn.segment << 8) |
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
    e.exitToSystem();
    return;
  }
  e.prepareOperands();
  form.row.semantics(e);
  if (!e.ended) emitUnitEffects(e);
  e.finish();
}

function definePseudoHandlers(module: ModuleBuilder, runtime: Runtime, first: number): void {
  const leave = (name: string, code: number): FunctionRef =>
    module.function(name, HANDLER_TYPE, (f) => {
      const [record, cpu] = f.params as readonly [(typeof f.params)[number], (typeof f.params)[number]];
      storeTo(f, cpu, State.exitRecord, 4, record);
      f.return(i32(code));
    });
  const follow = leave('follow', CodeExit.FOLLOW);
  const stale = leave('stale', CodeExit.STALE);
  const raise = module.function('raise', HANDLER_TYPE, (f) => {
    const [record, cpu] = f.params as readonly [(typeof f.params)[number], (typeof f.params)[number]];
    f.callVoid(runtime.slow.raise, cpu, wrap(loadAt(record, RecordField.immediate, 8)), loadAt(record, RecordField.immediate2, 4));
    storeTo(f, cpu, State.exitRecord, 4, record);
    f.return(i32(CodeExit.FAULT));
  });
  const system = leave('system', CodeExit.SYSTEM);
  module.elements(first, [follow, stale, raise, system]);
  module.function(
    'enter',
    HANDLER_TYPE,
    (f) => {
      const [record, cpu] = f.params as readonly [(typeof f.params)[number], (typeof f.params)[number]];
      f.returnCallIndirect(HANDLER_TYPE, loadAt(record, RecordField.handler, 4), record, cpu);
    },
    { export: true },
  );
}
