import { and, div, type Expr, eq, extendU, f32, i32, i64, ltU, or, reinterpret, select, shl, simd, sqrt, sub } from '@minusone/wasm';
import type { Emit } from '../../semantics/emit.ts';
import type { Subroutine } from '../../semantics/subroutine.ts';
import * as soft from '../../softfloat/index.ts';
import { type InstructionRow, instruction, type RowOptions, type Semantics } from '../../table/row.ts';
import { lanes, readAligned, SSE_OPTIONS, SSE2_OPTIONS } from './packed.ts';

const { v128 } = simd;
const i32x4: typeof simd.i32x4 = simd.i32x4;
const i64x2: typeof simd.i64x2 = simd.i64x2;

/** A floating-point format as lanes of a v128: bit patterns in, bit patterns out. */
interface Format {
  readonly shape: typeof i32x4 | typeof i64x2;
  readonly count: 2 | 4;
}
const SINGLE: Format = { shape: i32x4, count: 4 };
const DOUBLE: Format = { shape: i64x2, count: 2 };
const SSE3_OPTIONS: RowOptions = { unit: 'sse', features: ['SSE3'] };

const laneNumbers = (format: Format): number[] => Array.from({ length: format.count }, (_, lane) => lane);

/** Puts scalars into the lanes of a vector. */
export function vectorOf(format: Format, values: readonly Expr[]): Expr {
  let vector = format.shape.splat(values[0] as Expr);
  for (const [lane, value] of values.entries()) if (lane > 0) vector = format.shape.replaceLane(vector, lane, value);
  return vector;
}

/** Runs a computation, reports its exceptions as #XM where unmasked, and returns what it computed: nothing is written before (SDM Vol. 1, 11.5). */
function withExceptions<T>(e: Emit, compute: () => T): T {
  e.callVoid(soft.clearFlags, e.cpu);
  const result = compute();
  e.simdExceptions(e.call(soft.simdFlags, e.mxcsr, e.cpu));
  return result;
}

type Binary = { readonly single: Subroutine; readonly double: Subroutine };

/** The four forms of an arithmetic instruction: PS, PD, SS, SD. */
function arithmetic(name: string, opcode: string, operation: Binary): InstructionRow[] {
  const packed =
    (format: Format, subroutine: Subroutine): Semantics =>
    (e) => {
      const b = readAligned(e.src);
      const a = e.dst.read();
      const results = withExceptions(e, () =>
        laneNumbers(format).map((lane) =>
          e.call(subroutine, format.shape.extractLane(a, lane), format.shape.extractLane(b, lane), e.mxcsr, e.cpu),
        ),
      );
      e.dst.write(vectorOf(format, results));
    };
  const scalar =
    (subroutine: Subroutine): Semantics =>
    (e) => {
      const b = e.src.read();
      const a = e.dst.read();
      e.dst.write(withExceptions(e, () => e.call(subroutine, a, b, e.mxcsr, e.cpu)));
    };
  return [
    instruction(`${name}PS`, [`NP 0F ${opcode} /r Vdq,Wdq`], packed(SINGLE, operation.single), SSE_OPTIONS),
    instruction(`${name}PD`, [`66 0F ${opcode} /r Vdq,Wdq`], packed(DOUBLE, operation.double), SSE2_OPTIONS),
    instruction(`${name}SS`, [`F3 0F ${opcode} /r Vss,Wss`], scalar(operation.single), SSE_OPTIONS),
    instruction(`${name}SD`, [`F2 0F ${opcode} /r Vsd,Wsd`], scalar(operation.double), SSE2_OPTIONS),
  ];
}

/** The four forms of an instruction of one operand. */
function unary(name: string, opcode: string, operation: Binary): InstructionRow[] {
  const packed =
    (format: Format, subroutine: Subroutine): Semantics =>
    (e) => {
      const source = readAligned(e.src);
      const results = withExceptions(e, () =>
        laneNumbers(format).map((lane) => e.call(subroutine, format.shape.extractLane(source, lane), e.mxcsr, e.cpu)),
      );
      e.dst.write(vectorOf(format, results));
    };
  const scalar =
    (subroutine: Subroutine): Semantics =>
    (e) => {
      const source = e.src.read();
      e.dst.write(withExceptions(e, () => e.call(subroutine, source, e.mxcsr, e.cpu)));
    };
  return [
    instruction(`${name}PS`, [`NP 0F ${opcode} /r Vdq,Wdq`], packed(SINGLE, operation.single), SSE_OPTIONS),
    instruction(`${name}PD`, [`66 0F ${opcode} /r Vdq,Wdq`], packed(DOUBLE, operation.double), SSE2_OPTIONS),
    instruction(`${name}SS`, [`F3 0F ${opcode} /r Vss,Wss`], scalar(operation.single), SSE_OPTIONS),
    instruction(`${name}SD`, [`F2 0F ${opcode} /r Vsd,Wsd`], scalar(operation.double), SSE2_OPTIONS),
  ];
}

