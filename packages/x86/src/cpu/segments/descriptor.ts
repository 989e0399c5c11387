/** Bits of segment attributes, in the VMCS access-rights format (SDM Vol. 3C, 24.4.1 "Guest Register State"). */
export const Attribute = {
  TYPE: 0xf,
  ACCESSED: 0x1,
  /** Data: writable. Code: readable. */
  WRITABLE_OR_READABLE: 0x2,
  /** Data: expand-down. Code: conforming. */
  EXPAND_DOWN_OR_CONFORMING: 0x4,
  CODE: 0x8,
  /** Code or data; clear: a system descriptor. */
  S: 0x10,
  DPL_SHIFT: 5,
  P: 0x80,
  AVL: 0x1000,
  L: 0x2000,
  /** Default operand size of code, stack pointer size of a stack, upper bound of an expand-down segment. */
  DB: 0x4000,
  G: 0x8000,
  UNUSABLE: 0x10000,
} as const;

/** Types of system descriptors (SDM Vol. 3A, Table 3-2). In long mode only LDT, the 32-bit (now 64-bit) TSS types, call, interrupt and trap gates exist. */
export const SystemType = {
  TSS16_AVAILABLE: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS_AVAILABLE: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

/** A descriptor as read from a table (SDM Vol. 3A, 3.4.5 "Segment Descriptors", 5.8.3 "Call Gates", 6.11 "IDT Descriptors"). */
export class Descriptor {
  /** First and second doubleword. */
  readonly low: number;
  readonly high: number;
  /** Third doubleword: bits 63:32 of the base or offset of a 16-byte descriptor, otherwise 0. */
  readonly upper: number;
  /** Linear address it was read from, for the accessed and busy bits. */
  readonly linearLow: number;
  readonly linearHigh: number;

  constructor(low: number, high: number, upper: number, linearLow: number, linearHigh: number) {
    this.low = low;
    this.high = high;
    this.upper = upper;
    this.linearLow = linearLow;
    this.linearHigh = linearHigh;
  }

  /** VMCS access-rights format, without the unusable bit. */
  get attributes(): number {
    return (this.high >>> 8) & 0xf0ff;
  }
  get type(): number {
    return (this.high >>> 8) & 0xf;
  }
  get isSystem(): boolean {
    return (this.high & (1 << 12)) === 0;
  }
  get isCode(): boolean {
    return !this.isSystem && (this.high & (1 << 11)) !== 0;
  }
  get isData(): boolean {
    return !this.isSystem && (this.high & (1 << 11)) === 0;
  }
  get isConforming(): boolean {
    return this.isCode && (this.high & (1 << 10)) !== 0;
  }
  get isReadable(): boolean {
    return this.isData || (this.high & (1 << 9)) !== 0;
  }
  get isWritableData(): boolean {
    return this.isData && (this.high & (1 << 9)) !== 0;
  }
  get dpl(): number {
    return (this.high >>> 13) & 3;
  }
  get isPresent(): boolean {
    return (this.high & (1 << 15)) !== 0;
  }
  get isLong(): boolean {
    return (this.high & (1 << 21)) !== 0;
  }
  get isBig(): boolean {
    return (this.high & (1 << 22)) !== 0;
  }
  get baseLow(): number {
    return (this.low >>> 16) | ((this.high & 0xff) << 16) | (this.high & 0xff000000);
  }
  get baseHigh(): number {
    return this.upper;
  }
  /** In bytes, inclusive, unsigned. */
  get limit(): number {
    const raw = (this.low & 0xffff) | (this.high & 0xf0000);
    return (this.high & (1 << 23)) !== 0 ? ((raw << 12) | 0xfff) >>> 0 : raw;
  }

  // Gates
  get gateSelector(): number {
    return this.low >>> 16;
  }
  /** Bits 31:0 of the entry point; 16-bit gates have 16. */
  get gateOffsetLow(): number {
    return (this.low & 0xffff) | (this.high & 0xffff0000);
  }
  get gateOffsetHigh(): number {
    return this.upper;
  }
  /** Call gates: parameters to copy, 0 to 31 (words or doublewords). */
  get gateParameters(): number {
    return this.high & 0x1f;
  }
  /** Interrupt and trap gates in long mode: index of the stack in the TSS, 0 for none. */
  get gateIst(): number {
    return this.high & 7;
  }
}
