import { Activity, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { encodeInterruptionInfo, InterruptionType } from '../controls/interruption.ts';
import { ExitReason } from '../exit/reasons.ts';
import { EntryControl, ExitControl, PinBased, Primary } from './controls.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

const info = (vector: number, type: number, errorCodeValid = false, nmiUnblockingDueToIret = false): number =>
  encodeInterruptionInfo({ vector, type: type as 0, errorCodeValid, nmiUnblockingDueToIret });
const handler = (vector: number): number => Guest.HANDLERS + vector * 16;
const { EXTERNAL_INTERRUPT, NMI, HARDWARE_EXCEPTION, SOFTWARE_INTERRUPT, PRIVILEGED_SOFTWARE_EXCEPTION, SOFTWARE_EXCEPTION } =
  InterruptionType;

/** Items on the guest's stack, 8 bytes each, from its RSP on; paging maps them one to one. */
function stack(m: VmxMachine, count: number): number[] {
  const sp = m.field('GUEST_RSP');
  return Array.from({ length: count }, (_, i) => Number(m.physical.read64(At.GUEST + sp + i * 8)));
}

describe('exceptions (SDM Vol. 3C, 26.2, 28.2.2, 28.2.3)', () => {
  test('#GP with its error code by the bitmap; RF is saved as 1 (28.3.3), the guest untouched', () => {
    const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 1n << 13n }).code([0x66, 0xb8, 0x88, 0, 0x8e, 0xd8]); // mov ax, 88h; mov ds, ax: a descriptor of zeros
    m.physical.write32(At.GUEST + Guest.GDT + 0x88, 0);
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
    expect(m.field('VM_EXIT_INTR_INFO')).toBe(info(13, HARDWARE_EXCEPTION, true));
    expect([m.field('VM_EXIT_INTR_ERROR_CODE'), m.field('GUEST_RIP'), m.field('GUEST_RSP')]).toEqual([0x88, Guest.CODE + 4, Guest.STACK]);
    expect(m.field('GUEST_RFLAGS') & 0x1_0000).toBe(0x1_0000);
  });

  test('#PF: the linear address is the qualification, CR2 keeps its value', () => {
    const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 1n << 14n }).code([0x88, 0x04, 0x25, 0x12, 0, 0x40, 0]);
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
    expect([m.field('VM_EXIT_INTR_INFO'), m.field('VM_EXIT_INTR_ERROR_CODE'), m.qualification]).toEqual([
      info(14, HARDWARE_EXCEPTION, true),
      2,
      0x40_0012,
    ]);
    expect(m.cpu.registers.get64(State.cr2)).toBe(0n);
  });

  // The error code is 2: a write to a page that is not present.
  test.each([
    [1n, 0n, 0n, true],
    [1n, 2n, 2n, true],
    [1n, 2n, 0n, false],
    [0n, 0n, 0n, false],
    [0n, 2n, 2n, false],
    [0n, 2n, 0n, true],
    [0n, 0n, 1n, true],
  ] as const)('#PF by bit 14 %s, mask %s, match %s: exits %s (25.6.3)', (bit, mask, match, exits) => {
    const m = new VmxMachine()
      .ready('64-bit', { EXCEPTION_BITMAP: bit << 14n, PAGE_FAULT_ERROR_CODE_MASK: mask, PAGE_FAULT_ERROR_CODE_MATCH: match })
      .code([0x88, 0x04, 0x25, 0x12, 0, 0x40, 0]);
    expect(m.enter()).toBe(exits ? ExitReason.EXCEPTION_NMI : ExitReason.HLT);
  });

  test('INT3 and INTO by the bitmap: software exceptions with their length; INT1 is privileged', () => {
    for (const [code, vector, type] of [
      [[0xcc], 3, SOFTWARE_EXCEPTION],
      [[0xf1], 1, PRIVILEGED_SOFTWARE_EXCEPTION],
    ] as const) {
      const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 0xffff_ffffn }).code(code);
      expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
      expect([m.field('VM_EXIT_INTR_INFO'), m.field('VM_EXIT_INSTRUCTION_LEN'), m.field('GUEST_RIP')]).toEqual([
        info(vector, type),
        1,
        Guest.CODE,
      ]);
      expect(m.qualification).toBe(0);
    }
  });

  test('a single-step #DB: BS in the qualification, DR6 unchanged (28.2.1)', () => {
    const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 2n, GUEST_RFLAGS: 0x102n }).code([0x90, 0xf4]);
    const dr6 = m.cpu.registers.get32(State.dr6);
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
    expect([m.qualification, m.field('GUEST_RIP'), m.field('GUEST_PENDING_DBG_EXCEPTIONS')]).toEqual([0x4000, Guest.CODE + 1, 0]);
    expect(m.cpu.registers.get32(State.dr6)).toBe(dr6);
  });

  test('INT n is no exception: it goes through the IDT whatever the bitmap', () => {
    const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 0xffff_ffffn }).code([0xcd, 0x0d]);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.HLT, handler(13)]);
  });

  test('a triple fault exits; a double fault on its way does not hide it', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_IDTR_LIMIT: 0n }).code([0x0f, 0x0b]);
    expect(m.enter()).toBe(ExitReason.TRIPLE_FAULT);
    expect([m.field('IDT_VECTORING_INFO_FIELD'), m.field('VM_EXIT_INTR_INFO')]).toEqual([0, 0]);
  });

  test('a double fault by the bitmap is no exit during event delivery (28.2.4)', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_IDTR_LIMIT: 0n, EXCEPTION_BITMAP: 1n << 8n }).code([0x0f, 0x0b]);
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
    // #UD is benign: the IDT's limit makes #GP of it, and #GP's delivery another: #DF.
    expect([m.field('VM_EXIT_INTR_INFO'), m.field('IDT_VECTORING_INFO_FIELD')]).toEqual([info(8, HARDWARE_EXCEPTION, true), 0]);
  });
});

