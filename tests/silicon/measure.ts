/** How many cases a second the silicon harness runs here, encoding and decoding included: `npx tsx tests/silicon/measure.ts`. */
import { runOnSilicon, type SiliconCase, siliconAvailable, WINDOWS } from './harness.ts';

const unavailable = siliconAvailable();
if (unavailable) throw new Error(unavailable);

const CASES = 50_000;
const RUNS = 3;
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const regs = BigUint64Array.from({ length: 16 }, (_, i) => BigInt(i === 4 ? WINDOWS.stack + 0x800 : i === 1 ? 10 : WINDOWS.data + 8 * i));
const fxsave = new Uint8Array(512);
new DataView(fxsave.buffer).setUint16(0, 0x37f, true);
new DataView(fxsave.buffer).setUint32(24, 0x1f80, true);
const loop = hex('4801c848ffc975f8488907'); // ten turns of three instructions, then a store

const workloads: Record<string, (index: number) => SiliconCase> = {
  'one instruction': () => ({ code: hex('4801c8'), regs }),
  'one instruction, free': () => ({ code: hex('4801c8'), regs, instructions: 'free' }),
  'one instruction, to memory': () => ({ code: hex('480107'), regs }),
  'one instruction, a new seed each': (index) => ({ code: hex('480107'), regs, seed: index }),
  'one instruction, with FXSAVE image and YMM': () => ({ code: hex('0f58c1'), regs, fxsave, ymmHigh: new Uint8Array(256) }),
  'one instruction that faults': () => ({ code: hex('0f0b'), regs }),
  'a loop of 31 instructions, free': () => ({ code: loop, regs, instructions: 'free' }),
  'a loop of 31 instructions, stepped': () => ({ code: loop, regs, instructions: 1000 }),
};

for (const [name, make] of Object.entries(workloads)) {
  const cases = Array.from({ length: CASES }, (_, index) => make(index));
  const rates: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    const began = performance.now();
    await runOnSilicon(cases);
    rates.push(Math.round((CASES / (performance.now() - began)) * 1000));
  }
  rates.sort((a, b) => a - b);
  console.log(`${name}: ${rates[RUNS >> 1]} cases/s (${rates[0]} to ${rates[RUNS - 1]})`);
}
