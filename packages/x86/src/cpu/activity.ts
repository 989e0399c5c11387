/** What the CPU does at an instruction boundary (SDM Vol. 3C, 24.4.2 "Guest Non-Register State"). */
export const Activity = { ACTIVE: 0, HALTED: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
export type Activity = (typeof Activity)[keyof typeof Activity];

/** What holds events back for one instruction (SDM Vol. 3A, 6.8.3). */
export const InterruptShadow = { NONE: 0, STI: 1, MOV_SS: 2 } as const;
export type InterruptShadow = (typeof InterruptShadow)[keyof typeof InterruptShadow];
