import type { MachineMemory, MemoryObserver } from '@minusone/memory';
import { Vector } from '../../cpu/fault.ts';
import type { Decoder } from '../../decode/decoder.ts';
import type { Insn } from '../../decode/insn.ts';
import { resolveOperands } from '../../decode/resolve-operands.ts';
import { stateOffsetOf } from '../../semantics/operands.ts';
import { State } from '../../state/layout.ts';
import { type Mode, modeOf } from '../../state/mode.ts';
import { GeneratedCode } from '../generated-code.ts';
import { type JitOptions, RegionCache } from '../jit/region-cache.ts';
import { SlowPathTable } from '../memory/slow-paths.ts';
import { Handlers, handlerKey, type WantedHandler } from './handlers.ts';
import { RECORD_BYTES, RecordField } from './record.ts';

/** Instructions of a block at most: what a budget has to cover before the block is entered. */
const MAX_BLOCK = 48;
/** How far beyond a block handlers are made ahead. */
const LOOK_AHEAD_BYTES = 512;
const DEFAULT_RECORD_BYTES = 40 * 2 ** 20;

/** A block of the interpreter: straight-line records of one page. */
export interface Block {
  readonly record: number;
  /** Page offsets of its first byte, and after its last. */
  readonly start: number;
  readonly end: number;
}

/** What hears of changes that concern a running CPU. */
export interface CodeUser {
  /** Code was dropped that may be running. */
  codeDropped(): void;
  dropWriteTags(hostPage: number): void;
  mappingChanged(): void;
  /** All records are gone. */
  recordsFlushed(): void;
}

/**
 * What the CPUs of one machine share: generated handlers, decoded records, and which blocks stand in which page. It must be made the `observer` of the
 * address spaces whose memory it runs.
 */
export class CodeSpace implements MemoryObserver {
  readonly memory: MachineMemory;
  readonly decoder: Decoder;
  readonly slow: SlowPathTable = new SlowPathTable();
  readonly generated: GeneratedCode;
  readonly handlers: Handlers;
  /** Undefined: everything is interpreted. */
  readonly regions: RegionCache | undefined;
  /** By the page's place in linear memory; then by mode word and page offset. */
  readonly #pages = new Map<number, Map<number, Block>>();
  /** Instructions of system rows, by record. */
  readonly #systemInsns = new Map<number, Insn>();
  readonly #users: CodeUser[] = [];
  readonly #firstRecord: number;
  readonly #endOfRecords: number;
  #nextRecord: number;
  blocksDecoded = 0;

  /**
   * @param recordBytes budget for decoded records; when they are full, all are flushed
   * @param jit what is hot is compiled, unless this is false
   */
  constructor(memory: MachineMemory, decoder: Decoder, recordBytes: number = DEFAULT_RECORD_BYTES, jit: JitOptions | false = false) {
    this.memory = memory;
    this.decoder = decoder;
    this.generated = new GeneratedCode(memory, this.slow);
    this.handlers = new Handlers(this.generated);
    this.#firstRecord = memory.allocate(recordBytes, 64);
    this.#nextRecord = this.#firstRecord;
    this.#endOfRecords = this.#firstRecord + recordBytes;
    if (jit !== false) this.regions = new RegionCache(this, jit);
  }

  addUser(user: CodeUser): void {
    this.#users.push(user);
  }
  removeUser(user: CodeUser): void {
    const index = this.#users.indexOf(user);
    if (index >= 0) this.#users.splice(index, 1);
  }

  /** The block at an offset of a page, decoded now if need be; undefined where its first instruction leaves the page. */
  blockAt(hostPage: number, offset: number, modeWord: number): Block | undefined {
    const key = modeWord * 4096 + offset;
    return this.#pages.get(hostPage)?.get(key) ?? this.#decodeBlock(hostPage, offset, modeWord, key);
  }
  systemInsn(record: number): Insn | undefined {
    return this.#systemInsns.get(record);
  }