describe('interrupts and NMIs', () => {
  const interrupted = (m: VmxMachine): VmxMachine => {
    m.cpu.interruptSource = { acknowledge: () => 0x55 };
    m.cpu.setInterruptRequest(true);
    return m;
  };
  test('an external interrupt exits whatever RFLAGS.IF; acknowledged on exit, with its vector (28.2.3)', () => {
    const m = interrupted(new VmxMachine().ready().code([0xeb, 0xfe]));
    expect(m.enter()).toBe(ExitReason.EXTERNAL_INTERRUPT);
    expect([m.field('VM_EXIT_INTR_INFO'), m.field('GUEST_RIP')]).toEqual([info(0x55, EXTERNAL_INTERRUPT), Guest.CODE]);
  });
  test('not acknowledged without the control', () => {
    const m = interrupted(new VmxMachine().ready().code([0xeb, 0xfe]));
    let acknowledged = 0;
    m.cpu.interruptSource = { acknowledge: () => ++acknowledged };
    m.turnOff('VM_EXIT_CONTROLS', ExitControl.acknowledgeInterruptOnExit);
    expect([m.enter(), m.field('VM_EXIT_INTR_INFO'), acknowledged]).toEqual([ExitReason.EXTERNAL_INTERRUPT, 0, 0]);
  });
  test('without "external-interrupt exiting" it is the guest\'s, when its IF is 1', () => {
    const m = interrupted(new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 2n }).code([0x90, 0xfb, 0x90, 0xf4]));
    m.cpu.interruptSource = { acknowledge: () => 0x30 };
    m.turnOff('PIN_BASED_VM_EXEC_CONTROL', PinBased.externalInterruptExiting);
    expect([m.enter(), m.field('GUEST_RIP'), stack(m, 1)[0]]).toEqual([ExitReason.HLT, handler(0x30), Guest.CODE + 3]);
  });
  test('an interrupt wakes and exits a halted guest: activity state HLT is saved', () => {
    const m = new VmxMachine().ready().code([0xf4, 0x90]);
    m.turnOff('CPU_BASED_VM_EXEC_CONTROL', Primary.hltExiting);
    m.vmx.vmlaunch();
    expect(m.cpu.run(100)).toBe('halted');
    expect(interrupted(m).go()).toBe(ExitReason.EXTERNAL_INTERRUPT);
    expect([m.field('GUEST_ACTIVITY_STATE'), m.field('GUEST_RIP')]).toEqual([1, Guest.CODE + 1]);
    m.cpu.setInterruptRequest(false);
    expect(m.cpu.activity).toBe(Activity.ACTIVE);
    // Entered again, the guest is halted still.
    m.vmx.vmresume();
    expect(m.cpu.run(100)).toBe('halted');
  });
  test('an NMI exits with "NMI exiting", and blocks NMIs of the host (28.5.5)', () => {
    const m = new VmxMachine().ready().code([0xeb, 0xfe]);
    m.cpu.raiseNmi();
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
    expect([m.field('VM_EXIT_INTR_INFO'), m.cpu.nmiBlocked, m.cpu.nmiPending]).toEqual([info(2, NMI), true, false]);
  });
  test('without "NMI exiting" the guest gets it, and IRET ends the blocking', () => {
    const m = new VmxMachine().ready().code([0x90, 0x0f, 0xa2]).code([0x48, 0xcf], handler(2));
    m.turnOff('PIN_BASED_VM_EXEC_CONTROL', PinBased.nmiExiting);
    m.cpu.raiseNmi();
    expect([m.enter(), m.field('GUEST_RIP'), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.CPUID, Guest.CODE + 1, 0]);
  });
  test('INIT exits; root operation blocks it (24.8)', () => {
    const m = new VmxMachine().ready().code([0xeb, 0xfe]);
    m.cpu.raiseInit();
    expect(m.cpu.run(1)).not.toBe('wait-for-sipi');
    expect(m.enter()).toBe(ExitReason.INIT_SIGNAL);
  });
  test('a SIPI exits a guest that waits for it, with its vector; INIT does not', () => {
    const m = new VmxMachine().ready('real', { GUEST_ACTIVITY_STATE: 3n });
    m.vmx.vmlaunch();
    expect(m.cpu.run(10)).toBe('wait-for-sipi');
    m.cpu.raiseStartUp(0x9a);
    expect([m.go(), m.qualification, m.field('GUEST_ACTIVITY_STATE')]).toEqual([ExitReason.SIPI_SIGNAL, 0x9a, 3]);
  });
});

