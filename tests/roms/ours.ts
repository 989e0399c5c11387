import { type Accelerator, BareProcessors, bareCpu, boot } from '@minusone/vmm';
import { CodeSpace, CpuEngine, decoderFor, intel, Processors } from '@minusone/x86';
import { extensionMachines, type RomExtension } from './extensions.ts';
import type { RomEnd, RomRun } from './peers.ts';
import type { RomMachine } from './rom.ts';

/** Wall time after which a run is given up. */
const LIMIT_MS = 30_000;

/** The bare CPU with a virtualization extension, as a machine without a hypervisor has it. */
function cpuWith(extension: RomExtension): Accelerator {
  const { create } = extensionMachines[extension];
  if (create === undefined) throw new TypeError(`There is no ${extension} here yet.`);
  return {
    name: extension,
    createProcessors({ memory, physical, ports, model, cpus, clock, jit, interruptAcknowledge }) {
      const decoder = decoderFor(model, [create()]);
      const space = new CodeSpace(memory, decoder, undefined, jit === true ? {} : jit);
      physical.observer = space;
      const processors = new Processors({
        memory,
        physical,
        ports,
        model,
        cpus,
        clock,
        engine: (cpu) => new CpuEngine(space, cpu),
        extensions: () => [create()],
        external: interruptAcknowledge,
      });
      return new BareProcessors(processors);
    },
  };
}

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
    accel: extension === undefined ? bareCpu : cpuWith(extension),
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
