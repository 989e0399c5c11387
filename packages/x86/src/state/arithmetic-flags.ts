import { State } from './layout.ts';
import type { Registers } from './registers.ts';

/**
 * The six arithmetic flags as TypeScript reads and writes them, whatever lazy form they are in.
 *
 * `ccOp` 0 (`FLAGS_IMAGE`) means that they are not lazy: `ccR` holds them as in EFLAGS (mask 0x8D5). What the other operations mean is the business of the
 * lazy flags of the semantics; they hand in here how to evaluate them.
 */
export const FLAGS_IMAGE = 0;

type Evaluate = (registers: Registers) => number;
let evaluateLazy: Evaluate = () => 0;

/** Called once, by the module that defines the lazy operations. */
export function defineLazyFlags(evaluate: Evaluate): void {
  evaluateLazy = evaluate;
}

export function readArithmeticFlags(registers: Registers): number {
  return registers.get32(State.ccOp) === FLAGS_IMAGE ? registers.get32(State.ccR) & 0x8d5 : evaluateLazy(registers);
}

export function writeArithmeticFlags(registers: Registers, image: number): void {
  registers.set32(State.ccOp, FLAGS_IMAGE);
  registers.set32(State.ccR, image & 0x8d5);
  registers.set32(State.ccR + 4, 0);
}