describe('windows', () => {
  test('the interrupt window opens after the instruction that follows STI (26.2)', () => {
    const m = new VmxMachine()
      .ready()
      .code([0x90, 0xfb, 0x90, 0x90, 0xf4])
      .turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.interruptWindowExiting);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.INTERRUPT_WINDOW, Guest.CODE + 3]);
  });
  test('open at entry: no instruction is executed', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 0x202n }).code([0x90]);
    m.turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.interruptWindowExiting);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.INTERRUPT_WINDOW, Guest.CODE]);
  });
  test('a pending NMI comes before the interrupt window', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 0x202n }).code([0x90]);
    m.turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.interruptWindowExiting);
    m.cpu.raiseNmi();
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
  });
  test('the NMI window opens with IRET, under virtual NMIs', () => {
    const m = new VmxMachine().ready('64-bit', { VM_ENTRY_INTR_INFO_FIELD: BigInt(info(2, NMI)) }).code([0x90, 0x90, 0xf4]);
    m.code([0x90, 0x48, 0xcf], handler(2));
    m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.virtualNmis).turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.nmiWindowExiting);
    expect([m.enter(), m.field('GUEST_RIP'), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.NMI_WINDOW, Guest.CODE, 0]);
  });
  test('under virtual NMIs, blocking by NMI does not hold real ones', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_INTERRUPTIBILITY_INFO: 8n }).code([0xeb, 0xfe]);
    m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.virtualNmis);
    m.cpu.raiseNmi();
    expect([m.enter(), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.EXCEPTION_NMI, 8]);
  });
  test('with "NMI exiting" alone, blocking by NMI holds them, and IRET does not end it (26.3)', () => {
    const m = new VmxMachine()
      .ready('64-bit', { VM_ENTRY_INTR_INFO_FIELD: BigInt(info(2, NMI)) })
      .code([0xf4])
      .code([0x48, 0xcf], handler(2));
    m.vmx.vmlaunch();
    m.cpu.raiseNmi();
    expect([m.go(), m.field('GUEST_INTERRUPTIBILITY_INFO'), m.field('GUEST_RIP')]).toEqual([ExitReason.HLT, 8, Guest.CODE]);
  });
  test('the preemption timer ends at the exact instruction, and its rest is saved (26.5.1)', () => {
    for (const jitThreshold of [undefined, 1]) {
      // A loop of three instructions: inc eax; inc ecx; jmp.
      const m = new VmxMachine(jitThreshold === undefined ? {} : { jitThreshold }).ready('64-bit', { VMX_PREEMPTION_TIMER_VALUE: 31n });
      m.code([0xff, 0xc0, 0xff, 0xc1, 0xeb, 0xfa]).turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.activateVmxPreemptionTimer);
      m.turnOn('VM_EXIT_CONTROLS', ExitControl.saveVmxPreemptionTimerValue);
      const before = m.cpu.instructions;
      expect(m.enter(1e6)).toBe(ExitReason.PREEMPTION_TIMER);
      // 32 ticks a count (IA32_VMX_MISC[4:0] = 5), a tick an instruction; the first count ends where bit 5 of the TSC changes.
      const executed = m.cpu.instructions - before;
      expect(executed % 32 === 0 || (before + executed) % 32 === 0).toBe(true);
      expect(executed).toBeGreaterThan(30 * 32);
      expect(executed).toBeLessThanOrEqual(31 * 32);
      expect(m.gpr(0) + m.gpr(1)).toBe(Math.ceil(executed / 3) + Math.ceil((executed - 1) / 3));
      expect(m.field('VMX_PREEMPTION_TIMER_VALUE')).toBe(0);
    }
  });
  test('a timer of 0 ends before the first instruction, after an injected event', () => {
    const m = new VmxMachine().ready('64-bit', {
      VMX_PREEMPTION_TIMER_VALUE: 0n,
      VM_ENTRY_INTR_INFO_FIELD: BigInt(info(0x31, EXTERNAL_INTERRUPT)),
      GUEST_RFLAGS: 0x202n,
    });
    m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.activateVmxPreemptionTimer);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.PREEMPTION_TIMER, handler(0x31)]);
  });
  test.each(['halted', 'shutdown'] as const)('the preemption timer wakes a guest that is %s, as an NMI would (26.2)', (state) => {
    const m = new VmxMachine().ready('64-bit', {
      VMX_PREEMPTION_TIMER_VALUE: 1000n,
      GUEST_ACTIVITY_STATE: state === 'shutdown' ? 2n : 0n,
    });
    m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.activateVmxPreemptionTimer).turnOff('CPU_BASED_VM_EXEC_CONTROL', Primary.hltExiting);
    m.code([0xf4]).vmx.vmlaunch();
    const before = m.cpu.timeStamp.ticks();
    expect(m.cpu.run(100)).toBe(state);
    expect(m.processors.run(1e6).reason).toBe('stopped');
    expect([m.reason, m.field('GUEST_ACTIVITY_STATE')]).toEqual([ExitReason.PREEMPTION_TIMER, state === 'halted' ? 1 : 2]);
    expect(m.cpu.timeStamp.ticks() - before).toBeGreaterThan(999 * 32);
    expect(m.cpu.timeStamp.ticks() - before).toBeLessThanOrEqual(1001 * 32);
    expect(m.processors.clock.nextDeadlineNs).toBe(Number.POSITIVE_INFINITY);
  });
  test('an exit that comes before the timer wakes a halted guest takes the alarm back', () => {
    const m = new VmxMachine().ready('64-bit', { VMX_PREEMPTION_TIMER_VALUE: 1000n });
    m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.activateVmxPreemptionTimer | PinBased.nmiExiting);
    m.turnOff('CPU_BASED_VM_EXEC_CONTROL', Primary.hltExiting);
    m.code([0xf4]).vmx.vmlaunch();
    expect(m.cpu.run(100)).toBe('halted');
    m.cpu.raiseNmi();
    expect([m.go(), m.processors.clock.nextDeadlineNs]).toEqual([ExitReason.EXCEPTION_NMI, Number.POSITIVE_INFINITY]);
  });
  test('monitor trap flag: after each instruction, or at once after an injected event (26.5.2)', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 0x202n }).code([0x90, 0x48, 0x31, 0xc0, 0x0f, 0x0b]);
    m.turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.monitorTrapFlag);
    const steps = [];
    for (let i = 0; i < 3; i++) steps.push([m.enter(), m.field('GUEST_RIP')]);
    m.vmcs.assign({ VM_ENTRY_INTR_INFO_FIELD: BigInt(info(0x32, EXTERNAL_INTERRUPT)) });
    m.vmcs.assign({ GUEST_RFLAGS: 0x202n });
    steps.push([m.enter(), m.field('GUEST_RIP')]);
    expect(steps).toEqual([Guest.CODE + 1, Guest.CODE + 4, handler(6), handler(0x32)].map((rip) => [ExitReason.MONITOR_TRAP_FLAG, rip]));
  });
  test('a budget that ends leaves the guest in; an interrupt makes it exit', () => {
    const m = new VmxMachine().ready().code([0xeb, 0xfe]);
    m.vmx.vmlaunch();
    expect([m.cpu.run(1000), m.vmx.inNonRootOperation]).toEqual(['budget', true]);
    m.cpu.setInterruptRequest(true);
    expect([m.cpu.run(1), m.vmx.inNonRootOperation, m.reason]).toEqual(['stopped', false, ExitReason.EXTERNAL_INTERRUPT]);
  });
});

