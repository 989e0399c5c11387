// What the examples without a VMM stand on: one processor with a virtualization extension, and 4 MiB of RAM.
import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { CodeSpace, type Cpu, CpuEngine, type CpuModel, decoderFor, type Extension, Processors } from '@minusone/x86';

const RAM_BYTES = 4 * 2 ** 20;

/** @returns the processor, as after reset, and its physical memory */
export function oneProcessor(model: CpuModel, extension: Extension): { cpu: Cpu; physical: PhysicalAddressSpace } {
  const memory = new MachineMemory({ ramBytes: RAM_BYTES });
  const physical = new PhysicalAddressSpace(memory);
  physical.addSlot({ id: 0, gpa: 0, bytes: RAM_BYTES, hostOffset: memory.ramOffset });
  const space = new CodeSpace(memory, decoderFor(model, [extension]));
  physical.observer = space;
  const { bootstrap } = new Processors({
    memory,
    physical,
    ports: new PortSpace(),
    model,
    cpus: 1,
    engine: (cpu) => new CpuEngine(space, cpu),
    extensions: () => [extension],
  });
  return { cpu: bootstrap, physical };
}
