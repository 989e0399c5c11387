import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defaultCacheFolder } from './cache-folder.ts';
import { fetchGuests, presentGuests } from './fetch-guests.ts';

// apt, as shell scripts that do what apt does with two packages, and write down what was asked of them.
const TOOLS = {
  'dpkg-deb': 'case $1 in -x) mkdir -p "$3" && tar -xf "$2" -C "$3";; esac',
  dpkg: 'echo amd64',
  'apt-cache': `echo "cache $*" >> "$FAKE/log"
case "$*" in *Dir::State::Lists*) ;; *--version) exit 0;; *) [ -e "$FAKE/no-lists" ] && { echo "E: No packages found" >&2; exit 100; };; esac
printf 'linux-image-cloud-amd64\\n  Depends: linux-image-9.9-cloud-amd64\\n  Suggests: nothing\\n'`,
  'apt-get': `echo "get $*" >> "$FAKE/log"
case "$*" in
*--version) ;;
*update) [ -e "$FAKE/no-network" ] && { echo "W: noise" >&2; echo "E: Could not resolve 'packages.example'" >&2; exit 100; }; exit 0;;
*download\\ linux-image-9.9-cloud-amd64) sleep 0.3; cp "$FAKE/kernel.tar" kernel_9.9_amd64.deb;;
*download\\ busybox-static) cp "$FAKE/busybox.tar" busybox_1_amd64.deb;;
*) exit 100;;
esac`,
};

let fake: string;
let folder: string;
const path = process.env.PATH;

beforeEach(() => {
  fake = mkdtempSync(join(tmpdir(), 'minusone-apt-'));
  folder = join(fake, 'guests');
  for (const [name, script] of Object.entries(TOOLS)) {
    writeFileSync(join(fake, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(fake, name), 0o755);
  }
  writeTar('kernel.tar', 'boot/vmlinuz-9.9-cloud-amd64', 'kernel');
  writeTar('busybox.tar', 'bin/busybox', 'busybox');
  process.env.PATH = `${fake}:${path}`;
  process.env.FAKE = fake;
});
afterEach(() => {
  process.env.PATH = path;
  rmSync(fake, { recursive: true, force: true });
});

/** A tar archive (POSIX ustar) of one small file. */
function writeTar(archive: string, name: string, data: string): void {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');
  header.write(name, 0);
  header.write(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0${octal(data.length, 11)}\0${octal(0, 11)}\0${' '.repeat(8)}0`, 100);
  header.write('ustar\x0000', 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  );
  const body = Buffer.alloc(512);
  body.write(data);
  writeFileSync(join(fake, archive), Buffer.concat([header, body, Buffer.alloc(1024)]));
}

const log = (): string[] => (existsSync(join(fake, 'log')) ? readFileSync(join(fake, 'log'), 'utf8').trim().split('\n') : []);
const downloads = (): string[] => log().filter((line) => line.includes(' download '));

describe('fetchGuests', () => {
  test('takes the kernel that the metapackage depends on, and busybox, and builds an initramfs', async () => {
    const guests = await fetchGuests({ folder });
    expect(guests.release).toBe('9.9-cloud-amd64');
    expect(readFileSync(guests.kernel, 'utf8')).toBe('kernel');
    expect(readFileSync(guests.busybox, 'utf8')).toBe('busybox');
    expect(readFileSync(guests.initrd, 'latin1')).toMatch(/^070701/);
    expect(readdirSync(folder).sort()).toEqual(['busybox', 'guests.json', 'initramfs.cpio', 'vmlinuz-9.9-cloud-amd64']);
  });

  test('the second time, nothing is asked of apt', async () => {
    await fetchGuests({ folder });
    const before = log().length;
    await fetchGuests({ folder });
    expect(log()).toHaveLength(before);
  });

  test('--update asks again', async () => {
    await fetchGuests({ folder });
    await fetchGuests({ folder, update: true });
    expect(downloads()).toHaveLength(4);
  });

  test('any number of callers at once: one download, the same files for all', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => fetchGuests({ folder })));
    expect(downloads()).toHaveLength(2);
    for (const guests of all) expect(guests).toEqual(all[0]);
  });

  test('a lock that a dead process left behind does not hold anyone up', async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'lock'), '999999999');
    expect((await fetchGuests({ folder })).release).toBe('9.9-cloud-amd64');
  });

  test("where the system has no package lists, they are fetched into a folder of our own, not into the system's", async () => {
    writeFileSync(join(fake, 'no-lists'), '');
    await fetchGuests({ folder });
    const updates = log().filter((line) => line.endsWith(' update'));
    expect(updates).toHaveLength(1);
    expect(updates[0]).toMatch(`Dir::State::Lists=${folder}`);
    expect(downloads().every((line) => line.includes(`Dir::State::Lists=${folder}`))).toBe(true);
  });

  test("without a network: apt's reason, and what to look at", async () => {
    for (const name of ['no-lists', 'no-network']) writeFileSync(join(fake, name), '');
    await expect(fetchGuests({ folder })).rejects.toMatchObject({
      code: 'GUESTS_UNAVAILABLE',
      message: expect.stringMatching(/Could not resolve 'packages\.example'.*Check the network/),
    });
    expect(readdirSync(folder).filter((name) => /lock|fetching/.test(name))).toEqual([]);
  });

  test('without apt: says what to do instead', async () => {
    process.env.PATH = folder;
    await expect(fetchGuests({ folder })).rejects.toMatchObject({
      code: 'GUESTS_UNAVAILABLE',
      message: expect.stringMatching(/no apt-get here.*a mirror of Debian.*--kernel/),
    });
  });

  test('a cache that lost a file is not taken for whole', async () => {
    const { kernel } = await fetchGuests({ folder });
    rmSync(kernel);
    expect(await presentGuests(folder)).toBeUndefined();
    expect(existsSync((await fetchGuests({ folder })).kernel)).toBe(true);
  });
});

test('from a checkout, guests are kept in its .cache, which git ignores', () => {
  expect(defaultCacheFolder({ XDG_CACHE_HOME: '/elsewhere' })).toMatch(/\/\.cache\/guests$/);
});