describe('event injection (SDM Vol. 3C, 27.6)', () => {
  const inject = (vector: number, type: number, changes: Record<string, bigint> = {}, errorCode?: number): VmxMachine => {
    const m = new VmxMachine().ready('64-bit', {
      GUEST_RFLAGS: 0x202n,
      VM_ENTRY_INTR_INFO_FIELD: BigInt(info(vector, type, errorCode !== undefined)),
      VM_ENTRY_EXCEPTION_ERROR_CODE: BigInt(errorCode ?? 0),
      VM_ENTRY_INSTRUCTION_LEN: 2n,
      EXCEPTION_BITMAP: 0xffff_ffffn,
      ...changes,
    });
    return m.code([0x90, 0x90, 0xf4]);
  };
  test.each([
    ['an external interrupt', 0x40 - 1, EXTERNAL_INTERRUPT, undefined, 0],
    ['an NMI', 2, NMI, undefined, 0],
    ['a hardware exception', 6, HARDWARE_EXCEPTION, undefined, 0],
    ['one with an error code', 13, HARDWARE_EXCEPTION, 0x1234, 0],
    ['a software interrupt: returns behind it', 0x21, SOFTWARE_INTERRUPT, undefined, 2],
    ['a privileged software exception', 1, PRIVILEGED_SOFTWARE_EXCEPTION, undefined, 2],
    ['a software exception', 3, SOFTWARE_EXCEPTION, undefined, 2],
  ] as const)('%s', (_name, vector, type, errorCode, length) => {
    const m = inject(vector, type, {}, errorCode);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.HLT, handler(vector)]);
    const frame = [Guest.CODE + length, 0x10];
    expect(stack(m, errorCode === undefined ? 2 : 3)).toEqual(errorCode === undefined ? frame : [errorCode, ...frame]);
    expect(m.field('GUEST_INTERRUPTIBILITY_INFO')).toBe(type === NMI ? 8 : 0);
    expect(m.field('VM_ENTRY_INTR_INFO_FIELD') >>> 31).toBe(0);
  });
  test('#PF and #DB leave CR2, DR6 and DR7 alone, and are not subject to the bitmap', () => {
    const m = inject(14, HARDWARE_EXCEPTION, {}, 2);
    m.cpu.registers.set64(State.cr2, 0x1234n);
    expect([m.enter(), m.field('GUEST_RIP'), m.cpu.registers.get64(State.cr2)]).toEqual([ExitReason.HLT, handler(14), 0x1234n]);
    const debug = inject(1, HARDWARE_EXCEPTION, { GUEST_DR7: 0x2400n });
    debug.turnOn('VM_ENTRY_CONTROLS', EntryControl.loadDebugControls);
    const dr6 = debug.cpu.registers.get32(State.dr6);
    expect([debug.enter(), debug.cpu.registers.get32(State.dr6)]).toEqual([ExitReason.HLT, dr6]);
  });
  test('it wakes a halted guest, even where its delivery exits (27.7.2)', () => {
    const m = inject(0x30, EXTERNAL_INTERRUPT, { GUEST_ACTIVITY_STATE: 1n });
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.HLT, handler(0x30)]);
    const exits = inject(0x30, EXTERNAL_INTERRUPT, { GUEST_ACTIVITY_STATE: 1n, GUEST_IDTR_LIMIT: 0x10n });
    expect([exits.enter(), exits.field('GUEST_ACTIVITY_STATE')]).toEqual([ExitReason.EXCEPTION_NMI, 0]);
  });
  test('it ends blocking by STI and MOV SS, even where its delivery exits (27.7.1)', () => {
    for (const blocking of [1n, 2n]) {
      const m = inject(0x30, SOFTWARE_INTERRUPT, { GUEST_INTERRUPTIBILITY_INFO: blocking, GUEST_IDTR_LIMIT: 0x10n });
      expect([m.enter(), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.EXCEPTION_NMI, 0]);
    }
  });
  test('RF of the frame is that of the guest, whatever the event (27.6.1.1); of an exit during its delivery, too', () => {
    for (const flags of [2, 0x1_0002]) {
      const m = inject(6, HARDWARE_EXCEPTION, { GUEST_RFLAGS: BigInt(flags) });
      expect([m.enter(), stack(m, 3)]).toEqual([ExitReason.HLT, [Guest.CODE, 0x10, flags]]);
      const exits = inject(6, HARDWARE_EXCEPTION, { GUEST_RFLAGS: BigInt(flags) }).eptEntry(Guest.STACK - 0x1000, 0);
      expect([exits.enter(), exits.field('GUEST_RFLAGS')]).toEqual([ExitReason.EPT_VIOLATION, flags]);
    }
  });
  test('INT n in virtual-8086 mode: IOPL has no say (27.6.1.1)', () => {
    const m = new VmxMachine().ready('v86', {
      GUEST_CR0: 0x31n,
      VM_ENTRY_INTR_INFO_FIELD: BigInt(info(0x21, SOFTWARE_INTERRUPT)),
      VM_ENTRY_INSTRUCTION_LEN: 2n,
      EXCEPTION_BITMAP: 1n << 13n,
    });
    m.turnOn('SECONDARY_VM_EXEC_CONTROL', 0x80);
    m.physical.write32(At.GUEST + Guest.IDT + 0x21 * 8 + 4, 0xee00);
    m.physical.write32(At.GUEST + Guest.TSS + 4, Guest.STACK);
    m.physical.write32(At.GUEST + Guest.TSS + 8, 0x18);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.HLT, handler(0x21)]);
  });
  test('SS of the TSS is read before ESP', () => {
    const m = new VmxMachine().ready('v86', { GUEST_CR0: 0x31n, VM_ENTRY_INTR_INFO_FIELD: BigInt(info(6, HARDWARE_EXCEPTION)) });
    m.turnOn('SECONDARY_VM_EXEC_CONTROL', 0x80).eptEntry(Guest.TSS, 0);
    expect([m.enter(), m.field('GUEST_PHYSICAL_ADDRESS')]).toEqual([ExitReason.EPT_VIOLATION, Guest.TSS + 8]);
  });
  test('in real-address mode, through the vector table', () => {
    const m = new VmxMachine().ready('real', {
      VM_ENTRY_INTR_INFO_FIELD: BigInt(info(0x21, SOFTWARE_INTERRUPT)),
      VM_ENTRY_INSTRUCTION_LEN: 2n,
    });
    expect([m.enter(), m.field('GUEST_RIP'), m.physical.read16(At.GUEST + m.field('GUEST_RSP'))]).toEqual([
      ExitReason.HLT,
      handler(0x21),
      Guest.CODE + 2,
    ]);
  });
  test('pending MTF (type 7): exits before the first instruction (27.6.2)', () => {
    const m = inject(0, 7);
    expect([m.enter(), m.field('GUEST_RIP')]).toEqual([ExitReason.MONITOR_TRAP_FLAG, Guest.CODE]);
  });
  test('pending debug exceptions are delivered at entry, and dropped by an injected interrupt (27.7.3)', () => {
    const pending = { GUEST_RFLAGS: 0x302n, GUEST_PENDING_DBG_EXCEPTIONS: 0x4000n };
    const m = new VmxMachine().ready('64-bit', { ...pending, EXCEPTION_BITMAP: 2n }).code([0x90]);
    expect([m.enter(), m.qualification, m.field('GUEST_RIP')]).toEqual([ExitReason.EXCEPTION_NMI, 0x4000, Guest.CODE]);
    expect([inject(0x30, EXTERNAL_INTERRUPT, pending).enter()]).toEqual([ExitReason.HLT]);
  });
  test('blocking by STI and MOV SS at entry holds interrupts for one instruction, and is saved by an exit in it', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 0x202n, GUEST_INTERRUPTIBILITY_INFO: 1n }).code([0x0f, 0xa2]);
    m.cpu.setInterruptRequest(true);
    expect([m.enter(), m.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([ExitReason.CPUID, 1]);
    m.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE + 2), GUEST_INTERRUPTIBILITY_INFO: 0n });
    expect(m.enter()).toBe(ExitReason.EXTERNAL_INTERRUPT);
  });
});

