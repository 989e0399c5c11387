import { Vector } from '../cpu/fault.ts';
import type { Insn } from '../decode/insn.ts';
import { Segment, segmentOffset } from '../state/layout.ts';
import { MODE_WORDS, type Mode } from '../state/mode.ts';
import type { Registers } from '../state/registers.ts';
import type { CodeSpace } from './interpreter/code-space.ts';
import { RECORD_BYTES } from './interpreter/record.ts';
import type { LinearMemory } from './memory/linear-memory.ts';

const CS_LIMIT: number = segmentOffset(Segment.CS, 'limit');

/** An instruction that is run alone: its bytes, and its record with a `stop` after it. */
export interface SingleInstruction {
  readonly insn: Insn;
  readonly bytes: Uint8Array;
  readonly record: number;
}

/**
 * Fetches instructions one by one, as the manual says it, byte for byte: across pages, up to the limit of CS, from memory that is no RAM. What was fetched before is kept, and good as
 * long as the bytes are the same.
 */
export class SingleInstructions {
  readonly #space: CodeSpace;
  readonly #memory: LinearMemory;
  readonly #registers: Registers;
  /** By place in linear memory and mode. */
  readonly #known = new Map<number, SingleInstruction>();
  readonly #bytes = new Uint8Array(15);

  constructor(space: CodeSpace, memory: LinearMemory, registers: Registers) {
    this.#space = space;
    this.#memory = memory;
    this.#registers = registers;
  }

  /** Forgets all: their records are gone. */
  clear(): void {
    this.#known.clear();
  }

  /**
   * The instruction at a linear address as a record; undefined: fetching it faults, as is noted in the state.
   * @param ip its offset in CS
   */
  at(mode: Mode, ip: number, low: number, high: number): SingleInstruction | undefined {
    const page = this.#memory.locateCode(low, high);
    if (page === -2) return undefined;
    const key = page < 0 ? -1 - mode.word : (page + (low & 0xfff)) * MODE_WORDS + mode.word;
    const known = this.#known.get(key);
    if (known !== undefined && this.#isStill(known, mode, ip, low, high)) return known;
    const insn = this.#fetch(mode, ip, low, high);
    if (insn === undefined) return undefined;
    const record = known?.record ?? this.#space.allocateRecords(2);
    this.#space.writeSingle(record, insn, mode, low & 0xfff);
    this.#space.writePseudo(record + RECORD_BYTES, this.#space.handlers.pseudo.stop, (low & 0xfff) + insn.length);
    const single = { insn, bytes: this.#bytes.slice(0, insn.length), record };
    this.#known.set(key, single);
    return single;
  }
  /** Whether the bytes at a linear address are those of a known instruction, and can all be fetched. */
  #isStill({ bytes }: SingleInstruction, mode: Mode, ip: number, low: number, high: number): boolean {
    const { length } = bytes;
    if (!mode.flatCode && (ip >>> 0) + length - 1 > this.#limit) return false;
    const first = Math.min(length, 4096 - (low & 0xfff));
    if (!this.#fetchBytes(low, high, first, 0)) return false;
    for (let n = 0; n < first; n++) if (this.#bytes[n] !== bytes[n]) return false;
    if (first === length) return true;
    const next = (low + first) | 0;
    const nextHigh = next === 0 && mode.codeBits === 64 ? (high + 1) | 0 : high;
    if (!this.#fetchBytes(next, nextHigh, length - first, first)) return false;
    for (let n = first; n < length; n++) if (this.#bytes[n] !== bytes[n]) return false;
    return true;
  }

  /** Fetches and decodes the instruction at a linear address, across pages if need be; undefined: a fault is noted. */
  #fetch(mode: Mode, ip: number, low: number, high: number): Insn | undefined {
    // Bytes up to the end of the segment.
    const within = mode.flatCode ? 15 : Math.min(15, this.#limit - (ip >>> 0) + 1);
    if (within <= 0) {
      this.#memory.fault(Vector.GP, 0);
      return undefined;
    }
    const first = Math.min(within, 4096 - (low & 0xfff));
    if (!this.#fetchBytes(low, high, first, 0)) return undefined;
    let insn = this.#space.decoder.decode(this.#bytes, 0, first, mode.codeBits);
    if (insn === 'truncated' && first < within) {
      const next = (low + first) | 0;
      const nextHigh = next === 0 && mode.codeBits === 64 ? (high + 1) | 0 : high;
      if (mode.codeBits === 64 && !this.#memory.isCanonical(nextHigh)) {
        this.#memory.fault(Vector.GP, 0);
        return undefined;
      }
      if (!this.#fetchBytes(next, nextHigh, within - first, first)) return undefined;
      insn = this.#space.decoder.decode(this.#bytes, 0, within, mode.codeBits);
    }
    if (typeof insn !== 'string') return insn;
    if (insn === 'undefined') this.#memory.fault(Vector.UD, -1);
    else this.#memory.fault(Vector.GP, 0);
    return undefined;
  }
  #fetchBytes(low: number, high: number, count: number, to: number): boolean {
    const page = this.#memory.locateCode(low, high);
    if (page === -2) return false;
    if (page >= 0) {
      const at = page + (low & 0xfff);
      const { u8 } = this.#space.memory;
      for (let n = 0; n < count; n++) this.#bytes[to + n] = u8[at + n] as number;
      return true;
    }
    const { gpa } = this.#memory;
    for (let n = 0; n < count; n++) this.#bytes[to + n] = this.#memory.readPhysical8(gpa + n);
    return true;
  }
  get #limit(): number {
    return this.#registers.get32(CS_LIMIT) >>> 0;
  }
}
