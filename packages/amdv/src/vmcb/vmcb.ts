import { VmcbRegionError, VmcbValueError } from '../errors.ts';
import { VMCB_FIELD, VMCB_FIELD_NAMES, type VmcbField, type VmcbFieldName } from './fields.ts';

/** Bytes of a VMCB: one page. */
export const VMCB_BYTES = 4096;
const INSTRUCTION_BYTES_OFFSET = 0xd1;

/** Values by field name: what a check suggests to write, what a state is made from. */
export type VmcbValues = { readonly [Name in VmcbFieldName]?: bigint };

/**
 * A virtual machine control block in a page of memory (APM Vol. 2, 15.5.1, Appendix B): read, written, copied and checked without a CPU.
 *
 * Values are reached by the numbers of `VMCB_FIELD`. `read` and `write` are the whole field as a bigint; `low`, `high` and `set` are its 32-bit halves, for code that
 * runs at every exit.
 *
 * @example
 * const vmcb = new Vmcb();
 * vmcb.write(VMCB_FIELD.RIP, 0x1000n);
 * vmcb.low(VMCB_FIELD.RIP); // 0x1000
 */
export class Vmcb {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  /**
   * @param region 4096 bytes that stay its memory, a page of a machine's for example; new ones, all zero, by default
   * @throws {VmcbRegionError} if the region is not 4096 bytes long, or not aligned to 4 in its buffer
   */
  constructor(region: Uint8Array = new Uint8Array(VMCB_BYTES)) {
    if (region.length !== VMCB_BYTES || region.byteOffset % 4 !== 0) {
      throw new VmcbRegionError(
        `A VMCB has ${VMCB_BYTES} bytes, aligned: not ${region.length} at ${region.byteOffset}.`,
        'Hand over exactly one page.',
        { bytes: region.length, byteOffset: region.byteOffset },
      );
    }
    this.#bytes = region;
    this.#words = new Int32Array(region.buffer, region.byteOffset, VMCB_BYTES / 4);
  }

  /** The VMCB's bytes: the same memory, not a copy. */
  get region(): Uint8Array {
    return this.#bytes;
  }
  /** The VMCB's doublewords: the same memory. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Bits 31:0 of a field, unsigned. */
  low(field: VmcbField): number {
    const word = this.#words[(field & 0xfff) >>> 2] as number;
    const bits = field >>> 17;
    return bits >= 32 ? word >>> 0 : (word >>> ((field >>> 12) & 31)) & ((1 << bits) - 1);
  }
  /** Bits 63:32 of a field, unsigned; 0 for those of at most 32. */
  high(field: VmcbField): number {
    return field >>> 17 === 64 ? (this.#words[((field & 0xfff) >>> 2) + 1] as number) >>> 0 : 0;
  }
  /** Writes a field by its halves, cut to the field's width. */
  set(field: VmcbField, low: number, high = 0): void {
    const at = (field & 0xfff) >>> 2;
    const bits = field >>> 17;
    if (bits >= 32) {
      this.#words[at] = low;
      if (bits === 64) this.#words[at + 1] = high;
      return;
    }
    const shift = (field >>> 12) & 31;
    const mask = ((1 << bits) - 1) << shift;
    this.#words[at] = ((this.#words[at] as number) & ~mask) | ((low << shift) & mask);
  }

  /** The whole value of a field. */
  read(field: VmcbField): bigint {
    return (BigInt(this.high(field)) << 32n) | BigInt(this.low(field));
  }
  /**
   * Writes the whole value of a field.
   * @throws {VmcbValueError} if the value is negative or wider than the field
   */
  write(field: VmcbField, value: bigint): void {
    const limit = 1n << BigInt(field >>> 17);
    if (value < 0n || value >= limit) {
      const name = VMCB_FIELD_NAMES.find((each) => VMCB_FIELD[each] === field) ?? `field 0x${field.toString(16)}`;
      throw new VmcbValueError(name, value, `It must be 0 to 0x${(limit - 1n).toString(16)}.`);
    }
    this.set(field, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }
  /** Writes several fields by name, in one go. Errors as `write`. */
  assign(values: VmcbValues): void {
    for (const name of Object.keys(values) as VmcbFieldName[]) this.write(VMCB_FIELD[name], values[name]!);
  }

  /** The guest's instruction bytes that an exit by #PF or NPF left (APM Vol. 2, 15.8.4 "Nested and Intercepted #PF"): 0 to 15, the same memory. */
  get instructionBytes(): Uint8Array {
    const count = Math.min(15, this.low(VMCB_FIELD.GUEST_INSTRUCTION_COUNT));
    return this.#bytes.subarray(INSTRUCTION_BYTES_OFFSET, INSTRUCTION_BYTES_OFFSET + count);
  }

  /** A copy with its own memory. */
  clone(): Vmcb {
    return new Vmcb(this.#bytes.slice());
  }
}
