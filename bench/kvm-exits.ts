import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { asm16 } from '@minusone/asm';
import { Kvm, type KvmVendor, type Vcpu } from '@minusone/kvm';
import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { CodeSpace, CpuEngine, decoderFor, intel, Processors, setSegment } from '@minusone/x86';
import { median } from './statistics.ts';
import { VENDORS } from './vendors.ts';

/**
 * What an exit costs, on both extensions: a port write to a VMM in TypeScript and back, a write to a device in memory, CPUID, which KVM answers without the VMM. Beside them
 * the bare CPU's port write to a device in TypeScript, and its CPUID. Microseconds a turn of a loop of two instructions: medians of many short stretches after a warm-up, in rounds, so
 * that what else the host does meanwhile disturbs few of them. Each contender has a process of its own, as a VMM has.
 *
 *     npx tsx bench/kvm-exits.ts
 */
const ROUNDS = 7;
const STRETCHES = 150;
const WARM_UP = 200;
const TURNS = 500;
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

/** What is measured, by name; `exits` of an extension, or the bare CPU. */
const BARE = { 'port write, bare CPU': 'out dx, al', 'CPUID, bare CPU': 'cpuid' } as const;
const UNDER_KVM = {
  'port write to the VMM and back': (vendor: KvmVendor) => toTheVmmOf(vendor, 'out dx, al', 'io'),
  'write to a device in memory': (vendor: KvmVendor) => toTheVmmOf(vendor, 'mov [0], al', 'mmio'),
  'CPUID answered in KVM': (vendor: KvmVendor) => {
    const vcpu = vcpuFor(vendor, 'cpuid');
    return () => withinKvm(vcpu);
  },
} as const;

function toTheVmmOf(vendor: KvmVendor, instruction: string, reason: 'io' | 'mmio'): () => number {
  const vcpu = vcpuFor(vendor, instruction);
  return () => toTheVmm(vcpu, reason);
}

/** In a process of its own, as a VMM is: measures one contender, prints its stretches as JSON. */
function measure(extension: string | undefined, name: string): void {
  const vendor = VENDORS.find((each) => each.extension === extension)?.vendor();
  const stretch = vendor === undefined ? bareCpu(BARE[name as keyof typeof BARE]) : UNDER_KVM[name as keyof typeof UNDER_KVM](vendor);
  const results: number[] = [];
  for (let n = -WARM_UP; n < STRETCHES; n++) {
    const microseconds = stretch();
    if (n >= 0) results.push(microseconds);
  }
  console.log(JSON.stringify(results));
}

function inProcess(name: string, extension?: string): number[] {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), name, ...(extension === undefined ? [] : [extension])];
  return JSON.parse(spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).stdout) as number[];
}

function compare(): void {
  const contenders = [
    ...Object.keys(BARE).map((name) => ({ name, extension: undefined })),
    ...VENDORS.flatMap(({ extension }) => Object.keys(UNDER_KVM).map((name) => ({ name, extension }))),
  ];
  const results = contenders.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [n, { name, extension }] of contenders.entries()) results[n]?.push(...inProcess(name, extension));
  const [port, cpuid] = results.map(median) as [number, number];
  for (const [n, { name, extension }] of contenders.entries()) {
    const values = results[n] as number[];
    const [baseline, of] = name.startsWith('CPUID') ? [cpuid, 'CPUID'] : [port, 'port write'];
    const ratio = extension === undefined ? '' : `, ${(median(values) / baseline).toFixed(1)} times the bare CPU's ${of}`;
    const range = `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;
    console.log(
      `${extension === undefined ? name : `${name}, ${extension}`}: ${median(values).toFixed(2)} microseconds (${range})${ratio}`,
    );
  }
}

const [name, extension] = process.argv.slice(2);
if (name === undefined) compare();
else measure(extension, name);
