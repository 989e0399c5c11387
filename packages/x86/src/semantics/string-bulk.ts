import {
  add,
  and,
  type Expr,
  eq,
  extendU,
  type FunctionBuilder,
  i32,
  i64,
  type Local,
  ltU,
  mul,
  ne,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
} from '@minusone/wasm';
import { TLB_MASK, TLB_SHIFT, TlbField, TlbPart } from '../engine/memory/tlb-layout.ts';
import { State } from '../state/layout.ts';
import { loadAt, storeTo } from './state-access.ts';
import { type Subroutine, subroutine } from './subroutine.ts';

/**
 * Stretches of REP MOVS and REP STOS within one page. They return how many items they did: 0 where the page has no fast entry in the TLB (or source and destination
 * overlap so that bytes just written are read again), and then the caller does one item by itself, slow paths, faults and all. Upwards only (DF = 0).
 */

function tlbEntry(f: FunctionBuilder, cpu: Expr, part: number, linear: Expr): Expr {
  return f.let(add(add(loadAt(cpu, State.tlb, 4), i32(part)), and(shrU(wrap(linear), i32(TLB_SHIFT)), i32(TLB_MASK))));
}

const pageOf = (linear: Expr): Expr => and(linear, i64(-4096));

/** Whole items from the linear address to the end of its page, as i64. */
function itemsInPage(linear: Expr, shift: Expr): Expr {
  return shrU(sub(i64(4096), and(linear, i64(4095))), extendU(shift));
}

function atMost(f: FunctionBuilder, a: Expr, b: Expr): Expr {
  return f.let(select(ltU(a, b), a, b));
}

/** (cpu, source, destination: linear; items; log2 of an item's bytes) -> items moved. */
export const bulkMove: Subroutine = subroutine('bulkMove', { params: ['i32', 'i64', 'i64', 'i64', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, source, destination, items, shift] = f.params as unknown as readonly [Local, Local, Local, Local, Local];
  const from = tlbEntry(f, cpu, TlbPart.read, source);
  const to = tlbEntry(f, cpu, TlbPart.write, destination);
  const missing = or(ne(loadAt(from, TlbField.tag, 8), pageOf(source)), ne(loadAt(to, TlbField.tag, 8), pageOf(destination)));
  f.if(missing, () => f.return(i32(0)));
  const inPages = atMost(f, itemsInPage(source, shift), itemsInPage(destination, shift));
  const count = wrap(atMost(f, items, inPages));
  const bytes = f.let(shl(count, shift));
  const sourceHost = f.let(add(wrap(source), loadAt(from, TlbField.addend, 4)));
  const destinationHost = f.let(add(wrap(destination), loadAt(to, TlbField.addend, 4)));
  const distance = f.let(sub(destinationHost, sourceHost));
  // Forward overlap: item by item, the source would see what was written.
  f.if(and(ne(distance, i32(0)), ltU(distance, bytes)), () => f.return(i32(0)));
  f.memoryCopy(destinationHost, sourceHost, bytes);
  f.return(shrU(bytes, shift));
});

/** (cpu, destination: linear; items; log2 of an item's bytes; RAX) -> items stored. */
export const bulkFill: Subroutine = subroutine('bulkFill', { params: ['i32', 'i64', 'i64', 'i32', 'i64'], results: ['i32'] }, (f) => {
  const [cpu, destination, items, shift, value] = f.params as unknown as readonly [Local, Local, Local, Local, Local];
  const to = tlbEntry(f, cpu, TlbPart.write, destination);
  f.if(ne(loadAt(to, TlbField.tag, 8), pageOf(destination)), () => f.return(i32(0)));
  const count = wrap(atMost(f, items, itemsInPage(destination, shift)));
  const bytes = f.let(shl(count, shift));
  const host = f.let(add(wrap(destination), loadAt(to, TlbField.addend, 4)));
  // The item repeated to eight bytes.
  const one = f.let(and(value, i64(0xff)));
  const two = f.let(and(value, i64(0xffff)));
  const four = f.let(and(value, i64(0xffff_ffffn)));
  const pattern = f.let(
    select(
      eq(shift, i32(0)),
      mul(one, i64(0x0101_0101_0101_0101n)),
      select(eq(shift, i32(1)), mul(two, i64(0x0001_0001_0001_0001n)), select(eq(shift, i32(2)), mul(four, i64(0x1_0000_0001n)), value)),
    ),
  );
  f.if(
    eq(pattern, mul(one, i64(0x0101_0101_0101_0101n))),
    () => f.memoryFill(host, wrap(one), bytes),
    () => {
      const at = f.local('i32');
      const end = f.let(add(host, bytes));
      f.set(at, host);
      f.block((done) => {
        f.loop((again) => {
          f.brIf(done, ltU(sub(end, at), i32(8)));
          storeTo(f, at, 0, 8, pattern);
          f.set(at, add(at, i32(8)));
          f.br(again);
        });
      });
      f.if(and(bytes, i32(4)), () => {
        storeTo(f, at, 0, 4, pattern);
        f.set(at, add(at, i32(4)));
      });
      f.if(and(bytes, i32(2)), () => storeTo(f, at, 0, 2, pattern));
    },
  );
  f.return(shrU(bytes, shift));
});
