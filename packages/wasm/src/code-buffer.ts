/** A growing run of bytes with the encodings of the WebAssembly binary format (Core Specification 5.2). */
export class CodeBuffer {
  #data: Uint8Array<ArrayBuffer>;
  #length = 0;
  // The last `local.set`, while it is the last instruction: see `localGet`.
  #setStart = 0;
  #setEnd = -1;
  #setIndex = 0;

  /** @param capacity  bytes to begin with; it doubles whenever it does not suffice */
  constructor(capacity: number = 1024) {
    this.#data = new Uint8Array(capacity);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** A copy of what has been written. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#data.slice(0, this.#length);
  }

  /** Forgets what has been written and keeps the room. */
  clear(): void {
    this.#length = 0;
    this.#setEnd = -1;
  }

  /** One byte, 0 to 255. */
  byte(value: number): void {
    if (this.#length === this.#data.length) this.#grow(1);
    this.#data[this.#length++] = value;
  }

  /** An unsigned LEB128 number of up to 32 bits; negative numbers stand for their unsigned 32-bit value. */
  u32(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  /** A signed LEB128 number of 32 bits. */
  s32(value: number): void {
    let rest = value | 0;
    while (rest < -0x40 || rest > 0x3f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>= 7;
    }
    this.byte(rest & 0x7f);
  }

  /** A signed LEB128 number of 64 bits, as its two 32-bit halves. */
  s64(hi: number, lo: number): void {
    let low = lo | 0;
    let high = hi | 0;
    while (high !== low >> 31) {
      this.byte((low & 0x7f) | 0x80);
      low = (low >>> 7) | (high << 25);
      high >>= 7;
    }
    this.s32(low);
  }

  /** Four bytes, little-endian. */
  fixed32(value: number): void {
    this.byte(value & 0xff);
    this.byte((value >>> 8) & 0xff);
    this.byte((value >>> 16) & 0xff);
    this.byte(value >>> 24);
  }

  /** An opcode as the tables of this package write it: one byte, or prefix * 0x10000 + number for the prefixed ones. */
  op(opcode: number): void {
    if (opcode < 0x100) this.byte(opcode);
    else {
      this.byte(opcode >>> 16);
      this.u32(opcode & 0xffff);
    }
  }

  /** `local.set`. */
  localSet(index: number): void {
    this.#setStart = this.#length;
    this.byte(0x21);
    this.u32(index);
    this.#setEnd = this.#length;
    this.#setIndex = index;
  }

  /**
   * `local.get`; straight after `local.set` of the same local, both become one `local.tee`. No branch can land between
   * the two, since every place a branch can go to is an instruction of its own (`end`, `else`, `loop`).
   */
  localGet(index: number): void {
    if (this.#setEnd === this.#length && this.#setIndex === index) {
      this.#data[this.#setStart] = 0x22;
      this.#setEnd = -1;
      return;
    }
    this.byte(0x20);
    this.u32(index);
  }

  /** Raw bytes. */
  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#data.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** All that another buffer holds. */
  append(other: CodeBuffer): void {
    this.#reserve(other.#length);
    this.#data.set(other.#data.subarray(0, other.#length), this.#length);
    this.#length += other.#length;
  }

  /** A name: its length in bytes, then UTF-8 (Core Specification 5.2.4). */
  name(text: string): void {
    const encoded = new TextEncoder().encode(text);
    this.u32(encoded.length);
    this.bytes(encoded);
  }

  #reserve(count: number): void {
    if (this.#length + count > this.#data.length) this.#grow(count);
  }

  #grow(count: number): void {
    const grown = new Uint8Array(Math.max(this.#data.length * 2, this.#length + count));
    grown.set(this.#data.subarray(0, this.#length));
    this.#data = grown;
  }
}
