import { describe, expect, test } from 'vitest';
import { readCpio } from './cpio.ts';
import { buildInitramfs } from './initramfs.ts';

const busybox = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);
const unpack = (archive: Uint8Array) => new Map(readCpio(archive).map((file) => [file.path, file]));

describe('buildInitramfs', () => {
  test('holds what Linux starts: an executable /init, a shell for it, and /dev/console', () => {
    const files = unpack(buildInitramfs({ busybox }));
    expect(files.get('init')?.mode).toBe(0o100755);
    expect(new TextDecoder().decode(files.get('init')?.data)).toMatch(/^#!\/bin\/sh\n/);
    expect(files.get('bin/busybox')).toMatchObject({ mode: 0o100755, data: busybox });
    expect(new TextDecoder().decode(files.get('bin/sh')?.data)).toBe('busybox');
    expect(files.has('dev/console')).toBe(true);
  });

  test('a folder comes before what is in it', () => {
    const paths = readCpio(buildInitramfs({ busybox, files: { '/opt/a/b/program': 'x' } })).map(({ path }) => path);
    for (const path of paths) {
      const folder = path.split('/').slice(0, -1).join('/');
      if (folder !== '') expect(paths.indexOf(folder), path).toBeLessThan(paths.indexOf(path));
    }
    expect(paths.slice(0, -1)).toContain('opt/a/b');
  });

  test('the same input makes the same bytes', () => {
    const options = { busybox, files: { '/a': 'text', '/b': Uint8Array.of(1) }, startup: 'echo hello' };
    expect(buildInitramfs(options)).toEqual(buildInitramfs(options));
  });

  test('startup runs before the shell', () => {
    const init = new TextDecoder().decode(unpack(buildInitramfs({ busybox, startup: 'echo hello' })).get('init')?.data);
    expect(init.indexOf('echo hello')).toBeGreaterThan(0);
    expect(init.indexOf('echo hello')).toBeLessThan(init.indexOf('cttyhack sh'));
  });
});