describe('exits during event delivery (28.2.4), and injecting again what they report', () => {
  /** The guest's stack cannot be written: EPT. */
  const withoutStack = (m: VmxMachine): VmxMachine => m.eptEntry(Guest.STACK - 0x1000, 0);
  /** Mends the EPT, injects what IDT-vectoring information says, and goes on to the handler. */
  const again = (m: VmxMachine): void => {
    m.eptEntry(Guest.STACK - 0x1000, (At.GUEST + Guest.STACK - 0x1000) | 0x37);
    m.vmcs.assign({
      VM_ENTRY_INTR_INFO_FIELD: BigInt(m.field('IDT_VECTORING_INFO_FIELD')),
      VM_ENTRY_EXCEPTION_ERROR_CODE: BigInt(m.field('IDT_VECTORING_ERROR_CODE')),
      VM_ENTRY_INSTRUCTION_LEN: BigInt(m.field('VM_EXIT_INSTRUCTION_LEN')),
    });
    m.enter();
  };
  test('an EPT violation while INT n is delivered: software interrupt, with its length', () => {
    const m = withoutStack(new VmxMachine().ready().code([0xcd, 0x21, 0xf4]));
    expect(m.enter()).toBe(ExitReason.EPT_VIOLATION);
    expect([m.field('IDT_VECTORING_INFO_FIELD'), m.field('VM_EXIT_INSTRUCTION_LEN'), m.field('GUEST_RIP')]).toEqual([
      info(0x21, SOFTWARE_INTERRUPT),
      2,
      Guest.CODE,
    ]);
    again(m);
    expect([m.reason, m.field('GUEST_RIP'), stack(m, 1)[0]]).toEqual([ExitReason.HLT, handler(0x21), Guest.CODE + 2]);
  });
  test('while an exception with an error code is delivered', () => {
    const m = withoutStack(new VmxMachine().ready().code([0x8b, 0x04, 0x25, 0, 0, 0x40, 0]));
    expect(m.enter()).toBe(ExitReason.EPT_VIOLATION);
    expect([m.field('IDT_VECTORING_INFO_FIELD'), m.field('IDT_VECTORING_ERROR_CODE')]).toEqual([info(14, HARDWARE_EXCEPTION, true), 0]);
    expect(m.field('GUEST_RFLAGS') & 0x1_0000).toBe(0x1_0000);
    again(m);
    expect([m.reason, m.field('GUEST_RIP'), stack(m, 2)]).toEqual([ExitReason.HLT, handler(14), [0, Guest.CODE]]);
  });
  test('while an injected interrupt is delivered: the entry itself ends in the exit', () => {
    const m = withoutStack(
      new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 0x202n, VM_ENTRY_INTR_INFO_FIELD: BigInt(info(0x30, EXTERNAL_INTERRUPT)) }),
    );
    expect(m.vmx.vmlaunch()).toEqual({ ok: true });
    expect([m.vmx.inNonRootOperation, m.reason, m.field('IDT_VECTORING_INFO_FIELD')]).toEqual([
      false,
      ExitReason.EPT_VIOLATION,
      info(0x30, EXTERNAL_INTERRUPT),
    ]);
    again(m);
    expect(m.field('GUEST_RIP')).toBe(handler(0x30));
  });
  test('an exception that exits while another event is delivered: both are reported', () => {
    const m = new VmxMachine().ready('64-bit', { EXCEPTION_BITMAP: 1n << 14n, GUEST_RSP: 0x40_1000n }).code([0xcd, 0x21]);
    expect(m.enter()).toBe(ExitReason.EXCEPTION_NMI);
    expect([m.field('VM_EXIT_INTR_INFO'), m.field('IDT_VECTORING_INFO_FIELD'), m.qualification >>> 12]).toEqual([
      info(14, HARDWARE_EXCEPTION, true),
      info(0x21, SOFTWARE_INTERRUPT),
      0x400,
    ]);
    expect(m.field('VM_EXIT_INSTRUCTION_LEN')).toBe(2);
  });
  test('a task gate: exit with its qualification and the event (Table 28-2)', () => {
    const m = new VmxMachine().ready('protected', { GUEST_CR0: 0x31n, GUEST_CR3: 0n }).code([0xcd, 0x20]);
    m.turnOn('SECONDARY_VM_EXEC_CONTROL', 0x80);
    m.physical.write32(At.GUEST + Guest.IDT + 0x20 * 8, 0x40 << 16);
    m.physical.write32(At.GUEST + Guest.IDT + 0x20 * 8 + 4, 0x8500);
    m.physical.write32(At.GUEST + Guest.GDT + 0x44, 0x8900);
    expect([m.enter(), m.qualification]).toEqual([ExitReason.TASK_SWITCH, 0xc000_0040]);
    expect([m.field('IDT_VECTORING_INFO_FIELD'), m.field('VM_EXIT_INSTRUCTION_LEN')]).toEqual([info(0x20, SOFTWARE_INTERRUPT), 2]);
  });
  test('a task switch by CALL: no event, the length of the instruction', () => {
    const m = new VmxMachine().ready('protected', { GUEST_CR0: 0x31n, GUEST_CR3: 0n }).code([0x9a, 0, 0, 0, 0, 0x40, 0]);
    m.turnOn('SECONDARY_VM_EXEC_CONTROL', 0x80);
    m.physical.write32(At.GUEST + Guest.GDT + 0x44, 0x8900);
    expect([m.enter(), m.qualification, m.field('IDT_VECTORING_INFO_FIELD'), m.field('VM_EXIT_INSTRUCTION_LEN')]).toEqual([
      ExitReason.TASK_SWITCH,
      0x40,
      0,
      7,
    ]);
  });
  test('NMI unblocking due to IRET: in the interruption information of its fault, and in the qualification of an EPT violation (28.2.3)', () => {
    const blocked = { GUEST_INTERRUPTIBILITY_INFO: 8n };
    const fault = new VmxMachine().ready('64-bit', { ...blocked, GUEST_RSP: 0x40_0000n, EXCEPTION_BITMAP: 1n << 14n }).code([0x48, 0xcf]);
    fault.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.virtualNmis);
    expect([fault.enter(), fault.field('VM_EXIT_INTR_INFO'), fault.field('GUEST_INTERRUPTIBILITY_INFO')]).toEqual([
      ExitReason.EXCEPTION_NMI,
      info(14, HARDWARE_EXCEPTION, true, true),
      0,
    ]);
    const violation = new VmxMachine().ready('64-bit', blocked).code([0x48, 0xcf]).eptEntry(Guest.STACK, 0);
    violation.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.virtualNmis);
    expect([violation.enter(), violation.qualification]).toEqual([ExitReason.EPT_VIOLATION, 0x1181]);
  });
  test('not in the information of a trap behind an IRET that succeeded', () => {
    const m = new VmxMachine()
      .ready('64-bit', { GUEST_INTERRUPTIBILITY_INFO: 8n, GUEST_RSP: BigInt(Guest.STACK - 40), EXCEPTION_BITMAP: 2n })
      .code([0x48, 0xcf, 0x90, 0x90]);
    m.turnOn('PIN_BASED_VM_EXEC_CONTROL', PinBased.virtualNmis);
    for (const [i, item] of [Guest.CODE + 2, 0x10, 0x102, Guest.STACK, 0x18].entries())
      m.physical.write64(At.GUEST + Guest.STACK - 40 + i * 8, BigInt(item));
    expect([m.enter(), m.field('VM_EXIT_INTR_INFO'), m.field('GUEST_RIP')]).toEqual([
      ExitReason.EXCEPTION_NMI,
      info(1, HARDWARE_EXCEPTION),
      Guest.CODE + 3,
    ]);
  });
});
