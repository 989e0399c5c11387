/**
 * The layout of one CPU's state in the machine's linear memory: the one table from which the emitters' offsets, the
 * TypeScript accessors and snapshots come. Handlers get the address of "their" CPU as a parameter; every offset here
 * counts from it.
 */

/** One row: a field of `count` elements of `bytes` bytes, `stride` bytes apart. */
export interface StateField {
  readonly name: string;
  readonly offset: number;
  readonly bytes: 1 | 2 | 4 | 8 | 16 | 32;
  readonly count: number;
  readonly stride: number;
}

/** Segment registers by their number in instruction encodings (SDM Vol. 2A, Table 2-1 ff.), then the two system ones. */
export const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;

/** General registers by number. AH, CH, DH, BH are the second byte of 0 to 3. */
export const Gpr = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;

/**
 * A segment register with its hidden part. `attributes` is in the VMCS access-rights format (SDM Vol. 3C 24.4.1): bits 0-3 type,
 * 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable. `readLow..readHigh` and `writeLow..writeHigh` are the offsets
 * (unsigned 32-bit, inclusive) at which data may be read and written outside 64-bit mode: derived from type and limit, expand-down
 * included; an empty range (low 1, high 0) where nothing may be.
 */
export const SegmentField = {
  base: 0,
  limit: 8,
  selector: 12,
  attributes: 16,
  readLow: 20,
  readHigh: 24,
  writeLow: 28,
  writeHigh: 32,
} as const;
/** Bytes from one segment register to the next. */
export const SEGMENT_STRIDE = 40;

const fields: StateField[] = [];
let end = 0;

function field(name: string, bytes: StateField['bytes'], count = 1, stride: number = bytes): number {
  const alignment = Math.min(bytes, 16);
  const offset = Math.ceil(end / alignment) * alignment;
  fields.push({ name, offset, bytes, count, stride });
  end = offset + stride * count;
  return offset;
}

