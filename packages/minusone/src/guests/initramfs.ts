import { type CpioEntry, writeCpio } from './cpio.ts';

/** What goes into an initramfs. */
export interface InitramfsOptions {
  /** A statically linked busybox for amd64. */
  readonly busybox: Uint8Array;
  /** More files, by absolute path; folders are made as needed. Mode 0755, so that programs can be run. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  /** What is run, as lines of shell, before the shell appears. Default: nothing. */
  readonly startup?: string;
}

const FOLDERS = ['bin', 'dev', 'etc', 'proc', 'root', 'sbin', 'sys', 'tmp', 'usr', 'usr/bin', 'usr/sbin'];

/**
 * The first program. Applets are linked in the guest, since only there can busybox surely be run and asked for them. `cttyhack` finds the console's
 * real terminal, and `setsid` makes it a controlling one, so that Ctrl-C works.
 */
const INIT = (startup: string): string => `#!/bin/sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s
hostname minusone
export HOME=/root PATH=/bin:/sbin:/usr/bin:/usr/sbin TERM=\${TERM:-linux} PS1='\${PWD/$HOME/\\~} \\$ '
cd /root
${startup}
setsid cttyhack sh
poweroff -f
`;

/**
 * An initramfs that ends in a busybox shell on the kernel's console, prompt `~ # `; leaving the shell turns the machine off.
 * The same input makes the same bytes.
 *
 * @returns a cpio archive, uncompressed
 * @example
 * const initrd = buildInitramfs({ busybox, files: { '/root/hello.txt': 'hello\n' } });
 */
export function buildInitramfs(options: InitramfsOptions): Uint8Array {
  const encoder = new TextEncoder();
  const folders = new Set(FOLDERS);
  const more: CpioEntry[] = [];
  for (const [name, data] of Object.entries(options.files ?? {})) {
    const path = name.replace(/^\/+/, '');
    const names = path.split('/').slice(0, -1);
    for (let depth = 1; depth <= names.length; depth++) folders.add(names.slice(0, depth).join('/'));
    more.push({ type: 'file', path, data: typeof data === 'string' ? encoder.encode(data) : data, mode: 0o755 });
  }
  return writeCpio([
    ...[...folders].map((path): CpioEntry => ({ type: 'directory', path })),
    // Standard input and output of the first program, before there is a devtmpfs.
    { type: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    { type: 'file', path: 'bin/busybox', data: options.busybox, mode: 0o755 },
    { type: 'symlink', path: 'bin/sh', target: 'busybox' },
    { type: 'file', path: 'etc/passwd', data: encoder.encode('root::0:0:root:/root:/bin/sh\n') },
    { type: 'file', path: 'etc/group', data: encoder.encode('root:x:0:\n') },
    { type: 'file', path: 'init', data: encoder.encode(INIT(options.startup ?? '')), mode: 0o755 },
    ...more,
  ]);
}
