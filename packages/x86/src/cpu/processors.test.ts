import { expect, test } from 'vitest';
import { State } from '../state/layout.ts';
import { Activity } from './activity.ts';
import { ApicRegister } from './apic/registers.ts';
import { HANDLERS, TestMachine } from './test-machine.ts';

const LOOP = [0xeb, 0xfe]; // jmp $

test('a timer interrupt lands on its exact instruction of virtual time', () => {
  const m = new TestMachine().protected().code(LOOP);
  m.cpu.registers.set32(State.eflags, 0x202);
  const apic = m.cpu.apic!;
  apic.writeRegister(ApicRegister.SVR, 0x1ff);
  apic.writeRegister(ApicRegister.LVT_TIMER, 0x20);
  apic.writeRegister(ApicRegister.TIMER_DIVIDE, 0xb);
  apic.writeRegister(ApicRegister.TIMER_INITIAL, 12345);
  m.gate(0x20, HANDLERS + 0x200).bytes(HANDLERS + 0x200, [0x0f, 0x31, 0xf4]); // rdtsc; hlt
  expect(m.processors.run(1_000_000).reason).toBe('idle');
  // 12345 jumps, the delivery and RDTSC itself are in the count.
  expect(m.gpr(0)).toBe(12345 + 2);
});

test('a timer armed by a running CPU shortens its window: a port write that arms it is enough', () => {
  const m = new TestMachine().protected().code([0xe6, 0x80, ...LOOP]);
  m.cpu.registers.set32(State.eflags, 0x202);
  let firedNs = -1;
  const timer = m.processors.clock.createTimer(() => {
    firedNs = m.processors.clock.nowNs();
    m.processors.stop();
  });
  m.ports.map(0x80, 1, { readPort: () => 0, writePort: () => timer.arm(m.processors.clock.nowNs() + 500) });
  expect(m.processors.run(1_000_000).reason).toBe('stopped');
  expect(firedNs).toBe(501);
  expect(m.cpu.instructions).toBe(501);
});

test('when every CPU halts, virtual time jumps to the next deadline; without one the machine is idle', () => {
  const m = new TestMachine().protected().code([0xfb, 0xf4, 0xf4]);
  const apic = m.cpu.apic!;
  apic.writeRegister(ApicRegister.SVR, 0x1ff);
  apic.writeRegister(ApicRegister.LVT_TIMER, 0x20);
  apic.writeRegister(ApicRegister.TIMER_DIVIDE, 0xb);
  apic.writeRegister(ApicRegister.TIMER_INITIAL, 1_000_000);
  expect(m.processors.run(10_000_000)).toEqual({ reason: 'idle' });
  expect(m.handled).toBe(0x20);
  expect(m.cpu.instructions).toBeLessThan(10);
  expect(m.processors.clock.nowNs()).toBeGreaterThanOrEqual(1_000_000);
});

test('INIT and SIPI start a second CPU at vector * 4096; each sees its own APIC at FEE00000H (SDM Vol. 3A, 8.4.4, 10.4.1)', () => {
  const m = new TestMachine({ cpus: 2 }).protected();
  const [bsp, ap] = m.processors.cpus as [typeof m.cpu, typeof m.cpu];
  expect(ap.activity).toBe(Activity.WAIT_FOR_SIPI);
  const write = (offset: number, value: number): number[] => {
    const address = 0xfee00000 + offset;
    const le = (x: number): number[] => [x & 255, (x >>> 8) & 255, (x >>> 16) & 255, x >>> 24];
    return [0xc7, 0x05, ...le(address), ...le(value)];
  };
  m.code([...write(0x310, 0x01000000), ...write(0x300, 0x4500), ...write(0x300, 0x4608), 0xa1, 0x20, 0, 0xe0, 0xfe, 0xf4]);
  m.bytes(0x8000, [0xb8, 0x34, 0x12, 0xf4]); // mov ax, 1234h; hlt
  expect(m.processors.run(100_000).reason).toBe('idle');
  expect(m.gpr(0)).toBe(0);
  expect([ap.registers.gprLow(0) & 0xffff, ap.activity, Number(ap.registers.rip)]).toEqual([0x1234, Activity.HALTED, 4]);
  expect(bsp.activity).toBe(Activity.HALTED);
});

test('several CPUs: two runs of the same machine execute the same, and the clock never steps back', () => {
  const trace = (): string => {
    const m = new TestMachine({ cpus: 2 }).protected();
    const [, ap] = m.processors.cpus as [typeof m.cpu, typeof m.cpu];
    m.code([0x0f, 0x31, 0xe6, 0x80, 0xeb, 0xfa]); // rdtsc; out 80h, al; loop
    ap.activity = Activity.ACTIVE;
    m.bytes(0x100, [0x0f, 0x31, 0xe6, 0x81, 0xeb, 0xfa]);
    ap.raiseInit();
    m.bytes(0, [0x0f, 0x31, 0xe6, 0x81, 0xeb, 0xfa]);
    ap.raiseStartUp(0);
    const seen: string[] = [];
    let last = 0;
    const note = (port: number): void => {
      const now = m.processors.clock.nowNs();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
      seen.push(`${port}@${now}`);
    };
    m.ports.map(0x80, 2, { readPort: () => 0, writePort: note });
    expect(m.processors.run(10_000).reason).toBe('budget');
    return seen.join();
  };
  const first = trace();
  expect(first).toContain('129@');
  expect(trace()).toBe(first);
});

test('a triple fault is reported with its CPU (SDM Vol. 3A, 6.15, #DF)', () => {
  const m = new TestMachine().protected().code([0x0f, 0x0b]);
  m.cpu.registers.set32(State.idtrLimit, 0);
  expect(m.processors.run(100)).toEqual({ reason: 'shutdown', cpu: m.cpu });
});
