import { expect, test } from 'vitest';
import { State } from '../state/layout.ts';
import type { InterceptEvent } from './extension.ts';
import { TestMachine } from './test-machine.ts';

/** Takes every event of some kinds: the "exit" goes to 7000H, where HLT stands. */
function intercepting(m: TestMachine, kinds: readonly string[]): InterceptEvent[] {
  const seen: InterceptEvent[] = [];
  m.bytes(0x7000, [0xf4]);
  m.cpu.layer = {
    wantsBoundary: false,
    boundary: () => false,
    stage: null,
    addressSpaceTag: 1,
    slowRows: 0,
    acceptsInterrupt: (unmasked) => unmasked,
    acceptsNmi: (unmasked) => unmasked,
    intercept: (event) => {
      if (!kinds.includes(event.kind)) return false;
      seen.push(event);
      m.cpu.layer = undefined;
      m.cpu.registers.set32(State.eflags, 2);
      m.cpu.jumpTo(0x7000, 0);
      return true;
    },
  };
  return seen;
}

test('an intercepted instruction is abandoned: the layer has changed RIP, and nothing else happens', () => {
  const m = new TestMachine().protected().code([0x0f, 0xa2]).setGpr(0, 0x1234);
  const seen = intercepting(m, ['instruction']);
  expect(m.run()).toBe('halted');
  expect(seen).toEqual([{ kind: 'instruction', mnemonic: 'CPUID' }]);
  expect([m.gpr(0), m.rip]).toEqual([0x1234, 0x7001]);
});

test('an exception is intercepted before its delivery: CR2 and the stack are untouched (SDM Vol. 3C, 27.1)', () => {
  const m = new TestMachine().protected({ long: true }).code([0x8b, 0x04, 0x25, 0, 0, 0x40, 0]); // mov eax, [400000h]
  const seen = intercepting(m, ['exception']);
  expect(m.run()).toBe('halted');
  expect(seen[0]).toMatchObject({ kind: 'exception', vector: 14, errorCode: 0, addressLow: 0x400000, addressHigh: 0 });
  expect(m.cpu.registers.get64(State.cr2)).toBe(0n);
});

test('I/O, MSR and control register accesses carry what an exit qualification needs', () => {
  const io = new TestMachine().protected().code([0xe6, 0x80]);
  const ioSeen = intercepting(io, ['io']);
  io.run();
  expect(ioSeen[0]).toMatchObject({ port: 0x80, size: 1, input: false, string: false, rep: false, immediate: true });
  const cr = new TestMachine().protected().code([0x0f, 0x22, 0xd9]).setGpr(1, 0x5000); // mov cr3, ecx
  const crSeen = intercepting(cr, ['control-register']);
  cr.run();
  expect(crSeen[0]).toEqual({ kind: 'control-register', register: 3, write: true, gpr: 1, value: 0x5000n, by: 'mov' });
  expect(cr.cpu.registers.get64(State.cr3)).toBe(0n);
});

test('a triple fault goes to the layer instead of shutting the CPU down', () => {
  const m = new TestMachine().protected().code([0x0f, 0x0b]);
  m.cpu.registers.set32(State.idtrLimit, 0);
  const seen = intercepting(m, ['triple-fault']);
  expect(m.run()).toBe('halted');
  expect(seen).toHaveLength(1);
});

test('an external interrupt is offered before it is acknowledged', () => {
  const m = new TestMachine().protected().code([0x90, 0xf4]);
  let acknowledged = 0;
  m.cpu.interruptSource = { acknowledge: () => ++acknowledged };
  m.cpu.registers.set32(State.eflags, 0x202);
  m.cpu.setInterruptRequest(true);
  intercepting(m, ['external-interrupt']);
  m.cpu.run(1);
  expect([acknowledged, m.rip]).toEqual([0, 0x7001]);
});
