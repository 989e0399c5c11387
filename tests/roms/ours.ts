import { boot } from '@minusone/vmm';
import type { RomEnd, RomRun } from './peers.ts';

/** Wall time after which a run is given up. */
const LIMIT_MS = 30_000;

/** Runs a ROM on our machine, interpreted or, with `jit`, compiled from the first execution on. */
export async function runOnOurs(rom: Uint8Array, options: { readonly jit: boolean }): Promise<RomRun> {
  let output = '';
  const machine = await boot({
    bios: rom,
    memory: '64M',
    jit: options.jit ? { threshold: 1 } : false,
    timeoutMs: LIMIT_MS,
    onDebug: (byte) => {
      output += String.fromCharCode(byte);
    },
  });
  const { reason } = await machine.ended;
  const end: RomEnd = reason === 'triple-fault' ? 'triple fault' : reason === 'power-off' ? 'shutdown' : 'time-out';
  return { output: `${output.trimEnd()}\n`, end };
}
