import {
  add,
  and,
  type Expr,
  extendS,
  type FunctionBuilder,
  type FunctionRef,
  i32,
  load,
  ModuleBuilder,
  or,
  shrU,
  signExtend,
  wrap,
  xor,
} from '@minusone/wasm';
import type { Emit, Operand, Value } from '../../../semantics/emit.ts';
import type { Subroutine } from '../../../semantics/subroutine.ts';
import { STATE_BYTES, State } from '../../../state/layout.ts';
import type { InstructionForm } from '../../../table/form.ts';
import { InstructionTable } from '../../../table/instruction-table.ts';
import type { InstructionRow } from '../../../table/row.ts';

/** Address of the CPU's state and of the memory operand; the arithmetic flags stand before it, as an EFLAGS image. */
export const CPU = 64;
const FLAGS = 16;
export const OPERAND = 4096;

/** One form with its ModRM byte: what is compiled and what the processor executes. */
export interface RowCase {
  readonly name: string;
  readonly code: readonly number[];
  readonly hasMemory: boolean;
  readonly run: () => void;
}

/** Rows compiled against a small Emit of their own: state and one memory operand, no segments, no faults. */
export interface RowRunner {
  readonly cases: readonly RowCase[];
  readonly view: DataView;
  eflags: number;
}

const BYTES: Readonly<Record<string, number>> = { Mw: 2, Md: 4, Mq: 8, Mt: 10 };

class TestOperand {
  readonly kind: Operand['kind'];
  readonly bytes: number;
  readonly index: number;
  readonly offset: Value;
  readonly segment = 3;
  readonly #f: FunctionBuilder;
  readonly #address: Expr;

  constructor(f: FunctionBuilder, kind: Operand['kind'], bytes: number, index: number, address: Expr) {
    this.kind = kind;
    this.bytes = bytes;
    this.index = index;
    this.#f = f;
    this.#address = address;
    this.offset = address;
  }
  read(): Value {
    const { bytes } = this;
    return this.#f.let(bytes === 8 ? load('i64', this.#address) : load('i32', this.#address, { bytes: bytes as 1 | 2 | 4 }));
  }
  readSigned(as: 4 | 8 = this.bytes === 8 ? 8 : 4): Value {
    const value = this.read();
    const extended = this.bytes === 2 ? signExtend(value, 16) : value;
    return as === 8 ? extendS(extended) : extended;
  }
  write(value: Value): void {
    const typed = this.bytes === 8 ? value : wrap(value);
    this.#f.store(this.#address, typed, { bytes: this.bytes as 2 | 4 | 8 });
  }
  part(offset: number, bytes: number): TestOperand {
    return new TestOperand(this.#f, this.kind, bytes, -1, add(this.#address, i32(offset)));
  }
}

function emitFor(f: FunctionBuilder, form: InstructionForm, modrm: number, link: (s: Subroutine) => FunctionRef): Emit {
  const cpu = i32(CPU);
  const operands = form.operands.map((operand) => {
    if (operand.method === 'ST0') return new TestOperand(f, 'st', 10, 0, cpu);
    if (operand.method === 'ST') return new TestOperand(f, 'st', 10, modrm & 7, cpu);
    if (operand.method === 'M') return new TestOperand(f, 'memory', BYTES[`M${operand.size}`] as number, -1, i32(OPERAND));
    return new TestOperand(f, 'gpr', 2, 0, i32(CPU + State.gpr));
  });
  const field = (offset: number): Value => f.let(load('i32', cpu, { offset }));
  const flag = (bit: number): Expr => and(shrU(load('i32', i32(FLAGS)), i32(bit)), i32(1));
  const conditions: Readonly<Record<number, () => Expr>> = {
    1: () => flag(0),
    2: () => flag(6),
    3: () => or(flag(0), flag(6)),
    5: () => flag(2),
  };
  const emit = {
    operands,
    dst: operands[0],
    src: operands[1],
    f,
    cpu,
    let: (x: Value) => f.let(x),
    if: (condition: Value, then: () => void, otherwise?: () => void) => f.if(condition, then, otherwise),
    call: (s: Subroutine, ...args: Value[]) => f.let(f.call(link(s), ...args)),
    callVoid: (s: Subroutine, ...args: Value[]) => f.callVoid(link(s), ...args),
    probeWrite: () => {},
    store: (_segment: number, offset: Value, value: Value, bytes: 2 | 8) => f.store(offset, value, { bytes }),
    gpr: (index: number, bytes: number) => new TestOperand(f, 'gpr', bytes, index, i32(CPU + State.gpr + 8 * index)),
    flags: {
      write: (image: Value) => f.store(i32(FLAGS), image),
      condition: (cc: number) => f.let(xor((conditions[cc >> 1] as () => Expr)(), i32(cc & 1))),
    },
    fpu: {
      get fcw() {
        return field(State.fcw);
      },
      get fsw() {
        return field(State.fsw);
      },
      setFcw: (value: Value) => f.store(cpu, value, { offset: State.fcw }),
      setFsw: (value: Value) => f.store(cpu, value, { offset: State.fsw }),
      setFtw: (value: Value) => f.store(cpu, value, { offset: State.ftw }),
    },
  };
  return emit as unknown as Emit;
}

/** Compiles every form of the rows that has semantics: with each register for `+i`, with memory at (RBX) otherwise. */
export function compileRows(rows: readonly InstructionRow[]): RowRunner {
  const memory = new WebAssembly.Memory({ initial: 1 });
  if (CPU + STATE_BYTES > OPERAND) throw new Error('The operand lies within the state.');
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
  const named: Omit<RowCase, 'run'>[] = [];
  for (const form of new InstructionTable(rows).forms) {
    if (form.row.semantics === undefined) continue;
    const hasMemory = form.operands.some(({ method }) => method === 'M');
    const modrms = !form.hasModrm
      ? [-1]
      : form.digit >= 0
        ? [(form.digit << 3) | 3]
        : Array.from({ length: form.modrmCount }, (_, n) => form.fixedModrm + n);
    for (const modrm of modrms) {
      const code = [...(form.map === 1 ? [0x0f] : []), form.opcode, ...(modrm < 0 ? [] : [modrm])];
      const name = `${form.mnemonic} ${code.map((byte) => byte.toString(16)).join(' ')}`;
      module.function(name, { params: [], results: [] }, (f) => form.row.semantics?.(emitFor(f, form, modrm, link)), { export: true });
      named.push({ name, code, hasMemory });
    }
  }
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.toBytes()), { host: { memory } });
  const view = new DataView(memory.buffer);
  return {
    cases: named.map((c) => ({ ...c, run: instance.exports[c.name] as () => void })),
    view,
    get eflags() {
      return view.getInt32(FLAGS, true);
    },
    set eflags(value) {
      view.setInt32(FLAGS, value, true);
    },
  };
}
