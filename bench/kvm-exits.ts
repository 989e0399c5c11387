import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { asm16 } from '@minusone/asm';
import { Kvm, type KvmVendor, type Vcpu } from '@minusone/kvm';
import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { CodeSpace, CpuEngine, decoderFor, intel, Processors, setSegment } from '@minusone/x86';
import { median } from './statistics.ts';
import { VENDORS } from './vendors.ts';

/**
 * What an exit costs, on both extensions: a port write to a VMM in TypeScript and back, a write to a device in memory, CPUID, which KVM answers without the VMM. Beside them,
 * measured in the same run, the bare CPU's port write to a device in TypeScript, and its CPUID. Microseconds a turn of a loop of two instructions: medians of many short stretches,
 * taken in turns after a warm-up, so that what else the host does meanwhile disturbs few of them. Each extension has a process of its own, as it has under a VMM.
 *
 *     npx tsx --conditions=@minusone/source bench/kvm-exits.ts [extension]
 */
const STRETCHES = 300;
const WARM_UP = 300;
const TURNS = 250;
const CODE = 0x1000;
const PORT = 0x10;

/** A loop of an instruction and a jump, that never ends. DS:0 is the first byte behind the guest's memory, where no slot stands. */
function loopOf(instruction: string): Uint8Array {
  const source = `
      mov dx, ${PORT}
      mov bx, 0x8000
      mov ds, bx
    again:
      ${instruction}
      jmp again`;
  return asm16.with({ origin: CODE })(Object.assign([source], { raw: [source] }));
}

function vcpuFor(vendor: KvmVendor, instruction: string): Vcpu {
  const vm = new Kvm(vendor, { memory: '8M' }).createVm({ memory: '512K' });
  const vcpu = vm.createVcpu(0);
  vm.memory.write(CODE, loopOf(instruction));
  vcpu.start({ mode: 'real', ip: CODE });
  return vcpu;
}

/** Microseconds for each exit that the VMM sees. */
function toTheVmm(vcpu: Vcpu, reason: 'io' | 'mmio'): number {
  const start = performance.now();
  for (let n = 0; n < TURNS; n++) {
    const exit = vcpu.run();
    if (exit.reason !== reason) throw new Error(`The exit was ${exit.reason}.`);
  }
  return ((performance.now() - start) * 1000) / TURNS;
}

/** Microseconds for each exit that KVM deals with by itself. */
function withinKvm(vcpu: Vcpu): number {
  const before = vcpu.statistics.handledInKvm;
  const start = performance.now();
  vcpu.run({ instructions: 2 * TURNS });
  const elapsed = performance.now() - start;
  return (elapsed * 1000) / (vcpu.statistics.handledInKvm - before);
}

/** Runs so many turns of a loop on the bare CPU, and says how many microseconds a turn took. */
function bareCpu(instruction: string): () => number {
  const memory = new MachineMemory({ ramBytes: 2 ** 20, reservedBytes: 64 * 2 ** 20 });
  const physical = new PhysicalAddressSpace(memory);
  physical.addSlot({ id: 0, gpa: 0, bytes: 2 ** 20, hostOffset: memory.ramOffset });
  physical.write(CODE, loopOf(instruction));
  const ports = new PortSpace();
  let written = 0;
  ports.map(PORT, 1, { readPort: () => 0xff, writePort: () => void written++ });
  const space = new CodeSpace(memory, decoderFor(intel, []), undefined, {});
  physical.observer = space;
  const processors = new Processors({ memory, physical, ports, model: intel, cpus: 1, engine: (cpu) => new CpuEngine(space, cpu) });
  const cpu = processors.bootstrap;
  setSegment(cpu.registers, 1, 0, 0x9b, 0xffff, 0);
  cpu.registers.rip = BigInt(CODE);
  cpu.updateMode();
  return () => {
    const before = written;
    const start = performance.now();
    processors.run(2 * TURNS);
    const elapsed = performance.now() - start;
    if (instruction.startsWith('out') && written - before < TURNS - 3) throw new Error('The device was not written.');
    return (elapsed * 1000) / TURNS;
  };
}

function compare(extension: string, vendor: () => KvmVendor): void {
  const port = vcpuFor(vendor(), 'out dx, al');
  const mmio = vcpuFor(vendor(), 'mov [0], al');
  const cpuid = vcpuFor(vendor(), 'cpuid');
  const contenders: Readonly<Record<string, () => number>> = {
    'port write, bare CPU': bareCpu('out dx, al'),
    'CPUID, bare CPU': bareCpu('cpuid'),
    [`port write to the VMM and back, ${extension}`]: () => toTheVmm(port, 'io'),
    [`write to a device in memory, ${extension}`]: () => toTheVmm(mmio, 'mmio'),
    [`CPUID answered in KVM, ${extension}`]: () => withinKvm(cpuid),
  };
  const results = new Map<string, number[]>(Object.keys(contenders).map((name) => [name, []]));
  for (let stretch = -WARM_UP; stretch < STRETCHES; stretch++) {
    for (const [name, measure] of Object.entries(contenders)) {
      const microseconds = measure();
      if (stretch >= 0) results.get(name)?.push(microseconds);
    }
  }
  const middle = (name: string): number => median(results.get(name) ?? []);
  for (const [name, values] of results) {
    const baseline = name.startsWith('CPUID') ? 'CPUID, bare CPU' : 'port write, bare CPU';
    const ratio = name === baseline ? '' : `, ${(middle(name) / middle(baseline)).toFixed(1)} times ${baseline}`;
    console.log(
      `${name}: ${middle(name).toFixed(2)} microseconds (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})${ratio}`,
    );
  }
}

const wanted = process.argv[2];
for (const { extension, vendor } of VENDORS) {
  if (wanted === extension) compare(extension, vendor);
  else if (wanted === undefined) {
    spawnSync(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), extension], { stdio: 'inherit' });
  }
}
