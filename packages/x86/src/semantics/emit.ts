import type { Expr, FunctionBuilder } from '@minusone/wasm';
import type { Insn } from '../decode/insn.ts';
import type { Mode } from '../state/mode.ts';
import type { Subroutine } from './subroutine.ts';

/**
 * What an instruction's semantics are written against. The same function is run against two implementations: the interpreter's, whose
 * operands are read from a decoded record, and the JIT's, whose operands are constants and Wasm locals. It runs at generation time
 * and yields WebAssembly; JavaScript `if` chooses between forms of the instruction, `e.if` between outcomes at run time.
 *
 * Values. A `Value` is a Wasm expression. 8-, 16- and 32-bit quantities are i32, **zero-extended** when read; writes and the flag rules use
 * only the low bits, so results need no masking. 64-bit quantities are i64; 128-bit ones v128. Everything *read* (registers, memory, flags)
 * is a value fixed at that moment: it does not change when the register is written later. A tree built from values by `add`, `and` ... is
 * emitted each time it is used: `e.let` computes it once.
 *
 * Faults. An instruction either completes or leaves no trace. Reads of memory, `readForWrite`, writes to memory and `raise` may fault;
 * they throw an InternalError at generation time if a write to the machine's state (register, flag, memory) came before in the same instruction.
 * Instructions that write memory twice first claim every place with `probeWrite` / `readForWrite`; a write to a claimed place cannot fault.
 * (Inside a `string` body each iteration counts by itself.)
 */
export interface Emit {
  readonly insn: Insn;
  readonly mode: Mode;
  /** Effective operand size in bytes: what `v` means here. */
  readonly operandBytes: 2 | 4 | 8;
  readonly addressBytes: 2 | 4 | 8;
  /** Width of the stack pointer: 2, 4 or 8. */
  readonly stackBytes: 2 | 4 | 8;
  /** Condition number of a `{cc}` row. */
  readonly cc: number;
  /** All operands in Intel order; `dst`, `src`, `src2` are the first three. */
  readonly operands: readonly Operand[];
  readonly dst: Operand;
  readonly src: Operand;
  readonly src2: Operand;
  /** The function under construction, for what the helpers here do not offer (locals, loops). */
  readonly f: FunctionBuilder;
  /** Address of the CPU's state in linear memory (i32): for subroutines. */
  readonly cpu: Value;

  let(x: Value): Value;
  /** Run-time choice. Values fixed inside a branch must not be used outside of it; use `ifValue`. */
  if(condition: Value, then: () => void, otherwise?: () => void): void;
  ifValue(condition: Value, then: () => Value, otherwise: () => Value): Value;
  /** Calls a subroutine with one result. Emitted (and its side effects done) at once. */
  call(subroutine: Subroutine, ...args: Value[]): Value;
  callVoid(subroutine: Subroutine, ...args: Value[]): void;

  /** A general register as an operand. Default size: the operand size. 32-bit writes clear the upper half, 8- and 16-bit writes keep the rest. */
  gpr(index: number, bytes?: 1 | 2 | 4 | 8): Operand;
  /** AH (for LAHF, MUL, DIV ...). */
  readonly ah: Operand;
  /** XMM register `index`: its low 128 bits. */
  xmm(index: number): Operand;
  readonly flags: FlagsEmit;

  /** Base linear address of a segment as i64 (0 where the mode word says flat). */
  segmentBase(segment: number): Value;
  /** Reads memory at segment:offset. `offset` has the address size (i32 or i64); bytes 1, 2, 4 give i32, 8 i64, 16 v128. Checks limit, rights, canonical form, paging. The same place may be read again after a write. */
  load(segment: number, offset: Value, bytes: 1 | 2 | 4 | 8 | 16): Value;
  store(segment: number, offset: Value, value: Value, bytes: 1 | 2 | 4 | 8 | 16): void;
  /** Checks that `bytes` at segment:offset may be written, and raises the fault now if not. */
  probeWrite(segment: number, offset: Value, bytes: number): void;
  /** Offset of a memory operand plus a constant (wrapped to the address size): for operands of more than one part. */
  memory(offset: Value, bytes: 1 | 2 | 4 | 8 | 16, segment?: number): Operand;

