import { PagingControls } from '@minusone/mmu';
import { describe, expect, test } from 'vitest';
import { FlagKind, writeArithmeticFlags } from '../../state/arithmetic-flags.ts';
import { Gpr, NO_STI, State } from '../../state/layout.ts';
import { Exit } from '../exit.ts';
import { TestCpu, type TestCpuOptions } from '../test-machine.ts';
import { Lockstep, LockstepSide } from './lockstep.ts';
import { Random, randomProgram } from './testing/random-program.ts';

const CODE = 0x4_0000;
const DATA = 0x1_0000;
const STACK = 0x3_0000;
const PML4 = 0x8_0000;

/** The same program on two machines; the interpreter follows the JIT to wherever a region is left. */
class Pair {
  readonly jit: TestCpu;
  readonly interpreter: TestCpu;
  readonly lockstep: Lockstep;
  #budget = 0;
  #followed = 0;
  executed = 0;

  constructor(options: TestCpuOptions, setUp: (cpu: TestCpu) => void) {
    this.jit = new TestCpu({ origin: CODE, ...options, jit: { threshold: 1, lockstep: true, ...options.jit } });
    this.interpreter = new TestCpu({ origin: CODE, ...options });
    setUp(this.jit);
    setUp(this.interpreter);
    this.lockstep = new Lockstep(
      new LockstepSide(this.jit.memory, this.jit.state),
      new LockstepSide(this.interpreter.memory, this.interpreter.state),
    );
    if (this.jit.space.regions !== undefined) this.jit.space.regions.onRegionExit = () => this.#follow();
  }
  #follow(): void {
    const done = this.#budget - this.jit.registers.get32(State.budget);
    if (done > this.#followed) this.interpreter.run(done - this.#followed);
    this.#followed = done;
    this.lockstep.compare(() => this.lockstep.place(this.executed + done));
  }
  /** Runs both, and compares at the end too; a fault makes both go on at the start. */
  run(budget: number): void {
    this.#budget = budget;
    this.#followed = 0;
    const result = this.jit.run(budget);
    this.executed += result.instructions;
    this.#follow();
    if (result.exit === Exit.BUDGET || result.exit === Exit.LEAVE) return;
    const expected = this.interpreter.run(1);
    expect(expected.exit).toBe(result.exit);
    if (result.exit === Exit.FAULT)
      expect([result.vector, result.errorCode, result.faultAddress]).toEqual([expected.vector, expected.errorCode, expected.faultAddress]);
    for (const cpu of [this.jit, this.interpreter]) {
      // A system row (PUSHF in the programs) has no one to run it here.
      cpu.rip = result.exit === Exit.SYSTEM ? cpu.rip + BigInt(cpu.engine.currentInsn().length) : BigInt(CODE);
    }
  }
}

function fillRegisters(cpu: TestCpu, seed: number): void {
  const random = new Random(seed);
  for (let n = 0; n < 16; n++) cpu.setGpr(n, (BigInt(random.below(2 ** 31)) << 33n) ^ BigInt(random.below(2 ** 31)));
  cpu.setGpr(Gpr.RBP, BigInt(DATA)).setGpr(Gpr.RSP, BigInt(STACK)).setGpr(Gpr.R15, BigInt(CODE));
  for (let n = 0; n < 0x2000; n++) cpu.physical.write8(DATA + n, random.below(256));
}

/** Runs random programs in pieces of random length. */
function runPrograms(
  seeds: number,
  pieces: number,
  options: TestCpuOptions & { patches?: boolean; simd?: boolean; setUp?: (cpu: TestCpu) => void },
): number {
  let inRegions = 0;
  let all = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const random = new Random(seed * 77);
    const bits = (options.bits ?? 64) as 32 | 64;
    const program = randomProgram(seed, {
      bits,
      patches: options.patches === true,
      simd: options.simd === true,
      padding: seed % 3 === 0 ? 1500 : 0,
    });
    const pair = new Pair(options, (cpu) => {
      options.setUp?.(cpu);
      fillRegisters(cpu, seed);
      cpu.load(program.code);
    });
    for (let piece = 0; piece < pieces; piece++) {
      try {
        pair.run(1 + random.below(random.below(4) === 0 ? 8 : 300));
      } catch (error) {
        throw new Error(`Program ${seed}: ${(error as Error).message}`, { cause: error });
      }
    }
    const { statistics } = pair.jit.engine;
    inRegions += statistics.instructionsInRegions;
    all += statistics.instructions;
  }
  return inRegions / all;
}

