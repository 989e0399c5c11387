import {
  add,
  add as addNative,
  and,
  convertS,
  demote,
  div as divNative,
  type Expr,
  eq,
  extendS,
  type FunctionBuilder,
  type FunctionRef,
  gt,
  i32,
  i64,
  type Local,
  leU,
  lt,
  ltU,
  mul as mulNative,
  nearest,
  or,
  promote,
  reinterpret,
  select,
  shrU,
  sqrt as sqrtNative,
  sub as subNative,
  trunc,
  truncSatS,
  wrap,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { addSubtract } from './add.ts';
import { BINARY32, BINARY64, type Binary, constant, magnitude } from './binary.ts';
import { COMPARE_FLAGS_SHIFT, compare, Relation } from './compare.ts';
import { Control, controlOfMxcsr } from './control.ts';
import { convert } from './convert.ts';
import { divide } from './divide.ts';
import { Flag, raiseFlags } from './flags.ts';
import { roundToIntegral, toInteger } from './integral.ts';
import { multiply } from './multiply.ts';
import {
  differenceIsExact,
  type Exactness,
  ignoresInexact,
  ignoresRounding,
  isInIntegerRange,
  isPlain,
  isSafeResult,
  productExact,
  quotientIsExact,
  returnNative,
  rootIsExact,
  sumIsExact,
} from './native.ts';
import { Place, readPlace, Slot, slotPointer } from './scratch.ts';
import { squareRoot } from './square-root.ts';
import { unpackInteger } from './unpack.ts';

/** The entry points for SSE, once for binary32 and once for binary64: bit patterns, MXCSR, and the flags of `flags.ts`. */

type Link = (subroutine: Subroutine) => FunctionRef;

/** Unpacks an operand, as zero where it is denormal and DAZ is 1. */
function unpackTo(f: FunctionBuilder, link: Link, format: Binary, cpu: Expr, slot: Slot, bits: Expr, mxcsr: Expr): void {
  f.callVoid(link(format.unpack), slotPointer(cpu, slot), bits, and(mxcsr, i32(Control.DAZ)));
}

/** Adds the flags of a core subroutine's call and leaves with the packed result. */
function returnPacked(f: FunctionBuilder, link: Link, format: Binary, cpu: Expr, flags: Expr): void {
  f.callVoid(link(raiseFlags), flags, cpu);
  f.return(f.call(link(format.pack), cpu));
}

function binaryOperation(
  format: Binary,
  name: string,
  native: (a: Expr, b: Expr) => Expr,
  isExact: Exactness,
  core: (f: FunctionBuilder, link: Link, cpu: Expr, control: Expr) => Expr,
): Subroutine {
  const { type } = format;
  return subroutine(`${format.name}${name}`, { params: [type, type, 'i32', 'i32'], results: [type] }, (f, link) => {
    const [a, b, mxcsr, cpu] = f.params as [Local, Local, Local, Local];
    returnNative(f, format, mxcsr, [a, b], native as (...floats: Expr[]) => Expr, isExact);
    unpackTo(f, link, format, cpu, Slot.A, a, mxcsr);
    unpackTo(f, link, format, cpu, Slot.B, b, mxcsr);
    returnPacked(f, link, format, cpu, core(f, link, cpu, controlOfMxcsr(mxcsr, format.control)));
  });
}

const addOf = (format: Binary): Subroutine =>
  binaryOperation(format, 'Add', addNative, sumIsExact, (f, link, cpu, control) => f.call(link(addSubtract), cpu, control, i32(0)));
const subtractOf = (format: Binary): Subroutine =>
  binaryOperation(format, 'Sub', subNative, differenceIsExact, (f, link, cpu, control) => f.call(link(addSubtract), cpu, control, i32(1)));
const multiplyOf = (format: Binary): Subroutine =>
  binaryOperation(format, 'Mul', mulNative, productExact, (f, link, cpu, control) => f.call(link(multiply), cpu, control));
const divideOf = (format: Binary): Subroutine =>
  binaryOperation(format, 'Div', divNative, quotientIsExact, (f, link, cpu, control) => f.call(link(divide), cpu, control));

function squareRootOf(format: Binary): Subroutine {
  const { type } = format;
  return subroutine(`${format.name}Sqrt`, { params: [type, 'i32', 'i32'], results: [type] }, (f, link) => {
    const [a, mxcsr, cpu] = f.params as [Local, Local, Local];
    returnNative(f, format, mxcsr, [a], sqrtNative as (...floats: Expr[]) => Expr, rootIsExact);
    unpackTo(f, link, format, cpu, Slot.A, a, mxcsr);
    returnPacked(f, link, format, cpu, f.call(link(squareRoot), cpu, controlOfMxcsr(mxcsr, format.control)));
  });
}

/**
 * MINSS and its kind (SDM Vol. 2B): the first operand if it is less (greater), and otherwise, for NaNs and two zeros too, the second, as it is. DAZ makes a
 * zero of a denormal that is handed on.
 */
function selectionOf(format: Binary, name: 'Min' | 'Max', wanted: number): Subroutine {
  const { type } = format;
  return subroutine(`${format.name}${name}`, { params: [type, type, 'i32', 'i32'], results: [type] }, (f, link) => {
    const [a, b, mxcsr, cpu] = f.params as [Local, Local, Local, Local];
    f.if(and(isPlain(format, a), isPlain(format, b)), () => {
      const holds = wanted === Relation.LESS ? lt : gt;
      f.return(select(holds(reinterpret(a), reinterpret(b)), a, b));
    });
    unpackTo(f, link, format, cpu, Slot.A, a, mxcsr);
    unpackTo(f, link, format, cpu, Slot.B, b, mxcsr);
    const relation = f.let(f.call(link(compare), cpu, i32(0)));
    f.callVoid(link(raiseFlags), shrU(relation, i32(COMPARE_FLAGS_SHIFT)), cpu);
    const chosen = f.let(select(eq(and(relation, i32(0xff)), i32(wanted)), a, b));
    const isDenormal = ltU(magnitude(format, chosen), constant(format, format.leastNormal));
    const flushed = and(chosen, constant(format, format.sign));
    f.return(select(and(shrU(mxcsr, i32(6)), isDenormal), flushed, chosen));
  });
}

function compareOf(format: Binary, name: 'Compare' | 'CompareQuiet', quiet: 0 | 1): Subroutine {
  const { type } = format;
  return subroutine(`${format.name}${name}`, { params: [type, type, 'i32', 'i32'], results: ['i32'] }, (f, link) => {
    const [a, b, mxcsr, cpu] = f.params as [Local, Local, Local, Local];
    f.if(and(isPlain(format, a), isPlain(format, b)), () => {
      const unequal = select(lt(reinterpret(a), reinterpret(b)), i32(Relation.LESS), i32(Relation.GREATER));
      f.return(select(eq(reinterpret(a), reinterpret(b)), i32(Relation.EQUAL), unequal));
    });
    unpackTo(f, link, format, cpu, Slot.A, a, mxcsr);
    unpackTo(f, link, format, cpu, Slot.B, b, mxcsr);
    const relation = f.let(f.call(link(compare), cpu, i32(quiet)));
    f.callVoid(link(raiseFlags), shrU(relation, i32(COMPARE_FLAGS_SHIFT)), cpu);
    f.return(and(relation, i32(0xff)));
  });
}

function conversionOf(from: Binary, to: Binary, name: string): Subroutine {
  return subroutine(name, { params: [from.type, 'i32', 'i32'], results: [to.type] }, (f, link) => {
    const [a, mxcsr, cpu] = f.params as [Local, Local, Local];
    if (to.precision > from.precision) f.if(isPlain(from, a), () => f.return(reinterpret(promote(reinterpret(a)))));
    else {
      const result = f.let(reinterpret(demote(reinterpret(a))));
      const isExact = eq(promote(reinterpret(result)), reinterpret(a));
      f.if(and(isSafeResult(to, result), or(ignoresRounding(mxcsr), isExact)), () => f.return(result));
    }
    unpackTo(f, link, from, cpu, Slot.A, a, mxcsr);
    returnPacked(f, link, to, cpu, f.call(link(convert), cpu, controlOfMxcsr(mxcsr, to.control)));
  });
}

function fromIntegerOf(bits: 32 | 64, to: Binary): Subroutine {
  const type = bits === 32 ? 'i32' : 'i64';
  return subroutine(`i${bits}To${to.name.toUpperCase()}`, { params: [type, 'i32', 'i32'], results: [to.type] }, (f, link) => {
    const [a, mxcsr, cpu] = f.params as [Local, Local, Local];
    const result = reinterpret(convertS(a, to.name));
    if (bits < to.precision) f.return(result);
    else {
      const limit = 1n << BigInt(to.precision);
      const moved = bits === 32 ? add(a, i32(Number(limit))) : add(a, i64(limit));
      const isExact = leU(moved, bits === 32 ? i32(Number(2n * limit)) : i64(2n * limit));
      f.if(or(isExact, ignoresRounding(mxcsr)), () => f.return(result));
    }
    f.callVoid(link(unpackInteger), slotPointer(cpu, Slot.A), extendS(a));
    returnPacked(f, link, to, cpu, f.call(link(convert), cpu, controlOfMxcsr(mxcsr, to.control)));
  });
}

function toIntegerOf(from: Binary, bits: 32 | 64, truncates: boolean): Subroutine {
  const type = bits === 32 ? 'i32' : 'i64';
  const name = `${from.name}ToI${bits}${truncates ? 'Truncate' : ''}`;
  return subroutine(name, { params: [from.type, 'i32', 'i32'], results: [type] }, (f, link) => {
    const [a, mxcsr, cpu] = f.params as [Local, Local, Local];
    f.if(isInIntegerRange(from, a, bits), () => {
      const rounded = f.let(truncates ? trunc(reinterpret(a)) : nearest(reinterpret(a)));
      const isExact = eq(rounded, reinterpret(a));
      const mayRound = truncates ? ignoresInexact(mxcsr) : ignoresRounding(mxcsr);
      // Rounding to nearest may leave the range: 2^31 - 1/2 does.
      f.if(and(or(isExact, mayRound), isInIntegerRange(from, reinterpret(rounded), bits)), () => f.return(truncSatS(rounded, type)));
    });
    unpackTo(f, link, from, cpu, Slot.A, a, mxcsr);
    const rc = truncates ? i32(3) : and(shrU(mxcsr, i32(13)), i32(3));
    f.callVoid(link(raiseFlags), f.call(link(toInteger), cpu, rc, i32(bits)), cpu);
    const value = readPlace(f, cpu, Place.EXTRA, 'i64');
    f.return(bits === 32 ? wrap(value) : value);
  });
}

/** ROUNDSS and ROUNDSD (SDM Vol. 2B): imm8 bits 0-1 are RC unless bit 2 says MXCSR's; bit 3 keeps PE silent. */
function integralOf(format: Binary): Subroutine {
  const { type } = format;
  return subroutine(`${format.name}Round`, { params: [type, 'i32', 'i32', 'i32'], results: [type] }, (f, link) => {
    const [a, imm, mxcsr, cpu] = f.params as [Local, Local, Local, Local];
    unpackTo(f, link, format, cpu, Slot.A, a, mxcsr);
    const rc = select(and(imm, i32(4)), and(shrU(mxcsr, i32(13)), i32(3)), and(imm, i32(3)));
    const flags = f.let(f.call(link(roundToIntegral), cpu, rc));
    returnPacked(f, link, format, cpu, and(flags, select(and(imm, i32(8)), i32(Flag.IE), i32(0x3f))));
  });
}

export const f32Add: Subroutine = addOf(BINARY32);
export const f32Sub: Subroutine = subtractOf(BINARY32);
export const f32Mul: Subroutine = multiplyOf(BINARY32);
export const f32Div: Subroutine = divideOf(BINARY32);
export const f32Sqrt: Subroutine = squareRootOf(BINARY32);
export const f32Min: Subroutine = selectionOf(BINARY32, 'Min', Relation.LESS);
export const f32Max: Subroutine = selectionOf(BINARY32, 'Max', Relation.GREATER);
export const f32Compare: Subroutine = compareOf(BINARY32, 'Compare', 0);
export const f32CompareQuiet: Subroutine = compareOf(BINARY32, 'CompareQuiet', 1);
export const f32ToF64: Subroutine = conversionOf(BINARY32, BINARY64, 'f32ToF64');
export const f32ToI32: Subroutine = toIntegerOf(BINARY32, 32, false);
export const f32ToI64: Subroutine = toIntegerOf(BINARY32, 64, false);
export const f32ToI32Truncate: Subroutine = toIntegerOf(BINARY32, 32, true);
export const f32ToI64Truncate: Subroutine = toIntegerOf(BINARY32, 64, true);
export const f32Round: Subroutine = integralOf(BINARY32);
export const f64Add: Subroutine = addOf(BINARY64);
export const f64Sub: Subroutine = subtractOf(BINARY64);
export const f64Mul: Subroutine = multiplyOf(BINARY64);
export const f64Div: Subroutine = divideOf(BINARY64);
export const f64Sqrt: Subroutine = squareRootOf(BINARY64);
export const f64Min: Subroutine = selectionOf(BINARY64, 'Min', Relation.LESS);
export const f64Max: Subroutine = selectionOf(BINARY64, 'Max', Relation.GREATER);
export const f64Compare: Subroutine = compareOf(BINARY64, 'Compare', 0);
export const f64CompareQuiet: Subroutine = compareOf(BINARY64, 'CompareQuiet', 1);
export const f64ToF32: Subroutine = conversionOf(BINARY64, BINARY32, 'f64ToF32');
export const f64ToI32: Subroutine = toIntegerOf(BINARY64, 32, false);
export const f64ToI64: Subroutine = toIntegerOf(BINARY64, 64, false);
export const f64ToI32Truncate: Subroutine = toIntegerOf(BINARY64, 32, true);
export const f64ToI64Truncate: Subroutine = toIntegerOf(BINARY64, 64, true);
export const f64Round: Subroutine = integralOf(BINARY64);
export const i32ToF32: Subroutine = fromIntegerOf(32, BINARY32);
export const i64ToF32: Subroutine = fromIntegerOf(64, BINARY32);
export const i32ToF64: Subroutine = fromIntegerOf(32, BINARY64);
export const i64ToF64: Subroutine = fromIntegerOf(64, BINARY64);