  /** Pushes one item of `bytes` (default: operand size). May fault; RSP is written last. */
  push(value: Value, bytes?: 2 | 4 | 8): void;
  /** Reads the top of the stack; call `popCommit` afterwards, when nothing can fault any more. */
  popRead(bytes?: 2 | 4 | 8): Value;
  /** Adds `bytes` (default: operand size, plus `extra`) to the stack pointer. */
  popCommit(bytes?: 2 | 4 | 8, extra?: Value): void;

  /** Address of the next instruction: the offset in CS, as i64 (CALL pushes it). */
  readonly nextIp: Value;
  /** Goes to the `J` operand. */
  jump(): void;
  /** Goes to the `J` operand if the condition (i32) is not 0. State writes (LOOP's counter) come before it. */
  branch(condition: Value): void;
  /** Near jump to a run-time offset in CS (i32 or i64), truncated to the operand size. Raises #GP(0) beyond the limit or non-canonical: call `checkTarget` before writing state. */
  jumpTo(target: Value): void;
  /** Raises #GP(0) if a near jump to the target (or the `J` operand when left out) would. Nothing where the mode word rules it out. */
  checkTarget(target?: Value): void;
  /** Ends the block after this instruction, so that the run loop looks at events (STI, POPF ...). */
  endBlock(): void;

  /**
   * For rows that have an `execute` besides: leaves the whole instruction to it if `condition` is not 0 (or always, when it is left out). Nothing of the state may have
   * been written.
   */
  exitToSystem(condition?: Value): void;
  /** How many instructions may still run after this one before the run loop looks at the time, as i32. */
  readonly budgetAfter: Value;

  /** Raises an exception if `condition` is not 0 (or always, when it is left out): nothing of the instruction happens. */
  raise(vector: number, errorCode?: number, condition?: Value): void;

  /**
   * A string instruction: the body is one iteration and uses `dst` and `src` (X and Y operands). Everything else (index registers by DF, the REP
   * count, REPE / REPNE on the ZF the body has set, faults and interruptions between iterations) is done around it.
   * @param bulk the body does nothing but copy its source (MOVS) or the accumulator (STOS) to its destination: stretches of memory may be done at once
   */
  string(body: () => void, bulk?: 'move' | 'fill'): void;

  /** x87: see FpuEmit. */
  readonly fpu: FpuEmit;
  /** MXCSR as i32. */
  readonly mxcsr: Value;
  /** Sets exception flags (bits 0-5) in MXCSR; if one of them is unmasked raises #XM (#UD without CR4.OSXMMEXCPT), with the flags set and nothing else changed. */
  simdExceptions(flags: Value): void;
  /** A system-state field (offset in `State`), as i32: for rows such as SMSW that read one. */
  stateField(offset: number): Value;
  /** Writes one (i32). What code is specialized on (see `state/mode`), and which TLB set applies, must not depend on it. */
  setStateField(offset: number, value: Value): void;
}

export type Value = Expr;

