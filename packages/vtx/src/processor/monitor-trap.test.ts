import { expect, test } from 'vitest';
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
