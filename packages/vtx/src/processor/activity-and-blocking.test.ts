import { Activity, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { ExitReason } from '../exit/reasons.ts';
import { PinBased, Primary } from './controls.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

const STI = 1;
const MOV_SS = 2;

describe('an event that exits directly leaves activity and blocking; one whose delivery exits has ended both (SDM Vol. 3C, 28.1)', () => {
  const UD2 = [0x0f, 0x0b];
  test.each([STI, MOV_SS])('blocking %i and #UD', (blocking) => {
    const state = { GUEST_INTERRUPTIBILITY_INFO: BigInt(blocking), GUEST_RFLAGS: 0x202n };
    const direct = new VmxMachine().ready('64-bit', { ...state, EXCEPTION_BITMAP: 1n << 6n }).code(UD2);
    expect([direct.enter(), direct.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.EXCEPTION_NMI, blocking]);
    const indirect = new VmxMachine()
      .ready('64-bit', state)
      .code(UD2)
      .eptEntry(Guest.STACK - 0x1000, 0);
    expect([indirect.enter(), indirect.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.EPT_VIOLATION, 0]);
  });
  test('HLT and an interrupt', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_ACTIVITY_STATE: 1n, GUEST_RFLAGS: 0x202n }).eptEntry(Guest.STACK - 0x1000, 0);
    m.turnOff('PIN_BASED_VM_EXEC_CONTROL', PinBased.externalInterruptExiting);
    m.cpu.interruptSource = { acknowledge: () => 0x30 };
    m.cpu.setInterruptRequest(true);
    expect([m.enter(), m.field('GUEST_ACTIVITY_STATE')]).toEqual([ExitReason.EPT_VIOLATION, Activity.ACTIVE]);
  });
});

test('#MF has ended the blocking by STI when it exits (28.1)', () => {
  const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 1n << 16n, GUEST_RFLAGS: 2n, GUEST_CR0: 0x8000_0031n });
  // fninit; push 0; fldcw [rsp]; fldz; fld1; fdivrp; sti; fwait
  m.code([0xdb, 0xe3, 0x6a, 0, 0xd9, 0x2c, 0x24, 0xd9, 0xee, 0xd9, 0xe8, 0xde, 0xf1, 0xfb, 0x9b]);
  expect([m.enter(), m.field('VM_EXIT_INTR_INFO') & 0xff, m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([
    ExitReason.EXCEPTION_NMI,
    16,
    0,
  ]);
});

test('what MOV SS holds is saved by the exit of a fault behind it, and lost where the fault is delivered (28.3.4)', () => {
  const held = { GUEST_INTERRUPTIBILITY_INFO: BigInt(MOV_SS), GUEST_PENDING_DBG_EXCEPTIONS: 0x1001n };
  const m = new VmxMachine().ready('64-bit', { ...held, EXCEPTION_BITMAP: 0x42n }).code([0x0f, 0x0b]);
  expect([m.enter(), m.field('GUEST_PENDING_DBG_EXCEPTIONS')]).toEqual([ExitReason.EXCEPTION_NMI, 0x1001]);
  const delivered = new VmxMachine().ready('64-bit', { ...held, EXCEPTION_BITMAP: 2n }).code([0x0f, 0x0b]);
  expect([delivered.enter(), delivered.field('GUEST_PENDING_DBG_EXCEPTIONS')]).toEqual([ExitReason.HLT, 0]);
});

test('LSS blocks nothing (25.4.2, Table 25-3)', () => {
  const m = new VmxMachine().ready('real').code([0x0f, 0xb2, 0x06, 0x00, 0x70, 0x0f, 0xa2]); // lss ax, [7000h]; cpuid
  m.physical.write32(At.GUEST + 0x7000, 0);
  expect([m.enter(), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.CPUID, 0]);
});

test('a guest in the shutdown state does not shut the machine down (25.4.2)', () => {
  const m = new VmxMachine().ready('64-bit', { GUEST_ACTIVITY_STATE: 2n, VMX_PREEMPTION_TIMER_VALUE: 10n });
  m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.activateVmxPreemptionTimer).turnOff('CPU_BASED_VM_EXEC_CONTROL', Primary.hltExiting);
  const HLT = 0xf4;
  m.hostCode([HLT, 0x0f, 0x01, 0xc2]); // after the exit; VMLAUNCH
  m.cpu.registers.set64(State.cr3, BigInt(At.PAGES));
  m.cpu.updatePaging();
  m.cpu.updateMode();
  m.cpu.jumpTo(At.HOST_CODE + 1, 0);
  expect(m.processors.run(1e6).reason).toBe('idle');
  expect([m.reason, m.field('GUEST_ACTIVITY_STATE')]).toEqual([ExitReason.PREEMPTION_TIMER, Activity.SHUTDOWN]);
});

test('a SIPI that comes in root operation is lost, though an INIT is held back there (25.4.2, 24.8)', () => {
  const m = new VmxMachine().ready('real', { GUEST_ACTIVITY_STATE: 3n });
  m.cpu.raiseInit();
  m.cpu.raiseStartUp(0x12);
  m.vmx.vmlaunch();
  expect(m.cpu.run(10)).toBe('wait-for-sipi');
  m.cpu.raiseStartUp(0x34);
  expect([m.go(), m.qualification]).toEqual([ExitReason.SIPI_SIGNAL, 0x34]);
});