/**
 * RCPSS and RSQRTSS (SDM Vol. 2B): approximations with a relative error of at most 1.5 * 2^-12, no exceptions, whatever MXCSR says. Ours are the rounded quotients.
 * Denormal sources count as zeros; tiny results become zeros.
 */
function approximation(e: Emit, bits: Expr, compute: (x: Expr) => Expr): Expr {
  const magnitude = and(bits, i32(0x7fff_ffff));
  const sign = and(bits, i32(0x8000_0000 | 0));
  const isTiny = ltU(magnitude, i32(0x80_0000));
  const isNan = ltU(i32(0x7f80_0000), magnitude);
  const computed = e.let(reinterpret(compute(reinterpret(bits))));
  const isInvalid = ltU(i32(0x7f80_0000), and(computed, i32(0x7fff_ffff)));
  const flushed = select(ltU(and(computed, i32(0x7fff_ffff)), i32(0x80_0000)), and(computed, i32(0x8000_0000 | 0)), computed);
  const result = select(isInvalid, i32(0xffc0_0000 | 0), flushed);
  return e.let(select(isNan, or(bits, i32(0x40_0000)), select(isTiny, or(sign, i32(0x7f80_0000)), result)));
}

function approximate(name: string, opcode: string, compute: (x: Expr) => Expr): InstructionRow[] {
  const options: RowOptions = { ...SSE_OPTIONS, errorBound: { relative: 1.5 * 2 ** -12 } };
  return [
    instruction(
      `${name}PS`,
      [`NP 0F ${opcode} /r Vdq,Wdq`],
      (e) => {
        const source = readAligned(e.src);
        e.dst.write(
          vectorOf(
            SINGLE,
            laneNumbers(SINGLE).map((lane) => approximation(e, e.let(i32x4.extractLane(source, lane)), compute)),
          ),
        );
      },
      options,
    ),
    instruction(`${name}SS`, [`F3 0F ${opcode} /r Vss,Wss`], (e) => e.dst.write(approximation(e, e.src.read(), compute)), options),
  ];
}

/** CMPccPS and its kin: the predicate in the immediate (SDM Vol. 2A, Table 3-1). EQ, UNORD, NEQ and ORD are quiet. */
function comparison(e: Emit, format: Format, a: Expr, b: Expr): Expr {
  const predicate = e.insn.immediate & 7;
  const quiet = (predicate & 3) === 0 || (predicate & 3) === 3;
  const subroutine = format === SINGLE ? (quiet ? soft.f32CompareQuiet : soft.f32Compare) : quiet ? soft.f64CompareQuiet : soft.f64Compare;
  const code = e.call(subroutine, a, b, e.mxcsr, e.cpu);
  const [less, equal, unordered] = [eq(code, i32(1)), eq(code, i32(0x40)), eq(code, i32(0x45))];
  const holds = [equal, less, or(less, equal), unordered][predicate & 3] as Expr;
  const mask = predicate < 4 ? sub(i32(0), holds) : sub(holds, i32(1));
  return format === SINGLE ? e.let(mask) : e.let(or(shl(extendU(mask), i64(32)), extendU(mask)));
}

