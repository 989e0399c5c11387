import { add, and, type Expr, eq, eqz, extendU, gtU, i32, i64, ltU, ne, or, shl, shrU, wrap } from '@minusone/wasm';
import { Vector } from '../cpu/fault.ts';
import { TLB_MASK, TLB_SHIFT, TlbField, TlbPart } from '../engine/memory/tlb-layout.ts';
import { Segment, State, segmentOffset } from '../state/layout.ts';
import type { EmitBase } from './emit-base.ts';
import { type AccessBytes, loadAt, storeTo } from './state-access.ts';

/**
 * Memory as generated code accesses it: segment checks (SDM Vol. 3A, 5.3 "Limit Checking"), then the software TLB, then the slow paths. All addresses are
 * values fixed at the moment they are computed.
 */

/** High half of an i64, as i32. */
export function highHalf(x: Expr): Expr {
  return wrap(shrU(x, i64(32)));
}

/** Checks limit and rights of the segment, and yields the linear address as i64. Canonical form is the slow path's business: the TLB holds no other addresses. */
export function emitSegmentAccess(e: EmitBase, segment: number, offset: Expr, bytes: number, write: boolean): Expr {
  const { f, cpu, mode } = e;
  if (mode.codeBits === 64) {
    if (e.isFlat(segment)) return f.let(extendU(offset));
    return f.let(add(loadAt(cpu, segmentOffset(segment, 'base'), 8), extendU(offset)));
  }
  if (e.isFlat(segment)) return f.let(extendU(offset));
  const low = loadAt(cpu, segmentOffset(segment, write ? 'writeLow' : 'readLow'), 4);
  const high = loadAt(cpu, segmentOffset(segment, write ? 'writeHigh' : 'readHigh'), 4);
  const first = f.let(offset);
  const outside = or(ltU(first, low), gtU(add(extendU(first), i64(bytes - 1)), extendU(high)));
  e.raiseWith(segment === Segment.SS ? Vector.SS : Vector.GP, 0, outside);
  // Linear addresses wrap at 4 GiB outside 64-bit mode (SDM Vol. 3A, 3.3).
  return f.let(extendU(add(loadAt(cpu, segmentOffset(segment, 'base'), 4), first)));
}

/** Asks whether `bytes` at a linear address may be written. */
export function probeLinear(e: EmitBase, linear: Expr, bytes: number, segment: number): void {
  const { f, cpu } = e;
  e.beforeSlowPath();
  const ok = f.let(f.call(e.runtime.slow.probe, cpu, wrap(linear), highHalf(linear), accessWord(e, bytes, segment)));
  f.if(eqz(ok), () => e.leaveForFault());
}

/** The TLB entry for a linear address, but for where the set's part for reading or writing begins. */
function entryOf(e: EmitBase, linear: Expr): Expr {
  return e.f.let(add(e.tlb, and(shrU(wrap(linear), i32(TLB_SHIFT)), i32(TLB_MASK))));
}

/** Whether the access lies in the page of the tag of the entry in a part of the set. */
function matches(entry: Expr, part: number, linear: Expr, bytes: number): Expr {
  const last = bytes === 1 ? linear : add(linear, i64(bytes - 1));
  return eq(loadAt(entry, part + TlbField.tag, 8), and(last, i64(-4096)));
}

/**
 * Stands for "the segment of the instruction's memory operand, which is flat": which one it is matters only for a fault, and comes from where the projection has it.
 */
export const OWN_SEGMENT = 8;

/** What the slow paths are told of an access: bytes, and the segment in bits 16-18. */
function accessWord(e: EmitBase, bytes: number, segment: number): Expr {
  return segment === OWN_SEGMENT ? or(i32(bytes), shl(e.ownSegment(), i32(16))) : i32(bytes | (segment << 16));
}
const hostOf = (entry: Expr, part: number, linear: Expr): Expr => add(wrap(linear), loadAt(entry, part + TlbField.addend, 4));

/** Reads `bytes` at a linear address. */
export function readLinear(e: EmitBase, linear: Expr, bytes: AccessBytes, segment: number): Expr {
  const { f, cpu } = e;
  const entry = entryOf(e, linear);
  const host = f.ifExpr(
    'i32',
    matches(entry, TlbPart.read, linear, bytes),
    () => hostOf(entry, TlbPart.read, linear),
    () => {
      e.beforeSlowPath();
      const slow = f.let(f.call(e.runtime.slow.load, cpu, wrap(linear), highHalf(linear), accessWord(e, bytes, segment)));
      f.if(eqz(slow), () => e.leaveForFault());
      return slow;
    },
  );
  return f.let(loadAt(host, 0, bytes));
}

/** Writes `bytes` at a linear address. */
export function writeLinear(e: EmitBase, linear: Expr, bytes: AccessBytes, value: Expr, segment: number): void {
  const { f, cpu } = e;
  const entry = entryOf(e, linear);
  const fixed = f.let(value);
  f.if(
    matches(entry, TlbPart.write, linear, bytes),
    () => storeTo(f, hostOf(entry, TlbPart.write, linear), 0, bytes, fixed),
    () => {
      storeTo(f, cpu, State.scratch, bytes, fixed);
      e.beforeSlowPath();
      const done = f.call(e.runtime.slow.store, cpu, wrap(linear), highHalf(linear), accessWord(e, bytes, segment));
      f.if(eqz(done), () => e.leaveForFault());
    },
  );
}

/** A place that has been read and may be written without a fault. */
export interface ClaimedPlace {
  readonly host: Expr;
  readonly linear: Expr;
  readonly bytes: AccessBytes;
  readonly segment: number;
}

/** Reads `bytes` at a linear address that is going to be written. */
export function claimLinear(e: EmitBase, linear: Expr, bytes: AccessBytes, segment: number): { value: Expr; place: ClaimedPlace } {
  const { f, cpu } = e;
  const entry = entryOf(e, linear);
  const host = f.ifExpr(
    'i32',
    matches(entry, TlbPart.write, linear, bytes),
    () => hostOf(entry, TlbPart.write, linear),
    () => {
      e.beforeSlowPath();
      const slow = f.let(f.call(e.runtime.slow.claim, cpu, wrap(linear), highHalf(linear), accessWord(e, bytes, segment)));
      f.if(eqz(slow), () => e.leaveForFault());
      return slow;
    },
  );
  return { value: f.let(loadAt(host, 0, bytes)), place: { host, linear, bytes, segment } };
}

/** Writes a claimed place. */
export function writeClaimed(e: EmitBase, place: ClaimedPlace, value: Expr): void {
  const { f, cpu } = e;
  const { host, linear, bytes, segment } = place;
  const fixed = f.let(value);
  f.if(
    ne(host, add(cpu, i32(State.scratch))),
    () => storeTo(f, host, 0, bytes, fixed),
    () => {
      storeTo(f, cpu, State.scratch, bytes, fixed);
      e.beforeSlowPath();
      f.callVoid(e.runtime.slow.store, cpu, wrap(linear), highHalf(linear), accessWord(e, bytes, segment));
    },
  );
}
