import { InvalidArgumentError } from '@minusone/core';
import { ascii, concat, writeUint } from '../structure.ts';

/**
 * A small encoder for ACPI machine language: each function returns the bytes of one term (ACPI 6.5, chapter 20 "ACPI Machine
 * Language (AML) Specification"), and terms nest.
 */

/** Bytes of one AML term. */
export type Aml = Uint8Array;

const NAME_OP = 0x08;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const EXTENDED_OP = 0x5b;
const DEVICE_OP = 0x82;
const ZERO_OP = 0x00;
const ONE_OP = 0x01;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const ROOT_PREFIX = 0x5c;

/** An integer in its shortest encoding (20.2.3 "Data Objects Encoding"); 0 to 2 ** 32 - 1. */
export function amlInteger(value: number): Aml {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw new InvalidArgumentError(`${value} is no AML DWord.`, 'Use a whole number from 0 to 0xFFFFFFFF.', { value });
  }
  if (value === 0) return Uint8Array.of(ZERO_OP);
  if (value === 1) return Uint8Array.of(ONE_OP);
  const [prefix, width] = value < 0x100 ? [BYTE_PREFIX, 1] : value < 0x1_0000 ? [WORD_PREFIX, 2] : [DWORD_PREFIX, 4];
  const bytes = new Uint8Array(1 + width);
  bytes[0] = prefix;
  writeUint(bytes, 1, width, value);
  return bytes;
}

/** A zero-terminated ASCII string. */
export function amlString(text: string): Aml {
  return concat(Uint8Array.of(STRING_PREFIX), ascii(text), Uint8Array.of(0));
}

/** A name segment (20.2.2 "Name Objects Encoding"): up to four of A-Z, 0-9, _, not starting with a digit, padded with `_`; `\` before it means the root. */
export function amlName(name: string): Aml {
  const segment = name.startsWith('\\') ? name.slice(1) : name;
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) {
    throw new InvalidArgumentError(`"${name}" is no AML name.`, 'Use up to four of A-Z, 0-9 and _, not starting with a digit.', { name });
  }
  return concat(name.startsWith('\\') ? Uint8Array.of(ROOT_PREFIX) : new Uint8Array(0), ascii(segment.padEnd(4, '_')));
}

/** PkgLength (20.2.4 "Package Length Encoding"): it counts its own bytes and those that follow. */
function withPackageLength(content: Aml): Aml {
  if (content.length + 1 < 0x40) return concat(Uint8Array.of(content.length + 1), content);
  // One lead byte with the number of bytes that follow and the low 4 bits, then 8 bits each.
  const following = content.length + 2 < 2 ** 12 ? 1 : content.length + 3 < 2 ** 20 ? 2 : 3;
  const length = content.length + 1 + following;
  const encoded = new Uint8Array(1 + following);
  encoded[0] = (following << 6) | (length & 0xf);
  writeUint(encoded, 1, following, Math.floor(length / 16));
  return concat(encoded, content);
}

/** `Name (name, value)`. */
export function amlNamed(name: string, value: Aml): Aml {
  return concat(Uint8Array.of(NAME_OP), amlName(name), value);
}

/** `Package () { elements }`, at most 255. */
export function amlPackage(...elements: readonly Aml[]): Aml {
  if (elements.length > 255) throw new InvalidArgumentError('An AML package has at most 255 elements.', 'Split it.', {});
  return concat(Uint8Array.of(PACKAGE_OP), withPackageLength(concat(Uint8Array.of(elements.length), ...elements)));
}

/** `Buffer () { bytes }`. */
export function amlBuffer(bytes: Uint8Array): Aml {
  return concat(Uint8Array.of(BUFFER_OP), withPackageLength(concat(amlInteger(bytes.length), bytes)));
}

/** `Scope (name) { terms }`. */
export function amlScope(name: string, ...terms: readonly Aml[]): Aml {
  return concat(Uint8Array.of(SCOPE_OP), withPackageLength(concat(amlName(name), ...terms)));
}

/** `Device (name) { terms }`. */
export function amlDevice(name: string, ...terms: readonly Aml[]): Aml {
  return concat(Uint8Array.of(EXTENDED_OP, DEVICE_OP), withPackageLength(concat(amlName(name), ...terms)));
}

/**
 * An EISA identifier such as `PNP0501` as the integer that _HID holds (ACPI 6.5, 19.6.36 "EISAID"): three letters of 5 bits and
 * four hexadecimal digits, big-endian, in a little-endian DWord.
 */
export function eisaId(id: string): number {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) {
    throw new InvalidArgumentError(`"${id}" is no EISA identifier.`, 'Use three letters and four hexadecimal digits, as in PNP0501.', {
      id,
    });
  }
  const letter = (index: number): number => id.charCodeAt(index) - 0x40;
  const manufacturer = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(id.slice(3), 16);
  const swap = (word: number): number => ((word & 0xff) << 8) | (word >>> 8);
  return swap(product) * 0x1_0000 + swap(manufacturer);
}

/** `IO (Decode16, port, port, 1, length)` (ACPI 6.5, 6.4.2.5 "I/O Port Descriptor"). */
export function ioPorts(port: number, length: number): Aml {
  const descriptor = Uint8Array.of(0x47, 0x01, 0, 0, 0, 0, 0x01, length);
  writeUint(descriptor, 2, 2, port);
  writeUint(descriptor, 4, 2, port);
  return descriptor;
}

/** `IRQNoFlags () {irq}`: ISA, active high, edge (6.4.2.1 "IRQ Descriptor"). */
export function irq(line: number): Aml {
  const descriptor = Uint8Array.of(0x22, 0, 0);
  writeUint(descriptor, 1, 2, 1 << line);
  return descriptor;
}

/** `ResourceTemplate () { descriptors }`: a buffer that ends with an end tag (6.4.2.9 "End Tag") whose checksum 0 means "not checked". */
export function resourceTemplate(...descriptors: readonly Aml[]): Aml {
  return amlBuffer(concat(...descriptors, Uint8Array.of(0x79, 0)));
}
