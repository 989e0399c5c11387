/** Offsets of the local APIC's registers in its page (SDM Vol. 3A, Table 10-1); the x2APIC MSR is 800H + offset / 16. */
export const ApicRegister = {
  ID: 0x20,
  VERSION: 0x30,
  TPR: 0x80,
  APR: 0x90,
  PPR: 0xa0,
  EOI: 0xb0,
  RRD: 0xc0,
  LDR: 0xd0,
  DFR: 0xe0,
  SVR: 0xf0,
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  LVT_CMCI: 0x2f0,
  ICR_LOW: 0x300,
  ICR_HIGH: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERFORMANCE: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  TIMER_INITIAL: 0x380,
  TIMER_CURRENT: 0x390,
  TIMER_DIVIDE: 0x3e0,
  /** x2APIC only. */
  SELF_IPI: 0x3f0,
} as const;

/** Version 14H, six LVT entries (0 to 5), and EOI-broadcast suppression (SDM Vol. 3A, 10.4.8). */
export const APIC_VERSION: number = 0x14 | (5 << 16) | (1 << 24);
export const APIC_VERSION_SUPPRESSES_EOI: number = 1 << 24;

/** Delivery modes (SDM Vol. 3A, 10.5.1, 10.6.1). */
export const DeliveryMode = { FIXED: 0, LOWEST_PRIORITY: 1, SMI: 2, NMI: 4, INIT: 5, START_UP: 6, EXT_INT: 7 } as const;

/** Bits of an LVT entry (SDM Vol. 3A, Figure 10-8). */
export const Lvt = {
  VECTOR: 0xff,
  MODE_SHIFT: 8,
  DELIVERY_STATUS: 0x1000,
  REMOTE_IRR: 0x4000,
  LEVEL: 0x8000,
  MASKED: 0x10000,
  TIMER_MODE_SHIFT: 17,
} as const;
export const TimerMode = { ONE_SHOT: 0, PERIODIC: 1, TSC_DEADLINE: 2 } as const;

/** Bits of the error status register (SDM Vol. 3A, 10.5.3). */
export const ApicError = { SEND_ILLEGAL_VECTOR: 0x20, RECEIVE_ILLEGAL_VECTOR: 0x40, ILLEGAL_REGISTER: 0x80 } as const;

/** The bits of each LVT register that software may write. */
export const lvtWritable: ReadonlyMap<number, number> = new Map([
  [ApicRegister.LVT_TIMER, 0x700ff],
  [ApicRegister.LVT_THERMAL, 0x107ff],
  [ApicRegister.LVT_PERFORMANCE, 0x107ff],
  [ApicRegister.LVT_LINT0, 0x1a7ff],
  [ApicRegister.LVT_LINT1, 0x1a7ff],
  [ApicRegister.LVT_ERROR, 0x100ff],
]);
