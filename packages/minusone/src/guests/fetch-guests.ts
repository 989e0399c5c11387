import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestsUnavailableError } from '../errors.ts';
import { Apt } from './apt.ts';
import { buildInitramfs } from './initramfs.ts';
import { withLock } from './lock.ts';

/** Guests that are on this machine. Paths of files. */
export interface Guests {
  /** Debian's cloud kernel, a bzImage. */
  readonly kernel: string;
  /** Statically linked busybox. */
  readonly busybox: string;
  /** An initramfs with busybox's shell. */
  readonly initrd: string;
  /** The kernel's release, such as `6.1.0-44-cloud-amd64`. */
  readonly release: string;
}

/** How to fetch. */
export interface FetchOptions {
  /** Where guests are kept. */
  readonly folder: string;
  /** Ask Debian for newer ones although some are here. */
  readonly update?: boolean;
  /** Hears of steps that take time. */
  readonly report?: (line: string) => void;
}

/** The package that always depends on Debian's newest cloud kernel. */
const KERNEL_METAPACKAGE = 'linux-image-cloud-amd64';
const BUSYBOX_PACKAGE = 'busybox-static';
const BUSYBOX_PATHS = ['bin/busybox', 'usr/bin/busybox'];
/** What is here: names the files, and is replaced last, so that whoever reads it finds them whole. */
const INDEX = 'guests.json';

/**
 * Debian's newest cloud kernel, busybox, and an initramfs of it. Fetched by apt when they are not in `folder` yet, which takes the network; any
 * number of processes may do that at once.
 *
 * @throws {GuestsUnavailableError} there is no apt, or it fails: says what to do
 */
export async function fetchGuests(options: FetchOptions): Promise<Guests> {
  const { folder, update = false, report = () => {} } = options;
  const present = update ? undefined : await presentGuests(folder);
  if (present !== undefined) return present;
  const apt = new Apt(join(folder, 'apt'), report);
  await apt.check();
  await mkdir(folder, { recursive: true });
  return withLock(join(folder, 'lock'), async () => {
    // Another process may have fetched them while this one waited.
    const fetched = update ? undefined : await presentGuests(folder);
    return fetched ?? (await fetchBy(apt, folder));
  });
}

/** The guests in `folder`, or undefined where there are none. Its initramfs is what this version of the code builds. */
export async function presentGuests(folder: string): Promise<Guests | undefined> {
  let index: { kernel: string; busybox: string; release: string };
  try {
    index = JSON.parse(await readFile(join(folder, INDEX), 'utf8'));
    await readdir(folder).then((names) => {
      if (!names.includes(index.kernel) || !names.includes(index.busybox)) throw new Error('incomplete');
    });
  } catch {
    return undefined;
  }
  const busybox = join(folder, index.busybox);
  const initrd = join(folder, 'initramfs.cpio');
  await replaceFile(initrd, buildInitramfs({ busybox: await readFile(busybox) }));
  return { kernel: join(folder, index.kernel), busybox, initrd, release: index.release };
}

/** Writes a file so that others see the old or the new one, never a part; leaves it alone where it is the same. */
async function replaceFile(path: string, data: Uint8Array): Promise<void> {
  const old = await readFile(path).catch(() => undefined);
  if (old?.equals(data)) return;
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, data);
  await rename(temporary, path);
}

async function fetchBy(apt: Apt, folder: string): Promise<Guests> {
  const temporary = join(folder, `fetching.${process.pid}`);
  try {
    let kernelPackage = '';
    const unpacked = await apt.fetch(async () => {
      kernelPackage = (await apt.dependenciesOf(KERNEL_METAPACKAGE)).find((name) => name.startsWith('linux-image-')) ?? '';
      if (kernelPackage === '') throw new Error(`${KERNEL_METAPACKAGE} depends on no kernel`);
      return [kernelPackage, BUSYBOX_PACKAGE];
    }, temporary);

    const bootFolder = join(unpacked.get(kernelPackage) as string, 'boot');
    const kernel = (await readdir(bootFolder)).find((name) => name.startsWith('vmlinuz-'));
    if (kernel === undefined) throw new GuestsUnavailableError(`${kernelPackage} holds no boot/vmlinuz-*`, 'Please report this.');
    await moveInto(folder, join(bootFolder, kernel), kernel);
    await moveInto(folder, await busyboxIn(unpacked.get(BUSYBOX_PACKAGE) as string), 'busybox');
    const index = { kernel, busybox: 'busybox', release: kernel.replace('vmlinuz-', '') };
    await replaceFile(join(folder, INDEX), new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  const guests = await presentGuests(folder);
  if (guests === undefined) throw new GuestsUnavailableError(`${folder} was changed by another program`, 'Try again.');
  return guests;
}

async function moveInto(folder: string, from: string, name: string): Promise<void> {
  const temporary = join(folder, `${name}.${process.pid}`);
  await copyFile(from, temporary);
  await rename(temporary, join(folder, name));
}

async function busyboxIn(folder: string): Promise<string> {
  for (const path of BUSYBOX_PATHS) {
    const data = await readFile(join(folder, path)).catch(() => undefined);
    if (data !== undefined) return join(folder, path);
  }
  throw new GuestsUnavailableError(`${BUSYBOX_PACKAGE} holds no ${BUSYBOX_PATHS[0]}`, 'Please report this.');
}
