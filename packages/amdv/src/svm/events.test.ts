import { asm64 } from '@minusone/asm';
import { Gpr, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { decodeEvent, encodeEvent, SvmEventType } from '../events/event-information.ts';
import { SvmExit } from '../exit/codes.ts';
import { Guest, Place, TestHost } from './testing/test-host.ts';

const long = asm64.with({ origin: Guest.CODE });
const handler = (vector: number): number => Guest.HANDLERS + vector * 16;
/** RIP, CS, RFLAGS ... of the frame that a handler's HLT was reached with; the error code first, if there is one. */
const frame = (host: TestHost, count: number): bigint[] => Array.from({ length: count }, (_, i) => host.read64(host.num('RSP') + i * 8));

describe('event injection (APM Vol. 2, 15.20)', () => {
  const inject = (type: SvmEventType, vector: number, errorCode?: number): TestHost =>
    new TestHost()
      .long()
      .load(long`nop`)
      .set({ EVENTINJ: encodeEvent({ type, vector, ...(errorCode === undefined ? {} : { errorCode }) }) });

  test.each([
    ['an external interrupt', SvmEventType.INTR, 0x31],
    ['an exception', SvmEventType.EXCEPTION, 6],
    ['an NMI', SvmEventType.NMI, 2],
    ['a software interrupt', SvmEventType.SOFTWARE_INTERRUPT, 0x21],
  ] as const)('%s comes before the first instruction, and V is cleared', (_, type, vector) => {
    const host = inject(type, vector).set({ NRIP: BigInt(Guest.CODE) });
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(handler(vector));
    expect(frame(host, 2)).toEqual([BigInt(Guest.CODE), 8n]);
    expect(decodeEvent(host.get('EVENTINJ'))).toBeUndefined();
  });

  test('an error code is pushed; CR2 stays what the VMCB says', () => {
    const host = inject(SvmEventType.EXCEPTION, 14, 6).set({ CR2: 0x1234_5678_9000n });
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([host.num('RIP'), ...frame(host, 2)]).toEqual([handler(14), 6n, BigInt(Guest.CODE)]);
    expect(host.get('CR2')).toBe(0x1234_5678_9000n);
  });

  test('injected exceptions are not intercepted', () => {
    const host = inject(SvmEventType.EXCEPTION, 13, 0).set({ INTERCEPT_EXCEPTIONS: 1n << 13n });
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(handler(13));
  });

  test('an injected #DB leaves DR6 and DR7 as they are', () => {
    const host = inject(SvmEventType.EXCEPTION, 1).set({ DR6: 0xffff_0ff1n, DR7: 0x2400n });
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([host.num('RIP'), host.num('DR6'), host.num('DR7')]).toEqual([handler(1), 0xffff_0ff1, 0x2400]);
  });

  test('with NRIP save the frame of INT n, INT3 and INTO points to nRIP; that of others to RIP', () => {
    for (const [type, vector, returns] of [
      [SvmEventType.SOFTWARE_INTERRUPT, 0x21, 0x1002],
      [SvmEventType.EXCEPTION, 3, 0x1002],
      [SvmEventType.EXCEPTION, 4, 0x1002],
      [SvmEventType.EXCEPTION, 6, 0x1000],
      [SvmEventType.INTR, 0x21, 0x1000],
    ] as const) {
      const host = inject(type, vector).set({ NRIP: 0x1002n });
      expect(host.enter()).toBe(SvmExit.HLT);
      expect(frame(host, 1)).toEqual([BigInt(returns)]);
    }
  });

  test('a software interrupt needs the right to its gate: #GP that is reported with the event in EXITINTINFO', () => {
    const host = inject(SvmEventType.SOFTWARE_INTERRUPT, 0x21).set({
      INTERCEPT_EXCEPTIONS: 1n << 13n,
      NRIP: 0x1002n,
      CPL: 3n,
      CS_SELECTOR: 0x1bn,
      CS_ATTRIBUTES: 0xafbn,
      SS_SELECTOR: 0x23n,
      SS_ATTRIBUTES: 0xcf3n,
    });
    expect(host.enter()).toBe(SvmExit.EXCP13);
    expect(host.num('EXITINFO1')).toBe(0x21 * 8 + 2);
    expect(decodeEvent(host.get('EXITINTINFO'))).toEqual({ type: SvmEventType.SOFTWARE_INTERRUPT, vector: 0x21 });
    expect(host.num('RIP')).toBe(Guest.CODE);
  });
});

describe('EXITINTINFO: the event in delivery, to be injected again (APM Vol. 2, 15.7.2)', () => {
  test.each([
    ['INT n', long`int 0x30`, { type: SvmEventType.SOFTWARE_INTERRUPT, vector: 0x30 }],
    ['INT3', long`int3`, { type: SvmEventType.EXCEPTION, vector: 3 }],
    ['#UD', long`ud2`, { type: SvmEventType.EXCEPTION, vector: 6 }],
    ['#GP', long`mov cr9, rax`, { type: SvmEventType.EXCEPTION, vector: 6 }],
  ] as const)('%s whose frame meets a nested page fault', (_, code, event) => {
    const host = new TestHost().long().load(code);
    host.nestedEntry(Guest.STACK - 0x1000, 0n);
    expect(host.enter()).toBe(SvmExit.NPF);
    expect(decodeEvent(host.get('EXITINTINFO'))).toEqual(event);
    expect([host.get('EXITINFO1'), host.num('RIP')]).toEqual([0x1_0000_0006n, Guest.CODE]);
    // What a hypervisor does: mend the page, inject again.
    const info = host.get('EXITINTINFO');
    host
      .nestedEntry(Guest.STACK - 0x1000, BigInt(Place.GUEST + Guest.STACK - 0x1000) | 7n)
      .set({ EVENTINJ: info, NRIP: BigInt(Guest.CODE + code.length) });
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(handler(event.vector));
  });

  test('an exception whose delivery raises an intercepted one', () => {
    const host = new TestHost()
      .long()
      .load(long`ud2`)
      .set({ INTERCEPT_EXCEPTIONS: 1n << 11n });
    host.write64(Guest.IDT + 6 * 16, (8n << 16n) | (0x0e00n << 32n));
    expect(host.enter()).toBe(SvmExit.EXCP11);
    expect(host.num('EXITINFO1')).toBe(6 * 8 + 3);
    expect(decodeEvent(host.get('EXITINTINFO'))).toEqual({ type: SvmEventType.EXCEPTION, vector: 6 });
  });

  test('an error code goes along', () => {
    const host = new TestHost()
      .long()
      .load(long`mov eax, [0x123456]`)
      .set({ INTERCEPT_EXCEPTIONS: 1n << 11n });
    host.write64(Guest.IDT + 14 * 16, 0n);
    // #PF, then #NP: a double fault, of which the first is told.
    expect(host.set({ INTERCEPT_EXCEPTIONS: 1n << 8n }).enter()).toBe(SvmExit.EXCP8);
    expect(decodeEvent(host.get('EXITINTINFO'))).toEqual({ type: SvmEventType.EXCEPTION, vector: 14, errorCode: 0 });
  });

  test('a virtual interrupt in delivery is an INTR', () => {
    const host = new TestHost().long().load(long`nop`).set({ RFLAGS: 0x202n, V_IRQ: 1n, V_INTR_VECTOR: 0x31n, V_INTR_PRIO: 3n });
    host.nestedEntry(Guest.STACK - 0x1000, 0n);
    expect(host.enter()).toBe(SvmExit.NPF);
    expect(decodeEvent(host.get('EXITINTINFO'))).toEqual({ type: SvmEventType.INTR, vector: 0x31 });
    expect(host.num('V_IRQ')).toBe(0);
  });
});

describe('physical interrupts (APM Vol. 2, 15.13.1, 15.21.1)', () => {
  const spin = long`again: jmp again`;

  test("with V_INTR_MASKING the host's IF decides, whatever the guest's", () => {
    const host = new TestHost().long().load(spin);
    host.cpu.registers.set32(State.eflags, 0x202);
    expect(host.enter(10)).toBeNaN();
    host.cpu.setInterruptRequest(true);
    expect(host.go(1)).toBe(SvmExit.INTR);
    const masked = new TestHost().long().load(spin).set({ RFLAGS: 0x202n });
    masked.svm.vmrun(Place.VMCB);
    masked.cpu.setInterruptRequest(true);
    expect(masked.go(10)).toBeNaN();
  });

  test("without it the guest's RFLAGS.IF masks, and STI's shadow", () => {
    const host = new TestHost()
      .long()
      .set({ V_INTR_MASKING: 0n })
      .load(long`
      nop
      sti
      nop
      hlt`);
    host.svm.vmrun(Place.VMCB);
    host.cpu.setInterruptRequest(true);
    expect(host.go()).toBe(SvmExit.INTR);
    expect(host.num('RIP')).toBe(Guest.CODE + 3);
  });

  test('not intercepted, an interrupt goes through the IDT of the guest', () => {
    const host = new TestHost().long().allow('INTR').set({ V_INTR_MASKING: 0n, RFLAGS: 0x202n }).load(spin);
    host.cpu.interruptSource = { acknowledge: () => 0x33 };
    host.svm.vmrun(Place.VMCB);
    host.cpu.setInterruptRequest(true);
    expect(host.go()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(handler(0x33));
  });

  test('the exit does not acknowledge: the host takes the interrupt behind STGI (15.17)', () => {
    const host = new TestHost().long().load(spin);
    let acknowledged = 0;
    host.cpu.interruptSource = {
      acknowledge: () => {
        acknowledged++;
        host.cpu.setInterruptRequest(false);
        return 0x20;
      },
    };
    host.cpu.registers.set32(State.eflags, 0x202);
    host.physical.write(Place.HOST_CODE, Uint8Array.of(0x90, 0x90, 0xf4));
    host.svm.vmrun(Place.VMCB);
    host.cpu.setInterruptRequest(true);
    expect(host.go()).toBe(SvmExit.INTR);
    host.cpu.run(1);
    expect(acknowledged).toBe(0);
    host.svm.stgi();
    host.cpu.run(1);
    expect(acknowledged).toBe(1);
  });
});

describe('NMI and INIT (APM Vol. 2, 15.13.2, 15.13.4, 15.21.9)', () => {
  test('an intercepted NMI stays pending', () => {
    const host = new TestHost().long().load(long`again: jmp again`);
    host.svm.vmrun(Place.VMCB);
    host.cpu.raiseNmi();
    expect(host.go()).toBe(SvmExit.NMI);
    expect(host.cpu.nmiPending).toBe(true);
  });

  test('an injected NMI does not block further ones (15.20)', () => {
    const host = new TestHost()
      .long()
      .load(long`again: jmp again`)
      .set({ EVENTINJ: encodeEvent({ type: SvmEventType.NMI, vector: 2 }) });
    host.bytes(handler(2), [0x90, 0x48, 0xcf]);
    host.svm.vmrun(Place.VMCB);
    host.cpu.raiseNmi();
    expect(host.go()).toBe(SvmExit.NMI);
    expect(host.num('RIP')).toBe(handler(2));
  });

  test('an intercepted INIT waits for GIF; one that is not resets the processor out of guest mode', () => {
    const host = new TestHost().long().load(long`again: jmp again`);
    host.svm.vmrun(Place.VMCB);
    host.cpu.raiseInit();
    expect(host.go()).toBe(SvmExit.INIT);
    expect(host.cpu.registers.rip).toBe(BigInt(Place.HOST_CODE));
    host.svm.stgi();
    host.cpu.run(1);
    expect(host.cpu.registers.get32(State.cr0) & 1).toBe(0);
    const open = new TestHost().long().allow('INIT').load(long`again: jmp again`);
    open.svm.vmrun(Place.VMCB);
    open.cpu.raiseInit();
    open.cpu.run(1);
    expect([open.svm.inGuest, open.cpu.registers.get32(State.cr0) & 1]).toEqual([false, 0]);
  });
});

describe.each([
  ['interpreter', {}],
  ['JIT', { jit: { threshold: 1 } }],
] as const)('virtual interrupts (APM Vol. 2, 15.21.4), %s', (_, options) => {
  const pending = { V_IRQ: 1n, V_INTR_VECTOR: 0x40n - 8n, V_INTR_PRIO: 3n } as const;

  test('taken when IF and priority allow, and V_IRQ is cleared', () => {
    const host = new TestHost(options)
      .long()
      .set({ ...pending, RFLAGS: 0x202n })
      .load(long`nop
      hlt`);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([host.num('RIP'), host.num('V_IRQ')]).toEqual([handler(0x38), 0]);
  });

  test('held back by IF and by the shadow of STI, then taken', () => {
    const host = new TestHost(options)
      .long()
      .set(pending)
      .load(long`
      nop
      sti
      nop
      nop
      hlt`);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([host.num('RIP'), frame(host, 1)[0]]).toEqual([handler(0x38), BigInt(Guest.CODE + 3)]);
  });

  test('by POPF too', () => {
    const host = new TestHost(options)
      .long()
      .set(pending)
      .load(long`
      push 0x202
      popfq
      hlt`);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(handler(0x38));
  });

  test('held back by V_TPR, until MOV CR8 lowers it; V_IGN_TPR ignores it', () => {
    const code = long`
      nop
      xor eax, eax
      mov cr8, rax
      nop
      hlt`;
    const host = new TestHost(options)
      .long()
      .set({ ...pending, RFLAGS: 0x202n, V_TPR: 3n })
      .load(code);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([frame(host, 1)[0], host.num('V_TPR')]).toEqual([BigInt(Guest.CODE + 7), 0]);
    const ignoring = new TestHost(options)
      .long()
      .set({ ...pending, RFLAGS: 0x202n, V_TPR: 15n, V_IGN_TPR: 1n })
      .load(code);
    expect(ignoring.enter()).toBe(SvmExit.HLT);
    expect(frame(ignoring, 1)[0]).toBe(BigInt(Guest.CODE));
  });

  test('intercepted, it stays pending: an interrupt window (15.21.6)', () => {
    const host = new TestHost(options)
      .long()
      .intercept('VINTR')
      .set({ ...pending, V_IGN_TPR: 1n })
      .load(long`
      sti
      nop
      hlt`);
    expect(host.enter()).toBe(SvmExit.VINTR);
    expect([host.num('RIP'), host.num('V_IRQ'), host.num('INTERRUPT_SHADOW')]).toEqual([Guest.CODE + 2, 1, 0]);
  });

  test('it wakes a halted guest; one that cannot be taken leaves it halted', () => {
    const host = new TestHost(options)
      .long()
      .allow('HLT')
      .set({ RFLAGS: 0x202n, V_TPR: 5n, ...pending })
      .load(long`hlt`);
    host.svm.vmrun(Place.VMCB);
    expect(host.cpu.run(100)).toBe('halted');
    expect(host.cpu.isRunnable).toBe(false);
  });

  test('CR8 is V_TPR; without V_INTR_MASKING it is the real one, and writes go to both (15.21.2)', () => {
    const code = long`
      mov eax, 7
      mov cr8, rax
      mov rbx, cr8
      hlt`;
    const host = new TestHost(options).long().load(code);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([host.cpu.registers.gpr(Gpr.RBX), host.num('V_TPR'), host.cpu.apic?.taskPriority]).toEqual([7n, 7, 0]);
    const real = new TestHost(options).long().set({ V_INTR_MASKING: 0n }).load(code);
    expect(real.enter()).toBe(SvmExit.HLT);
    expect([real.num('V_TPR'), real.cpu.apic?.taskPriority]).toEqual([7, 0x70]);
  });
});

describe('the interrupt shadow (APM Vol. 2, 15.21.5)', () => {
  test('is saved when an instruction in it exits', () => {
    const host = new TestHost().long().load(long`
      sti
      cpuid`);
    expect(host.enter()).toBe(SvmExit.CPUID);
    expect([host.num('RIP'), host.num('INTERRUPT_SHADOW')]).toEqual([Guest.CODE + 1, 1]);
  });
  test.each([
    ['interpreter', {}],
    ['JIT', { jit: { threshold: 1 } }],
  ] as const)('STI before a HLT, a fault, and an instruction further on, %s', (_, options) => {
    const shadow = (code: Uint8Array): [number, number] => {
      const host = new TestHost(options)
        .long()
        .set({ INTERCEPT_EXCEPTIONS: 1n << 14n, RIP: BigInt(Guest.CODE) })
        .load(code);
      host.enter();
      return [host.num('EXITCODE'), host.num('INTERRUPT_SHADOW')];
    };
    expect(
      shadow(long`
      nop
      sti
      hlt`),
    ).toEqual([SvmExit.HLT, 1]);
    expect(
      shadow(long`
      nop
      sti
      mov eax, [0x123456]`),
    ).toEqual([SvmExit.EXCP14, 1]);
    expect(
      shadow(long`
      sti
      nop
      hlt`),
    ).toEqual([SvmExit.HLT, 0]);
    expect(
      shadow(long`
      sti
      sti
      hlt`),
    ).toEqual([SvmExit.HLT, 0]);
  });
  test('is loaded by VMRUN: for one instruction no interrupt is taken', () => {
    const host = new TestHost()
      .long()
      .load(long`nop
        hlt`)
      .set({ INTERRUPT_SHADOW: 1n, RFLAGS: 0x202n, V_IRQ: 1n, V_INTR_VECTOR: 0x31n, V_IGN_TPR: 1n });
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(frame(host, 1)[0]).toBe(BigInt(Guest.CODE + 1));
    expect(host.num('INTERRUPT_SHADOW')).toBe(0);
  });
});
