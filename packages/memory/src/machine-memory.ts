import { InvalidArgumentError, UnalignedAddressError } from '@minusone/core';
import { MemoryLimitError, MemoryRefusedError, ReservedAreaFullError } from './errors.ts';
import { PageMarks } from './page-marks.ts';

/** Bytes of a page of guest-physical memory. */
export const PAGE_BYTES = 4096;
/** The most that one machine's linear memory may hold, in bytes: 3.5 GiB. */
export const MEMORY_LIMIT_BYTES: number = 3.5 * 2 ** 30;
const WASM_PAGE_BYTES = 65536;
/** What RAM is aligned to, so that tables of a second stage can map it by large pages. */
const LARGE_PAGE_BYTES = 2 ** 21;

export interface MachineMemoryOptions {
  /** RAM in bytes, a multiple of 4096, at least 4096. */
  readonly ramBytes: number;
  /** What `allocate` can hand out, in bytes; 64 MiB by default. The page marks are added to it. */
  readonly reservedBytes?: number;
  /** Make it a shared memory (for threads); false by default. */
  readonly shared?: boolean;
}

/**
 * The one linear memory of a machine, created at full size and never grown, so that its views stay valid for its life.
 *
 * ```text
 * 0              | one page that nobody owns: 0 is never a valid offset
 * pageFlagsOffset| page flags: one byte per page of the linear memory   (index: hostOffset >>> 12)
 * codeMapOffset  | code map: one bit per 64 bytes of the linear memory  (index: hostOffset >>> 6; 8 bytes a page)
 *                | the engine's own structures (CPU states, TLBs, decoded records), by `allocate`
 * ramOffset      | RAM, ramBytes
 * ```
 *
 * Both maps are indexed by absolute offsets, so that Wasm needs no subtraction.
 */
export class MachineMemory {
  readonly memory: WebAssembly.Memory;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  /** Signed 64-bit view. */
  readonly b64: BigInt64Array;
  /** Unsigned 64-bit view. */
  readonly u64: BigUint64Array;
  /** For unaligned accesses; pass `true` for little-endian. */
  readonly view: DataView;
  /** Where RAM starts, in bytes; a multiple of 2 MiB. */
  readonly ramOffset: number;
  readonly ramBytes: number;
  /** Bytes of the whole linear memory. */
  readonly byteLength: number;
  /** Where the page flags start (bits of `PageFlag`: CODE and LOGGED_CLEAN), one byte a page. */
  readonly pageFlagsOffset: number;
  /** Where the code map starts, 8 bytes a page; little-endian, bit 0 of byte 0 is the first 64 bytes. */
  readonly codeMapOffset: number;
  /** Code marks and dirty marks by host page, shared by every address space over this memory. */
  readonly marks: PageMarks;
  #allocated: number;
  /** What was released, by its size. */
  readonly #released = new Map<number, number[]>();

  /**
   * @throws {UnalignedAddressError} `ramBytes` is not a multiple of 4096
   * @throws {InvalidArgumentError} a size is not a positive whole number
   * @throws {MemoryLimitError} over 3.5 GiB in all
   * @throws {MemoryRefusedError} the host has no room for it
   * @example
   * const memory = new MachineMemory({ ramBytes: 512 * 2 ** 20 });
   */
  constructor(options: MachineMemoryOptions) {
    const { ramBytes, reservedBytes = 64 * 2 ** 20, shared = false } = options;
    requireSize('ramBytes', ramBytes, PAGE_BYTES);
    requireSize('reservedBytes', reservedBytes, 0);
    if (ramBytes % PAGE_BYTES !== 0) throw new UnalignedAddressError('The RAM size', ramBytes, PAGE_BYTES);

    // The maps cover themselves too: 9 bytes for each page of everything else, and a little more.
    const pagesWithoutMaps = Math.ceil((ramBytes + reservedBytes) / PAGE_BYTES) + 2;
    const mappedPages = Math.ceil(pagesWithoutMaps * (1 + 9 / (PAGE_BYTES - 9))) + (LARGE_PAGE_BYTES + WASM_PAGE_BYTES) / PAGE_BYTES;
    this.pageFlagsOffset = PAGE_BYTES;
    this.codeMapOffset = roundUp(this.pageFlagsOffset + mappedPages, 64);
    this.#allocated = roundUp(this.codeMapOffset + mappedPages * 8, 64);
    this.ramOffset = roundUp(this.#allocated + reservedBytes, LARGE_PAGE_BYTES);
    this.ramBytes = ramBytes;
    this.byteLength = roundUp(this.ramOffset + ramBytes, WASM_PAGE_BYTES);
    if (this.byteLength > MEMORY_LIMIT_BYTES) throw new MemoryLimitError(this.byteLength, MEMORY_LIMIT_BYTES, ramBytes);

    this.memory = createMemory(this.byteLength, shared);
    const { buffer } = this.memory;
    this.u8 = new Uint8Array(buffer);
    this.i8 = new Int8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.b64 = new BigInt64Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.view = new DataView(buffer);
    this.marks = new PageMarks({
      pageFlags: this.u8.subarray(this.pageFlagsOffset, this.pageFlagsOffset + mappedPages),
      codeMap: this.u32.subarray(this.codeMapOffset >>> 2, (this.codeMapOffset >>> 2) + mappedPages * 2),
    });
  }

  /** Bytes that `allocate` can still hand out (before alignment). */
  get reservedBytesFree(): number {
    return this.ramOffset - this.#allocated;
  }

  /**
   * Hands out zeroed bytes of the reserved area.
   * @param alignment in bytes, a power of two; 16 by default
   * @returns the offset in the linear memory, never 0
   * @throws {ReservedAreaFullError} there is no room
   */
  allocate(bytes: number, alignment = 16): number {
    requireSize('bytes', bytes, 0);
    if (!Number.isInteger(Math.log2(alignment))) {
      throw new InvalidArgumentError(`The alignment ${alignment} is not a power of two.`, 'Use 1, 2, 4, ... 65536.', { alignment });
    }
    const again = this.#released.get(bytes);
    const index = again?.findIndex((offset) => offset % alignment === 0) ?? -1;
    if (again !== undefined && index >= 0) {
      const [offset] = again.splice(index, 1) as [number];
      this.u8.fill(0, offset, offset + bytes);
      return offset;
    }
    const offset = roundUp(this.#allocated, alignment);
    if (offset + bytes > this.ramOffset) throw new ReservedAreaFullError(bytes, this.reservedBytesFree);
    this.#allocated = offset + bytes;
    return offset;
  }

  /** Gives back what `allocate` handed out, for another `allocate` of the same size. Nobody may use it any more. */
  release(offset: number, bytes: number): void {
    const released = this.#released.get(bytes);
    if (released === undefined) this.#released.set(bytes, [offset]);
    else released.push(offset);
  }
}

function createMemory(bytes: number, shared: boolean): WebAssembly.Memory {
  const pages = bytes / WASM_PAGE_BYTES;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  } catch (cause) {
    throw new MemoryRefusedError(bytes, cause);
  }
}

function roundUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

function requireSize(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new InvalidArgumentError(`${name} is ${value}.`, `It is a whole number of bytes, at least ${least}.`, { [name]: value });
}
