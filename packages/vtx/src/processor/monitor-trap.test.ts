import { describe, expect, test } from 'vitest';
import { encodeInterruptionInfo, InterruptionType } from '../controls/interruption.ts';
import { ExitReason } from '../exit/reasons.ts';
import { Primary } from './controls.ts';
import { Guest, VmxMachine } from './testing/vmx-machine.ts';

test.each([undefined, 1])(
  'the monitor trap flag exits behind each iteration of a repeated string instruction (26.5.2), threshold %s',
  (jitThreshold) => {
    const m = new VmxMachine(jitThreshold === undefined ? {} : { jitThreshold }).ready('64-bit').code([0xf3, 0xaa, 0x90, 0xf4]); // rep stosb; nop
    m.turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.monitorTrapFlag);
    m.setGpr(1, 3).setGpr(7, Guest.STACK - 0x100);
    const steps = Array.from({ length: 4 }, () => [m.enter(), m.field('GUEST_RIP') - Guest.CODE, m.gpr(1)]);
    expect(steps).toEqual([0, 0, 2, 3].map((rip, i) => [ExitReason.MONITOR_TRAP_FLAG, rip, [2, 1, 0, 0][i]]));
  },
);

describe('a pending MTF VM exit is injected (27.6.2, 27.7.8)', () => {
  const injected = (changes: Record<string, bigint> = {}): VmxMachine =>
    new VmxMachine()
      .ready('64-bit', {
        VM_ENTRY_INTR_INFO_FIELD: BigInt(encodeInterruptionInfo({ vector: 0, type: InterruptionType.OTHER_EVENT })),
        EXCEPTION_BITMAP: 2n,
        ...changes,
      })
      .code([0x90, 0xf4]);

  test('once, without the control', () => {
    const m = injected();
    expect([m.enter(), m.field('GUEST_RIP'), m.enter()]).toEqual([ExitReason.MONITOR_TRAP_FLAG, Guest.CODE, ExitReason.HLT]);
  });
  test('in HLT, and while STI or MOV SS blocks: what there was is saved', () => {
    const halted = injected({ GUEST_ACTIVITY_STATE: 1n });
    expect([halted.enter(), halted.field('GUEST_ACTIVITY_STATE')]).toEqual([ExitReason.MONITOR_TRAP_FLAG, 1]);
    for (const blocking of [1n, 2n]) {
      const m = injected({ GUEST_RFLAGS: 0x202n, GUEST_INTERRUPTIBILITY_INFO: blocking });
      expect([m.enter(), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.MONITOR_TRAP_FLAG, Number(blocking)]);
    }
  });
  test('before a debug exception that is pending, and that stays so', () => {
    const m = injected({ GUEST_PENDING_DBG_EXCEPTIONS: 0x4000n });
    expect([m.enter(), m.field('GUEST_PENDING_DBG_EXCEPTIONS')]).toEqual([ExitReason.MONITOR_TRAP_FLAG, 0x4000]);
    expect([m.enter(), m.qualification, m.field('GUEST_RIP')]).toEqual([ExitReason.EXCEPTION_NMI, 0x4000, Guest.CODE]);
  });
  test('no other vector, and not into shutdown', () => {
    const other = injected({ VM_ENTRY_INTR_INFO_FIELD: BigInt(encodeInterruptionInfo({ vector: 1, type: InterruptionType.OTHER_EVENT })) });
    expect(other.vmx.vmlaunch()).toMatchObject({ ok: false, error: 7 });
    const shutdown = injected({ GUEST_ACTIVITY_STATE: 2n });
    expect([shutdown.vmx.vmlaunch().ok, shutdown.field('VM_EXIT_REASON')]).toEqual([true, 0x8000_0021]);
  });
});

describe('with "monitor trap flag" the exit comes behind what happens first (26.5.2)', () => {
  const watched = (code: readonly number[], changes: Record<string, bigint> = {}): VmxMachine =>
    new VmxMachine().ready('64-bit', changes).code(code).turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.monitorTrapFlag);
  const handler = (vector: number): number => Guest.HANDLERS + vector * 16;

  test('the delivery of a fault, of INT n, of a pending debug exception', () => {
    for (const [vector, m] of [
      [6, watched([0x0f, 0x0b])],
      [0x21, watched([0xcd, 0x21])],
      [1, watched([0x90], { GUEST_PENDING_DBG_EXCEPTIONS: 0x4000n })],
    ] as const)
      expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.MONITOR_TRAP_FLAG, handler(vector)]);
  });
  test('not behind another exit', () => {
    const m = watched([0x0f, 0xa2]);
    expect(m.enter()).toBe(ExitReason.CPUID);
  });
  test('before the trap of a single step, which stays pending', () => {
    const m = watched([0x90, 0x90], { GUEST_RFLAGS: 0x102n, EXCEPTION_BITMAP: 2n });
    expect([m.enter(), m.field('GUEST_RIP'), m.field('GUEST_PENDING_DBG_EXCEPTIONS')]).toEqual([
      ExitReason.MONITOR_TRAP_FLAG,
      Guest.CODE + 1,
      0x4000,
    ]);
    expect([m.enter(), m.qualification, m.field('GUEST_RIP')]).toEqual([ExitReason.EXCEPTION_NMI, 0x4000, Guest.CODE + 1]);
  });
});
