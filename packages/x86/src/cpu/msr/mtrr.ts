import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import type { MsrRow } from './row.ts';

/** Memory type range registers: storage with their checks; all memory is coherent here (SDM Vol. 3A, 11.11). Eight variable ranges, as IA32_MTRRCAP says. */

/** UC, WC, WT, WP, WB. */
function isMemoryType(type: bigint): boolean {
  return type === 0n || type === 1n || type === 4n || type === 5n || type === 6n;
}

function row(
  index: number,
  name: string,
  section: string,
  count: number,
  reset: bigint,
  holds: (cpu: Cpu, value: bigint, index: number) => boolean,
): MsrRow {
  return {
    index,
    name,
    section,
    count,
    reset,
    feature: 'MTRR',
    read: (cpu, at) => cpu.msrs.stored(at),
    write: (cpu, value, at) => {
      if (!holds(cpu, value, at)) raise(Vector.GP, 0);
      cpu.msrs.store(at, value);
    },
  };
}

const fixedHolds = (_cpu: Cpu, value: bigint): boolean =>
  [0n, 8n, 16n, 24n, 32n, 40n, 48n, 56n].every((shift) => isMemoryType((value >> shift) & 0xffn));

function variableHolds(cpu: Cpu, value: bigint, index: number): boolean {
  if (value >> BigInt(cpu.model.physicalBits) !== 0n) return false;
  // PHYSBASE: type in bits 7:0, 11:8 reserved. PHYSMASK: V is bit 11, 10:0 reserved.
  return (index & 1) === 0 ? isMemoryType(value & 0xffn) && (value & 0xf00n) === 0n : (value & 0x7ffn) === 0n;
}

export const mtrrRows: readonly MsrRow[] = [
  row(0x200, 'IA32_MTRR_PHYSBASEn, IA32_MTRR_PHYSMASKn', 'Vol. 3A 11.11.2.3', 16, 0n, variableHolds),
  row(0x250, 'IA32_MTRR_FIX64K_00000', 'Vol. 3A 11.11.2.2', 1, 0n, fixedHolds),
  row(0x258, 'IA32_MTRR_FIX16K_80000, _A0000', 'Vol. 3A 11.11.2.2', 2, 0n, fixedHolds),
  row(0x268, 'IA32_MTRR_FIX4K_C0000 ... _F8000', 'Vol. 3A 11.11.2.2', 8, 0n, fixedHolds),
  row(0x2ff, 'IA32_MTRR_DEF_TYPE', 'Vol. 3A 11.11.2.1', 1, 0n, (_cpu, value) => (value & ~0xcffn) === 0n && isMemoryType(value & 0xffn)),
];
