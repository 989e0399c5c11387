export * from './errors.ts';
export { type CpioEntry, readCpio, writeCpio } from './guests/cpio.ts';
export { type FetchOptions, fetchGuests, type Guests, presentGuests } from './guests/fetch-guests.ts';
export { buildInitramfs, type InitramfsOptions } from './guests/initramfs.ts';
export { main } from './main-command.ts';
export type { CliInput, CliIo, InputListener } from './terminal/cli-io.ts';
