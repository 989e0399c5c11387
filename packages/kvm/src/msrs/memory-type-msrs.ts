import { type GuestMsrRow, hardware, storage } from './guest-msr-row.ts';

/** UC, WC, WT, WP, WB (SDM Vol. 3A, Table 11-8); a PAT entry may be UC- (7) too. */
function isMemoryType(type: bigint): boolean {
  return type === 0n || type === 1n || (type >= 4n && type <= 6n);
}

const BYTES: readonly bigint[] = [0n, 8n, 16n, 24n, 32n, 40n, 48n, 56n];

function everyByte(value: bigint, holds: (byte: bigint) => boolean): boolean {
  return BYTES.every((shift) => holds((value >> shift) & 0xffn));
}

const fixed = { holds: (_state: unknown, value: bigint): boolean => everyByte(value, isMemoryType) };

/** Memory type range registers and the page attribute table: kept with their checks; all memory is coherent. */
export const memoryTypeMsrs: readonly GuestMsrRow[] = [
  // Eight variable ranges, fixed ranges, write combining.
  { index: 0xfe, name: 'IA32_MTRRCAP', section: 'Vol. 3A 11.11.1', read: () => 0x508n },
  storage(0x200, 'IA32_MTRR_PHYSBASEn, IA32_MTRR_PHYSMASKn', 'Vol. 3A 11.11.2.3', {
    count: 16,
    holds: ({ host }, value, index) => {
      if (value >> BigInt(host.cpuid.physicalBits) !== 0n) return false;
      return (index & 1) === 0 ? isMemoryType(value & 0xffn) && (value & 0xf00n) === 0n : (value & 0x7ffn) === 0n;
    },
  }),
  storage(0x250, 'IA32_MTRR_FIX64K_00000', 'Vol. 3A 11.11.2.2', fixed),
  storage(0x258, 'IA32_MTRR_FIX16K_80000, _A0000', 'Vol. 3A 11.11.2.2', { count: 2, ...fixed }),
  storage(0x268, 'IA32_MTRR_FIX4K_C0000 ... _F8000', 'Vol. 3A 11.11.2.2', { count: 8, ...fixed }),
  storage(0x2ff, 'IA32_MTRR_DEF_TYPE', 'Vol. 3A 11.11.2.1', { writable: 0xcffn, holds: (_state, value) => isMemoryType(value & 0xffn) }),
  hardware(0x277, 'IA32_PAT', 'Vol. 3A 11.12.2', {
    list: 'state',
    holds: (_state, value) => everyByte(value, (type) => isMemoryType(type) || type === 7n),
  }),
];
