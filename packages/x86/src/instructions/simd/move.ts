import { and, extendU, i32, ne, simd, wrap } from '@minusone/wasm';
import { Vector } from '../../cpu/fault.ts';
import { Gpr, State } from '../../state/layout.ts';
import { type InstructionRow, instruction, type Semantics } from '../../table/row.ts';
import { MMX_OPTIONS, MMX_SSE_OPTIONS, readAligned, SSE_OPTIONS, SSE2_OPTIONS } from './packed.ts';

const { i8x16, i32x4, i64x2 } = simd;

/** Whole-register moves that insist on alignment, and those that do not. */
const moveAligned: Semantics = (e) => {
  if (e.dst.kind === 'memory') e.dst.requireAligned(16);
  e.dst.write(readAligned(e.src));
};
const move: Semantics = (e) => e.dst.write(e.src.read());
/** Loads from memory clear the rest of the register; register to register they merge. */
const moveScalar: Semantics = (e) => {
  if (e.src.kind === 'memory') e.dst.writeZeroExtended(e.src.read());
  else e.dst.write(e.src.read());
};
const moveZeroExtended: Semantics = (e) => e.dst.writeZeroExtended(e.src.read());

/** Bits of MXCSR that software may set: all but DAZ are there on every processor; MXCSR_MASK is FFFFH (SDM Vol. 1, 11.6.6). */
const MXCSR_RESERVED = ~0xffff;

