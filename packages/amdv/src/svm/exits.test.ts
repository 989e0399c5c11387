import { asm16, asm32, asm64 } from '@minusone/asm';
import { amd, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { SvmExit, type SvmExitName, svmExitName } from '../exit/codes.ts';
import type { InterceptName } from '../intercepts/intercepts.ts';
import type { VmcbFieldName } from '../vmcb/fields.ts';
import { svmInstructions } from './instructions.ts';
import { Guest, Place, TestHost } from './testing/test-host.ts';

const long = asm64.with({ origin: Guest.CODE });
const real = asm16.with({ origin: Guest.CODE });

interface Case {
  readonly name: SvmExitName;
  readonly intercept?: readonly InterceptName[];
  readonly set?: { readonly [Name in VmcbFieldName]?: bigint };
  /** What runs first, in bytes: RIP is reported behind it. */
  readonly before?: Uint8Array;
  readonly code: Uint8Array;
  readonly info1?: bigint;
  readonly info2?: bigint;
}
const none = new Uint8Array();
const model = amd.with('MONITOR', 'XSAVE', 'INVPCID');
const bit = (at: number): bigint => 1n << BigInt(at);

/** Every instruction intercept, in 64-bit mode: the exit code, EXITINFO, RIP at the instruction, nRIP behind it. */
const cases: readonly Case[] = [
  { name: 'CPUID', code: long`cpuid` },
  { name: 'HLT', code: long`hlt` },
  { name: 'CR0_READ', set: { INTERCEPT_CR: bit(0) }, code: long`mov rbx, cr0`, info1: bit(63) | 3n },
  { name: 'CR0_READ', set: { INTERCEPT_CR: bit(0) }, code: long`smsw ax` },
  { name: 'CR3_READ', set: { INTERCEPT_CR: bit(3) }, code: long`mov r9, cr3`, info1: bit(63) | 9n },
  { name: 'CR8_READ', set: { INTERCEPT_CR: bit(8) }, code: long`mov rax, cr8`, info1: bit(63) },
  { name: 'CR0_WRITE', set: { INTERCEPT_CR: bit(16) }, before: long`mov ecx, 0x80000033`, code: long`mov cr0, rcx`, info1: bit(63) | 1n },
  { name: 'CR0_WRITE', set: { INTERCEPT_CR: bit(16) }, code: long`clts` },
  { name: 'CR0_WRITE', set: { INTERCEPT_CR: bit(16) }, code: long`lmsw ax` },
  { name: 'CR3_WRITE', set: { INTERCEPT_CR: bit(19) }, code: long`mov cr3, rdi`, info1: bit(63) | 7n },
  { name: 'CR4_WRITE', set: { INTERCEPT_CR: bit(20) }, before: long`mov edx, 0x24`, code: long`mov cr4, rdx`, info1: bit(63) | 2n },
  { name: 'CR8_WRITE', set: { INTERCEPT_CR: bit(24) }, code: long`mov cr8, rbx`, info1: bit(63) | 3n },
  // 15.9: bits other than TS and MP change; LMSW always.
  { name: 'CR0_SEL_WRITE', intercept: ['CR0_SEL_WRITE'], before: long`mov eax, 0x80000037`, code: long`mov cr0, rax`, info1: bit(63) },
  { name: 'CR0_SEL_WRITE', intercept: ['CR0_SEL_WRITE'], before: long`mov ax, 3`, code: long`lmsw ax` },
  { name: 'DR0_READ', set: { INTERCEPT_DR: bit(0) }, code: long`mov rbx, dr0`, info1: 3n },
  { name: 'DR7_WRITE', set: { INTERCEPT_DR: bit(23) }, code: long`mov dr7, rsi`, info1: 6n },
  { name: 'DR4_READ', set: { INTERCEPT_DR: bit(4) }, code: long`mov rax, dr4`, info1: 0n },
  { name: 'IDTR_READ', intercept: ['IDTR_READ'], code: long`sidt [0x8000]` },
  { name: 'GDTR_READ', intercept: ['GDTR_READ'], code: long`sgdt [0x8000]` },
  { name: 'LDTR_READ', intercept: ['LDTR_READ'], code: long`sldt ax` },
  { name: 'TR_READ', intercept: ['TR_READ'], code: long`str ax` },
  { name: 'IDTR_WRITE', intercept: ['IDTR_WRITE'], code: long`lidt [0x8000]` },
  { name: 'GDTR_WRITE', intercept: ['GDTR_WRITE'], code: long`lgdt [0x8000]` },
  { name: 'LDTR_WRITE', intercept: ['LDTR_WRITE'], code: long`lldt ax` },
  { name: 'TR_WRITE', intercept: ['TR_WRITE'], code: long`ltr ax` },
  { name: 'RDTSC', intercept: ['RDTSC'], code: long`rdtsc` },
  { name: 'RDTSCP', intercept: ['RDTSCP'], code: long`rdtscp` },
  { name: 'RDPMC', intercept: ['RDPMC'], code: long`rdpmc` },
  { name: 'PUSHF', intercept: ['PUSHF'], code: long`pushfq` },
  { name: 'POPF', intercept: ['POPF'], code: long`popfq` },
  { name: 'RSM', intercept: ['RSM'], code: long`rsm` },
  { name: 'IRET', intercept: ['IRET'], code: long`iretq` },
  { name: 'SWINT', intercept: ['SWINT'], code: long`int 0x21`, info1: 0x21n },
  { name: 'INVD', intercept: ['INVD'], code: long`invd` },
  { name: 'WBINVD', intercept: ['WBINVD'], code: long`wbinvd` },
  { name: 'PAUSE', intercept: ['PAUSE'], code: long`pause` },
  {
    name: 'INVLPG',
    intercept: ['INVLPG'],
    before: long`mov rbx, 0xffff800000001000`,
    code: long`invlpg [rbx]`,
    info1: 0xffff_8000_0000_1000n,
  },
  { name: 'INVLPGA', intercept: ['INVLPGA'], code: Uint8Array.of(0x0f, 0x01, 0xdf) },
  { name: 'INVPCID', intercept: ['INVPCID'], code: long`invpcid rax, [0x8000]` },
  { name: 'MONITOR', intercept: ['MONITOR'], code: Uint8Array.of(0x0f, 0x01, 0xc8) },
  { name: 'MWAIT', intercept: ['MWAIT'], code: Uint8Array.of(0x0f, 0x01, 0xc9) },
  {
    name: 'MWAIT_CONDITIONAL',
    intercept: ['MWAIT_CONDITIONAL'],
    before: Uint8Array.of(0x31, 0xc9, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x01, 0xc9, 0x0f, 0x01, 0xc8),
    code: Uint8Array.of(0x0f, 0x01, 0xc9),
  },
  { name: 'XSETBV', intercept: ['XSETBV'], set: { CR4: 0x4_0020n }, code: long`xsetbv` },
  { name: 'ICEBP', intercept: ['ICEBP'], code: Uint8Array.of(0xf1) },
  { name: 'VMRUN', before: long`mov eax, 0x5000`, code: Uint8Array.of(0x0f, 0x01, 0xd8) },
  { name: 'VMMCALL', code: Uint8Array.of(0x0f, 0x01, 0xd9) },
  { name: 'VMLOAD', before: long`mov eax, 0x5000`, code: Uint8Array.of(0x0f, 0x01, 0xda) },
  { name: 'VMSAVE', before: long`mov eax, 0x5000`, code: Uint8Array.of(0x0f, 0x01, 0xdb) },
  { name: 'STGI', code: Uint8Array.of(0x0f, 0x01, 0xdc) },
  { name: 'CLGI', code: Uint8Array.of(0x0f, 0x01, 0xdd) },
  { name: 'MSR', before: long`mov ecx, 0xc0000080`, code: long`rdmsr`, info1: 0n },
  { name: 'MSR', before: long`mov ecx, 0xc0000080`, code: long`wrmsr`, info1: 1n },
  { name: 'IOIO', code: long`in al, 0x20`, info1: 0x20_0211n, info2: 0x1002n },
  { name: 'IOIO', before: long`mov edx, 0x3f8`, code: long`out dx, eax`, info1: 0x3f8_0240n, info2: 0x1006n },
  { name: 'IOIO', before: long`mov edx, 0x3f8`, code: long`rep outsw`, info1: 0x3f8_0e2cn, info2: 0x1008n },
  { name: 'IOIO', before: long`mov edx, 0x3f8`, code: long`insb`, info1: 0x3f8_0215n, info2: 0x1006n },
  { name: 'EXCP3', set: { INTERCEPT_EXCEPTIONS: bit(3) }, code: long`int3` },
];

describe.each([
  ['interpreter', undefined],
  ['JIT', { threshold: 1 }],
] as const)(
  'instruction intercepts exit before the instruction, with its successor in nRIP (APM Vol. 2, 15.7.1, 15.8, 15.9), %s',
  (_, jit) => {
    test.each(cases.map((each, i) => [each.name, i, each] as const))(
      '%s (%i)',
      (name, _index, { intercept, set, before, code, info1, info2 }) => {
        const host = new TestHost({ model, ...(jit === undefined ? {} : { jit }) }).long();
        host.load(Uint8Array.of(...(before ?? none), ...code, 0xf4)).set(set ?? {});
        host.intercept(...(intercept ?? []));
        const { hostState } = host;
        expect(svmExitName(host.enter())).toBe(name);
        const at = Guest.CODE + (before ?? none).length;
        expect([host.num('RIP'), host.num('NRIP')]).toEqual([at, at + code.length]);
        if (info1 !== undefined) expect(host.get('EXITINFO1')).toBe(info1);
        expect(host.get('EXITINFO2')).toBe(info2 ?? 0n);
        expect(host.get('EXITINTINFO')).toBe(0n);
        // The host is as it was, but for GIF (15.17) and DR7 (15.6).
        expect(host.hostState).toEqual(hostState);
        expect([host.cpu.globalInterruptFlag, host.cpu.registers.get32(State.dr7), host.cpu.layer]).toEqual([false, 0x400, undefined]);
        expect(host.svm.exits).toEqual({ [name]: 1 });
      },
    );
  },
);

test('without decode assists and NRIP save there is less to read (APM Vol. 2, 15.7.1, 15.8)', () => {
  const host = new TestHost({ capabilities: 'svm:minimal' }).long().code(0x0f, 0x22, 0xd9); // mov cr3, rcx
  host.set({ INTERCEPT_CR: 1n << 19n, NP_ENABLE: 0n, CR3: 0x2000n, RIP: 0x10_1000n });
  expect(host.enter()).toBe(SvmExit.CR3_WRITE);
  expect([host.get('EXITINFO1'), host.get('NRIP')]).toEqual([0n, 0n]);
});

describe('the permission maps', () => {
  test('an I/O access exits for any of its ports, over the last port too (APM Vol. 2, 15.10.1)', () => {
    const io = (port: number, clear: readonly number[], code: Uint8Array): number => {
      const host = new TestHost().real().load(code);
      const map = new Uint8Array(0x3000);
      for (let at = 0; at < 0x10003; at++) if (!clear.includes(at)) map[at >>> 3]! |= 1 << (at & 7);
      host.physical.write(0x1_0000, map);
      host.cpu.registers.setGpr(2, BigInt(port));
      return host.enter();
    };
    const wide = real`in eax, dx
      hlt`;
    expect(io(0x3f8, [0x3f8, 0x3f9, 0x3fa, 0x3fb], wide)).toBe(SvmExit.HLT);
    expect(io(0x3f8, [0x3f8, 0x3f9, 0x3fa], wide)).toBe(SvmExit.IOIO);
    expect(io(0xfffe, [0xfffe, 0xffff], wide)).toBe(SvmExit.IOIO);
    expect(io(0xfffe, [0xfffe, 0xffff, 0x10000, 0x10001], wide)).toBe(SvmExit.HLT);
  });

  test('MSRs exit by their two bits, and always outside the three ranges (APM Vol. 2, 15.11)', () => {
    const msr = (index: number, write: boolean, byte: number, value: number): number => {
      const host = new TestHost().long().load(
        write
          ? long`wrmsr
        hlt`
          : long`rdmsr
        hlt`,
      );
      host.cpu.registers.setGpr(1, BigInt(index));
      host.physical.write(0x1_4000, new Uint8Array(0x2000).fill(0xff));
      host.physical.write8(0x1_4000 + byte, value);
      return host.enter();
    };
    expect(msr(0x174, false, 0x174 >>> 2, 0xfe)).toBe(SvmExit.HLT);
    expect(msr(0x174, true, 0x174 >>> 2, 0xfe)).toBe(SvmExit.MSR);
    expect(msr(0xc000_0082, false, 0x800 + (0x82 >>> 2), 0xef)).toBe(SvmExit.HLT);
    expect(msr(0xc001_0015, false, 0x1000 + (0x15 >>> 2), 0xfb)).toBe(SvmExit.HLT);
    expect(msr(0x4000_0000, false, 0, 0)).toBe(SvmExit.MSR);
  });
});

describe('selective CR0 writes (APM Vol. 2, 15.9)', () => {
  test('TS and MP alone pass, and CLTS', () => {
    const host = new TestHost()
      .long()
      .intercept('CR0_SEL_WRITE')
      .load(long`
      mov rax, cr0
      xor rax, 10
      mov cr0, rax
      clts
      hlt`);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('CR0')).toBe(0x8001_0031);
  });
  test('the intercept of all writes comes first', () => {
    const host = new TestHost()
      .long()
      .intercept('CR0_SEL_WRITE')
      .set({ INTERCEPT_CR: 1n << 16n })
      .load(long`
        mov rbx, cr0
        xor rbx, 4
        mov cr0, rbx`);
    expect(host.enter()).toBe(SvmExit.CR0_WRITE);
  });
});

