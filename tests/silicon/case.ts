/** Bytes at a linear address inside one window. */
export interface MemoryBytes {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** Instruction bytes and the state that they start from. What is left out has the default named. */
export interface SiliconCase {
  /** 1 to 256 bytes: one instruction, or a sequence. What does not fit before the end of the code window is cut off. */
  readonly code: Uint8Array;
  /** Code size: 64-bit mode, 32-bit code (flat), or 16-bit protected-mode code with flat data and stack segments. Default 64. */
  readonly mode?: 64 | 32 | 16;
  /** Linear address of the code, inside the code window. Default `WINDOWS.code + 0x800`. In 16-bit mode the window starts at IP 0. */
  readonly rip?: number;
  /**
   * In 32-bit and 16-bit code: DS and ES are a segment that is the data window, SS one that is the stack window (with SP of 16 bits in 16-bit code), each with a limit of
   * `WINDOW_BYTES` - 1. Default: flat segments.
   */
  readonly windowSegments?: boolean;
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 ... R15. Default zero, RSP in the middle of the stack's first page. */
  readonly regs?: ArrayLike<bigint>;
  /** CF, PF, AF, ZF, SF, DF, OF and AC are loaded; IF is 1 always. Default 2. */
  readonly rflags?: number;
  /** Loaded in 64-bit mode only. Default 0. */
  readonly fsBase?: bigint;
  readonly gsBase?: bigint;
  /** Of the data and stack windows: see `windowContents`. A new seed costs some microseconds. Default 0. */
  readonly seed?: number;
  /** FXSAVE image of 512 bytes; the result then has one too. Default: as after FNINIT and reset, registers zero. */
  readonly fxsave?: Uint8Array;
  /** Upper halves of YMM0 to YMM15, 256 bytes; the result then has them too. Default zero. */
  readonly ymmHigh?: Uint8Array;
  /** Patches over the windows' contents. */
  readonly memory?: readonly MemoryBytes[];
  /**
   * How many instructions to single-step at most (a REP with all its iterations is one), or `'free'`: run to the end of the code
   * without stepping: more than twice as fast even for one instruction, unless that is a branch, which may not come to the end. A case ends
   * earlier at the end of its code or at a fault. Stepping sets TF, which PUSHF shows. Default 1.
   */
  readonly instructions?: number | 'free';
  /** Let through what depends on the host (CPUID, RDTSC, RDRAND, SGDT, XSAVE ...). Running free, only the first instruction is looked at. */
  readonly allowHostDependent?: boolean;
}

/**
 * How a case ended.
 * - `ok`: its one instruction completed, or the end of its code was reached
 * - `exception`: the state is that at the fault, or after the trap
 * - `system-call`: it would have called the host's kernel; nothing was called
 * - `limit`: its number of instructions was executed without reaching the end
 * - `hang`: it ran on for 0.25 s of processor time; `crash`: it took its process down. No state, in either
 * - `refused`: it depends on the host, or its address is outside the code window
 */
export const STATUSES = ['ok', 'exception', 'system-call', 'crash', 'hang', 'refused', 'limit'] as const;
export type SiliconStatus = (typeof STATUSES)[number];

/** Selectors at the end. The base of every segment is 0 but for FS and GS in 64-bit mode and for 16-bit code. */
export interface Selectors {
  readonly cs: number;
  readonly ss: number;
  readonly ds: number;
  readonly es: number;
  readonly fs: number;
  readonly gs: number;
}

/** The state that a case left, exactly. */
export interface SiliconResult {
  readonly status: SiliconStatus;
  /** With `exception`: the vector, 0 to 31; 0 otherwise. */
  readonly vector: number;
  /** The exception's error code; 0 where it has none. */
  readonly errorCode: number;
  /** With #PF: the faulting linear address; 0 otherwise. */
  readonly cr2: bigint;
  /** Instructions completed by single-stepping; 0 of a case that ran free. */
  readonly instructions: number;
  /** False after `crash` and `hang`: what follows is then zero or empty. */
  readonly hasState: boolean;
  readonly regs: BigUint64Array;
  readonly rip: bigint;
  /** Without the TF that single-stepping sets. */
  readonly rflags: number;
  readonly fsBase: bigint;
  readonly gsBase: bigint;
  readonly selectors: Selectors;
  /** 512 bytes, the last 96 of them zero; there if the case brought one. */
  readonly fxsave: Uint8Array | undefined;
  /** 256 bytes; there if the case brought them. */
  readonly ymmHigh: Uint8Array | undefined;
  /** What changed in memory, by ascending address. A patch may hold up to 8 unchanged bytes between changed ones. */
  readonly memory: readonly MemoryBytes[];
}
