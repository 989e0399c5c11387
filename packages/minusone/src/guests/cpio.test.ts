import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CpioEntry, readCpio, writeCpio } from './cpio.ts';

const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);

describe('the cpio format newc (Linux, "initramfs buffer format")', () => {
  test('a header is 070701 and thirteen fields of eight hexadecimal digits; name and data are padded to four bytes', () => {
    const archive = writeCpio([{ type: 'file', path: 'ab', data: Uint8Array.of(1, 2, 3, 4, 5), mode: 0o755 }]);
    const fields = text(archive.subarray(6, 110)).match(/.{8}/g) as string[];
    expect(text(archive.subarray(0, 6))).toBe('070701');
    const [inode, mode, uid, gid, links, mtime, size, , , , , nameBytes, checksum] = fields.map((field) => Number.parseInt(field, 16));
    expect({ inode, mode, uid, gid, links, mtime, size, nameBytes, checksum }).toEqual({
      inode: 1,
      mode: 0o100755,
      uid: 0,
      gid: 0,
      links: 1,
      mtime: 0,
      size: 5,
      nameBytes: 3,
      checksum: 0,
    });
    expect([...archive.subarray(110, 124)]).toEqual([0x61, 0x62, 0, 0 /* header and name: 116 */, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
  });

  test('it ends with a file called TRAILER!!!', () => {
    const archive = writeCpio([]);
    expect(archive.length % 4).toBe(0);
    expect(text(archive)).toMatch(/^070701[0-9a-f]{104}TRAILER!!!\0+$/);
  });

  test('folders, links and devices have the type bits of inode(7); a link holds its target, a device its numbers', () => {
    const entries: CpioEntry[] = [
      { type: 'directory', path: 'dev' },
      { type: 'symlink', path: 'sh', target: 'busybox' },
      { type: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    ];
    const archive = writeCpio(entries);
    const files = readCpio(archive);
    expect(files.map(({ mode }) => mode.toString(8))).toEqual(['40755', '120777', '20600']);
    expect(text(files[1]?.data as Uint8Array)).toBe('busybox');
    const device = text(archive).indexOf('dev/console') - 110;
    expect(text(archive.subarray(device + 6 + 9 * 8, device + 6 + 11 * 8))).toBe('0000000500000001');
  });

  test('whatever goes in comes out', () => {
    const files = fc.uniqueArray(fc.record({ path: fc.stringMatching(/^[a-zé/]{1,20}$/), data: fc.uint8Array({ maxLength: 30 }) }), {
      selector: ({ path }) => path,
    });
    fc.assert(
      fc.property(files, (list) => {
        const back = readCpio(writeCpio(list.map((file) => ({ type: 'file', ...file }))));
        expect(back.map(({ path, data }) => ({ path, data: [...data] }))).toEqual(
          list.map(({ path, data }) => ({ path, data: [...data] })),
        );
      }),
    );
  });
});