describe('exceptions (APM Vol. 2, 15.12)', () => {
  test('a fault: error code in EXITINFO1, RIP at the instruction, no nRIP', () => {
    const host = new TestHost()
      .long()
      .set({ INTERCEPT_EXCEPTIONS: 1n << 13n })
      .load(long`
      mov ax, 0x50
      mov ds, ax`);
    expect(host.enter()).toBe(SvmExit.EXCP13);
    expect([host.num('EXITINFO1'), host.num('RIP'), host.num('NRIP')]).toEqual([0x50, Guest.CODE + 4, 0]);
  });
  test('#PF: error code, address, instruction bytes; CR2 is not written (15.12.15)', () => {
    const host = new TestHost()
      .long()
      .set({ INTERCEPT_EXCEPTIONS: 1n << 14n, CR2: 0x77n })
      .load(long`mov [0x123456], eax`);
    expect(host.enter()).toBe(SvmExit.EXCP14);
    expect([host.num('EXITINFO1'), host.num('EXITINFO2'), host.num('CR2')]).toEqual([2, 0x123456, 0x77]);
    expect([...host.vmcb.instructionBytes.subarray(0, 7)]).toEqual([...long`mov [0x123456], eax`]);
  });
  test('#PF of a fetch: no bytes (15.8.4)', () => {
    const host = new TestHost()
      .long()
      .set({ INTERCEPT_EXCEPTIONS: 1n << 14n, EFER: 0x1d01n })
      .load(long`
      mov rax, 0x123456
      jmp rax`);
    expect(host.enter()).toBe(SvmExit.EXCP14);
    expect([host.num('EXITINFO1'), host.vmcb.instructionBytes.length]).toEqual([0x10, 0]);
  });
  test('#DB: DR6 and DR7 are as its handler would see them (15.12.2)', () => {
    const host = new TestHost().long().set({ INTERCEPT_EXCEPTIONS: 2n, RFLAGS: 0x102n }).load(long`nop`);
    expect(host.enter()).toBe(SvmExit.EXCP1);
    expect([host.num('DR6'), host.num('RIP')]).toEqual([0xffff_4ff0, Guest.CODE + 1]);
  });
  test('INTO: at itself, with its successor (15.12.5)', () => {
    const host = new TestHost()
      .real()
      .set({ INTERCEPT_EXCEPTIONS: 1n << 4n, RFLAGS: 0x802n })
      .load(real`into`);
    expect(host.enter()).toBe(SvmExit.EXCP4);
    expect([host.num('RIP'), host.num('NRIP')]).toEqual([Guest.CODE, Guest.CODE + 1]);
  });
  test('BOUND: at itself, with its successor (15.7.1)', () => {
    const host = new TestHost()
      .real()
      .set({ INTERCEPT_EXCEPTIONS: 1n << 5n, RAX: 9n })
      .load(real`
      bound ax, [0x8000]`);
    expect(host.enter()).toBe(SvmExit.EXCP5);
    expect([host.num('RIP'), host.num('NRIP')]).toEqual([Guest.CODE, Guest.CODE + 4]);
  });
  test('what is not intercepted is delivered to the guest', () => {
    const host = new TestHost().long().load(long`ud2`);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(Guest.HANDLERS + 6 * 16);
  });
});

