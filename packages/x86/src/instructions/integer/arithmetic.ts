import { add, and, eq, eqz, extendU, i64, or, select, shl, shrU, simd, sub, wrap } from '@minusone/wasm';
import { Gpr } from '../../state/layout.ts';
import type { Semantics } from '../../table/row.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { constant, mask, widen } from './values.ts';

/** The eight forms that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share (SDM Vol. 2D, Table, group 1). */
export function groupOne(mnemonic: string, digit: number, semantics: Semantics, lock: 'lock' | ''): InstructionRow {
  const opcode = (low: number): string => (digit * 8 + low).toString(16).toUpperCase().padStart(2, '0');
  return instruction(
    mnemonic,
    [
      `${opcode(0)} /r Eb,Gb ${lock}`,
      `${opcode(1)} /r Ev,Gv ${lock}`,
      `${opcode(2)} /r Gb,Eb`,
      `${opcode(3)} /r Gv,Ev`,
      `${opcode(4)} AL,Ib`,
      `${opcode(5)} rAX,Iz`,
      `80 /${digit} Eb,Ib ${lock}`,
      `81 /${digit} Ev,Iz ${lock}`,
      `82 /${digit} Eb,Ib ${lock} i64 alt`,
      `83 /${digit} Ev,sIb ${lock}`,
    ].map((encoding) => encoding.trim()),
    semantics,
  );
}

