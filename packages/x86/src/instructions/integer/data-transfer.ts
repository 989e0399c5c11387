import { add, and, extendU, i32, i64, or, rotl, select, shl, shrS, shrU, sub, wrap } from '@minusone/wasm';
import type { Emit, Value } from '../../semantics/emit.ts';
import { Gpr, Segment } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';

/** Reverses the bytes of a 32- or 64-bit value. */
export function byteSwap(e: Emit, bytes: number, x: Value): Value {
  if (bytes === 4) return or(and(rotl(x, i32(8)), i32(0x00ff_00ff)), and(rotl(x, i32(24)), i32(0xff00_ff00 | 0)));
  const low = byteSwap(e, 4, e.let(wrap(x)));
  const high = byteSwap(e, 4, e.let(wrap(shrU(x, i64(32)))));
  return or(shl(extendU(low), i64(32)), extendU(high));
}

/** An address-size offset (i32 or i64) as a value of `bytes`. */
function sized(bytes: number, offset: Value): Value {
  if (bytes === 8) return extendU(offset);
  return wrap(offset);
}

/** POP computes a memory destination based on the stack pointer after the increment (SDM Vol. 2B, POP). */
const STACK_BASED = 1;

function enter(e: Emit): void {
  const bytes = e.operandBytes;
  const level = e.insn.immediate2 & 31;
  const number = (n: number): Value => (e.stackBytes === 8 ? i64(n) : i32(n));
  const wrapped = (x: Value): Value => e.let(e.stackBytes === 2 ? and(x, i32(0xffff)) : x);
  const stackPointer = e.gpr(Gpr.RSP, e.stackBytes).read();
  const framePointer = e.gpr(Gpr.RBP, e.stackBytes).read();
  const frame = wrapped(add(stackPointer, number(-bytes)));
  const caller = e.gpr(Gpr.RBP, bytes).read();
  const outer = Array.from({ length: Math.max(0, level - 1) }, (_, n) => wrapped(add(framePointer, number(-bytes * (n + 1)))));
  for (const place of outer) e.load(Segment.SS, place, bytes);
  // With 16-bit stack addresses the frame pointer still gets what ESP has above SP.
  const pointer = e.stackBytes === 2 && bytes === 4 ? e.let(or(and(e.gpr(Gpr.RSP, 4).read(), i32(-0x1_0000)), frame)) : sized(bytes, frame);
  const slots = Array.from({ length: level + 1 }, (_, n) => wrapped(add(stackPointer, number(-bytes * (n + 1)))));
  const room = e.dst.read();
  const top = wrapped(sub(slots[slots.length - 1] as Value, e.stackBytes === 8 ? extendU(room) : room));
  for (const slot of slots) e.probeWrite(Segment.SS, slot, bytes);
  // The new top of the stack must be writable, too (SDM Vol. 2A, ENTER).
  e.probeWrite(Segment.SS, top, bytes);
  // Reads and pushes take turns: an outer frame may lie where has just been pushed.
  slots.forEach((slot, n) => {
    const pushed = n === 0 ? caller : n === level ? pointer : e.load(Segment.SS, outer[n - 1] as Value, bytes);
    e.store(Segment.SS, slot, pushed, bytes);
  });
  e.gpr(Gpr.RBP, bytes).write(pointer);
  e.gpr(Gpr.RSP, e.stackBytes).write(top);
}

