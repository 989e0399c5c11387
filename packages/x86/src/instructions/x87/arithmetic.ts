import { eq, eqz, i32, type Local, or } from '@minusone/wasm';
import type { Emit, Value } from '../../semantics/emit.ts';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { addSubtract } from '../../softfloat/add.ts';
import { controlOfFcwPrecision } from '../../softfloat/control.ts';
import { divide } from '../../softfloat/divide.ts';
import { multiply } from '../../softfloat/multiply.ts';
import { Slot } from '../../softfloat/scratch.ts';
import { squareRoot } from '../../softfloat/square-root.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { unpackOperand } from './memory-operands.ts';
import { deliver, isEmpty, pop, readFcw, underflow, unpackStack } from './stack.ts';

const Operation = { ADD: 0, SUBTRACT: 1, MULTIPLY: 2, DIVIDE: 3 } as const;

/** (cpu, operation) -> flags: R = A operation B, as the control word says. */
const compute: Subroutine = subroutine('x87.compute', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, operation] = f.params as [Local, Local];
  const control = f.let(controlOfFcwPrecision(readFcw(f, cpu)));
  f.if(eq(operation, i32(Operation.MULTIPLY)), () => f.return(f.call(link(multiply), cpu, control)));
  f.if(eq(operation, i32(Operation.DIVIDE)), () => f.return(f.call(link(divide), cpu, control)));
  f.return(f.call(link(addSubtract), cpu, control, operation));
});

/** (cpu, operation, destination, a, b, pops): ST(destination) = ST(a) operation ST(b). */
const arithmeticRegisters: Subroutine = subroutine(
  'x87.arithmeticRegisters',
  { params: ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], results: [] },
  (f, link) => {
    const [cpu, operation, destination, a, b, pops] = f.params as [Local, Local, Local, Local, Local, Local];
    f.if(or(f.call(link(isEmpty), cpu, a), f.call(link(isEmpty), cpu, b)), () => {
      f.if(f.call(link(underflow), cpu, destination), () => f.callVoid(link(pop), cpu, pops));
      f.return();
    });
    unpackStack(f, link, cpu, Slot.A, a);
    unpackStack(f, link, cpu, Slot.B, b);
    f.callVoid(link(deliver), cpu, f.call(link(compute), cpu, operation), destination, pops);
  },
);

/** (cpu, operation, slot): ST(0) = ST(0) operation memory, or the other way round: ST(0) goes to `slot`, and the other operand is in the other one already. */
const arithmeticMemory: Subroutine = subroutine('x87.arithmeticMemory', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, operation, slot] = f.params as [Local, Local, Local];
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.drop(f.call(link(underflow), cpu, i32(0)));
    f.return();
  });
  f.if(
    eqz(slot),
    () => unpackStack(f, link, cpu, Slot.A, i32(0)),
    () => unpackStack(f, link, cpu, Slot.B, i32(0)),
  );
  f.callVoid(link(deliver), cpu, f.call(link(compute), cpu, operation), i32(0), i32(0));
});

/** (cpu): ST(0) = its square root. */
const squareRootTop: Subroutine = subroutine('x87.squareRoot', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.drop(f.call(link(underflow), cpu, i32(0)));
    f.return();
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const flags = f.call(link(squareRoot), cpu, controlOfFcwPrecision(readFcw(f, cpu)));
  f.callVoid(link(deliver), cpu, flags, i32(0), i32(0));
});

/** Number of an ST operand, as a value. */
const st = (index: number): Value => i32(index);

/** One of FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR with its pop and integer kin. In DC and DE, SUB and SUBR, DIV and DIVR trade places. */
function arithmeticRowsOf(name: string, operation: number, reversed: boolean, digit: number, isSymmetric: boolean): InstructionRow[] {
  const opcode = (n: number): string => (0xc0 + n * 8).toString(16).toUpperCase();
  const other = isSymmetric ? digit : digit ^ 1;
  const registers = (e: Emit, pops: number): void => {
    const destination = st(e.dst.index);
    const source = st(e.src.index);
    const [a, b] = reversed ? [source, destination] : [destination, source];
    e.callVoid(arithmeticRegisters, e.cpu, i32(operation), destination, a, b, i32(pops));
  };
  const memory =
    (kind: 'float' | 'integer') =>
    (e: Emit): void => {
      unpackOperand(e, kind, reversed ? Slot.A : Slot.B);
      e.callVoid(arithmeticMemory, e.cpu, i32(operation), i32(reversed ? Slot.B : Slot.A));
    };
  return [
    instruction(`F${name}`, [`D8 ${opcode(digit)}+i ST0,STi`, `DC ${opcode(other)}+i STi,ST0`], (e) => registers(e, 0)),
    instruction(`F${name}`, [`D8 /${digit} Md`, `DC /${digit} Mq`], memory('float')),
    instruction(`F${name}P`, [`DE ${opcode(other)}+i STi,ST0`], (e) => registers(e, 1)),
    instruction(`FI${name}`, [`DA /${digit} Md`, `DE /${digit} Mw`], memory('integer')),
  ];
}

/** Addition, subtraction, multiplication, division and the square root (SDM Vol. 1, 8.3.5). */
export const arithmeticRows: readonly InstructionRow[] = [
  ...arithmeticRowsOf('ADD', Operation.ADD, false, 0, true),
  ...arithmeticRowsOf('MUL', Operation.MULTIPLY, false, 1, true),
  ...arithmeticRowsOf('SUB', Operation.SUBTRACT, false, 4, false),
  ...arithmeticRowsOf('SUBR', Operation.SUBTRACT, true, 5, false),
  ...arithmeticRowsOf('DIV', Operation.DIVIDE, false, 6, false),
  ...arithmeticRowsOf('DIVR', Operation.DIVIDE, true, 7, false),
  instruction('FSQRT', ['D9 FA'], (e) => e.callVoid(squareRootTop, e.cpu)),
];
