import { type GuestMsrRow, storage } from './guest-msr-row.ts';

/** KVM_MAX_MCE_BANKS. */
export const MCE_BANKS = 32;
/** IA32_MCG_CAP: MCG_CTL_P, MCG_SER_P may be asked for by KVM_X86_SETUP_MCE. */
export const MCG_CAP_SUPPORTED: bigint = (1n << 8n) | (1n << 24n);

export const MCG_CAP = 0x179;
const FIRST_BANK = 0x400;
const ALL_ONES = (1n << 64n) - 1n;

/** The machine-check architecture: registers without errors (SDM Vol. 3B, 15.3). */
export const machineCheckMsrs: readonly GuestMsrRow[] = [
  {
    index: 0x00,
    name: 'IA32_P5_MC_ADDR, IA32_P5_MC_TYPE',
    section: 'Vol. 3B 15.11',
    count: 2,
    read: () => 0n,
  },
  {
    index: MCG_CAP,
    name: 'IA32_MCG_CAP',
    section: 'Vol. 3B 15.3.1.1',
    reset: BigInt(MCE_BANKS),
    read: (state, index) => state.stored(index),
  },
  storage(0x17a, 'IA32_MCG_STATUS', 'Vol. 3B 15.3.1.2', { list: 'state' }),
  {
    index: 0x17b,
    name: 'IA32_MCG_CTL',
    section: 'Vol. 3B 15.3.1.3',
    list: 'state',
    reset: 0n,
    read: (state, index, isHost) => (isHost || (state.stored(MCG_CAP) & (1n << 8n)) !== 0n ? state.stored(index) : undefined),
    write: (state, value, index, isHost) => {
      const isThere = (state.stored(MCG_CAP) & (1n << 8n)) !== 0n;
      if ((!isThere && !isHost) || (value !== 0n && value !== ALL_ONES)) return false;
      state.store(index, value);
      return true;
    },
  },
  {
    index: FIRST_BANK,
    name: 'IA32_MCi_CTL, _STATUS, _ADDR, _MISC',
    section: 'Vol. 3B 15.3.2',
    count: 4 * MCE_BANKS,
    reset: 0n,
    read: (state, index) => (isBank(state.stored(MCG_CAP), index) ? state.stored(index) : undefined),
    write: (state, value, index, isHost) => {
      if (!isBank(state.stored(MCG_CAP), index)) return false;
      const register = index & 3;
      // CTL: all or nothing, but for the bit that some systems clear in bank 4 (10) or 0 (0); STATUS: software may only clear it.
      if (register === 0 && value !== 0n && (value | (1n << 10n) | 1n) !== ALL_ONES) return false;
      if (register === 1 && !isHost && value !== 0n) return false;
      state.store(index, value);
      return true;
    },
  },
];

function isBank(cap: bigint, index: number): boolean {
  return BigInt((index - FIRST_BANK) >>> 2) < (cap & 0xffn);
}
