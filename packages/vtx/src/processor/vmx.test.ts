import { expect, test } from 'vitest';
import { ExitReason } from '../exit/reasons.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

test('a 64-bit guest exits for CPUID, HLT and OUT, and goes on after each', () => {
  const m = new VmxMachine().ready().code([0x0f, 0xa2, 0xe6, 0x10, 0xf4]);
  expect(m.enter()).toBe(ExitReason.CPUID);
  expect([m.field('GUEST_RIP'), m.field('VM_EXIT_INSTRUCTION_LEN')]).toEqual([Guest.CODE, 2]);
  m.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE + 2) });
  expect(m.enter()).toBe(ExitReason.IO_INSTRUCTION);
  expect(m.qualification).toBe(0x0010_0040);
  m.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE + 4) });
  expect(m.enter()).toBe(ExitReason.HLT);
  expect(m.vmx.exits).toEqual({ CPUID: 1, IO_INSTRUCTION: 1, HLT: 1 });
  expect(m.cpu.registers.rip).toBe(BigInt(At.HOST_CODE));
});

test('a real-mode guest runs under "unrestricted guest"', () => {
  const m = new VmxMachine().ready('real').code([0xb8, 0x34, 0x12, 0xf4]);
  expect(m.enter()).toBe(ExitReason.HLT);
  expect(m.gpr(0)).toBe(0x1234);
});