test('INT1 is no #DB to intercept: it has an intercept of its own (APM Vol. 2, 15.12.2)', () => {
  const host = new TestHost().long().set({ INTERCEPT_EXCEPTIONS: bit(1) });
  expect(host.load(Uint8Array.of(0xf1)).enter()).toBe(SvmExit.HLT);
  expect(host.num('RIP')).toBe(Guest.HANDLERS + 16);
});

test('PUSHF, POPF and XSETBV exit before any #GP, unlike INVD (APM Vol. 2, Table 15-7)', () => {
  const v86 = (code: Uint8Array, ...intercepts: InterceptName[]): TestHost =>
    new TestHost({ model: amd.with('XSAVE') })
      .long()
      .real()
      .load(code)
      .set({ CR0: 0x11n, CR4: 0x4_0000n, RFLAGS: 0x2_0002n })
      .intercept(...intercepts);
  expect(v86(asm16`pushf`, 'PUSHF').enter()).toBe(SvmExit.PUSHF);
  expect(v86(asm16`popf`, 'POPF').enter()).toBe(SvmExit.POPF);
  expect(v86(asm16`xsetbv`, 'XSETBV').enter()).toBe(SvmExit.XSETBV);
  expect(
    v86(asm16`invd`, 'INVD')
      .set({ INTERCEPT_EXCEPTIONS: bit(13) })
      .enter(),
  ).toBe(SvmExit.EXCP13);
});

