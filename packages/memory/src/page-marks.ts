import type { DirtyLog } from './dirty-log.ts';
import type { MemoryObserver } from './observer.ts';
import { PageFlag } from './page-flags.ts';

/** From this many pages that become clean at once, observers are told to drop every translation instead of one by one. */
const PAGES_TOLD_ONE_BY_ONE = 64;

/**
 * Code marks and dirty marks of a linear memory, by host page, whatever guest-physical addresses the page has.
 *
 * Marks live in the linear memory itself (see `MachineMemory` for the layout), so that Wasm may test them. All addresses
 * here are offsets in the linear memory; ranges may span pages. Not re-entrant from an observer for the same page.
 */
export class PageMarks {
  /** One byte per host page (`hostOffset >>> 12`): `PageFlag.CODE` and `PageFlag.LOGGED_CLEAN`. */
  readonly pageFlags: Uint8Array;
  /** One bit per 64 bytes (`hostOffset >>> 6`). */
  readonly codeMap: Uint32Array;
  readonly #logs: DirtyLog[] = [];
  readonly #observers: MemoryObserver[] = [];
  /** By how many address spaces each observer was added: it is told once. */
  readonly #observed = new Map<MemoryObserver, number>();

  constructor(maps: { pageFlags: Uint8Array; codeMap: Uint32Array }) {
    this.pageFlags = maps.pageFlags;
    this.codeMap = maps.codeMap;
  }

  observe(observer: MemoryObserver): void {
    const times = this.#observed.get(observer) ?? 0;
    this.#observed.set(observer, times + 1);
    if (times === 0) this.#observers.push(observer);
  }

  unobserve(observer: MemoryObserver): void {
    const times = this.#observed.get(observer) ?? 0;
    if (times > 1) this.#observed.set(observer, times - 1);
    else if (times === 1) {
      this.#observed.delete(observer);
      this.#observers.splice(this.#observers.indexOf(observer), 1);
    }
  }

  /** To be called after bytes were stored past the typed writes (by Wasm, by DMA into a view): marks dirty, reports code written. */
  written(hostOffset: number, bytes: number): void {
    const end = hostOffset + bytes;
    for (let at = hostOffset; at < end; ) {
      const next = Math.min(end, at - (at & 4095) + 4096);
      const flags = this.pageFlags[at >>> 12]!;
      if ((flags & PageFlag.LOGGED_CLEAN) !== 0) this.markDirty(at);
      if ((flags & PageFlag.CODE) !== 0 && this.codeTouches(at, next - at)) {
        for (const observer of this.#observers) observer.onCodeWritten(at, next - at);
      }
      at = next;
    }
  }

  // Code marks

  /** Marks every 64-byte granule that the bytes touch. A page's first mark makes observers drop its write tags. */
  markCode(hostOffset: number, bytes: number): void {
    if (bytes <= 0) return;
    const last = hostOffset + bytes - 1;
    for (let granule = hostOffset >>> 6; granule <= last >>> 6; granule++) {
      this.codeMap[granule >>> 5]! |= 1 << (granule & 31);
    }
    for (let page = hostOffset >>> 12; page <= last >>> 12; page++) {
      if ((this.pageFlags[page]! & PageFlag.CODE) !== 0) continue;
      this.pageFlags[page]! |= PageFlag.CODE;
      for (const observer of this.#observers) observer.onWriteTagsMustDrop(page * 4096);
    }
  }

  /** Whether any granule of the page that holds `hostOffset` is marked. */
  hasCode(hostOffset: number): boolean {
    return (this.pageFlags[hostOffset >>> 12]! & PageFlag.CODE) !== 0;
  }

  /** Whether the bytes touch a marked granule. */
  codeTouches(hostOffset: number, bytes: number): boolean {
    if (bytes <= 0) return false;
    const last = (hostOffset + bytes - 1) >>> 6;
    for (let granule = hostOffset >>> 6; granule <= last; granule++) {
      if ((this.codeMap[granule >>> 5]! & (1 << (granule & 31))) !== 0) return true;
    }
    return false;
  }

  /** Clears every code mark of the page that holds `hostOffset`. */
  clearCode(hostOffset: number): void {
    const page = hostOffset >>> 12;
    this.codeMap[page * 2] = 0;
    this.codeMap[page * 2 + 1] = 0;
    this.pageFlags[page]! &= ~PageFlag.CODE;
  }

  /** Clears every code mark of the memory, as when the code cache is flushed whole. */
  clearAllCode(): void {
    for (let page = 0; page < this.pageFlags.length; page++) {
      if ((this.pageFlags[page]! & PageFlag.CODE) !== 0) this.clearCode(page * 4096);
    }
  }

  // Dirty marks

  /** Marks the page that holds `hostOffset` dirty in every log that covers it. */
  markDirty(hostOffset: number): void {
    for (const log of this.#logs) log.markDirty(hostOffset);
    this.pageFlags[hostOffset >>> 12]! &= ~PageFlag.LOGGED_CLEAN;
  }

  /** Starts a log: its clean pages lose their fast write paths. */
  addLog(log: DirtyLog): void {
    this.#logs.push(log);
    this.protect(log, 0, log.pages);
  }

  /** Ends a log. Pages stay clean-while-logging only where another log says so. */
  removeLog(log: DirtyLog): void {
    const at = this.#logs.indexOf(log);
    if (at < 0) return;
    this.#logs.splice(at, 1);
    for (let page = 0; page < log.pages; page++) {
      const hostOffset = log.hostOffset + page * 4096;
      if (!this.#logs.some((other) => other.isClean(hostOffset))) this.pageFlags[hostOffset >>> 12]! &= ~PageFlag.LOGGED_CLEAN;
    }
  }

  /** Flags those pages of a log that are clean in it, and makes observers drop their write tags. */
  protect(log: DirtyLog, firstPage: number, count: number): void {
    const changed: number[] = [];
    for (let page = firstPage; page < firstPage + count; page++) {
      const hostOffset = log.hostOffset + page * 4096;
      if (!log.isClean(hostOffset) || (this.pageFlags[hostOffset >>> 12]! & PageFlag.LOGGED_CLEAN) !== 0) continue;
      this.pageFlags[hostOffset >>> 12]! |= PageFlag.LOGGED_CLEAN;
      changed.push(hostOffset);
    }
    for (const observer of this.#observers) {
      if (changed.length > PAGES_TOLD_ONE_BY_ONE) observer.onMappingChanged();
      else for (const hostPage of changed) observer.onWriteTagsMustDrop(hostPage);
    }
  }
}
