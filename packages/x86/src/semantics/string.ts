import { add, and, eq, eqz, extendU, i32, i64, or, select, shl, shrU, sub } from '@minusone/wasm';
import { Gpr, State } from '../state/layout.ts';
import type { Value } from './emit.ts';
import type { EmitBase, RegisterPlace } from './emit-base.ts';
import { MemoryOperand } from './operands.ts';
import { loadAt } from './state-access.ts';
import { bulkFill, bulkMove } from './string-bulk.ts';

const place = (index: number): RegisterPlace => ({ slot: -1, offset: State.gpr + index * 8 });

/**
 * The frame of a string instruction (SDM Vol. 2B, REP/REPE/REPZ/REPNE/REPNZ; Vol. 1, 7.3.9): places of the operands, DF, the count, and the registers after each
 * iteration, so that a fault or an event in between finds the state exact.
 *
 * @param bulk the body only moves (MOVS) or fills (STOS): whole stretches of a page may be done at once
 */
export function emitString(e: EmitBase, body: () => void, bulk: 'move' | 'fill' | undefined): void {
  const { f, insn, addressBytes } = e;
  const strings = e.operands.filter(
    (operand): operand is MemoryOperand => operand instanceof MemoryOperand && operand.string !== undefined,
  );
  const size = strings[0]?.bytes ?? insn.operandBytes;
  const wide = addressBytes === 8;
  const number = (n: number): Value => (wide ? i64(n) : i32(n));
  const df = f.let(and(shrU(loadAt(e.cpu, State.eflags, 4), i32(10)), i32(1)));
  const step = f.let(select(df, number(-size), number(size)));

  const advance = (operand: MemoryOperand, by: Value): void => {
    const index = operand.string === 'source' ? Gpr.RSI : Gpr.RDI;
    e.writeGpr(place(index), addressBytes, f.let(add(e.readGpr(place(index), addressBytes), by)));
  };
  const locate = (): void => {
    for (const operand of strings) operand.moveTo(e.readGpr(place(operand.string === 'source' ? Gpr.RSI : Gpr.RDI), addressBytes));
  };
  const iterate = (): void => {
    e.startIteration();
    locate();
    body();
    e.noteWrite();
    for (const operand of strings) advance(operand, step);
  };
  if (insn.rep === 0 || insn.form.repeat === 'none') {
    iterate();
    return;
  }

  const count = place(Gpr.RCX);
  const left = f.local('i32');
  f.set(left, loadAt(e.cpu, State.repeatLimit, 4));
  const isBulk = bulk !== undefined && strings.every((operand) => e.isFlat(operand.segment)) && addressBytes !== 2;
  f.if(toCondition(e.readGpr(count, addressBytes)), () => {
    f.block((done) => {
      f.loop((again) => {
        if (isBulk) {
          // Not when stepping: there each iteration counts.
          f.if(and(eqz(df), eqz(eq(left, i32(1)))), () => {
            locate();
            const items = bulkItems(e, bulk, strings, size);
            f.if(items, () => {
              const moved = f.let(wide ? shl(extendU(items), i64(Math.log2(size))) : shl(items, i32(Math.log2(size))));
              for (const operand of strings) advance(operand, moved);
              const rest = f.let(sub(e.readGpr(count, addressBytes), wide ? extendU(items) : items));
              e.writeGpr(count, addressBytes, rest);
              f.brIf(done, eqz(rest));
            });
          });
        }
        iterate();
        const rest = f.let(e.wrapOffset(sub(e.readGpr(count, addressBytes), number(1))));
        e.writeGpr(count, addressBytes, rest);
        f.brIf(done, eqz(rest));
        if (insn.form.repeat === 'repz') {
          const zf = e.flags.get('zf');
          f.brIf(done, insn.rep === 0xf3 ? eqz(zf) : zf);
        }
        f.set(left, sub(left, i32(1)));
        f.if(or(eqz(left), loadAt(e.cpu, State.leave, 4)), () => e.leaveForRepeat());
        f.br(again);
      });
    });
  });
}

function toCondition(x: Value): Value {
  return x.type === 'i64' ? eqz(eqz(x)) : x;
}

function bulkItems(e: EmitBase, bulk: 'move' | 'fill', strings: readonly MemoryOperand[], size: number): Value {
  const linear = (which: 'source' | 'destination'): Value => {
    const operand = strings.find(({ string }) => string === which) as MemoryOperand;
    return extendU(operand.offset);
  };
  const items = extendU(e.readGpr({ slot: -1, offset: State.gpr + Gpr.RCX * 8 }, e.addressBytes));
  const shift = i32(Math.log2(size));
  if (bulk === 'move') return e.call(bulkMove, e.cpu, linear('source'), linear('destination'), items, shift);
  const value = e.readGpr({ slot: -1, offset: State.gpr }, 8);
  return e.call(bulkFill, e.cpu, linear('destination'), items, shift, value);
}