test('what is illegal about the value of a control register is #GP before the intercept (APM Vol. 2, Table 15-7)', () => {
  const all = { INTERCEPT_CR: 0xffff_ffffn, INTERCEPT_EXCEPTIONS: bit(13) };
  const exit = (code: Uint8Array): string | undefined => svmExitName(new TestHost().long().set(all).load(code).enter());
  expect(exit(long`mov cr4, rax`)).toBe('EXCP13'); // PAE may not be cleared in long mode
  expect(
    exit(asm64`
    mov eax, 0x80000000
    mov cr0, rax`),
  ).toBe('EXCP13');
  expect(
    exit(asm64`
    mov rax, 0x1000000000000
    mov cr3, rax`),
  ).toBe('EXCP13');
  expect(
    exit(asm64`
    mov eax, 16
    mov cr8, rax`),
  ).toBe('EXCP13');
  expect(
    exit(asm64`
    mov eax, 15
    mov cr8, rax`),
  ).toBe('CR8_WRITE');
  // LMSW's operand in memory is not looked at.
  expect(exit(asm64`lmsw [0x700000]`)).toBe('CR0_WRITE');
});

test('a triple fault is a shutdown (APM Vol. 2, 15.14.3)', () => {
  const host = new TestHost().long().set({ IDTR_LIMIT: 0n }).load(long`ud2`);
  expect(host.enter()).toBe(SvmExit.SHUTDOWN);
  const open = new TestHost().long().set({ IDTR_LIMIT: 0n }).allow('SHUTDOWN').load(long`ud2`);
  open.svm.vmrun(0x1000);
  expect(open.cpu.run(100)).toBe('shutdown');
});

