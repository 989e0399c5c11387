import { asm16 } from '@minusone/asm';
import { Kvm, type KvmVendor, type Vcpu } from '@minusone/kvm';
import { boot } from '@minusone/vmm';
import { median } from './statistics.ts';
import { VENDORS } from './vendors.ts';

/**
 * What an exit costs, on both extensions: a port write to a VMM in TypeScript and back, a write to a device in memory, CPUID, which KVM answers without the VMM. Beside them,
 * measured in the same run, the bare CPU's port write to a device in TypeScript, and CPUID on it. Microseconds, medians of the runs, taken in turns.
 *
 *     npx tsx --conditions=@minusone/source bench/kvm-exits.ts [runs]
 */
const RUNS = Number(process.argv[2] ?? 9);
const EXITS = 20_000;
const CODE = 0x1000;

/** A loop of an instruction that exits and a jump, that never ends. DS:0 is the first byte behind the guest's memory, where no slot stands. */
function loopOf(instruction: string): Uint8Array {
  const source = `
      mov dx, 0x10
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
  let written = 0;
  const start = performance.now();
  for (let n = 0; n < EXITS; n++) {
    const exit = vcpu.run();
    if (exit.reason !== reason) throw new Error(`The exit was ${exit.reason}.`);
    written += (exit as { readonly data: Uint8Array }).data[0] as number;
  }
  if (written < 0) throw new Error('Nothing was written.');
  return ((performance.now() - start) * 1000) / EXITS;
}

/** Microseconds for each exit that KVM deals with by itself. */
function withinKvm(vcpu: Vcpu): number {
  const before = vcpu.statistics.handledInKvm;
  const start = performance.now();
  vcpu.run({ instructions: 2 * EXITS });
  const elapsed = performance.now() - start;
  return (elapsed * 1000) / (vcpu.statistics.handledInKvm - before);
}

/** Microseconds for each turn of a loop on the bare CPU. */
async function onBareCpu(instruction: string): Promise<number> {
  const source = `
      mov ecx, ${EXITS}
    again:
      push ecx
      ${instruction}
      pop ecx
      dec ecx
      jnz again
      mov al, 0
      out 0xf4, al`;
  const image = asm16(Object.assign([source], { raw: [source] }));
  let bytes = 0;
  const machine = await boot({ flat: { image, address: 0x8000 }, memory: '1M', onDebug: () => bytes++ });
  await machine.ended;
  return (machine.statistics.seconds * 1e6) / EXITS;
}

const results = new Map<string, number[]>();
const note = (name: string, value: number): void => {
  results.set(name, [...(results.get(name) ?? []), value]);
};
const guests = VENDORS.map(({ extension, vendor }) => ({
  extension,
  port: vcpuFor(vendor(), 'out dx, al'),
  mmio: vcpuFor(vendor(), 'mov [0], al'),
  cpuid: vcpuFor(vendor(), 'cpuid'),
}));
for (let run = 0; run <= RUNS; run++) {
  const bare = { port: await onBareCpu('out 0xe9, al'), cpuid: await onBareCpu('cpuid') };
  if (run > 0) {
    note('port write, bare CPU', bare.port);
    note('CPUID, bare CPU', bare.cpuid);
  }
  for (const { extension, port, mmio, cpuid } of guests) {
    const figures = { port: toTheVmm(port, 'io'), mmio: toTheVmm(mmio, 'mmio'), cpuid: withinKvm(cpuid) };
    // The first run warms up.
    if (run === 0) continue;
    note(`port write to the VMM and back, ${extension}`, figures.port);
    note(`write to a device in memory, ${extension}`, figures.mmio);
    note(`CPUID, ${extension}`, figures.cpuid);
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