describe('the JIT in lockstep with the interpreter, compared wherever a region is left', () => {
  test('random 64-bit programs: loops, branches, memory, calls, faults in the middle, budgets cut anywhere', () => {
    expect(runPrograms(12, 24, { bits: 64 })).toBeGreaterThan(0.8);
  });
  test('random 32-bit programs', () => {
    expect(runPrograms(6, 24, { bits: 32 })).toBeGreaterThan(0.8);
  });
  test('random programs with SSE and x87 instructions among the others', () => {
    expect(runPrograms(8, 24, { bits: 64, simd: true })).toBeGreaterThan(0.8);
  });
  test('programs that change their own code', () => {
    runPrograms(7, 24, { bits: 64, patches: true });
  });
  test('page faults in the middle of blocks leave no trace', () => {
    const setUp = (cpu: TestCpu): void => {
      cpu.physical.write64(PML4, BigInt(PML4 + 0x1000 + 7));
      cpu.physical.write64(PML4 + 0x1000, BigInt(PML4 + 0x2000 + 7));
      cpu.physical.write64(PML4 + 0x2000, BigInt(PML4 + 0x3000 + 7));
      // The second page of the data is read-only.
      for (let page = 0; page < 256; page++)
        cpu.physical.write64(PML4 + 0x3000 + page * 8, BigInt(page * 4096 + (page === (DATA >> 12) + 1 ? 1 : 3)));
    };
    const paging = new PagingControls({ kind: '4-level', root: PML4, wp: true, nxe: true });
    runPrograms(7, 24, { bits: 64, paging, setUp });
  });
});

describe('the comparison itself', () => {
  const pair = new Pair({ bits: 64 }, (cpu) => cpu.load([0x90]));
  const compare = () => pair.lockstep.compare(() => 'here');
  const { memory, state } = pair.jit;

  test.each([
    ['gpr', State.gpr, 'gpr[0]+0'],
    ['the high half of RIP', State.rip + 4, 'rip+4'],
    ['EFLAGS', State.eflags, 'eflags+0'],
    ['a hidden part of GS', State.segments + 5 * 40 + 36, 'segments[5]+36'],
    ['CR2', State.cr2, 'cr2+0'],
    ['the upper half of YMM15', State.ymm + 15 * 32 + 28, 'ymm[15]+28'],
    ['the exponent of R7', State.fpr + 7 * 16 + 8, 'fpr[7]+8'],
    ['IA32_KERNEL_GS_BASE', State.kernelGsBase + 4, 'kernelGsBase+4'],
  ])('notices %s', (_, offset, name) => {
    compare();
    memory.i32[(state + offset) >>> 2]! ^= 0x100;
    expect(compare).toThrow(`differ here: ${name} `);
    memory.i32[(state + offset) >>> 2]! ^= 0x100;
    compare();
  });
  test('compares arithmetic flags by value, whatever form they are kept in', () => {
    const [jit, interpreter] = [pair.jit.registers, pair.interpreter.registers];
    writeArithmeticFlags(jit, 0);
    writeArithmeticFlags(interpreter, 0);
    compare();
    // A result of zero: ZF and PF.
    jit.set32(State.ccOp, FlagKind.LOGIC);
    expect(compare).toThrow('flags 0x44, not 0x0');
    writeArithmeticFlags(interpreter, 0x44);
    compare();
  });
  test('compares the shadow of an STI by what it means: the budget behind it is still the same', () => {
    const { registers } = pair.jit;
    registers.set32(State.stiBudget, registers.get32(State.budget) + 1);
    compare();
    registers.set32(State.stiBudget, registers.get32(State.budget));
    expect(compare).toThrow('interrupt shadow 1, not 0');
    registers.set32(State.stiBudget, NO_STI);
    compare();
  });
  test('notices one bit of memory that either machine wrote; accessed and dirty flags may come early, and must then be there in both', () => {
    const { jit, interpreter } = pair;
    jit.physical.write8(DATA + 5, 1);
    expect(compare).toThrow('memory 0x10004 0x100, not 0x0');
    interpreter.physical.write8(DATA + 5, 1);
    compare();
    interpreter.physical.write8(DATA + 7, 0x80);
    expect(compare).toThrow('memory 0x10004');
    jit.physical.write8(DATA + 7, 0x80);
    compare();
    // Bit 5 is A, in any word that may be an entry: tolerated, and looked at again.
    jit.physical.write8(DATA, 0x20);
    compare();
    compare();
    jit.physical.write8(DATA, 0x21);
    expect(compare).toThrow('memory 0x10000');
  });
});
