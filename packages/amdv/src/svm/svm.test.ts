import { expect, test } from 'vitest';
import { SvmExit } from '../exit/codes.ts';
import { Guest, TestHost } from './testing/test-host.ts';

test('a real-mode guest runs on nested pages and exits for CPUID, IOIO and HLT, with their next instructions (APM Vol. 2, 15.9, 15.10.2)', () => {
  const host = new TestHost().real().code(0xb0, 0x42, 0xe6, 0x10, 0x0f, 0xa2, 0xf4);
  expect(host.enter()).toBe(SvmExit.IOIO);
  expect([host.num('RIP'), host.num('NRIP'), host.num('EXITINFO2'), host.num('EXITINFO1'), host.num('RAX')]).toEqual([
    0x1002, 0x1004, 0x1004, 0x10_0090, 0x42,
  ]);
  host.set({ RIP: host.get('NRIP') });
  expect(host.enter()).toBe(SvmExit.CPUID);
  expect([host.num('RIP'), host.num('NRIP')]).toEqual([0x1004, 0x1006]);
  host.set({ RIP: host.get('NRIP') });
  expect(host.enter()).toBe(SvmExit.HLT);
  expect(host.svm.exits).toEqual({ IOIO: 1, CPUID: 1, HLT: 1 });
});

test('a 64-bit guest: NPF with the address and the instruction bytes (APM Vol. 2, 15.25.6, 15.8.4)', () => {
  const host = new TestHost().long().code(0x48, 0x8b, 0x04, 0x25, 0x08, 0x50, 0, 0, 0xf4); // mov rax, [5008h]
  host.nestedEntry(0x5000, 0n);
  expect(host.enter()).toBe(SvmExit.NPF);
  expect([host.get('EXITINFO1'), host.num('EXITINFO2'), host.num('RIP')]).toEqual([0x1_0000_0004n, 0x5008, Guest.CODE]);
  expect([...host.vmcb.instructionBytes].slice(0, 9)).toEqual([0x48, 0x8b, 0x04, 0x25, 0x08, 0x50, 0, 0, 0xf4]);
  host.nestedEntry(0x5000, BigInt(0x10_5000 | 7)).write64(0x5008, 0x1234n);
  expect(host.enter()).toBe(SvmExit.HLT);
  expect(host.num('RAX')).toBe(0x1234);
});