/** An operand of the instruction, or a register named by the semantics. */
export interface Operand {
  readonly kind: 'gpr' | 'memory' | 'immediate' | 'relative' | 'segment' | 'vector' | 'mmx' | 'st' | 'other';
  /** Size in bytes: 1, 2, 4, 8, 16 (32 for YMM). */
  readonly bytes: number;
  /** Register number where `kind` is a register's; otherwise -1. */
  readonly index: number;
  /**
   * The whole operand: 1, 2, 4 bytes: i32 zero-extended; 8: i64; 16: v128. A vector register or MMX operand is read at the operand's size (`Wsd` reads its low 64 bits
   * as i64, `Wss` its low 32 as i32). `relative`: the target as offset in CS. Immediates are extended to the size of the first operand as the manual says.
   */
  read(): Value;
  /** As read(), sign-extended to i32 (1, 2 bytes) or i64 (`as` 8). */
  readSigned(as?: 4 | 8): Value;
  /** Reads, having made sure that a `write` to the same operand cannot fault (memory: checked for writing). */
  readForWrite(): Value;
  /** Writes the whole operand; only the low bits of an i32 count. Vector registers: writes `bytes` and keeps the rest. A gpr wider than the value given: zero-extended. */
  write(value: Value): void;
  /** Vector register: writes `bytes`, clears the rest up to 128 bits (and, for a VEX instruction, up to the whole register). Memory: as write. */
  writeZeroExtended(value: Value): void;
  /** Part of a wider operand: `bytes` at byte `offset` of a vector register or memory operand. */
  part(offset: number, bytes: 1 | 2 | 4 | 8 | 16): Operand;
  /** Memory operand: the offset in its segment, at address size (LEA's result). */
  readonly offset: Value;
  /** Memory operand: its segment. */
  readonly segment: number;
  /** Memory operand of 16 bytes: raise #GP(0) where not aligned to 16 (legacy SSE; call before reading). */
  requireAligned(bytes: 16 | 32): void;
}

/** The arithmetic flags, lazily. Sizes are in bytes; operands and results need not be masked. */
export interface FlagsEmit {
  /** a + b = result (ADD, XADD); with carry in, too: ADC passes the true result. */
  add(bytes: number, a: Value, b: Value, result: Value): void;
  /** a - b = result (SUB, CMP, NEG as 0 - a); with the borrow in, too: SBB passes the true result and the borrow. */
  sub(bytes: number, a: Value, b: Value, result: Value, borrow?: Value): void;
  /** AND, OR, XOR, TEST: CF = OF = 0, AF cleared. */
  logic(bytes: number, result: Value): void;
  /** SF, ZF, PF from the result; CF, OF (and AF) as given, each i32 0 or 1. AF left out: cleared. (Shifts, MUL, INC with the old CF ...) */
  result(bytes: number, result: Value, given: { cf: Value; of: Value; af?: Value }): void;
  /** Sets single flags (i32 0 or 1), keeps the others. */
  set(flags: { cf?: Value; pf?: Value; af?: Value; zf?: Value; sf?: Value; of?: Value }): void;
  /** One flag as i32 0 or 1, fixed at that moment. */
  get(flag: 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of'): Value;
  /** The condition of Jcc / SETcc / CMOVcc with this number, as i32 0 or 1. */
  condition(cc: number): Value;
  /** The six arithmetic flags as in EFLAGS bits (0x8D5), i32. */
  read(): Value;
  /** Replaces all six from an EFLAGS image. */
  write(image: Value): void;
  /** EFLAGS.DF as i32 0 or 1; and its setter (CLD, STD). */
  readonly df: Value;
  setDf(value: 0 | 1): void;
}

/** The x87's registers and words in the state, for subroutines and simple rows. The unit checks (#NM, pending #MF) are done before the row's function. */
export interface FpuEmit {
  /** TOP, i32 0 to 7. */
  readonly top: Value;
  /** Address in linear memory (i32) of ST(i): significand i64 at 0, sign and exponent u16 at 8. */
  address(i: number | Value): Value;
  /** 1 where ST(i) is not empty. */
  isValid(i: number | Value): Value;
  readonly fcw: Value;
  readonly fsw: Value;
  setFcw(value: Value): void;
  setFsw(value: Value): void;
  setFtw(value: Value): void;
  /** The abridged tag word (bit n: physical register n is not empty). */
  readonly ftw: Value;
  /** Records FOP, FIP, FCS, and with a memory operand FDP, FDS (non-control instructions; done for every x87 row by the projection unless the row is a control instruction). */
  recordInstruction(): void;
}
