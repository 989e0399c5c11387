import { and, i32, load, or, select, shrU, xor } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { State } from '../state/layout.ts';

/** Exception flags, as in MXCSR and in the x87 status word (SDM Vol. 1, 8.1.3 and 10.2.3.1). */
export const Flag = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;

/** Where entry points leave their exception flags: an i32 at `State.scratch` plus this. The slow paths of memory use other bytes of the scratch. */
export const FLAGS_OFFSET = 120;
const FLAGS: number = State.scratch + FLAGS_OFFSET;

/** (cpu): forgets the exception flags. */
export const clearFlags: Subroutine = subroutine('softfloat.clearFlags', { params: ['i32'], results: [] }, (f) => {
  f.store(f.params[0]!, i32(0), { offset: FLAGS });
});

/** (flags, cpu): adds exception flags. */
export const raiseFlags: Subroutine = subroutine('softfloat.raiseFlags', { params: ['i32', 'i32'], results: [] }, (f) => {
  const [flags, cpu] = [f.params[0]!, f.params[1]!];
  f.store(cpu, or(load('i32', cpu, { offset: FLAGS }), flags), { offset: FLAGS });
});

/**
 * (mxcsr, cpu): the flags that a SIMD instruction reports. An unmasked IE, DE or ZE is found before anything is computed, so that no OE, UE or PE goes with it
 * (SDM Vol. 1, 11.5.2.4 to 11.5.2.6).
 */
export const simdFlags: Subroutine = subroutine('softfloat.simdFlags', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
  const [mxcsr, cpu] = [f.params[0]!, f.params[1]!];
  const flags = f.let(load('i32', cpu, { offset: FLAGS }));
  const before = Flag.IE | Flag.DE | Flag.ZE;
  const unmaskedBefore = and(and(flags, xor(shrU(mxcsr, i32(7)), i32(-1))), i32(before));
  f.return(select(unmaskedBefore, and(flags, i32(before)), flags));
});
