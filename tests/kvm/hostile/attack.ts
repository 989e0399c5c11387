import { type AsmTag, asm64 } from '@minusone/asm';
import { type Arena, Place, Selector, type Targets } from './arena.ts';

/** One door that a guest tries, in 64-bit mode at CPL 0, and how the manual says that it ends. */
export interface Attack {
  readonly name: string;
  /** Where the manual (or KVM's documentation) says so. */
  readonly section: string;
  readonly code: (targets: Targets) => Uint8Array;
  /** Once, before the first try: slots that the attack needs. */
  readonly once?: (arena: Arena) => void;
  /** Before each try, when the machine stands at its beginning. */
  readonly before?: (arena: Arena) => void;
  /** Instructions between two looks of the VMM. @default 100_000 */
  readonly budget?: number;
  /** With KVM's interrupt controllers. */
  readonly irqchip?: boolean;
  /** What the VMM sees: the whole of it, or a pattern of what is joined by "; ". */
  readonly ends: readonly string[] | RegExp | ((targets: Targets) => readonly string[]);
}

export const code: AsmTag = asm64.with({ origin: Place.CODE });

/** Code that goes to CPL 3 and does `body` there; the tables have to let it (`userTables`). */
export function atCpl3(body: string): string {
  return `
        mov   ax, ${Selector.TSS}
        ltr   ax
        push  ${Selector.USER_DATA}
        push  ${Place.USER_STACK}
        push  2
        push  ${Selector.USER_CODE}
        push  user
        iretq
  user: ${body}
  stay: jmp   stay`;
}

/** Lets CPL 3 use the first 4 MiB, and gives the task-state segment a stack for CPL 0. */
export function userTables({ vm }: Arena): void {
  for (const at of [Place.TABLES, Place.TABLES + 0x1000, Place.TABLES + 0x2000, Place.TABLES + 0x2008]) {
    const [low = 0] = vm.memory.read(at, 1);
    vm.memory.write(at, Uint8Array.of(low | 4));
  }
  vm.memory.write(Place.TSS + 4, word64(BigInt(Place.STACK)));
  // The I/O permission bitmap begins behind the limit (SDM Vol. 1, 19.5.2).
  vm.memory.write(Place.TSS + 0x66, Uint8Array.of(0x68, 0));
}

export function word64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

/** A pseudo-descriptor for LGDT and LIDT in 64-bit mode. */
export function pseudoDescriptor(base: bigint, limit: number): Uint8Array {
  return Uint8Array.of(limit & 0xff, limit >>> 8, ...word64(base));
}

export function hex(value: number): string {
  return value.toString(16);
}
