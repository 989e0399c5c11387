import { add, and, eq, extendU, i32, i64, or, shrU } from '@minusone/wasm';
import type { Emit } from '../../semantics/emit.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { pushBits } from './stack.ts';

/** A constant cut to 64 bits, and whether it is nearer to the next number. What follows the cut is never zero, so that rounding up always goes there. */
interface Constant {
  readonly mnemonic: string;
  readonly opcode: string;
  readonly significand: bigint;
  readonly signExponent: number;
  readonly nearestIsUp: 0 | 1;
}

/** log2(10), log2(e), pi, log10(2), ln(2): SDM Vol. 2A, FLD1/FLDL2T/FLDL2E/FLDPI/FLDLG2/FLDLN2/FLDZ. */
const CONSTANTS: readonly Constant[] = [
  { mnemonic: 'FLDL2T', opcode: 'D9 E9', significand: 0xd49a_784b_cd1b_8afen, signExponent: 0x4000, nearestIsUp: 0 },
  { mnemonic: 'FLDL2E', opcode: 'D9 EA', significand: 0xb8aa_3b29_5c17_f0bbn, signExponent: 0x3fff, nearestIsUp: 1 },
  { mnemonic: 'FLDPI', opcode: 'D9 EB', significand: 0xc90f_daa2_2168_c234n, signExponent: 0x4000, nearestIsUp: 1 },
  { mnemonic: 'FLDLG2', opcode: 'D9 EC', significand: 0x9a20_9a84_fbcf_f798n, signExponent: 0x3ffd, nearestIsUp: 1 },
  { mnemonic: 'FLDLN2', opcode: 'D9 ED', significand: 0xb172_17f7_d1cf_79abn, signExponent: 0x3ffe, nearestIsUp: 1 },
];

function push({ significand, signExponent, nearestIsUp }: Constant): (e: Emit) => void {
  return (e) => {
    const rc = e.let(and(shrU(e.fpu.fcw, i32(10)), i32(3)));
    const isUp = nearestIsUp === 1 ? or(eq(rc, i32(0)), eq(rc, i32(2))) : eq(rc, i32(2));
    e.callVoid(pushBits, e.cpu, add(i64(significand), extendU(isUp)), i32(signExponent));
  };
}

/** The constants, rounded as RC says; PC has no say (SDM Vol. 1, 8.3.4 "Load Constant Instructions"). */
export const constantRows: readonly InstructionRow[] = [
  ...CONSTANTS.map((constant) => instruction(constant.mnemonic, [constant.opcode], push(constant))),
  instruction('FLD1', ['D9 E8'], (e) => e.callVoid(pushBits, e.cpu, i64(1n << 63n), i32(0x3fff))),
  instruction('FLDZ', ['D9 EE'], (e) => e.callVoid(pushBits, e.cpu, i64(0), i32(0))),
];