/** Byte offsets of all fields. Names are the manuals'. */
export const State = {
  /** RAX .. R15, 8 bytes each, in encoding order. */
  gpr: field('gpr', 8, 16) as number,
  /** Always zero: what a missing base or index register reads. */
  zero: field('zero', 8) as number,
  rip: field('rip', 8) as number,
  /** EFLAGS without the six arithmetic flags: those are lazy, in `cc*` (see semantics/lazy-flags). Bit 1 is set. */
  eflags: field('eflags', 4) as number,
  /** Lazy arithmetic flags (see state/arithmetic-flags): what kind of operation, and its operands and result, sign-extended to 64 bits from its size. */
  ccOp: field('ccOp', 4) as number,
  ccA: field('ccA', 8) as number,
  ccB: field('ccB', 8) as number,
  ccR: field('ccR', 8) as number,
  /** ES CS SS DS FS GS LDTR TR: see SegmentField. */
  segments: field('segments', 8, 8, SEGMENT_STRIDE) as number,
  gdtrBase: field('gdtrBase', 8) as number,
  idtrBase: field('idtrBase', 8) as number,
  gdtrLimit: field('gdtrLimit', 4) as number,
  idtrLimit: field('idtrLimit', 4) as number,
  cr0: field('cr0', 4) as number,
  cr4: field('cr4', 4) as number,
  cr2: field('cr2', 8) as number,
  cr3: field('cr3', 8) as number,
  cr8: field('cr8', 4) as number,
  cpl: field('cpl', 4) as number,
  efer: field('efer', 8) as number,
  xcr0: field('xcr0', 8) as number,
  /** The four PDPTEs that MOV CR3 loads in PAE paging. */
  pdptes: field('pdptes', 8, 4) as number,
  dr: field('dr', 8, 4) as number,
  dr6: field('dr6', 4) as number,
  dr7: field('dr7', 4) as number,
  /** YMM0 .. YMM15, 32 bytes each; XMMn is the low half. */
  ymm: field('ymm', 32, 16) as number,
  /** R0 .. R7 of the x87, physical order: 64-bit significand, then sign and exponent (16 bits). MMn is the significand of physical register n. */
  fpr: field('fpr', 16, 8) as number,
  fcw: field('fcw', 4) as number,
  /** Status word; TOP is bits 11-13. */
  fsw: field('fsw', 4) as number,
  /** Abridged tag word as in FXSAVE: bit n is 1 where physical register n is not empty. */
  ftw: field('ftw', 4) as number,
  fop: field('fop', 4) as number,
  fip: field('fip', 8) as number,
  fdp: field('fdp', 8) as number,
  fcs: field('fcs', 4) as number,
  fds: field('fds', 4) as number,
  mxcsr: field('mxcsr', 4) as number,
  /** What code is specialized on: see state/mode. Derived. */
  mode: field('mode', 4) as number,
  /** Instructions that may still run before the run loop must look at the time. */
  budget: field('budget', 4) as number,
  /**
   * Instructions taken from the budget that have not begun, exact only in slow paths; and what the engine holds back of the budget while an instruction runs alone.
   * Executed are those that neither the budget nor these two count.
   */
  ahead: field('ahead', 4) as number,
  held: field('held', 4) as number,
  /** Bits of `Layered`: what a virtualization layer wants to see in TypeScript. */
  layered: field('layered', 4) as number,
  /** Not 0: the interrupt request line is asserted. */
  interruptPending: field('interruptPending', 4) as number,
  /** The budget behind the last STI that compiled code executed: while it is still the same, interrupts are held back until the next instruction has completed. */
  stiBudget: field('stiBudget', 4) as number,
  /**
   * This CPU's time in ticks of the TSC when the budget will be used up, the latest that any CPU has been told, and how many ticks an instruction takes. 0: only TypeScript can
   * tell the time. RDTSC adds the CPU's own offset (IA32_TIME_STAMP_COUNTER, IA32_TSC_ADJUST).
   */
  ticksAtEnd: field('ticksAtEnd', 8) as number,
  ticksSeen: field('ticksSeen', 8) as number,
  tscOffset: field('tscOffset', 8) as number,
  ticksPerInstruction: field('ticksPerInstruction', 4) as number,
  /** IA32_TSC_AUX. */
  tscAux: field('tscAux', 4) as number,
  /** MSRs that system calls, or entries and exits of virtual machines, read or write: here, so that nobody needs a BigInt for them. */
  pat: field('pat', 8) as number,
  sysenterCs: field('sysenterCs', 8) as number,
  sysenterEsp: field('sysenterEsp', 8) as number,
  sysenterEip: field('sysenterEip', 8) as number,
  star: field('star', 8) as number,
  lstar: field('lstar', 8) as number,
  cstar: field('cstar', 8) as number,
  fmask: field('fmask', 8) as number,
  kernelGsBase: field('kernelGsBase', 8) as number,
  /** Virtual page base that the current block's page offsets are relative to: RIP (EIP, IP) = ripBase + page offset. */
  ripBase: field('ripBase', 8) as number,
  /** Address of the current TLB set and of its jump cache. */
  tlb: field('tlb', 4) as number,
  jumpCache: field('jumpCache', 4) as number,
  /** Why Wasm returned: see engine/exit. `exitRecord` is the decoded record concerned. */
  exitRecord: field('exitRecord', 4) as number,
  /** A fault raised by Wasm or a slow path: vector, error code, whether there is one. CR2 is in faultAddress until delivery. */
  faultVector: field('faultVector', 4) as number,
  faultError: field('faultError', 4) as number,
  faultHasError: field('faultHasError', 4) as number,
  faultAddress: field('faultAddress', 8) as number,
  /** Nonzero: something happened in a slow path that must be seen after this instruction: see `Leave`. */
  leave: field('leave', 4) as number,
  /** Iterations of a repeated string instruction that may run before the run loop looks again. */
  repeatLimit: field('repeatLimit', 4) as number,
  /** Instructions that regions have executed, modulo 2^32. */
  regionInstructions: field('regionInstructions', 4) as number,
  /** Results of slow paths and subroutines that return more than one value. */
  scratch: field('scratch', 16, 8) as number,
} as const;

/** Bits of `State.leave`. */
export const Leave = {
  /** The CPU's run loop must look: a device was accessed, an event is pending. */
  EVENT: 1,
  /** The engine must look: code that may be running was changed. */
  CODE: 2,
} as const;

/** What `stiBudget` holds where there was no STI: no budget is ever this. */
export const NO_STI = -0x8000_0000;

/** Every field, in order: for snapshots, tests and the documentation. */
export const stateFields: readonly StateField[] = fields;

/** Size of one CPU's state in bytes, a multiple of 64. */
export const STATE_BYTES: number = Math.ceil(end / 64) * 64;

/** Offset of a field of a segment register. */
export function segmentOffset(segment: number, part: keyof typeof SegmentField): number {
  return State.segments + segment * SEGMENT_STRIDE + SegmentField[part];
}
