import { describe, expect, test } from 'vitest';
import { type BootOptions, boot } from '../boot.ts';
import { DEMO_ADDRESS, demoKernel } from './kernel.ts';

/** Boots the demonstration kernel and returns what it printed, once it has ended. */
async function run(options: BootOptions = {}) {
  const machine = await boot({ flat: { image: demoKernel(), address: DEMO_ADDRESS }, memory: '16M', timeoutMs: 50_000, ...options });
  const end = await machine.ended;
  return { end, output: machine.serial.recentOutput, statistics: machine.statistics };
}

/** The number of primes below n. */
function primesBelow(n: number): number {
  const composite = new Uint8Array(n);
  let count = 0;
  for (let i = 2; i < n; i++) {
    if (composite[i] === 1) continue;
    count++;
    for (let multiple = i * i; multiple < n; multiple += i) composite[multiple] = 1;
  }
  return count;
}

/** The same picture as the kernel's, in the same fixed-point numbers (24 fraction bits). */
function mandelbrot(): string[] {
  const shades = ' .,:;!|=+*%@#';
  return Array.from({ length: 22 }, (_, y) =>
    Array.from({ length: 76 }, (_unused, x) => {
      const real = BigInt(-34 * 2 ** 20 + x * 42 * 2 ** 14);
      const imaginary = BigInt(-19 * 2 ** 20 + y * 113 * 2 ** 14);
      let [a, b] = [0n, 0n];
      for (let n = 0; n < 1000; n++) {
        const [aa, bb] = [(a * a) >> 24n, (b * b) >> 24n];
        if (aa + bb > 4n << 24n) return shades[Math.min(n, 11)];
        [a, b] = [aa - bb + real, ((a * b) >> 23n) + imaginary];
      }
      return shades[12];
    }).join(''),
  );
}

describe('the demonstration kernel', () => {
  test('prints exact results, whichever task runs when, and turns itself off', async () => {
    const { end, output } = await run();
    expect(end).toEqual({ reason: 'power-off', status: 0 });
    const lines = output.split('\n');
    expect(lines.slice(0, 2)).toEqual(['Ring Minus One: demonstration kernel, in real mode', '64-bit mode, paging on']);
    expect(lines[2]).toMatch(/^CPU: GenuineIntel, /);
    expect(lines.at(-1)).toBe('');
    expect(lines.at(-2)).toMatch(/^Both tasks done; idle for +\d+ of +\d+ timer ticks\. Power off\.$/);

    const body = lines.slice(3, -2);
    const primes = body.filter((line) => line.startsWith('primes below'));
    expect(primes.map((line) => line.match(/\d+/g)?.map(Number))).toEqual(
      Array.from({ length: 10 }, (_, i) => [(i + 1) * 10_000, primesBelow((i + 1) * 10_000)]),
    );
    expect(body.filter((line) => !line.startsWith('primes below'))).toEqual(mandelbrot());
    // Both tasks ran side by side: the picture was not finished before the first prime count, nor the other way round.
    expect(body.findIndex((line) => line.startsWith('primes below'))).toBeLessThan(22);
    expect(body.findIndex((line) => !line.startsWith('primes below'))).toBeLessThan(10);
  });

  test('is the same run every time on the virtual clock: output and instruction count', async () => {
    const runs = [await run(), await run()];
    expect(runs[0]?.output).toBe(runs[1]?.output);
    expect(runs[0]?.statistics.instructions).toBe(runs[1]?.statistics.instructions);
  });

  test('runs the same interpreted as compiled, and on AMD but for the name', async () => {
    const [compiled, interpreted, amd] = [await run(), await run({ jit: false }), await run({ model: 'amd' })];
    expect(interpreted.output).toBe(compiled.output);
    expect(interpreted.statistics.instructions).toBe(compiled.statistics.instructions);
    expect(interpreted.statistics.instructionsInRegions).toBe(0);
    expect(compiled.statistics.instructionsInRegions).toBeGreaterThan(0.8 * compiled.statistics.instructions);
    expect(amd.output).toMatch(/^CPU: AuthenticAMD, /m);
    expect(amd.end).toEqual({ reason: 'power-off', status: 0 });
  });

  test('runs on the host clock, and with processors that it does not start', async () => {
    const { end, output } = await run({ clock: 'host' });
    expect(end).toEqual({ reason: 'power-off', status: 0 });
    expect(output.match(/primes below/g)).toHaveLength(10);
    expect((await run({ cpus: 4 })).end).toEqual({ reason: 'power-off', status: 0 });
  });
});
