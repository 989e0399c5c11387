import { readArithmeticFlags, writeArithmeticFlags } from '../state/arithmetic-flags.ts';
import { State } from '../state/layout.ts';
import type { Registers } from '../state/registers.ts';

/** Bits of EFLAGS (SDM Vol. 1, 3.4.3 "EFLAGS Register"). */
export const Eflags = {
  CF: 0x1,
  RESERVED_1: 0x2,
  PF: 0x4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  VIF: 0x80000,
  VIP: 0x100000,
  ID: 0x200000,
} as const;

/** The six arithmetic flags, which the state keeps lazily. */
export const ARITHMETIC_FLAGS: number = Eflags.CF | Eflags.PF | Eflags.AF | Eflags.ZF | Eflags.SF | Eflags.OF;
/** Every flag that exists. */
export const ALL_FLAGS: number =
  ARITHMETIC_FLAGS |
  Eflags.TF |
  Eflags.IF |
  Eflags.DF |
  Eflags.IOPL |
  Eflags.NT |
  Eflags.RF |
  Eflags.VM |
  Eflags.AC |
  Eflags.VIF |
  Eflags.VIP |
  Eflags.ID;

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
