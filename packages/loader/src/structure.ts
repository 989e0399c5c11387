/**
 * Structures described as tables: field name and width, in order, little-endian, packed. A boot header or an ACPI table
 * is then a list that can be held against its specification line by line.
 */

/** Width of an integer field in bytes, or `{ raw: n }` for n bytes of text or opaque data. */
export type FieldWidth = 1 | 2 | 4 | 8 | { readonly raw: number };
export type Fields = Readonly<Record<string, FieldWidth>>;

/** Integers are Numbers; 8-byte ones are exact up to 2 ** 53. Text for a raw field is ASCII, padded with zeros. */
export type ValuesOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends number ? number : Uint8Array | string };
export type IntegersOf<F extends Fields> = { readonly [K in keyof F as F[K] extends number ? K : never]: number };

export interface Structure<F extends Fields> {
  /** Size of the whole structure in bytes. */
  readonly byteLength: number;
  /** Byte offset of a field. */
  offsetOf(field: keyof F): number;
  /** Encodes; fields not given are zero. */
  encode(values: Partial<ValuesOf<F>>): Uint8Array;
  /** Encodes over existing bytes at `offset`; fields not given keep what stands there. The caller has checked the bounds. */
  encodeInto(target: Uint8Array, offset: number, values: Partial<ValuesOf<F>>): void;
  /** Reads the integer fields at `offset`. The caller has checked the bounds. */
  decode(bytes: Uint8Array, offset?: number): IntegersOf<F>;
}

/**
 * Makes a structure out of a table of fields.
 * @example
 * const module = structure({ paddr: 8, size: 8 });
 * module.encode({ paddr: 0x1000, size: 4 }).length; // 16
 */
export function structure<const F extends Fields>(fields: F): Structure<F> {
  const rows: { name: string; offset: number; bytes: number; raw: boolean }[] = [];
  let byteLength = 0;
  for (const [name, width] of Object.entries(fields)) {
    const raw = typeof width !== 'number';
    const bytes = raw ? width.raw : width;
    rows.push({ name, offset: byteLength, bytes, raw });
    byteLength += bytes;
  }
  const offsets = new Map(rows.map((row) => [row.name, row.offset]));

  function encodeInto(target: Uint8Array, offset: number, values: Partial<ValuesOf<F>>): void {
    for (const row of rows) {
      const value = (values as Record<string, number | string | Uint8Array | undefined>)[row.name];
      if (value === undefined) continue;
      const at = offset + row.offset;
      if (typeof value === 'number') writeUint(target, at, row.bytes, value);
      else {
        target.fill(0, at, at + row.bytes);
        target.set((typeof value === 'string' ? ascii(value) : value).subarray(0, row.bytes), at);
      }
    }
  }

  return {
    byteLength,
    offsetOf: (field) => offsets.get(field as string) as number,
    encodeInto,
    encode(values) {
      const bytes = new Uint8Array(byteLength);
      encodeInto(bytes, 0, values);
      return bytes;
    },
    decode(bytes, offset = 0) {
      const values: Record<string, number> = {};
      for (const row of rows) if (!row.raw) values[row.name] = readUint(bytes, offset + row.offset, row.bytes);
      return values as IntegersOf<F>;
    },
  };
}

/** Reads an unsigned little-endian integer of up to 8 bytes; above 2 ** 53 it is rounded, which is enough to find it out of bounds. */
export function readUint(bytes: Uint8Array, offset: number, width: number): number {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] as number);
  return value;
}

/** Reads an unsigned little-endian integer exactly, for virtual addresses in the upper half. */
export function readBigUint(bytes: Uint8Array, offset: number, width: 4 | 8): bigint {
  const low = BigInt(readUint(bytes, offset, 4));
  return width === 8 ? low + (BigInt(readUint(bytes, offset + 4, 4)) << 32n) : low;
}

/** Writes an unsigned little-endian integer of up to 8 bytes, at most 2 ** 53. */
export function writeUint(bytes: Uint8Array, offset: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) bytes[offset + i] = Math.floor(value / 256 ** i) % 256;
}

/** The bytes of an ASCII text. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f);
}

/** Joins byte arrays. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** The next multiple of `alignment` at or above `value`. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** The next multiple of `alignment` at or below `value`. */
export function alignDown(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment;
}

/** `0x` and hexadecimal digits. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
