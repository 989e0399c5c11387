import type { PagingControls } from '@minusone/mmu';
import { type Cpu, State } from '@minusone/x86';

const words = (offset: number, count: number): number[] => Array.from({ length: count }, (_, i) => (offset >>> 2) + i);
/** What paging depends on, in words of the state: CR0, CR4, IA32_EFER, CR3, the PDPTEs. */
const WORDS: Uint16Array = Uint16Array.from([
  ...words(State.cr0, 1),
  ...words(State.cr4, 1),
  ...words(State.efer, 1),
  ...words(State.cr3, 2),
  ...words(State.pdptes, 8),
]);
/** Bits of the first three that cached translations depend on beyond their tags: CR0.PG, WP, PE; CR4.PSE, PAE, PGE, LA57, PCIDE, SMEP, SMAP, PKE; EFER.LME, LMA, NXE. */
const TRANSLATION: Int32Array = Int32Array.of(0x8001_0001, 0x0072_10b0, 0xd00);

/** The paging of a guest (or of the host) while it does not run: entry and exit switch between the two without making it anew each time. */
export class PagingCache {
  #controls: PagingControls | undefined;
  readonly #values: Int32Array = new Int32Array(WORDS.length);

  /** Remembers the CPU's paging as it is. */
  keep(cpu: Cpu): void {
    const { i32 } = cpu.memory;
    const base = cpu.state >>> 2;
    this.#controls = cpu.paging;
    for (let i = 0; i < WORDS.length; i++) this.#values[i] = i32[base + WORDS[i]!]!;
  }

  /**
   * Gives the CPU the paging that its registers (already loaded) ask for. Returns true where translations that were cached for this guest (or host) do not hold under them:
   * rights depend on more than tags.
   */
  apply(cpu: Cpu): boolean {
    const { i32 } = cpu.memory;
    const base = cpu.state >>> 2;
    const values = this.#values;
    let same = this.#controls !== undefined;
    for (let i = 0; same && i < WORDS.length; i++) same = values[i] === i32[base + WORDS[i]!];
    if (same) {
      cpu.paging = this.#controls as PagingControls;
      return false;
    }
    cpu.updatePaging();
    if (this.#controls === undefined) return true;
    for (let i = 0; i < 3; i++) if (((values[i]! ^ i32[base + WORDS[i]!]!) & TRANSLATION[i]!) !== 0) return true;
    return false;
  }
}
