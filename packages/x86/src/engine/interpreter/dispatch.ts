import { add, and, type Expr, extendU, type FunctionBuilder, i32, ltS, ne, shl, shrU, sub, wrap, xor } from '@minusone/wasm';
import { loadAt, storeTo } from '../../semantics/state-access.ts';
import { State } from '../../state/layout.ts';
import { CodeExit } from '../exit.ts';
import { JUMP_ENTRIES, JUMP_FOLD, JumpField } from '../memory/tlb-layout.ts';
import { RecordField } from './record.ts';

/** The type of handlers: (record, CPU) -> CodeExit. */
export const HANDLER_TYPE = { params: ['i32', 'i32'], results: ['i32'] } as const;

/** Leaves to the engine, telling it which record is concerned. */
export function exitAt(f: FunctionBuilder, cpu: Expr, code: number, record: Expr): void {
  storeTo(f, cpu, State.exitRecord, 4, record);
  f.return(i32(code));
}

/** RIP, EIP or IP at a page offset that the record holds, as i64. */
export function instructionPointer(record: Expr, cpu: Expr, field: number, wide: boolean): Expr {
  const offset = loadAt(record, field, 2);
  if (wide) return add(loadAt(cpu, State.ripBase, 8), extendU(offset));
  return extendU(add(loadAt(cpu, State.ripBase, 4), offset));
}

/** Goes to the first record of a block, if the budget covers the block. `State.ripBase` is right for it. */
export function enterBlock(f: FunctionBuilder, cpu: Expr, target: Expr): void {
  const budget = f.let(sub(loadAt(cpu, State.budget, 4), loadAt(target, RecordField.count, 2)));
  f.if(ltS(budget, i32(0)), () => exitAt(f, cpu, CodeExit.BUDGET, target));
  storeTo(f, cpu, State.budget, 4, budget);
  f.returnCallIndirect(HANDLER_TYPE, loadAt(target, RecordField.handler, 4), target, cpu);
}

/** The jump cache's entry for an address (i64): see `jumpIndex` in memory/tlb-layout. */
export function jumpEntry(f: FunctionBuilder, cpu: Expr, target: Expr): Expr {
  const low = f.let(wrap(target));
  const index = and(xor(low, shrU(low, i32(JUMP_FOLD))), i32(JUMP_ENTRIES - 1));
  return f.let(add(loadAt(cpu, State.jumpCache, 4), shl(index, i32(4))));
}

/** Goes to an address (i64) through the jump cache; `link` is the record (and which of its links) that could lead there directly, or 0. */
export function lookUp(f: FunctionBuilder, cpu: Expr, target: Expr, link: Expr): void {
  const entry = jumpEntry(f, cpu, target);
  f.if(ne(loadAt(entry, JumpField.rip, 8), target), () => {
    storeTo(f, cpu, State.rip, 8, target);
    exitAt(f, cpu, CodeExit.NEXT, link);
  });
  const block = f.let(loadAt(entry, JumpField.record, 4));
  storeTo(f, cpu, State.ripBase, 8, sub(target, extendU(loadAt(block, RecordField.offset, 2))));
  enterBlock(f, cpu, block);
}