export const dataTransferRows: readonly InstructionRow[] = [
  instruction(
    'MOV',
    [
      '88 /r Eb,Gb',
      '89 /r Ev,Gv',
      '8A /r Gb,Eb',
      '8B /r Gv,Ev',
      'A0 AL,Ob',
      'A1 rAX,Ov',
      'A2 Ob,AL',
      'A3 Ov,rAX',
      'B0+r Zb,Ib',
      'B8+r Zv,Iv',
      'C6 /0 Eb,Ib',
      'C7 /0 Ev,Iz',
      '8C /r Rv/Mw,Sw',
    ],
    (e) => e.dst.write(e.src.read()),
  ),
  instruction('MOVZX', ['0F B6 /r Gv,Eb', '0F B7 /r Gv,Ew'], (e) => e.dst.write(e.src.read())),
  instruction('MOVSX', ['0F BE /r Gv,Eb', '0F BF /r Gv,Ew'], (e) => e.dst.write(e.src.readSigned(e.dst.bytes === 8 ? 8 : 4))),
  instruction('MOVSXD', ['63 /r Gv,Ed o64'], (e) => e.dst.write(e.src.readSigned(e.dst.bytes === 8 ? 8 : 4))),
  instruction('LEA', ['8D /r Gv,M'], (e) => e.dst.write(sized(e.dst.bytes, e.src.offset))),
  /** XCHG with memory is locked with or without the prefix (SDM Vol. 2D, XCHG). */
  instruction('XCHG', ['86 /r Eb,Gb lock', '87 /r Ev,Gv lock', '90+r Zv,rAX'], (e) => {
    const a = e.dst.readForWrite();
    const b = e.src.read();
    e.dst.write(b);
    e.src.write(a);
  }),
  /** CMOVcc reads its source and writes its destination (clearing the upper half of a 32-bit one) whatever the condition. */
  instruction(
    'CMOV{cc}',
    ['0F 40+cc /r Gv,Ev'],
    (e) => {
      const source = e.src.read();
      e.dst.write(select(e.flags.condition(e.cc), source, e.dst.read()));
    },
    { features: ['CMOV'] },
  ),
  /** BSWAP of a 16-bit register is undefined; processors clear it. */
  instruction('BSWAP', ['0F C8+r Zv'], (e) => {
    if (e.dst.bytes === 2) e.dst.write(i32(0));
    else e.dst.write(byteSwap(e, e.dst.bytes, e.dst.read()));
  }),
  instruction(
    'MOVBE',
    ['NP 0F 38 F0 /r Gv,Mv', 'NP 0F 38 F1 /r Mv,Gv', '66 0F 38 F0 /r Gv,Mv', '66 0F 38 F1 /r Mv,Gv'],
    (e) => {
      const { bytes } = e.dst;
      const source = e.src.read();
      e.dst.write(bytes === 2 ? shrU(byteSwap(e, 4, source), i32(16)) : byteSwap(e, bytes, source));
    },
    { features: ['MOVBE'] },
  ),
  instruction('CBW/CWDE/CDQE', ['98'], (e) => {
    const half = e.gpr(Gpr.RAX, (e.operandBytes / 2) as 1 | 2 | 4);
    e.gpr(Gpr.RAX).write(half.readSigned(e.operandBytes === 8 ? 8 : 4));
  }),
  instruction('CWD/CDQ/CQO', ['99'], (e) => {
    const { operandBytes } = e;
    const accumulator = e.gpr(Gpr.RAX);
    e.gpr(Gpr.RDX).write(operandBytes === 8 ? shrS(accumulator.read(), i64(63)) : shrS(accumulator.readSigned(4), i32(31)));
  }),
  /** XLAT (SDM Vol. 2D): AL = DS:[rBX + unsigned AL], segment overridable. */
  instruction(
    'XLAT',
    ['D7'],
    (e) => {
      const al = e.gpr(Gpr.RAX, 1);
      const base = e.gpr(Gpr.RBX, e.addressBytes).read();
      const sum = add(base, e.addressBytes === 8 ? extendU(al.read()) : al.read());
      al.write(e.load(e.insn.segment, e.addressBytes === 2 ? and(sum, i32(0xffff)) : sum, 1));
    },
    { dependsOn: (insn) => insn.segment },
  ),
  instruction(
    'PUSH',
    [
      '50+r Zv d64',
      'FF /6 Ev d64',
      '6A sIb d64',
      '68 Iz d64',
      '06 ES i64',
      '0E CS i64',
      '16 SS i64',
      '1E DS i64',
      '0F A0 FS d64',
      '0F A8 GS d64',
    ],
    (e) => {
      const value = e.dst.read();
      e.push(e.operandBytes === 8 ? extendU(value) : value);
    },
  ),
  instruction(
    'POP',
    ['58+r Zv d64', '8F /0 Ev d64'],
    (e) => {
      const value = e.popRead();
      if (e.dst.kind === 'memory') {
        const moved =
          e.insn.base === Gpr.RSP ? add(e.dst.offset, e.addressBytes === 8 ? i64(e.operandBytes) : i32(e.operandBytes)) : e.dst.offset;
        const destination = e.memory(moved, e.operandBytes, e.dst.segment);
        destination.write(value);
        e.popCommit();
      } else {
        // POP rSP: the value read replaces the incremented pointer.
        e.popCommit();
        e.dst.write(value);
      }
    },
    { dependsOn: (insn) => (insn.base === Gpr.RSP ? STACK_BASED : 0) },
  ),
  instruction('PUSHA/PUSHAD/PUSHAD', ['60 i64'], (e) => {
    const bytes = e.operandBytes;
    const wrapped = (x: Value): Value => (e.stackBytes === 2 ? and(x, i32(0xffff)) : x);
    const stackPointer = e.gpr(Gpr.RSP, e.stackBytes).read();
    const slot = (n: number): Value => e.let(wrapped(add(stackPointer, i32(-bytes * (n + 1)))));
    const slots = [0, 1, 2, 3, 4, 5, 6, 7].map(slot);
    const values = slots.map((_, n) => e.gpr(n, bytes).read());
    for (const offset of slots) e.probeWrite(Segment.SS, offset, bytes);
    slots.forEach((offset, n) => {
      e.store(Segment.SS, offset, values[n] as Value, bytes);
    });
    e.gpr(Gpr.RSP, e.stackBytes).write(slots[7] as Value);
  }),
  /** POPA discards the image of the stack pointer (SDM Vol. 2B, POPA). */
  instruction('POPA/POPAD/POPAD', ['61 i64'], (e) => {
    const bytes = e.operandBytes;
    const wrapped = (x: Value): Value => (e.stackBytes === 2 ? and(x, i32(0xffff)) : x);
    const stackPointer = e.gpr(Gpr.RSP, e.stackBytes).read();
    const order = [Gpr.RDI, Gpr.RSI, Gpr.RBP, Gpr.RSP, Gpr.RBX, Gpr.RDX, Gpr.RCX, Gpr.RAX];
    const values = order.map((_, n) => e.load(Segment.SS, wrapped(add(stackPointer, i32(n * bytes))), bytes));
    order.forEach((register, n) => {
      if (register !== Gpr.RSP) e.gpr(register, bytes).write(values[n] as Value);
    });
    e.gpr(Gpr.RSP, e.stackBytes).write(add(stackPointer, i32(8 * bytes)));
  }),
  /** LEAVE (SDM Vol. 2A): the frame pointer becomes the stack pointer, then is popped. */
  instruction('LEAVE', ['C9 d64'], (e) => {
    const bytes = e.operandBytes;
    const frame = e.gpr(Gpr.RBP, e.stackBytes).read();
    const caller = e.load(Segment.SS, frame, bytes);
    e.gpr(Gpr.RSP, e.stackBytes).write(add(frame, e.stackBytes === 8 ? i64(bytes) : i32(bytes)));
    e.gpr(Gpr.RBP, bytes).write(caller);
  }),
  /** ENTER (SDM Vol. 2A): saves the frame pointer, copies the outer frames' pointers, makes room. The level (0 to 31) unrolls the copying. */
  instruction('ENTER', ['C8 Iw,Ib d64'], enter, { dependsOn: (insn) => insn.immediate2 & 31 }),
  instruction('LAHF', ['9F'], (e) => e.ah.write(or(and(e.flags.read(), i32(0xd5)), i32(2)))),
  /** SAHF loads SF, ZF, AF, PF and CF; OF stays. */
  instruction('SAHF', ['9E'], (e) => {
    e.flags.write(or(and(e.ah.read(), i32(0xd5)), shl(e.flags.get('of'), i32(11))));
  }),
  instruction('SET{cc}', ['0F 90+cc /r Eb'], (e) => e.dst.write(e.flags.condition(e.cc))),
  /** SALC: undocumented; AL = CF ? FFH : 0. */
  instruction('SALC', ['D6 i64'], (e) => e.gpr(Gpr.RAX, 1).write(select(e.flags.get('cf'), i32(0xff), i32(0)))),
];
