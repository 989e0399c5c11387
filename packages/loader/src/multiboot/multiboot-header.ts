import { BadMultibootHeaderError, NoMultibootHeaderError } from '../errors.ts';
import { type IntegersOf, readUint, structure } from '../structure.ts';

/** Multiboot Specification 0.6.96, 3.1.1 "The layout of Multiboot header": magic, and the range it must lie in. */
export const MULTIBOOT_HEADER_MAGIC = 0x1bad_b002;
const SEARCH_BYTES = 8192;

/** Bits of `flags`. Bits 0 to 15 are requirements, bits 16 to 31 are requests. */
export const MultibootFlag = { PAGE_ALIGN: 0x1, MEMORY_INFO: 0x2, ADDRESSES: 0x1_0000 } as const;
const SERVED_REQUIREMENTS = MultibootFlag.PAGE_ALIGN | MultibootFlag.MEMORY_INFO;

const header = structure({ magic: 4, flags: 4, checksum: 4 });
const addressFields = { header_addr: 4, load_addr: 4, load_end_addr: 4, bss_end_addr: 4, entry_addr: 4 } as const;
const addresses = structure(addressFields);

/** A Multiboot header and where it stands in the image. */
export interface MultibootHeader {
  readonly offset: number;
  readonly flags: number;
  /** The address fields, where flag bit 16 says that they hold. */
  readonly addresses?: IntegersOf<typeof addressFields>;
}

/** Finds the Multiboot header: 4-byte aligned, wholly in the first 8192 bytes, checksum right. */
export function findMultibootHeader(image: Uint8Array): MultibootHeader | undefined {
  const end = Math.min(image.length, SEARCH_BYTES);
  for (let offset = 0; offset + header.byteLength <= end; offset += 4) {
    if (readUint(image, offset, 4) !== MULTIBOOT_HEADER_MAGIC) continue;
    const { magic, flags, checksum } = header.decode(image, offset);
    if ((magic + flags + checksum) % 2 ** 32 !== 0) continue;
    const addressesAt = offset + header.byteLength;
    if (!(flags & MultibootFlag.ADDRESSES)) return { offset, flags };
    if (addressesAt + addresses.byteLength > end) continue;
    return { offset, flags, addresses: addresses.decode(image, addressesAt) };
  }
  return undefined;
}

/**
 * Finds and checks the Multiboot header.
 * @throws {NoMultibootHeaderError} there is none
 * @throws {BadMultibootHeaderError} it requires something that we do not offer (such as a video mode)
 */
export function parseMultibootHeader(image: Uint8Array): MultibootHeader {
  const found = findMultibootHeader(image);
  if (!found) throw new NoMultibootHeaderError();
  const unserved = found.flags & 0xffff & ~SERVED_REQUIREMENTS;
  if (unserved) {
    const video = unserved & 0x4 ? ' (bit 2 asks for a video mode)' : '';
    throw new BadMultibootHeaderError(`it requires features that are not there, flags 0x${unserved.toString(16)}${video}`, { unserved });
  }
  return found;
}
