import { bareCpu, bareCpuWith, boot } from '@minusone/vmm';
import { intel } from '@minusone/x86';
import { extensionMachines } from './extensions.ts';
import type { RomEnd, RomRun } from './peers.ts';
import type { RomMachine } from './rom.ts';

/** Wall time after which a run is given up. */
const LIMIT_MS = 30_000;

/** How to run a ROM on our machine. */
export interface OurOptions extends RomMachine {
  readonly jit: boolean;
}

/** Runs a ROM on our machine, interpreted or, with `jit`, compiled from the first execution on. */
export async function runOnOurs(rom: Uint8Array, { jit, extension, cpus = 1, features = [] }: OurOptions): Promise<RomRun> {
  let output = '';
  const machine = await boot({
    bios: rom,
    memory: '64M',
    jit: jit ? { threshold: 1 } : false,
    accel: extension === undefined ? bareCpu : bareCpuWith(() => [extensionMachines[extension].create()]),
    cpus,
    model: (extension === undefined ? intel : extensionMachines[extension].model).with(...features),
    timeoutMs: LIMIT_MS,
    onDebug: (byte) => {
      output += String.fromCharCode(byte);
    },
  });
  const { reason } = await machine.ended;
  const end: RomEnd = reason === 'triple-fault' ? 'triple fault' : reason === 'power-off' ? 'shutdown' : 'time-out';
  return { output: `${output.trimEnd()}\n`, end };
}