/** Addition, subtraction, comparison and exchange-with-arithmetic. */
export const arithmeticRows: readonly InstructionRow[] = [
  groupOne(
    'ADD',
    0,
    (e) => {
      const a = e.dst.readForWrite();
      const b = e.src.read();
      const sum = e.let(add(a, b));
      e.dst.write(sum);
      e.flags.add(e.dst.bytes, a, b, sum);
    },
    'lock',
  ),
  groupOne(
    'ADC',
    2,
    (e) => {
      const a = e.dst.readForWrite();
      const b = e.src.read();
      const sum = e.let(add(add(a, b), widen(e.dst.bytes, e.flags.get('cf'))));
      e.dst.write(sum);
      e.flags.add(e.dst.bytes, a, b, sum);
    },
    'lock',
  ),
  groupOne(
    'SBB',
    3,
    (e) => {
      const a = e.dst.readForWrite();
      const b = e.src.read();
      const borrow = e.flags.get('cf');
      const difference = e.let(sub(sub(a, b), widen(e.dst.bytes, borrow)));
      e.dst.write(difference);
      e.flags.sub(e.dst.bytes, a, b, difference, borrow);
    },
    'lock',
  ),
  groupOne(
    'SUB',
    5,
    (e) => {
      const a = e.dst.readForWrite();
      const b = e.src.read();
      const difference = e.let(sub(a, b));
      e.dst.write(difference);
      e.flags.sub(e.dst.bytes, a, b, difference);
    },
    'lock',
  ),
  groupOne(
    'CMP',
    7,
    (e) => {
      const a = e.dst.read();
      const b = e.src.read();
      e.flags.sub(e.dst.bytes, a, b, e.let(sub(a, b)));
    },
    '',
  ),
  /** INC (SDM Vol. 2A): adds 1 and leaves CF alone. The one-byte forms are REX prefixes in 64-bit mode. */
  instruction('INC', ['40+r Zv i64', 'FE /0 Eb lock', 'FF /0 Ev lock'], (e) => {
    const { bytes } = e.dst;
    const sum = e.let(add(e.dst.readForWrite(), constant(bytes, 1)));
    const cf = e.flags.get('cf');
    e.dst.write(sum);
    e.flags.result(bytes, sum, {
      cf,
      of: eq(mask(bytes, sum), constant(bytes, 1n << BigInt(bytes * 8 - 1))),
      af: eqz(and(sum, constant(bytes, 15))),
    });
  }),
  /** DEC (SDM Vol. 2A): subtracts 1 and leaves CF alone. */
  instruction('DEC', ['48+r Zv i64', 'FE /1 Eb lock', 'FF /1 Ev lock'], (e) => {
    const { bytes } = e.dst;
    const difference = e.let(sub(e.dst.readForWrite(), constant(bytes, 1)));
    const cf = e.flags.get('cf');
    e.dst.write(difference);
    e.flags.result(bytes, difference, {
      cf,
      of: eq(mask(bytes, difference), constant(bytes, (1n << BigInt(bytes * 8 - 1)) - 1n)),
      af: eq(and(difference, constant(bytes, 15)), constant(bytes, 15)),
    });
  }),
  instruction('NEG', ['F6 /3 Eb lock', 'F7 /3 Ev lock'], (e) => {
    const { bytes } = e.dst;
    const b = e.dst.readForWrite();
    const zero = constant(bytes, 0);
    const negated = e.let(sub(zero, b));
    e.dst.write(negated);
    e.flags.sub(bytes, zero, b, negated);
  }),
  /** XADD (SDM Vol. 2D): the source gets the old destination, then the destination the sum (which wins where both are one register). */
  instruction('XADD', ['0F C0 /r Eb,Gb lock', '0F C1 /r Ev,Gv lock'], (e) => {
    const a = e.dst.readForWrite();
    const b = e.src.read();
    const sum = e.let(add(a, b));
    e.src.write(a);
    e.dst.write(sum);
    e.flags.add(e.dst.bytes, a, b, sum);
  }),
  /**
   * CMPXCHG (SDM Vol. 2A): compare the accumulator with the destination; equal: store the source, else: load the accumulator. A destination in memory is written in any case; a
   * register is not (APM Vol. 3, CMPXCHG), so that a 32-bit one keeps its upper half.
   */
  instruction('CMPXCHG', ['0F B0 /r Eb,Gb lock', '0F B1 /r Ev,Gv lock'], (e) => {
    const { bytes } = e.dst;
    const accumulator = e.gpr(Gpr.RAX, bytes as 1 | 2 | 4 | 8);
    const expected = accumulator.read();
    const old = e.dst.readForWrite();
    const source = e.src.read();
    const equal = e.let(eq(expected, old));
    if (e.dst.kind === 'memory') e.dst.write(select(equal, source, old));
    else e.if(equal, () => e.dst.write(source));
    e.if(eqz(equal), () => accumulator.write(old));
    e.flags.sub(bytes, expected, old, e.let(sub(expected, old)));
  }),
  /** CMPXCHG8B and CMPXCHG16B (SDM Vol. 2A): EDX:EAX (RDX:RAX) against memory; only ZF changes. */
  instruction(
    'CMPXCHG8B/CMPXCHG8B/CMPXCHG16B',
    ['0F C7 /1 M lock'],
    (e) => {
      const half = e.operandBytes === 8 ? 8 : 4;
      const low = e.gpr(Gpr.RAX, half);
      const high = e.gpr(Gpr.RDX, half);
      const newLow = e.gpr(Gpr.RBX, half).read();
      const newHigh = e.gpr(Gpr.RCX, half).read();
      const destination = e.memory(e.dst.offset, half === 8 ? 16 : 8, e.dst.segment);
      if (half === 8) {
        destination.requireAligned(16);
        const old = destination.readForWrite();
        const oldLow = e.let(simd.i64x2.extractLane(old, 0));
        const oldHigh = e.let(simd.i64x2.extractLane(old, 1));
        const equal = e.let(and(eq(oldLow, low.read()), eq(oldHigh, high.read())));
        const replaced = simd.i64x2.replaceLane(simd.i64x2.splat(select(equal, newLow, oldLow)), 1, select(equal, newHigh, oldHigh));
        destination.write(replaced);
        e.if(eqz(equal), () => {
          low.write(oldLow);
          high.write(oldHigh);
        });
        e.flags.set({ zf: equal });
      } else {
        const old = destination.readForWrite();
        const pair = (h: typeof newLow, l: typeof newLow): typeof newLow => or(shl(extendU(h), i64(32)), extendU(l));
        const equal = e.let(eq(old, pair(high.read(), low.read())));
        destination.write(select(equal, pair(newHigh, newLow), old));
        e.if(eqz(equal), () => {
          low.write(wrap(old));
          high.write(wrap(shrU(old, i64(32))));
        });
        e.flags.set({ zf: equal });
      }
    },
    { features: ['CX8'] },
  ),
];