  #decodeBlock(hostPage: number, offset: number, modeWord: number, key: number): Block | undefined {
    const mode = modeOf(modeWord);
    const insns: Insn[] = [];
    let at = offset;
    let fault = -1;
    for (;;) {
      const insn = this.decoder.decode(this.memory.u8, hostPage + at, hostPage + 4096, mode.codeBits);
      if (insn === 'truncated') break;
      if (insn === 'undefined' || insn === 'too-long') {
        fault = insn === 'undefined' ? Vector.UD : Vector.GP;
        break;
      }
      insns.push(insn);
      at += insn.length;
      if (insn.form.flow !== 'next' || at >= 4096 || insns.length === MAX_BLOCK) break;
    }
    if (insns.length === 0 && fault < 0) return undefined;
    const record = this.allocateRecords(insns.length + 1);
    this.#writeRecords(record, insns, mode, offset, [hostPage + at, hostPage + Math.min(4096, at + LOOK_AHEAD_BYTES)]);
    const isFaulting = fault >= 0;
    const last = record + insns.length * RECORD_BYTES;
    const endsBlock = insns.length > 0 && (insns[insns.length - 1] as Insn).form.flow !== 'next';
    if (isFaulting) {
      this.writeRaise(last, fault, at);
      for (let n = 0; n < insns.length; n++) this.memory.u16[(record + n * RECORD_BYTES + RecordField.count) >>> 1]! += 1;
    } else if (!endsBlock) {
      const { pseudo } = this.handlers;
      this.writePseudo(last, mode.codeBits === 64 ? pseudo.follow64 : pseudo.follow32, at);
    }
    // What cannot be decoded may become decodable when any of the next 15 bytes changes.
    const end = Math.min(4096, isFaulting ? at + 15 : at);
    const block: Block = { record, start: offset, end };
    let page = this.#pages.get(hostPage);
    if (page === undefined) {
      page = new Map();
      this.#pages.set(hostPage, page);
    }
    page.set(key, block);
    if (insns.length > 0) this.regions?.watch(record, insns[0] as Insn, modeWord);
    this.memory.marks.markCode(hostPage + offset, end - offset);
    this.blocksDecoded++;
    return block;
  }

  /** Writes the records of instructions that stand one after another from a page offset on, making the handlers they need. */
  #writeRecords(first: number, insns: readonly Insn[], mode: Mode, offset: number, ahead: readonly [number, number] = [0, 0]): void {
    const keys = insns.map((insn) => handlerKey(insn, mode));
    this.#makeHandlers(insns, keys, mode, ahead);
    let at = offset;
    insns.forEach((insn, n) => {
      const record = first + n * RECORD_BYTES;
      const handler = this.handlers.find(insn, keys[n] as number, mode.word);
      this.#writeRecord(record, insn, handler, at, insns.length - n);
      if (insn.form.row.execute !== undefined) this.#systemInsns.set(record, insn);
      at += insn.length;
    });
  }
  /** @param ahead where in linear memory the code goes on, and where it ends: a module costs more than what is in it, so what stands there is looked at too */
  #makeHandlers(insns: readonly Insn[], keys: readonly number[], mode: Mode, ahead: readonly [number, number]): void {
    const wanted = new Map<number, WantedHandler>();
    const want = (insn: Insn, key: number): void => {
      if (!wanted.has(key) && this.handlers.find(insn, key, mode.word) === 0) wanted.set(key, { insn, mode, key });
    };
    insns.forEach((insn, n) => {
      want(insn, keys[n] as number);
    });
    if (wanted.size === 0) return;
    for (let [at, end] = ahead; at < end; ) {
      const insn = this.decoder.decode(this.memory.u8, at, end, mode.codeBits);
      if (typeof insn === 'string') break;
      want(insn, handlerKey(insn, mode));
      at += insn.length;
    }
    this.handlers.make([...wanted.values()]);
  }

  /** Room for records one after another; flushes all if there is none. */
  allocateRecords(count: number): number {
    const needed = count * RECORD_BYTES;
    if (this.#nextRecord + needed > this.#endOfRecords) this.flush();
    const record = this.#nextRecord;
    this.#nextRecord += needed;
    return record;
  }

  /** Writes one instruction's record, to be followed by another. */
  writeSingle(record: number, insn: Insn, mode: Mode, offset: number): void {
    this.#writeRecords(record, [insn], mode, offset);
  }

  #writeRecord(record: number, insn: Insn, handler: number, offset: number, count: number): void {
    const { i32, u16, u8 } = this.memory;
    const w = record >>> 2;
    const h = record >>> 1;
    i32[w + RecordField.handler / 4] = handler;
    resolveOperands(insn).forEach((operand, slot) => {
      if (slot < 4) u16[h + RecordField.operand / 2 + slot] = stateOffsetOf(operand);
    });
    u16[h + RecordField.base / 2] = insn.base < 0 ? State.zero : State.gpr + insn.base * 8;
    u16[h + RecordField.index / 2] = insn.index < 0 ? State.zero : State.gpr + insn.index * 8;
    i32[w + RecordField.displacement / 4] = insn.displacement;
    const isFpu = insn.form.unit === 'x87';
    i32[w + RecordField.immediate2 / 4] = isFpu ? ((insn.form.opcode & 7) << 8) | (insn.modrm & 0xff) : insn.immediate2;
    const isMoffs = insn.form.operands.some(({ method }) => method === 'O');
    i32[w + RecordField.immediate / 4] = isMoffs ? insn.displacement : insn.immediate;
    i32[w + RecordField.immediate / 4 + 1] = isMoffs ? insn.displacementHigh : insn.immediateHigh;
    u16[h + RecordField.offset / 2] = offset;
    u16[h + RecordField.next / 2] = offset + insn.length;
    u16[h + RecordField.count / 2] = count;
    u8[record + RecordField.scale] = insn.scale;
    u8[record + RecordField.segment] = insn.segment;
    i32[w + RecordField.taken / 4] = 0;
    i32[w + RecordField.follow / 4] = 0;
  }
  /** A record that stands for no instruction. */
  writePseudo(record: number, handler: number, offset: number): void {
    this.memory.u8.fill(0, record, record + RECORD_BYTES);
    this.memory.i32[record >>> 2] = handler;
    this.memory.u16[(record + RecordField.offset) >>> 1] = offset;
    this.memory.u16[(record + RecordField.next) >>> 1] = offset;
  }
  /** An instruction that is none: raises when it is reached. */
  writeRaise(record: number, vector: number, offset: number): void {
    this.writePseudo(record, this.handlers.pseudo.raise, offset);
    this.memory.i32[(record + RecordField.immediate) >>> 2] = vector;
    this.memory.i32[(record + RecordField.immediate2) >>> 2] = vector === Vector.GP ? 0 : -1;
    this.memory.u16[(record + RecordField.count) >>> 1] = 1;
  }

  /** Drops all records. Only while no compiled code runs. */
  flush(): void {
    this.#pages.clear();
    this.#systemInsns.clear();
    this.regions?.recordsFlushed();
    this.#nextRecord = this.#firstRecord;
    this.memory.marks.clearAllCode();
    for (const user of this.#users) user.recordsFlushed();
  }

  onCodeWritten(hostOffset: number, bytes: number): void {
    const hostPage = hostOffset - (hostOffset & 4095);
    const page = this.#pages.get(hostPage);
    if (page === undefined) return;
    const first = hostOffset & 4095;
    this.regions?.codeWritten(hostPage, first, bytes);
    let dropped = false;
    for (const [key, block] of page) {
      if (block.start >= first + bytes || block.end <= first) continue;
      // Links and jump caches still lead to its head: from there back to the engine.
      this.regions?.recordDropped(block.record);
      this.memory.i32[block.record >>> 2] = this.handlers.pseudo.stale;
      page.delete(key);
      dropped = true;
    }
    if (!dropped) return;
    if (page.size === 0) {
      this.#pages.delete(hostPage);
      this.regions?.pageCleared(hostPage);
      this.memory.marks.clearCode(hostPage);
    }
    for (const user of this.#users) user.codeDropped();
  }
  onWriteTagsMustDrop(hostPage: number): void {
    for (const user of this.#users) user.dropWriteTags(hostPage);
  }
  onMappingChanged(): void {
    for (const user of this.#users) user.mappingChanged();
  }
}
