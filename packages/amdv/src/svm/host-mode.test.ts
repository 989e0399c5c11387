import { State } from '@minusone/x86';
import { expect, test } from 'vitest';
import { SvmExit } from '../exit/codes.ts';
import { Place, TestHost } from './testing/test-host.ts';

/** A host whose processor is as after reset, and a guest that halts. */
function untouched(): TestHost {
  const host = new TestHost().real().code(0xf4);
  const { registers } = host.cpu;
  registers.set32(State.cr0, 0x6000_0010);
  registers.set32(State.cr4, 0);
  registers.set32(State.efer, 0);
  host.cpu.updatePaging();
  host.cpu.updateMode();
  return host;
}

test('a processor on which nothing has run is brought to 64-bit mode with EFER.SVME before the first VMRUN by the face', () => {
  const host = untouched();
  host.svm.vmrun(Place.VMCB);
  host.cpu.run(10);
  expect(host.num('EXITCODE')).toBe(SvmExit.HLT);
  expect([host.cpu.isLongMode, host.cpu.registers.get32(State.efer) & 0x1000]).toEqual([true, 0x1000]);
});

test('where code has run, nothing is prepared: VMRUN raises #UD without EFER.SVME in protected mode (APM Vol. 3, VMRUN)', () => {
  const host = untouched();
  host.cpu.registers.set32(State.cr0, 0x6000_0011);
  host.cpu.updateMode();
  expect(() => host.svm.vmrun(Place.VMCB)).toThrow(/VMRUN raises #UD/);
  expect(host.cpu.registers.get32(State.efer)).toBe(0);
});