function compareRows(): InstructionRow[] {
  const packed =
    (format: Format): Semantics =>
    (e) => {
      const b = readAligned(e.src);
      const a = e.dst.read();
      e.dst.write(
        vectorOf(
          format,
          withExceptions(e, () =>
            laneNumbers(format).map((lane) => comparison(e, format, format.shape.extractLane(a, lane), format.shape.extractLane(b, lane))),
          ),
        ),
      );
    };
  const scalar =
    (format: Format): Semantics =>
    (e) => {
      const b = e.src.read();
      const a = e.dst.read();
      e.dst.write(withExceptions(e, () => comparison(e, format, a, b)));
    };
  const dependsOn = (insn: { immediate: number }): number => insn.immediate & 7;
  return [
    instruction('CMPPS', ['NP 0F C2 /r Vdq,Wdq,Ib'], packed(SINGLE), { ...SSE_OPTIONS, dependsOn }),
    instruction('CMPPD', ['66 0F C2 /r Vdq,Wdq,Ib'], packed(DOUBLE), { ...SSE2_OPTIONS, dependsOn }),
    instruction('CMPSS', ['F3 0F C2 /r Vss,Wss,Ib'], scalar(SINGLE), { ...SSE_OPTIONS, dependsOn }),
    instruction('CMPSD', ['F2 0F C2 /r Vsd,Wsd,Ib'], scalar(DOUBLE), { ...SSE2_OPTIONS, dependsOn }),
  ];
}

/** COMISS, UCOMISS ...: ZF, PF and CF from the comparison; OF, SF and AF cleared. */
const compareToFlags =
  (subroutine: Subroutine): Semantics =>
  (e) => {
    const b = e.src.read();
    const a = e.dst.read();
    e.flags.write(withExceptions(e, () => e.call(subroutine, a, b, e.mxcsr, e.cpu)));
  };

/** A shuffle whose lanes the immediate selects: the low half from the first operand, the high half from the second. */
function shuffleRow(mnemonic: string, encoding: string, format: Format, options: RowOptions): InstructionRow {
  const { count } = format;
  const bits = count === 4 ? 2 : 1;
  return instruction(
    mnemonic,
    [encoding],
    (e) => {
      const immediate = e.insn.immediate & 0xff;
      const b = readAligned(e.src);
      e.dst.write(
        simd.shuffle(
          e.dst.read(),
          b,
          lanes(count, (lane) => ((immediate >> (bits * lane)) & (count - 1)) + (lane < count / 2 ? 0 : count)),
        ),
      );
    },
    { ...options, dependsOn: (insn) => insn.immediate & 0xff },
  );
}

const shuffled =
  (count: number, pick: (lane: number) => number): Semantics =>
  (e) => {
    const b = readAligned(e.src);
    e.dst.write(simd.shuffle(e.dst.read(), b, lanes(count, pick)));
  };

const bitwise = (name: string, opcode: string, operation: (a: Expr, b: Expr) => Expr): InstructionRow[] => {
  const semantics: Semantics = (e) => {
    const b = readAligned(e.src);
    e.dst.write(operation(e.dst.read(), b));
  };
  return [
    instruction(`${name}PS`, [`NP 0F ${opcode} /r Vdq,Wdq`], semantics, SSE_OPTIONS),
    instruction(`${name}PD`, [`66 0F ${opcode} /r Vdq,Wdq`], semantics, SSE2_OPTIONS),
  ];
};

/** SSE3's horizontal and alternating forms: lane n of the result combines two lanes of the operands. */
function pairwise(
  name: string,
  opcode: string,
  pair: (lane: number, count: number) => [number, number],
  operation: (lane: number) => Binary,
): InstructionRow[] {
  const row = (suffix: string, prefix: string, format: Format): InstructionRow =>
    instruction(
      `${name}${suffix}`,
      [`${prefix} 0F ${opcode} /r Vdq,Wdq`],
      (e) => {
        const b = readAligned(e.src);
        const a = e.dst.read();
        const pick = (n: number): Expr => format.shape.extractLane(n < format.count ? a : b, n % format.count);
        const results = withExceptions(e, () =>
          laneNumbers(format).map((lane) => {
            const [x, y] = pair(lane, format.count);
            const { single, double } = operation(lane);
            return e.call(format === SINGLE ? single : double, pick(x), pick(y), e.mxcsr, e.cpu);
          }),
        );
        e.dst.write(vectorOf(format, results));
      },
      SSE3_OPTIONS,
    );
  return [row('PD', '66', DOUBLE), row('PS', 'F2', SINGLE)];
}

const ADD: Binary = { single: soft.f32Add, double: soft.f64Add };
const SUB: Binary = { single: soft.f32Sub, double: soft.f64Sub };
/** Horizontal: neighbours of the first operand, then of the second. */
const neighbours = (lane: number, count: number): [number, number] => {
  const first = lane < count / 2 ? lane * 2 : count + (lane - count / 2) * 2;
  return [first, first + 1];
};

