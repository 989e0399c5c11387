/**
 * Physical memory as a page walk sees it: who provides it is someone else's business (`PhysicalAddressSpace` of
 * `@minusone/memory` fits as it is). Addresses are Numbers in bytes, 0 to 2^52 - 1, aligned to the size of the access.
 * Little-endian. Nothing here throws: where no memory stands, reads give all ones (an open bus) and writes are dropped.
 */
export interface PhysicalMemory {
  /** The high half of the last `read64Lo`; signed or unsigned. */
  readonly hi: number;
  /** Reads 4 bytes; signed or unsigned. */
  read32(pa: number): number;
  /** Reads 8 bytes at once: returns the low half, and leaves the high half in `hi`. */
  read64Lo(pa: number): number;
  /** Writes 4 bytes; `value` may be signed. Walks use it to set A and D flags, which all lie in the low half. */
  write32(pa: number, value: number): void;
  /**
   * Replaces `expected` by `value`, as one locked operation; false if something else stands there: the walk then starts
   * again. Without it `write32` serves, which is right where nothing else runs during a walk. Both values are signed.
   */
  compareExchange32?(pa: number, expected: number, value: number): boolean;
}

/** Plain bytes as physical memory from address 0: for tests, examples, and tables in a dump. Beyond its end the bus is open. */
export class ByteMemory implements PhysicalMemory {
  hi = 0;
  readonly #view: DataView;
  readonly #bytes: number;

  /** @param bytes stays shared: a walk's A and D flags appear in it */
  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#bytes = bytes.byteLength;
  }

  read32(pa: number): number {
    return pa + 4 <= this.#bytes ? this.#view.getUint32(pa, true) : 0xffff_ffff;
  }

  read64Lo(pa: number): number {
    this.hi = this.read32(pa + 4);
    return this.read32(pa);
  }

  write32(pa: number, value: number): void {
    if (pa + 4 <= this.#bytes) this.#view.setUint32(pa, value, true);
  }

  /** Reads one 8-byte entry, for people. */
  read64(pa: number): bigint {
    const lo = this.read64Lo(pa);
    return (BigInt(this.hi >>> 0) << 32n) | BigInt(lo >>> 0);
  }

  /** Writes one 8-byte entry, for people. */
  write64(pa: number, value: bigint): void {
    this.write32(pa, Number(value & 0xffff_ffffn));
    this.write32(pa + 4, Number((value >> 32n) & 0xffff_ffffn));
  }
}
