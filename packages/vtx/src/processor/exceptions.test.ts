import { describe, expect, test } from 'vitest';
import { encodeInterruptionInfo, InterruptionType } from '../controls/interruption.ts';
import { ExitReason } from '../exit/reasons.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

const exception = (vector: number, errorCodeValid = false): number =>
  encodeInterruptionInfo({ vector, type: InterruptionType.HARDWARE_EXCEPTION, errorCodeValid, nmiUnblockingDueToIret: false });

describe('an exception while another is delivered exits by its own bit, before the two become a double or triple fault (SDM Vol. 3C, 26.2)', () => {
  const DIVIDE_BY_ZERO = [0x31, 0xc9, 0xf7, 0xf1];
  /** Gates that are not present: what is delivered by them ends in #NP. */
  const withoutGates = (m: VmxMachine, vectors: readonly number[]): VmxMachine => {
    for (const vector of vectors) m.physical.write8(At.GUEST + Guest.IDT + vector * 16 + 5, 0x0e);
    return m;
  };
  const divided = (bitmap: bigint, absent: readonly number[]): VmxMachine =>
    withoutGates(new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: bitmap }), absent).code(DIVIDE_BY_ZERO);
  const reported = (m: VmxMachine): number[] => [m.enter(), m.field('VM_EXIT_INTR_INFO'), m.field('IDT_VECTORING_INFO_FIELD')];

  test('#NP while #DE is delivered: with bit 11, #NP exits; with bit 8 alone, #DF does', () => {
    expect(reported(divided(0x900n, [0]))).toEqual([ExitReason.EXCEPTION_NMI, exception(11, true), exception(0)]);
    expect(reported(divided(0x100n, [0]))).toEqual([ExitReason.EXCEPTION_NMI, exception(8, true), 0]);
  });
  test('#NP while #DF is delivered: with bit 11, no triple fault; IDT-vectoring information has #DF', () => {
    const m = withoutGates(new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 0x800n, GUEST_RSP: 0x40_1000n }), [8]).code([
      0x8b, 0x04, 0x25, 0, 0, 0x40, 0,
    ]);
    expect(reported(m)).toEqual([ExitReason.EXCEPTION_NMI, exception(11, true), exception(8, true)]);
    expect(reported(divided(0n, [0, 8]))).toEqual([ExitReason.TRIPLE_FAULT, 0, 0]);
  });
});

test('RF that software exceptions and INT n save is 0, whatever it was (28.3.3; Vol. 3B, 17.3.1.1)', () => {
  const RF = 0x1_0000;
  const state = { GUEST_RFLAGS: 0x1_0002n, EXCEPTION_BITMAP: 0xan };
  for (const code of [[0xcc], [0xf1]]) {
    const m = new VmxMachine().ready('64-bit', state).code(code);
    expect([m.enter(), m.field('GUEST_RFLAGS') & RF]).toEqual([ExitReason.EXCEPTION_NMI, 0]);
  }
  const m = new VmxMachine()
    .ready('64-bit', state)
    .code([0xcd, 0x20])
    .eptEntry(Guest.STACK - 0x1000, 0);
  expect([m.enter(), m.field('GUEST_RFLAGS') & RF]).toEqual([ExitReason.EPT_VIOLATION, 0]);
});
