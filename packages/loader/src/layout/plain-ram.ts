import { type GuestMemory, InvalidArgumentError } from '@minusone/core';
import { hex } from '../structure.ts';
import { type MemoryMap, memoryMap, PcAddress } from './memory-map.ts';

const CHUNK_BYTES = 65536;

/**
 * RAM without a machine: to look at what a loader writes, in tests and tools. Memory is taken as it is written.
 * RAM stands where `memoryMap(ramBytes)` puts it, the range below 1 MiB without holes.
 */
export class PlainRam implements GuestMemory {
  readonly byteLength: number;
  readonly map: MemoryMap;
  readonly #above4GibBytes: number;
  readonly #chunks: Map<number, Uint8Array> = new Map();

  /** @param ramBytes a positive multiple of 4096 */
  constructor(ramBytes: number) {
    this.map = memoryMap(ramBytes);
    this.byteLength = Math.min(ramBytes, PcAddress.PCI_HOLE);
    this.#above4GibBytes = ramBytes - this.byteLength;
  }

  read(gpa: number, length: number): Uint8Array {
    this.#check(gpa, length);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const offset = (gpa + done) % CHUNK_BYTES;
      const part = Math.min(CHUNK_BYTES - offset, length - done);
      const chunk = this.#chunks.get((gpa + done - offset) / CHUNK_BYTES);
      if (chunk) bytes.set(chunk.subarray(offset, offset + part), done);
      done += part;
    }
    return bytes;
  }

  write(gpa: number, bytes: Uint8Array): void {
    this.#check(gpa, bytes.length);
    for (let done = 0; done < bytes.length; ) {
      const offset = (gpa + done) % CHUNK_BYTES;
      const index = (gpa + done - offset) / CHUNK_BYTES;
      let chunk = this.#chunks.get(index);
      if (!chunk) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK_BYTES)));
      const part = bytes.subarray(done, done + CHUNK_BYTES - offset);
      chunk.set(part, offset);
      done += part.length;
    }
  }

  #check(gpa: number, bytes: number): void {
    const low = gpa >= 0 && gpa + bytes <= this.byteLength;
    const high = gpa >= PcAddress.ABOVE_4_GIB && gpa + bytes <= PcAddress.ABOVE_4_GIB + this.#above4GibBytes;
    if (low || high) return;
    throw new InvalidArgumentError(`There is no RAM at ${hex(gpa)} for ${bytes} bytes.`, 'Stay inside the memory map.', { gpa, bytes });
  }
}