test('task switches: selector, and by what (APM Vol. 2, 15.14.1)', () => {
  const code = asm32.with({ origin: Guest.CODE })`
    jmp 0x28:0
    hlt`;
  const host = new TestHost().real().load(code);
  host.write64(Guest.GDT + 0x28, 0x0000_8900_4000_0067n);
  host.write64(Guest.GDT + 0x30, 0x0000_8b00_5000_0067n);
  host.set({
    CR0: 0x11n,
    GDTR_BASE: BigInt(Guest.GDT),
    GDTR_LIMIT: 0x3fn,
    CS_SELECTOR: 8n,
    CS_ATTRIBUTES: 0xc9bn,
    CS_LIMIT: 0xffff_ffffn,
    TR_SELECTOR: 0x30n,
  });
  expect(host.enter()).toBe(SvmExit.TASK_SWITCH);
  expect([host.num('EXITINFO1'), host.get('EXITINFO2'), host.num('RIP')]).toEqual([0x28, 1n << 38n, Guest.CODE]);
});

test('a task switch by a fault reports RF for the old TSS, and the error code (APM Vol. 2, 15.14.1)', () => {
  const host = new TestHost().real().load(asm32`
    mov ax, 0x3b
    mov ds, ax`);
  host.write64(Guest.GDT + 0x28, 0x0000_8900_4000_0067n).write64(Guest.GDT + 0x30, 0x0000_8b00_5000_0067n);
  host.write64(Guest.IDT + 13 * 8, 0x0000_8500_0028_0000n);
  host.set({ CR0: 0x11n, GDTR_BASE: BigInt(Guest.GDT), GDTR_LIMIT: 0x37n, IDTR_BASE: BigInt(Guest.IDT), CS_SELECTOR: 8n });
  host.set({ CS_ATTRIBUTES: 0xc9bn, CS_LIMIT: 0xffff_ffffn, TR_SELECTOR: 0x30n, TR_BASE: 0x5000n, TR_LIMIT: 0x67n, TR_ATTRIBUTES: 0x8bn });
  expect(host.enter()).toBe(SvmExit.TASK_SWITCH);
  expect([host.num('EXITINFO1'), host.get('EXITINFO2')]).toEqual([0x28, (1n << 48n) | (1n << 44n) | 0x38n]);
});

