import { defaultCacheFolder } from '../guests/cache-folder.ts';
import { fetchGuests, type Guests } from '../guests/fetch-guests.ts';
import type { OptionRow, ParsedOptions } from '../options/option.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import type { Command } from './command.ts';

/** Where guests are kept. */
export const CACHE_OPTION: OptionRow = {
  name: 'cache',
  value: 'FOLDER',
  help: "where guests are kept; default: the checkout's or the user's cache",
};

/** The guests, fetched if they are not here. */
export function guestsFor(options: ParsedOptions, io: CliIo): Promise<Guests> {
  return fetchGuests({
    folder: options.value('cache') ?? defaultCacheFolder(io.env),
    update: options.isSet('update'),
    report: (line) => io.err(`minusone: ${line}\n`),
  });
}

/** `minusone guests`. */
export const guestsCommand: Command = {
  name: 'guests',
  summary: "fetch Debian's cloud kernel and busybox, and build an initramfs",
  operands: [],
  options: [CACHE_OPTION, { name: 'update', help: 'fetch the newest ones although some are here' }],
  details:
    'Fetches the packages linux-image-cloud-amd64 depends on, and busybox-static, by apt. Needs no root. Prints where the files are.',
  async run(options, io) {
    const { kernel, initrd, busybox } = await guestsFor(options, io);
    io.out(`kernel  ${kernel}\ninitrd  ${initrd}\nbusybox ${busybox}\n`);
    return 0;
  },
};
