/** Bits of CR0 (SDM Vol. 3A, 2.5 "Control Registers"). */
export const Cr0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 1 << 31,
} as const;

/** Bits of CR4. */
export const Cr4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  LA57: 1 << 12,
  VMXE: 1 << 13,
  SMXE: 1 << 14,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
  PKE: 1 << 22,
} as const;

/** Bits of IA32_EFER (SDM Vol. 3A, 2.2.1; AMD's: APM Vol. 2, 3.1.7). */
export const Efer = {
  SCE: 1 << 0,
  LME: 1 << 8,
  LMA: 1 << 10,
  NXE: 1 << 11,
  SVME: 1 << 12,
  LMSLE: 1 << 13,
  FFXSR: 1 << 14,
} as const;

/** Bits of DR6 (SDM Vol. 3B, 17.2.3) and the value of its reserved bits. */
export const Dr6 = { B0: 1, B1: 2, B2: 4, B3: 8, BD: 1 << 13, BS: 1 << 14, BT: 1 << 15, INITIAL: 0xffff0ff0 | 0 } as const;
/** Bits of DR7 (SDM Vol. 3B, 17.2.4). */
export const Dr7 = { GD: 1 << 13, FIXED: 1 << 10 } as const;

/** Bits of IA32_DEBUGCTL. */
export const DebugCtl = { LBR: 1 << 0, BTF: 1 << 1 } as const;
