/** One file of a cpio archive. Owner and group are root, the time is 0: the same files make the same archive everywhere. */
export type CpioEntry =
  /** `path` without a leading `/`. `mode`: permission bits; default 0o755. */
  | { readonly type: 'directory'; readonly path: string; readonly mode?: number }
  /** `mode`: permission bits; default 0o644. */
  | { readonly type: 'file'; readonly path: string; readonly data: Uint8Array; readonly mode?: number }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }
  | { readonly type: 'character-device'; readonly path: string; readonly major: number; readonly minor: number; readonly mode?: number };

const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';
const HEADER_BYTES = 110;
const ALIGNMENT = 4;
/** File types of `st_mode` (inode(7)). */
const TYPE_BITS = { directory: 0o040000, file: 0o100000, symlink: 0o120000, 'character-device': 0o020000 } as const;
const DEFAULT_MODE = { directory: 0o755, file: 0o644, symlink: 0o777, 'character-device': 0o600 } as const;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function contents(entry: CpioEntry): Uint8Array {
  if (entry.type === 'file') return entry.data;
  return entry.type === 'symlink' ? new TextEncoder().encode(entry.target) : new Uint8Array(0);
}

/** The 13 fields of a header, each eight hexadecimal digits, in their order (Linux, "initramfs buffer format"). */
function header(inode: number, mode: number, links: number, size: number, device: readonly [number, number], nameBytes: number): string {
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device[0], device[1], nameBytes, 0];
  return MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
}

/**
 * A cpio archive of the "new ASCII" format (newc), the one that Linux unpacks as its initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @param entries in the order in which they are unpacked: a folder before what is in it
 * @example
 * const archive = writeCpio([{ type: 'file', path: 'init', data: program, mode: 0o755 }]);
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const encoder = new TextEncoder();
  const parts: { header: Uint8Array; data: Uint8Array }[] = entries.map((entry, i) => {
    const data = contents(entry);
    const permissions = ('mode' in entry ? entry.mode : undefined) ?? DEFAULT_MODE[entry.type];
    const device = entry.type === 'character-device' ? ([entry.major, entry.minor] as const) : ([0, 0] as const);
    const name = encoder.encode(`${entry.path}\0`);
    const links = entry.type === 'directory' ? 2 : 1;
    const fields = header(i + 1, TYPE_BITS[entry.type] | permissions, links, data.length, device, name.length);
    return { header: encoder.encode(`${fields}${entry.path}\0`), data };
  });
  parts.push({
    header: encoder.encode(`${header(0, 0, 1, 0, [0, 0], TRAILER.length + 1)}${TRAILER}\0`),
    data: new Uint8Array(0),
  });
  const archive = new Uint8Array(parts.reduce((sum, part) => sum + aligned(part.header.length) + aligned(part.data.length), 0));
  let at = 0;
  for (const part of parts) {
    archive.set(part.header, at);
    archive.set(part.data, at + aligned(part.header.length));
    at += aligned(part.header.length) + aligned(part.data.length);
  }
  return archive;
}

/** What a cpio archive of the format newc holds, for tests and for people who want to look. Names and types only as far as `writeCpio` knows them. */
export function readCpio(archive: Uint8Array): { readonly path: string; readonly mode: number; readonly data: Uint8Array }[] {
  const decoder = new TextDecoder();
  const files = [];
  for (let at = 0; at + HEADER_BYTES <= archive.length; ) {
    const field = (index: number): number => Number.parseInt(decoder.decode(archive.subarray(at + 6 + 8 * index, at + 14 + 8 * index)), 16);
    const [mode, size, nameBytes] = [field(1), field(6), field(11)];
    const path = decoder.decode(archive.subarray(at + HEADER_BYTES, at + HEADER_BYTES + nameBytes - 1));
    if (path === TRAILER) break;
    const start = at + aligned(HEADER_BYTES + nameBytes);
    files.push({ path, mode, data: archive.subarray(start, start + size) });
    at = start + aligned(size);
  }
  return files;
}
