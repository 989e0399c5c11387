import { PAGE_BYTES } from '@minusone/memory';
import type { HostPages } from '../host/host-pages.ts';
import type { SecondStageFormat } from '../vendor/second-stage-format.ts';

const LARGE_BYTES = 2 ** 21;
const ENTRIES = 512;
const TOP_LEVEL = 4;

/** Bytes that one entry of a level covers. */
function span(level: number): number {
  return PAGE_BYTES * 2 ** (9 * (level - 1));
}

/**
 * The second stage's tables of one VM in the host's memory: four levels, filled when the guest touches a page, with pages of 4 KiB and 2 MiB. Whoever changes what the
 * guest may have cached has the translations flushed.
 */
export class SecondStageTables {
  readonly root: number;
  readonly #pages: HostPages;
  readonly #format: SecondStageFormat;
  readonly #u32: Uint32Array;
  /** Tables below the root, which belong to nobody else. */
  readonly #tables = new Set<number>();

  constructor(pages: HostPages, format: SecondStageFormat) {
    this.#pages = pages;
    this.#format = format;
    this.#u32 = pages.memory.u32;
    this.root = this.#newTable();
  }

  /** The highest guest-physical address that four levels reach, plus one. */
  static readonly REACH: number = span(TOP_LEVEL + 1);

  #newTable(): number {
    const table = this.#pages.allocate();
    const { low, high } = this.#format.absent;
    if ((low | high) !== 0) for (let index = 0; index < ENTRIES; index++) this.#write(table + index * 8, low, high);
    return table;
  }
  #write(at: number, low: number, high: number): void {
    this.#u32[at >>> 2] = low;
    this.#u32[(at >>> 2) + 1] = high;
  }
  #low(at: number): number {
    return this.#u32[at >>> 2] as number;
  }
  #high(at: number): number {
    return this.#u32[(at >>> 2) + 1] as number;
  }
  #isPresent(at: number): boolean {
    return this.#format.isPresent(this.#low(at), this.#high(at));
  }
  #isLeaf(at: number, level: number): boolean {
    return level === 1 || this.#format.isLeaf(this.#low(at), this.#high(at), level);
  }

  #entryAt(table: number, gpa: number, level: number): number {
    return table + (Math.floor(gpa / span(level)) % ENTRIES) * 8;
  }

  /** Maps the page of that level which holds `gpa`. `hpa`: of its first byte. What stood there is replaced. */
  map(gpa: number, hpa: number, level: 1 | 2, writable: boolean): void {
    let table = this.root;
    for (let at = TOP_LEVEL; at > level; at--) table = this.#tableBelow(table, gpa, at);
    const entry = this.#entryAt(table, gpa, level);
    if (level === 2 && this.#isPresent(entry) && !this.#isLeaf(entry, 2))
      this.#freeTable(this.#format.address(this.#low(entry), this.#high(entry)));
    const { low, high } = this.#format.leaf(hpa, level, writable, true);
    this.#write(entry, low, high);
  }

  #tableBelow(table: number, gpa: number, level: number): number {
    const entry = this.#entryAt(table, gpa, level);
    if (this.#isPresent(entry)) {
      const address = this.#format.address(this.#low(entry), this.#high(entry));
      if (!this.#isLeaf(entry, level)) return address;
      return this.#split(entry, address);
    }
    const made = this.#newTable();
    this.#tables.add(made);
    const { low, high } = this.#format.table(made);
    this.#write(entry, low, high);
    return made;
  }

  /** A page of 2 MiB becomes 512 of 4 KiB with the same rights. */
  #split(entry: number, hpa: number): number {
    const writable = this.#format.isWritable(this.#low(entry), this.#high(entry));
    const made = this.#newTable();
    this.#tables.add(made);
    for (let index = 0; index < ENTRIES; index++) {
      const { low, high } = this.#format.leaf(hpa + index * PAGE_BYTES, 1, writable, true);
      this.#write(made + index * 8, low, high);
    }
    const { low, high } = this.#format.table(made);
    this.#write(entry, low, high);
    return made;
  }

  #freeTable(table: number): void {
    this.#tables.delete(table);
    this.#pages.free(table);
  }

  /** Takes the right to write from the pages of a range; large ones are split. True where something changed. */
  protect(gpa: number, bytes: number): boolean {
    return this.#change(this.root, TOP_LEVEL, 0, gpa, gpa + bytes, 'protect');
  }

  /** Forgets a range (of whole pages). True where something changed. */
  unmap(gpa: number, bytes: number): boolean {
    return this.#change(this.root, TOP_LEVEL, 0, gpa, gpa + bytes, 'unmap');
  }

  #change(table: number, level: number, base: number, first: number, end: number, how: 'protect' | 'unmap'): boolean {
    const size = span(level);
    let changed = false;
    const last = Math.min(ENTRIES - 1, Math.floor((end - 1 - base) / size));
    for (let index = Math.max(0, Math.floor((first - base) / size)); index <= last; index++) {
      const entry = table + index * 8;
      if (!this.#isPresent(entry)) continue;
      const from = base + index * size;
      const isWhole = from >= first && from + size <= end;
      if (!this.#isLeaf(entry, level)) {
        const below = this.#format.address(this.#low(entry), this.#high(entry));
        if (this.#change(below, level - 1, from, first, end, how)) changed = true;
        if (how === 'unmap' && isWhole && level > 1) {
          this.#write(entry, this.#format.absent.low, this.#format.absent.high);
          this.#freeTable(below);
        }
        continue;
      }
      if (how === 'protect' && !this.#format.isWritable(this.#low(entry), this.#high(entry))) continue;
      const address = this.#format.address(this.#low(entry), this.#high(entry));
      changed = true;
      if (level > 1 && (how === 'protect' || !isWhole)) {
        // Logging is by small pages.
        this.#change(this.#split(entry, address), level - 1, from, first, end, how);
        continue;
      }
      const { low, high } = how === 'unmap' ? this.#format.absent : this.#format.leaf(address, level as 1 | 2, false, true);
      this.#write(entry, low, high);
    }
    return changed;
  }

  /** What maps an address now: the page's host-physical address and whether it may be written; undefined: nothing. */
  lookup(gpa: number): { readonly hpa: number; readonly bytes: number; readonly writable: boolean } | undefined {
    let table = this.root;
    for (let level = TOP_LEVEL; level >= 1; level--) {
      const entry = this.#entryAt(table, gpa, level);
      if (!this.#isPresent(entry)) return undefined;
      const hpa = this.#format.address(this.#low(entry), this.#high(entry));
      if (this.#isLeaf(entry, level))
        return { hpa, bytes: span(level), writable: this.#format.isWritable(this.#low(entry), this.#high(entry)) };
      table = hpa;
    }
    return undefined;
  }

  /** Pages that the tables take. */
  get pages(): number {
    return this.#tables.size + 1;
  }

  /** Gives all pages back. */
  destroy(): void {
    for (const table of this.#tables) this.#pages.free(table);
    this.#tables.clear();
    this.#pages.free(this.root);
  }
}

/** Whether a page of 2 MiB at `gpa` can be mapped: it lies whole in the range, and both addresses are aligned alike. */
export function largePageAt(gpa: number, first: number, bytes: number, hostOffset: number): number {
  const large = gpa - (gpa % LARGE_BYTES);
  if (large < first || large + LARGE_BYTES > first + bytes) return -1;
  const hpa = hostOffset + (large - first);
  return hpa % LARGE_BYTES === 0 ? hpa : -1;
}
