import { readArithmeticFlags, writeArithmeticFlags } from '../state/arithmetic-flags.ts';
import { State } from '../state/layout.ts';
import type { Registers } from '../state/registers.ts';

/** Bits of EFLAGS (SDM Vol. 1, 3.4.3 "EFLAGS Register"). */
export const Eflags = {
  CF: 1 << 0,
  RESERVED_1: 1 << 1,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

/** The six arithmetic flags, which the state keeps lazily. */
export const ARITHMETIC_FLAGS: number = Eflags.CF | Eflags.PF | Eflags.AF | Eflags.ZF | Eflags.SF | Eflags.OF;
/** Every flag that exists. */
export const ALL_FLAGS: number =
  ARITHMETIC_FLAGS | Eflags.TF | Eflags.IF | Eflags.DF | Eflags.IOPL | Eflags.NT | Eflags.RF | Eflags.VM | Eflags.AC | Eflags.VIF | Eflags.VIP | Eflags.ID;

/** The whole of EFLAGS, as PUSHF would store it were there no rules. */
export function readEflags(registers: Registers): number {
  return registers.get32(State.eflags) | readArithmeticFlags(registers);
}

/** Replaces the flags in `mask` with those of `image`; bit 1 stays set. The caller tells the engine of a change of AC or VM. */
export function writeEflags(registers: Registers, image: number, mask: number = ALL_FLAGS): void {
  const system = mask & ALL_FLAGS & ~ARITHMETIC_FLAGS;
  registers.set32(State.eflags, (registers.get32(State.eflags) & ~system) | (image & system) | Eflags.RESERVED_1);
  const arithmetic = mask & ARITHMETIC_FLAGS;
  if (arithmetic === ARITHMETIC_FLAGS) writeArithmeticFlags(registers, image & ARITHMETIC_FLAGS);
  else if (arithmetic !== 0) writeArithmeticFlags(registers, (readArithmeticFlags(registers) & ~arithmetic) | (image & arithmetic));
}

/** IOPL, 0 to 3. */
export function iopl(registers: Registers): number {
  return (registers.get32(State.eflags) >>> 12) & 3;
}
