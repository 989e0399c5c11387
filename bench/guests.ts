import { fileURLToPath } from 'node:url';
import { presentGuests } from 'minusone';

/** The checkout's cache of guests. */
export function defaultCache(): string {
  return fileURLToPath(new URL('../.cache/guests', import.meta.url));
}

/** Paths of the kernel and the initramfs that `minusone guests` has made, or undefined. */
export async function kernelAndInitrd(cache: string): Promise<{ readonly kernel: string; readonly initrd: string } | undefined> {
  const guests = await presentGuests(cache);
  return guests === undefined ? undefined : { kernel: guests.kernel, initrd: guests.initrd };
}