test('PAUSE exits when its filter has run out (APM Vol. 2, 15.14.4)', () => {
  const host = new TestHost()
    .long()
    .intercept('PAUSE')
    .set({ PAUSE_FILTER_COUNT: 2n })
    .load(long`
    pause
    pause
    pause
    hlt`);
  expect(host.enter()).toBe(SvmExit.PAUSE);
  expect(host.num('RIP')).toBe(Guest.CODE + 4);
});

test('a PAUSE long after the last one starts the count anew (APM Vol. 2, 15.14.4)', () => {
  const nops = new Uint8Array(200).fill(0x90);
  const host = new TestHost().long().intercept('PAUSE').set({ PAUSE_FILTER_COUNT: 1n, PAUSE_FILTER_THRESHOLD: 100n });
  host.load(long`
    pause
    ${nops}
    pause
    ${nops}
    pause
    pause
    hlt`);
  host.svm.vmrun(Place.VMCB);
  // In turns, so that time goes on.
  host.processors.run(1000);
  expect(host.go(0)).toBe(SvmExit.PAUSE);
  expect(host.num('RIP')).toBe(Guest.CODE + 2 * 202 + 2);
});

test('instructions that are not intercepted do in the guest what they do in the host: SKINIT is #UD, VMMCALL is #UD (APM Vol. 2, 15.18)', () => {
  for (const last of [0xd9, 0xde]) {
    const host = new TestHost().long().allow('VMMCALL').code(0x0f, 0x01, last);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RIP')).toBe(Guest.HANDLERS + 6 * 16);
  }
  expect(svmInstructions).toHaveLength(8);
});
