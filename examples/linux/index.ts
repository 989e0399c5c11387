// Linux in ten lines. `minusone guests` fetches a kernel and an initramfs, and prints where they are:
//   node examples/linux/index.ts KERNEL INITRD
import { readFile } from 'node:fs/promises';
import { boot } from '@minusone/vmm';

const [kernel, initrd] = process.argv.slice(2);
if (kernel === undefined || initrd === undefined) throw new Error('usage: index.ts KERNEL INITRD (see `minusone guests`)');

const machine = await boot({ kernel: await readFile(kernel), initrd: await readFile(initrd), memory: '256M' });
await machine.serial.waitFor('~ # ');
machine.serial.send('uname -sm; nproc\n');
console.log(await machine.serial.waitFor('~ # '));
machine.serial.send('poweroff -f\n');
console.log(await machine.ended);
