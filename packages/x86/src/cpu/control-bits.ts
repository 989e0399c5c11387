/** Bits of CR0 (SDM Vol. 3A, 2.5 "Control Registers"). */
export const Cr0 = {
  PE: 0x1,
  MP: 0x2,
  EM: 0x4,
  TS: 0x8,
  ET: 0x10,
  NE: 0x20,
  WP: 0x10000,
  AM: 0x40000,
  NW: 0x20000000,
  CD: 0x40000000,
  PG: -0x80000000,
} as const;

/** Bits of CR4. */
export const Cr4 = {
  VME: 0x1,
  PVI: 0x2,
  TSD: 0x4,
  DE: 0x8,
  PSE: 0x10,
  PAE: 0x20,
  MCE: 0x40,
  PGE: 0x80,
  PCE: 0x100,
  OSFXSR: 0x200,
  OSXMMEXCPT: 0x400,
  UMIP: 0x800,
  LA57: 0x1000,
  VMXE: 0x2000,
  SMXE: 0x4000,
  FSGSBASE: 0x10000,
  PCIDE: 0x20000,
  OSXSAVE: 0x40000,
  SMEP: 0x100000,
  SMAP: 0x200000,
  PKE: 0x400000,
} as const;

/** Bits of IA32_EFER (SDM Vol. 3A, 2.2.1; AMD's: APM Vol. 2, 3.1.7). */
export const Efer = {
  SCE: 0x1,
  LME: 0x100,
  LMA: 0x400,
  NXE: 0x800,
  SVME: 0x1000,
  LMSLE: 0x2000,
  FFXSR: 0x4000,
} as const;

/** Bits of DR6 (SDM Vol. 3B, 17.2.3) and the value of its reserved bits. */
export const Dr6 = { B0: 1, B1: 2, B2: 4, B3: 8, BD: 0x2000, BS: 0x4000, BT: 0x8000, INITIAL: -0xf010 } as const;
/** Bits of DR7 (SDM Vol. 3B, 17.2.4). */
/** BREAKPOINTS: L0 to G3. */
export const Dr7 = { BREAKPOINTS: 0xff, GD: 0x2000, FIXED: 0x400 } as const;

/** Bits of IA32_DEBUGCTL. */
export const DebugCtl = { LBR: 0x1, BTF: 0x2 } as const;
