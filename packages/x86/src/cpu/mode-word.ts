import { Segment, State } from '../state/layout.ts';
import { ModeBit } from '../state/mode.ts';
import type { Registers } from '../state/registers.ts';
import { Cr0, Cr4, Efer } from './control-bits.ts';
import { Eflags } from './eflags.ts';
import { Attribute } from './segments/descriptor.ts';
import { attributesOf, baseLowOf, isFlatData, limitOf } from './segments/segment-register.ts';

/** Derives the mode word (see `state/mode`) from control registers, segments, CPL and EFLAGS.VM. */
export function deriveModeWord(registers: Registers): number {
  const cr0 = registers.get32(State.cr0);
  const cr4 = registers.get32(State.cr4);
  const cs = attributesOf(registers, Segment.CS);
  const long = (registers.get32(State.efer) & Efer.LMA) !== 0;
  let word = 0;

  if (long && (cs & Attribute.L) !== 0) {
    word |= 2 | (2 << ModeBit.STACK_SIZE_SHIFT) | ModeBit.FLAT_DATA | ModeBit.FLAT_CODE;
    if ((cr4 & Cr4.LA57) !== 0) word |= ModeBit.LA57;
  } else {
    if ((cs & Attribute.DB) !== 0) word |= 1;
    if ((attributesOf(registers, Segment.SS) & Attribute.DB) !== 0) word |= 1 << ModeBit.STACK_SIZE_SHIFT;
    if (isFlatData(registers, Segment.DS) && isFlatData(registers, Segment.ES) && isFlatData(registers, Segment.SS))
      word |= ModeBit.FLAT_DATA;
    if (baseLowOf(registers, Segment.CS) === 0 && limitOf(registers, Segment.CS) === 0xffffffff) word |= ModeBit.FLAT_CODE;
  }
  if ((cr0 & Cr0.PE) !== 0) word |= (registers.get32(State.eflags) & Eflags.VM) !== 0 ? ModeBit.VIRTUAL_8086 : ModeBit.PROTECTED;
  if (long) word |= ModeBit.LONG;
  if (registers.get32(State.cpl) === 3) word |= ModeBit.USER;
  if ((cr0 & Cr0.EM) !== 0) word |= ModeBit.EM;
  if ((cr0 & Cr0.TS) !== 0) word |= ModeBit.TS;
  if ((cr0 & Cr0.MP) !== 0) word |= ModeBit.MP;
  if ((cr4 & Cr4.OSFXSR) !== 0) word |= ModeBit.OSFXSR;
  if ((cr4 & Cr4.OSXSAVE) !== 0 && (registers.get32(State.xcr0) & 6) === 6) word |= ModeBit.AVX;
  return word;
}