/** Floating-point arithmetic, comparison and shuffling: SSE (SDM Vol. 1, 10.4.1), SSE2 (11.4.1), SSE3 (12.3). */
export const simdFloatRows: readonly InstructionRow[] = [
  ...arithmetic('ADD', '58', ADD),
  ...arithmetic('MUL', '59', { single: soft.f32Mul, double: soft.f64Mul }),
  ...arithmetic('SUB', '5C', SUB),
  ...arithmetic('MIN', '5D', { single: soft.f32Min, double: soft.f64Min }),
  ...arithmetic('DIV', '5E', { single: soft.f32Div, double: soft.f64Div }),
  ...arithmetic('MAX', '5F', { single: soft.f32Max, double: soft.f64Max }),
  ...unary('SQRT', '51', { single: soft.f32Sqrt, double: soft.f64Sqrt }),
  ...approximate('RSQRT', '52', (x) => div(f32(1), sqrt(x))),
  ...approximate('RCP', '53', (x) => div(f32(1), x)),
  ...compareRows(),
  instruction('UCOMISS', ['NP 0F 2E /r Vss,Wss'], compareToFlags(soft.f32CompareQuiet), SSE_OPTIONS),
  instruction('UCOMISD', ['66 0F 2E /r Vsd,Wsd'], compareToFlags(soft.f64CompareQuiet), SSE2_OPTIONS),
  instruction('COMISS', ['NP 0F 2F /r Vss,Wss'], compareToFlags(soft.f32Compare), SSE_OPTIONS),
  instruction('COMISD', ['66 0F 2F /r Vsd,Wsd'], compareToFlags(soft.f64Compare), SSE2_OPTIONS),
  ...bitwise('AND', '54', (a, b) => v128.and(a, b)),
  ...bitwise('ANDN', '55', (a, b) => v128.andnot(b, a)),
  ...bitwise('OR', '56', (a, b) => v128.or(a, b)),
  ...bitwise('XOR', '57', (a, b) => v128.xor(a, b)),
  shuffleRow('SHUFPS', 'NP 0F C6 /r Vdq,Wdq,Ib', SINGLE, SSE_OPTIONS),
  shuffleRow('SHUFPD', '66 0F C6 /r Vdq,Wdq,Ib', DOUBLE, SSE2_OPTIONS),
  instruction(
    'UNPCKLPS',
    ['NP 0F 14 /r Vdq,Wdq'],
    shuffled(4, (lane) => (lane >> 1) + (lane & 1 ? 4 : 0)),
    SSE_OPTIONS,
  ),
  instruction(
    'UNPCKHPS',
    ['NP 0F 15 /r Vdq,Wdq'],
    shuffled(4, (lane) => 2 + (lane >> 1) + (lane & 1 ? 4 : 0)),
    SSE_OPTIONS,
  ),
  instruction(
    'UNPCKLPD',
    ['66 0F 14 /r Vdq,Wdq'],
    shuffled(2, (lane) => lane * 2),
    SSE2_OPTIONS,
  ),
  instruction(
    'UNPCKHPD',
    ['66 0F 15 /r Vdq,Wdq'],
    shuffled(2, (lane) => lane * 2 + 1),
    SSE2_OPTIONS,
  ),
  ...pairwise(
    'ADDSUB',
    'D0',
    (lane, count) => [lane, count + lane],
    (lane) => (lane & 1 ? ADD : SUB),
  ),
  ...pairwise('HADD', '7C', neighbours, () => ADD),
  ...pairwise('HSUB', '7D', neighbours, () => SUB),
  instruction('MOVSLDUP', ['F3 0F 12 /r Vdq,Wdq'], (e) => duplicate(e, 4, (lane) => lane & 2), SSE3_OPTIONS),
  instruction('MOVSHDUP', ['F3 0F 16 /r Vdq,Wdq'], (e) => duplicate(e, 4, (lane) => lane | 1), SSE3_OPTIONS),
  instruction('MOVDDUP', ['F2 0F 12 /r Vdq,Wq'], (e) => e.dst.write(i64x2.splat(e.src.read())), SSE3_OPTIONS),
  instruction('LDDQU', ['F2 0F F0 /r Vdq,Mdq'], (e) => e.dst.write(e.src.read()), SSE3_OPTIONS),
];

function duplicate(e: Emit, count: number, pick: (lane: number) => number): void {
  const source = e.let(readAligned(e.src));
  e.dst.write(simd.shuffle(source, source, lanes(count, pick)));
}

export { DOUBLE, type Format, SINGLE, withExceptions };
