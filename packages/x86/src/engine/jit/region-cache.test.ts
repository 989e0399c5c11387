import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { Exit } from '../exit.ts';
import { TestCpu } from '../test-machine.ts';
import { manyRegions } from './testing/many-regions.ts';

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** DEC ECX; JNZ back; JMP to the start. */
const LOOP = [0xff, 0xc9, 0x75, 0xfc, 0xeb, 0xfa];

describe('what is compiled', () => {
  test('a block is interpreted until it has been entered as often as the threshold says', () => {
    const cpu = new TestCpu({ jit: { threshold: 100, batch: 1 } });
    cpu.load(LOOP).setGpr(1, 1_000_000n);
    cpu.run(2 * 99);
    expect(cpu.engine.statistics).toMatchObject({ regionsCompiled: 0, instructionsInRegions: 0 });
    cpu.run(2000);
    expect(cpu.engine.statistics.regionsCompiled).toBe(1);
    expect(cpu.engine.statistics.instructionsInRegions).toBeGreaterThan(1900);
  });
  test('without a JIT everything is interpreted', () => {
    const cpu = new TestCpu();
    cpu.load(LOOP);
    cpu.run(5000);
    expect(cpu.engine.statistics).toMatchObject({ regionsCompiled: 0, instructionsInRegions: 0 });
  });
  test('regions that wait are compiled together once one of them becomes hot again', () => {
    const cpu = new TestCpu({ jit: { threshold: 100 } });
    // Two blocks that take turns: JMP +0; JMP -4.
    cpu.load([0xeb, 0x00, 0xeb, 0xfc]);
    cpu.run(2 * 110);
    expect(cpu.engine.statistics.regionsCompiled).toBe(0);
    cpu.run(100);
    expect(cpu.engine.statistics.regionsCompiled).toBe(2);
  });
  test('code that is written loses its region, and what replaces it is run', () => {
    const cpu = new TestCpu({ jit: { threshold: 1 } });
    cpu.load([0x83, 0xc0, 0x01, 0xeb, 0xfb]); // add eax, 1; jmp back
    cpu.run(1000);
    expect(cpu.space.regions?.size).toBe(1);
    cpu.physical.write8(0x1002, 5);
    expect(cpu.space.regions?.size).toBe(0);
    const before = cpu.gpr(0);
    cpu.run(1000);
    expect(cpu.gpr(0) - before).toBe(500n * 5n);
  });
  test('an instruction across pages and a system row are left to the interpreter', () => {
    const cpu = new TestCpu({ jit: { threshold: 1 }, origin: 0x1ffc });
    cpu.load([0xff, 0xc0, 0x81, 0xc1, 1, 0, 0, 0, 0xff, 0xc2, 0x0f, 0x0b]); // inc eax; add ecx, 1 (across); inc edx; ud2
    const { exit, instructions } = cpu.run(100);
    expect([exit, instructions, cpu.gpr(0), cpu.gpr(1), cpu.gpr(2)]).toEqual([Exit.SYSTEM, 4, 1n, 1n, 1n]);
  });
});

describe('bounds', () => {
  test('regions and slots of the table stay below the limit', () => {
    const { cpu, run } = manyRegions({ maxRegions: 64 });
    run(1000);
    const regions = cpu.space.regions;
    expect(regions?.regionsCompiled).toBeGreaterThanOrEqual(1000);
    expect(regions?.size).toBeLessThanOrEqual(64);
    expect(regions?.runtime.table.length).toBeLessThanOrEqual(1 + 64 + 64);
  });
  test('what is flushed can be collected', async () => {
    const { cpu, run } = manyRegions({ maxRegions: 4096 });
    run(200);
    const regions = cpu.space.regions;
    const { table } = regions?.runtime ?? { table: undefined };
    const held: WeakRef<object>[] = [];
    for (let slot = 1; slot <= 200; slot++) {
      const compiled = table?.get(slot) as object | null;
      if (compiled !== null) held.push(new WeakRef(compiled));
    }
    expect(held.length).toBeGreaterThan(150);
    regions?.flush();
    await new Promise((resolve) => setTimeout(resolve, 10));
    collectGarbage();
    expect(held.filter((one) => one.deref() !== undefined).length).toBeLessThan(10);
  });
});
