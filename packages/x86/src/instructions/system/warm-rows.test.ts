import { expect, test } from 'vitest';
import { Eflags } from '../../cpu/eflags.ts';
import { type InterceptEvent, Layered } from '../../cpu/extension.ts';
import { CODE, TestMachine } from '../../cpu/test-machine.ts';
import { State } from '../../state/layout.ts';

// The rows that have an emitter for the usual case and TypeScript for the others: both sides of each condition.

const eflags = (m: TestMachine): number => m.cpu.registers.get32(State.eflags);

test('RDTSC in the middle of a block counts every instruction up to itself, with IA32_TSC_ADJUST added (SDM Vol. 3B, 17.17.3)', () => {
  const m = new TestMachine().protected().code([0x90, 0x90, 0x0f, 0x31, 0x90, 0xf4]); // nop; nop; rdtsc; nop; hlt
  m.cpu.msrs.write(0x3b, 0x5_0000_0000n);
  m.processors.run(100);
  expect([m.gpr(0), m.gpr(2)]).toEqual([3, 5]);
});

test('RDTSCP also reads IA32_TSC_AUX (SDM Vol. 2B, RDTSCP)', () => {
  const m = new TestMachine().protected().code([0x0f, 0x01, 0xf9, 0xf4]);
  m.cpu.msrs.write(0xc0000103, 0xfeed_0007n);
  m.processors.run(100);
  expect([m.gpr(0), m.gpr(1)]).toEqual([1, 0xfeed_0007]);
});

test('CR4.TSD keeps RDTSC to CPL 0 (SDM Vol. 2B, RDTSC)', () => {
  const m = new TestMachine().protected({ cpl: 3 }).code([0x0f, 0x31]);
  m.cpu.registers.set32(State.cr4, 4);
  m.run();
  expect(m.handled).toBe(13);
});

test('two CPUs: the counter that one reads after the other is never smaller', () => {
  const m = new TestMachine({ cpus: 2 }).protected().code([0x0f, 0x31, 0xa3, 0, 0x70, 0, 0, 0xeb, 0xf7]); // rdtsc; mov [7000h], eax; jmp
  m.processors.run(50_000);
  const read = m.physical.read32(0x7000);
  expect(read).toBeGreaterThan(40_000);
  expect(m.processors.clock.nowNs()).toBeGreaterThanOrEqual(read);
});

test('CLI and STI need IOPL not below CPL: otherwise #GP(0) (SDM Vol. 2A, CLI; Vol. 2B, STI)', () => {
  for (const opcode of [0xfa, 0xfb]) {
    const allowed = new TestMachine().protected({ cpl: 3 }).code([opcode, 0xf4]);
    allowed.cpu.registers.set32(State.eflags, 0x3002 | (opcode === 0xfa ? Eflags.IF : 0));
    allowed.cpu.run(1);
    expect(eflags(allowed)).toBe(0x3002 | (opcode === 0xfb ? Eflags.IF : 0));
    const refused = new TestMachine().protected({ cpl: 3 }).code([opcode, 0xf4]);
    refused.cpu.registers.set32(State.eflags, 0x2002);
    refused.run();
    expect(refused.handled).toBe(13);
  }
});

test('STI holds interrupts back for one instruction also where the run loop looks in between (SDM Vol. 2B, STI)', () => {
  const m = new TestMachine().protected().code([0xfb, 0x90, 0x90]);
  m.cpu.interruptSource = { acknowledge: () => 0x20 };
  expect(m.cpu.run(1)).toBe('budget');
  m.cpu.setInterruptRequest(true);
  m.run();
  expect(m.handled).toBe(0x20);
  expect(m.stack(1, 4)).toEqual([CODE + 2]);
});

test('STI with IF set already holds nothing back (SDM Vol. 2B, STI)', () => {
  const m = new TestMachine().protected().code([0xfb, 0x90, 0x90]);
  m.cpu.registers.set32(State.eflags, 0x202);
  m.cpu.interruptSource = { acknowledge: () => 0x20 };
  m.cpu.run(1);
  m.cpu.setInterruptRequest(true);
  m.run();
  expect(m.stack(1, 4)).toEqual([CODE + 1]);
});

test('PUSHF pushes the flags with VM and RF clear (SDM Vol. 2B, PUSHF)', () => {
  for (const long of [false, true]) {
    // cmp eax, eax; pushf; hlt
    const m = new TestMachine().protected({ long }).code([0x39, 0xc0, 0x9c, 0xf4]);
    m.cpu.registers.set32(State.eflags, 0x10602);
    m.run();
    expect(m.stack(1, long ? 8 : 4)).toEqual([0x602 | Eflags.ZF | Eflags.PF]);
  }
});

test('a layer intercepts PUSHF and RDTSC (APM Vol. 2, 15.9): nothing of the instruction happens', () => {
  for (const [mnemonic, code] of [
    ['PUSHF', [0x9c]],
    ['RDTSC', [0x0f, 0x31]],
  ] as const) {
    const m = new TestMachine()
      .protected()
      .code([...code, 0xf4])
      .bytes(0x7000, [0xf4]);
    const seen: InterceptEvent[] = [];
    const sp = m.gpr(4);
    m.cpu.layer = {
      wantsBoundary: false,
      boundary: () => false,
      stage: null,
      addressSpaceTag: 1,
      slowRows: Layered.FLAGS | Layered.TIME,
      acceptsInterrupt: (unmasked) => unmasked,
      acceptsNmi: (unmasked) => unmasked,
      intercept: (event) => {
        seen.push(event);
        m.cpu.layer = undefined;
        m.cpu.jumpTo(0x7000, 0);
        return true;
      },
    };
    m.run();
    expect(seen).toEqual([{ kind: 'instruction', mnemonic }]);
    expect([m.rip, m.gpr(4)]).toEqual([0x7001, sp]);
  }
});