/** Data movement (SDM Vol. 1, 9.4.1, 10.4.1.1, 11.4.1.1, 11.4.2, 11.4.4). */
export const simdMoveRows: readonly InstructionRow[] = [
  instruction('MOVAPS', ['NP 0F 28 /r Vdq,Wdq', 'NP 0F 29 /r Wdq,Vdq'], moveAligned, SSE_OPTIONS),
  instruction('MOVAPD', ['66 0F 28 /r Vdq,Wdq', '66 0F 29 /r Wdq,Vdq'], moveAligned, SSE2_OPTIONS),
  instruction('MOVUPS', ['NP 0F 10 /r Vdq,Wdq', 'NP 0F 11 /r Wdq,Vdq'], move, SSE_OPTIONS),
  instruction('MOVUPD', ['66 0F 10 /r Vdq,Wdq', '66 0F 11 /r Wdq,Vdq'], move, SSE2_OPTIONS),
  instruction('MOVDQA', ['66 0F 6F /r Vdq,Wdq', '66 0F 7F /r Wdq,Vdq'], moveAligned, SSE2_OPTIONS),
  instruction('MOVDQU', ['F3 0F 6F /r Vdq,Wdq', 'F3 0F 7F /r Wdq,Vdq'], move, SSE2_OPTIONS),
  instruction('MOVSS', ['F3 0F 10 /r Vss,Wss', 'F3 0F 11 /r Wss,Vss'], moveScalar, SSE_OPTIONS),
  instruction('MOVSD', ['F2 0F 10 /r Vsd,Wsd', 'F2 0F 11 /r Wsd,Vsd'], moveScalar, SSE2_OPTIONS),
  instruction('MOVLPS', ['NP 0F 12 /r Vq,Mq', 'NP 0F 13 /r Mq,Vq'], move, SSE_OPTIONS),
  instruction('MOVLPD', ['66 0F 12 /r Vq,Mq', '66 0F 13 /r Mq,Vq'], move, SSE2_OPTIONS),
  instruction('MOVHLPS', ['NP 0F 12 /r Vdq,Udq'], (e) => e.dst.part(0, 8).write(e.src.part(8, 8).read()), SSE_OPTIONS),
  instruction('MOVHPS', ['NP 0F 16 /r Vdq,Mq'], (e) => e.dst.part(8, 8).write(e.src.read()), SSE_OPTIONS),
  instruction('MOVHPD', ['66 0F 16 /r Vdq,Mq'], (e) => e.dst.part(8, 8).write(e.src.read()), SSE2_OPTIONS),
  instruction('MOVLHPS', ['NP 0F 16 /r Vdq,Udq'], (e) => e.dst.part(8, 8).write(e.src.part(0, 8).read()), SSE_OPTIONS),
  instruction('MOVHPS', ['NP 0F 17 /r Mq,Vdq'], (e) => e.dst.write(e.src.part(8, 8).read()), SSE_OPTIONS),
  instruction('MOVHPD', ['66 0F 17 /r Mq,Vdq'], (e) => e.dst.write(e.src.part(8, 8).read()), SSE2_OPTIONS),
  instruction(
    'MOVD/MOVD/MOVQ',
    ['66 0F 6E /r Vdq,Ey'],
    (e) => e.dst.part(0, e.src.bytes as 4 | 8).writeZeroExtended(e.src.read()),
    SSE2_OPTIONS,
  ),
  instruction('MOVD/MOVD/MOVQ', ['66 0F 7E /r Ey,Vdq'], (e) => e.dst.write(e.src.part(0, e.dst.bytes as 4 | 8).read()), SSE2_OPTIONS),
  instruction('MOVQ', ['F3 0F 7E /r Vq,Wq'], moveZeroExtended, SSE2_OPTIONS),
  instruction('MOVQ', ['66 0F D6 /r Wq,Vq'], moveZeroExtended, SSE2_OPTIONS),
  instruction('MOVD/MOVD/MOVQ', ['NP 0F 6E /r Pq,Ey'], (e) => e.dst.write(extendU(e.src.read())), MMX_OPTIONS),
  instruction(
    'MOVD/MOVD/MOVQ',
    ['NP 0F 7E /r Ey,Pq'],
    (e) => e.dst.write(e.dst.bytes === 8 ? e.src.read() : wrap(e.src.read())),
    MMX_OPTIONS,
  ),
  instruction('MOVQ', ['NP 0F 6F /r Pq,Qq', 'NP 0F 7F /r Qq,Pq'], move, MMX_OPTIONS),
  instruction('MOVQ2DQ', ['F3 0F D6 /r Vdq,Nq'], (e) => e.dst.part(0, 8).writeZeroExtended(e.src.read()), {
    unit: 'mmx',
    features: ['SSE2'],
  }),
  instruction('MOVDQ2Q', ['F2 0F D6 /r Pq,Udq'], (e) => e.dst.write(e.src.part(0, 8).read()), { unit: 'mmx', features: ['SSE2'] }),
  /** Non-temporal stores are stores: this machine has no caches. */
  instruction('MOVNTPS', ['NP 0F 2B /r Mdq,Vdq'], moveAligned, SSE_OPTIONS),
  instruction('MOVNTPD', ['66 0F 2B /r Mdq,Vdq'], moveAligned, SSE2_OPTIONS),
  instruction('MOVNTDQ', ['66 0F E7 /r Mdq,Vdq'], moveAligned, SSE2_OPTIONS),
  instruction('MOVNTQ', ['NP 0F E7 /r Mq,Pq'], move, MMX_SSE_OPTIONS),
  instruction('MOVNTI', ['NP 0F C3 /r My,Gy'], move, { features: ['SSE2'] }),
  instruction('MOVMSKPS', ['NP 0F 50 /r Gd,Udq'], (e) => e.dst.write(i32x4.bitmask(e.src.read())), SSE_OPTIONS),
  instruction('MOVMSKPD', ['66 0F 50 /r Gd,Udq'], (e) => e.dst.write(i64x2.bitmask(e.src.read())), SSE2_OPTIONS),
  instruction('PMOVMSKB', ['66 0F D7 /r Gd,Udq'], (e) => e.dst.write(i8x16.bitmask(e.src.read())), SSE2_OPTIONS),
  instruction(
    'PMOVMSKB',
    ['NP 0F D7 /r Gd,Nq'],
    (e) => e.dst.write(and(i8x16.bitmask(i64x2.splat(e.src.read())), i32(0xff))),
    MMX_SSE_OPTIONS,
  ),
  /** LDMXCSR refuses reserved bits with #GP(0) (SDM Vol. 2A). */
  instruction(
    'LDMXCSR',
    ['NP 0F AE /2 Md'],
    (e) => {
      const value = e.dst.read();
      e.raise(Vector.GP, 0, ne(and(value, i32(MXCSR_RESERVED)), i32(0)));
      e.f.store(e.cpu, value, { offset: State.mxcsr });
    },
    SSE_OPTIONS,
  ),
  instruction('STMXCSR', ['NP 0F AE /3 Md'], (e) => e.dst.write(e.mxcsr), SSE_OPTIONS),
  /**
   * MASKMOVDQU (SDM Vol. 2B): bytes whose mask sign is set go to DS:rDI; the others are neither read nor written. As two halves: alignment checking, if any, is by 8 bytes (SDM Vol. 3A, 6.15
   * "Interrupt 17").
   */
  instruction('MASKMOVDQU', ['66 0F F7 /r Vdq,Udq'], (e) => maskedStore(e, 16), { ...SSE2_OPTIONS, dependsOn: (insn) => insn.segment }),
  instruction('MASKMOVQ', ['NP 0F F7 /r Pq,Nq'], (e) => maskedStore(e, 8), { ...MMX_SSE_OPTIONS, dependsOn: (insn) => insn.segment }),
];

function maskedStore(e: Parameters<Semantics>[0], bytes: 8 | 16): void {
  const place = e.memory(e.gpr(Gpr.RDI, e.addressBytes).read(), 8, e.insn.segment);
  const asVector = (x: ReturnType<typeof place.read>): ReturnType<typeof place.read> => (bytes === 16 ? x : i64x2.splat(x));
  const mask = e.let(i8x16.shrS(asVector(e.src.read()), i32(7)));
  const data = asVector(e.dst.read());
  const all = bytes === 16 ? i8x16.bitmask(mask) : and(i8x16.bitmask(mask), i32(0xff));
  e.if(ne(all, i32(0)), () => {
    const low = place.readForWrite();
    if (bytes === 8) {
      place.write(i64x2.extractLane(simd.v128.bitselect(data, i64x2.splat(low), mask), 0));
      return;
    }
    const upper = place.part(8, 8);
    const old = i64x2.replaceLane(i64x2.splat(low), 1, upper.readForWrite());
    const merged = e.let(simd.v128.bitselect(data, old, mask));
    place.write(i64x2.extractLane(merged, 0));
    upper.write(i64x2.extractLane(merged, 1));
  });
}
