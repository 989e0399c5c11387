// Walking page tables: stops the demonstration kernel in the middle of its work and asks what its tables say, step by step.
import { Access, formatTranslation, translate } from '@minusone/mmu';
import { BareProcessors, boot, DEMO_ADDRESS, demoKernel } from '@minusone/vmm';

const machine = await boot({ flat: { image: demoKernel(), address: DEMO_ADDRESS }, memory: '16M' });
await machine.serial.waitFor('primes below');
machine.stop();
await machine.ended;

const { processors, ram } = machine;
if (!(processors instanceof BareProcessors)) throw new Error('the bare CPU was asked for');
const [cpu] = processors.cpus;
if (cpu === undefined) throw new Error('a machine has a CPU');

/** Code that both tasks may run; the local APIC, which only the kernel may touch; an address that no table maps. */
const questions: [address: bigint, access: number][] = [
  [BigInt(DEMO_ADDRESS), Access.EXECUTE | Access.USER],
  [0xfee00020n, Access.READ],
  [0xfee00020n, Access.READ | Access.USER],
  [0x40000000n, Access.WRITE],
];
for (const [address, access] of questions)
  console.log(`${formatTranslation(translate(cpu.paging, ram.physical, address, access)).join('\n')}\n`);
