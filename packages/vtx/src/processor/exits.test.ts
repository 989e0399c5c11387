import { intel, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { type ExitReasonName, exitReasonRow } from '../exit/reasons.ts';
import type { VmcsFieldName } from '../vmcs/fields.ts';
import type { VmcsValues } from '../vmcs/vmcs.ts';
import { Primary, Secondary } from './controls.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

/** One exit by an instruction: what the guest executes, and all that the exit records. */
interface Case {
  readonly code: readonly number[];
  readonly primary?: number;
  readonly secondary?: number;
  readonly fields?: VmcsValues;
  readonly setup?: (m: VmxMachine) => void;
  readonly reason: ExitReasonName;
  readonly qualification?: number;
  /** Bytes of the instruction that exits, and of those before it. */
  readonly length: number;
  readonly before?: number;
  readonly recorded?: { readonly [Name in VmcsFieldName]?: number };
}

const IO = Primary.useIoBitmaps;
/** Cases by name; sections are those of SDM Vol. 3C. */
const CASES: Readonly<Record<string, Case>> = {
  'CPUID, always (26.1.2)': { code: [0x0f, 0xa2], reason: 'CPUID', length: 2 },
  'INVD, always': { code: [0x0f, 0x08], reason: 'INVD', length: 2 },
  'XSETBV, always': { code: [0x0f, 0x01, 0xd1], fields: { GUEST_CR4: 0x4_20a0n }, reason: 'XSETBV', length: 3 },
  'HLT exiting': { code: [0xf4], reason: 'HLT', length: 1 },
  'INVLPG exiting: the linear address': {
    code: [0x0f, 0x01, 0x3c, 0x25, 0, 0x50, 0x34, 0x12],
    primary: Primary.invlpgExiting,
    reason: 'INVLPG',
    qualification: 0x1234_5000,
    length: 8,
  },
  'RDPMC exiting': { code: [0x0f, 0x33], primary: Primary.rdpmcExiting, reason: 'RDPMC', length: 2 },
  'RDTSC exiting': { code: [0x0f, 0x31], primary: Primary.rdtscExiting, reason: 'RDTSC', length: 2 },
  'RDTSCP, with "enable RDTSCP"': {
    code: [0x0f, 0x01, 0xf9],
    primary: Primary.rdtscExiting,
    secondary: Secondary.enableRdtscp,
    reason: 'RDTSCP',
    length: 3,
  },
  'PAUSE exiting': { code: [0xf3, 0x90], primary: Primary.pauseExiting, reason: 'PAUSE_INSTRUCTION', length: 2 },
  'WBINVD exiting': { code: [0x0f, 0x09], secondary: Secondary.wbinvdExiting, reason: 'WBINVD', length: 2 },
  'INVPCID: INVLPG exiting and "enable INVPCID"; register in Reg2 (Table 28-11)': {
    code: [0x66, 0x0f, 0x38, 0x82, 0x53, 0x08], // invpcid rdx, [rbx+8]
    primary: Primary.invlpgExiting,
    secondary: Secondary.enableInvpcid,
    reason: 'INVPCID',
    qualification: 8,
    length: 6,
    recorded: { VMX_INSTRUCTION_INFO: 0x21c1_8100 },
  },
  'MOV from CR3 with CR3-store exiting': {
    code: [0x0f, 0x20, 0xd9], // mov rcx, cr3
    primary: Primary.cr3StoreExiting,
    reason: 'CR_ACCESS',
    qualification: 0x113,
    length: 3,
  },
  'MOV to CR3 with CR3-load exiting': {
    code: [0x41, 0x0f, 0x22, 0xd9], // mov cr3, r9
    primary: Primary.cr3LoadExiting,
    reason: 'CR_ACCESS',
    qualification: 0x903,
    length: 4,
  },
  'MOV to CR0 that differs from the shadow in a masked bit (TS)': {
    code: [0x0f, 0x22, 0xc0], // mov cr0, rax
    fields: { CR0_GUEST_HOST_MASK: 8n, CR0_READ_SHADOW: 0n },
    setup: (m) => m.setGpr(0, 0x8001_003b),
    reason: 'CR_ACCESS',
    qualification: 0,
    length: 3,
  },
  'MOV to CR4 that differs from the shadow in a masked bit (PGE)': {
    code: [0x0f, 0x22, 0xe2], // mov cr4, rdx
    fields: { CR4_GUEST_HOST_MASK: 0x80n, CR4_READ_SHADOW: 0x80n },
    setup: (m) => m.setGpr(2, 0x2020),
    reason: 'CR_ACCESS',
    qualification: 0x204,
    length: 3,
  },
  'CLTS with TS in mask and shadow': {
    code: [0x0f, 0x06],
    fields: { CR0_GUEST_HOST_MASK: 8n, CR0_READ_SHADOW: 8n },
    reason: 'CR_ACCESS',
    qualification: 0x20,
    length: 2,
  },
  'LMSW from a register': {
    code: [0x0f, 0x01, 0xf1], // lmsw cx
    fields: { CR0_GUEST_HOST_MASK: 2n, CR0_READ_SHADOW: 0n },
    setup: (m) => m.setGpr(1, 0xabc3),
    reason: 'CR_ACCESS',
    qualification: 0xabc3_0030,
    length: 3,
  },
  "LMSW from memory: the operand's linear address": {
    code: [0x0f, 0x01, 0x34, 0x25, 0, 0xa0, 0, 0],
    fields: { CR0_GUEST_HOST_MASK: 2n, CR0_READ_SHADOW: 0n },
    setup: (m) => m.code([0x33, 0x12], Guest.DATA),
    reason: 'CR_ACCESS',
    qualification: 0x1233_0070,
    length: 8,
    recorded: { GUEST_LINEAR_ADDRESS: Guest.DATA },
  },
  'MOV to CR8 with CR8-load exiting': {
    code: [0x44, 0x0f, 0x22, 0xc0],
    primary: Primary.cr8LoadExiting,
    reason: 'CR_ACCESS',
    qualification: 8,
    length: 4,
  },
  'MOV from CR8 with CR8-store exiting': {
    code: [0x44, 0x0f, 0x20, 0xc3],
    primary: Primary.cr8StoreExiting,
    reason: 'CR_ACCESS',
    qualification: 0x318,
    length: 4,
  },
  'MOV to DR7 (Table 28-4)': {
    code: [0x0f, 0x23, 0xfe],
    primary: Primary.movDrExiting,
    reason: 'DR_ACCESS',
    qualification: 0x607,
    length: 3,
  },
  'MOV from DR6': { code: [0x0f, 0x21, 0xf2], primary: Primary.movDrExiting, reason: 'DR_ACCESS', qualification: 0x216, length: 3 },
  'OUT imm8 without bitmaps: unconditional I/O exiting (Table 28-5)': {
    code: [0xe7, 0x42],
    reason: 'IO_INSTRUCTION',
    qualification: 0x42_0043,
    length: 2,
  },
  'IN AL,DX by the bitmap': {
    code: [0xec],
    primary: IO,
    setup: (m) => {
      m.setGpr(2, 0x3f8);
      m.physical.write8(At.IO_BITMAP_A + (0x3f8 >> 3), 1);
    },
    reason: 'IO_INSTRUCTION',
    qualification: 0x3f8_0008,
    length: 1,
  },
  'a dword whose last port is in bitmap B': {
    code: [0xed],
    primary: IO,
    setup: (m) => {
      m.setGpr(2, 0x7ffd);
      m.physical.write8(At.IO_BITMAP_B, 1);
    },
    reason: 'IO_INSTRUCTION',
    qualification: 0x7ffd_000b,
    length: 1,
  },
  'an access that wraps round FFFFH, whatever the bitmaps': {
    code: [0xed],
    primary: IO,
    setup: (m) => m.setGpr(2, 0xfffe),
    reason: 'IO_INSTRUCTION',
    qualification: 0xfffe_000b,
    length: 1,
  },
  'REP OUTSW with an FS override: linear address and segment': {
    code: [0x64, 0xf3, 0x66, 0x6f],
    fields: { GUEST_FS_BASE: 0x1_0000n },
    setup: (m) => m.setGpr(6, 0x1234).setGpr(2, 0x80).setGpr(1, 3),
    reason: 'IO_INSTRUCTION',
    qualification: 0x80_0031,
    length: 4,
    recorded: { GUEST_LINEAR_ADDRESS: 0x1_1234, VMX_INSTRUCTION_INFO: 0x2_0100 },
  },
  'RDMSR without bitmaps': { code: [0x0f, 0x32], reason: 'MSR_READ', length: 2 },
  'WRMSR by the high bitmap': {
    code: [0x0f, 0x30],
    primary: Primary.useMsrBitmaps,
    setup: (m) => {
      m.setGpr(1, 0xc000_0082);
      m.physical.write8(At.MSR_BITMAP + 0xc00 + (0x82 >> 3), 1 << 2);
    },
    reason: 'MSR_WRITE',
    length: 2,
  },
  "RDMSR outside the bitmaps' ranges": {
    code: [0x0f, 0x32],
    primary: Primary.useMsrBitmaps,
    setup: (m) => m.setGpr(1, 0x4b56_4d00),
    reason: 'MSR_READ',
    length: 2,
  },
  'LGDT: displacement, base RBX, identity 2 (Table 28-9)': {
    code: [0x0f, 0x01, 0x53, 0x10],
    secondary: Secondary.descriptorTableExiting,
    reason: 'GDTR_IDTR',
    qualification: 0x10,
    length: 4,
    recorded: { VMX_INSTRUCTION_INFO: 0x21c1_8900 },
  },
  'SIDT [rip+5]: the displacement is relative to the next instruction': {
    code: [0x0f, 0x01, 0x0d, 5, 0, 0, 0],
    secondary: Secondary.descriptorTableExiting,
    reason: 'GDTR_IDTR',
    qualification: Guest.CODE + 7 + 5,
    length: 7,
    recorded: { VMX_INSTRUCTION_INFO: 0x1841_8900 },
  },
  'STR into a register: Reg1 and identity 1 (Table 28-10)': {
    code: [0x0f, 0x00, 0xcb],
    secondary: Secondary.descriptorTableExiting,
    reason: 'LDTR_TR',
    length: 3,
    recorded: { VMX_INSTRUCTION_INFO: 0x1000_0518 },
  },
  VMCALL: { code: [0x0f, 0x01, 0xc1], reason: 'VMCALL', length: 3 },
  VMLAUNCH: { code: [0x0f, 0x01, 0xc2], reason: 'VMLAUNCH', length: 3 },
  VMRESUME: { code: [0x0f, 0x01, 0xc3], reason: 'VMRESUME', length: 3 },
  VMXOFF: { code: [0x0f, 0x01, 0xc4], reason: 'VMXOFF', length: 3 },
  'VMPTRLD [rax+rcx*4-1]': {
    code: [0x0f, 0xc7, 0x74, 0x88, 0xff],
    reason: 'VMPTRLD',
    qualification: 2 ** 64 - 1,
    length: 5,
    recorded: { VMX_INSTRUCTION_INFO: 0x0005_8102 },
  },
  VMPTRST: { code: [0x0f, 0xc7, 0x38], reason: 'VMPTRST', length: 3, recorded: { VMX_INSTRUCTION_INFO: 0x41_8100 } },
  VMCLEAR: { code: [0x66, 0x0f, 0xc7, 0x30], reason: 'VMCLEAR', length: 4, recorded: { VMX_INSTRUCTION_INFO: 0x41_8100 } },
  VMXON: { code: [0xf3, 0x0f, 0xc7, 0x30], reason: 'VMXON', length: 4, recorded: { VMX_INSTRUCTION_INFO: 0x41_8100 } },
  'VMREAD rcx, rdx: Reg1 is the destination, Reg2 the field (Table 28-14)': {
    code: [0x0f, 0x78, 0xd1],
    reason: 'VMREAD',
    length: 3,
    recorded: { VMX_INSTRUCTION_INFO: 0x2000_0508 },
  },
  'VMWRITE r10, [rax]': { code: [0x44, 0x0f, 0x79, 0x10], reason: 'VMWRITE', length: 4, recorded: { VMX_INSTRUCTION_INFO: 0xa041_8100 } },
  'INVEPT rdx, [rax]': {
    code: [0x66, 0x0f, 0x38, 0x80, 0x10],
    reason: 'INVEPT',
    length: 5,
    recorded: { VMX_INSTRUCTION_INFO: 0x2041_8100 },
  },
  'INVVPID rdx, [rax]': {
    code: [0x66, 0x0f, 0x38, 0x81, 0x10],
    reason: 'INVVPID',
    length: 5,
    recorded: { VMX_INSTRUCTION_INFO: 0x2041_8100 },
  },
};

function prepared(each: Case, jitThreshold?: number): VmxMachine {
  const m = new VmxMachine({ model: intel.with('XSAVE'), ...(jitThreshold === undefined ? {} : { jitThreshold }) }).ready(
    '64-bit',
    each.fields,
  );
  m.turnOn('CPU_BASED_VM_EXEC_CONTROL', each.primary ?? 0).turnOn('SECONDARY_VM_EXEC_CONTROL', each.secondary ?? 0);
  if ((each.primary ?? 0) !== 0 && ((each.primary ?? 0) & IO) !== 0) m.turnOff('CPU_BASED_VM_EXEC_CONTROL', Primary.unconditionalIoExiting);
  each.setup?.(m);
  return m.code(each.code);
}

/** 28.5 "Loading Host State": what every exit leaves. */
function expectHost(m: VmxMachine): void {
  const { registers } = m.cpu;
  expect(registers.rip).toBe(BigInt(At.HOST_CODE));
  expect(m.gpr(4)).toBe(0xf000);
  expect([registers.get32(State.cr0) & 0x8001_0033 & ~0, registers.get64(State.cr3), registers.get32(State.cr4)]).toEqual([
    0x8001_0033 | 0,
    BigInt(At.PAGES),
    0x20a0,
  ]);
  expect([registers.get64(State.efer), registers.get32(State.dr7), registers.get32(State.eflags)]).toEqual([0xd01n, 0x400, 2]);
  expect([registers.get64(State.gdtrBase), registers.get64(State.idtrBase)]).toEqual([0x9000n, 0xa000n]);
  expect([registers.get32(State.gdtrLimit), registers.get32(State.idtrLimit)]).toEqual([0xffff, 0xffff]);
  expect([m.cpu.cpl, m.cpu.is64Bit, m.cpu.layer, m.cpu.paging.root]).toEqual([0, true, undefined, At.PAGES]);
}

describe.each([
  ['interpreted', undefined],
  ['compiled', 1],
] as const)('exits by instructions, %s', (_projection, jitThreshold) => {
  test.each(Object.entries(CASES))('%s', (_name, each) => {
    const m = prepared(each, jitThreshold);
    expect(exitReasonRow(m.enter())?.name).toBe(each.reason);
    expect(m.qualification).toBe(each.qualification ?? 0);
    expect([m.field('GUEST_RIP'), m.field('VM_EXIT_INSTRUCTION_LEN')]).toEqual([Guest.CODE, each.length]);
    expect([m.field('VM_EXIT_INTR_INFO'), m.field('IDT_VECTORING_INFO_FIELD')]).toEqual([0, 0]);
    for (const [name, value] of Object.entries(each.recorded ?? {})) expect([name, m.field(name as VmcsFieldName)]).toEqual([name, value]);
    expectHost(m);
  });
});

describe('what does not exit (SDM Vol. 3C, 26.1.3, 26.3)', () => {
  const run = (each: Omit<Case, 'reason' | 'length'>): VmxMachine => {
    const m = prepared({ ...each, reason: 'HLT', length: 1, code: [...each.code, 0xf4] });
    expect(exitReasonRow(m.enter())?.name).toBe('HLT');
    return m;
  };
  test('MOV to CR3 with a CR3-target value', () => {
    const m = run({
      code: [0x0f, 0x22, 0xd8],
      primary: Primary.cr3LoadExiting,
      fields: { CR3_TARGET_COUNT: 2n, CR3_TARGET_VALUE1: 0x2_0000n },
      setup: (each) => each.setGpr(0, 0x2_0000),
    });
    expect(m.field('GUEST_CR3')).toBe(0x2_0000);
  });
  test('MOV from CR0 reads masked bits from the shadow; MOV to CR0 keeps them', () => {
    // mov rax, cr0; mov cr0, rax; mov rcx, cr0
    const m = run({
      code: [0x0f, 0x20, 0xc0, 0x48, 0x83, 0xc8, 0x02, 0x0f, 0x22, 0xc0, 0x0f, 0x20, 0xc1],
      fields: { CR0_GUEST_HOST_MASK: 0x8n, CR0_READ_SHADOW: 0x8n },
    });
    // CD and NW stay as reset left them: no entry changes them (27.3.2.1).
    expect([m.gpr(0), m.gpr(1), m.field('GUEST_CR0') & 0xa]).toEqual([0xe001_003b, 0xe001_003b, 2]);
  });
  test('CLTS with TS masked and clear in the shadow changes nothing', () => {
    const m = run({ code: [0x0f, 0x06], fields: { CR0_GUEST_HOST_MASK: 8n, GUEST_CR0: 0x8001_003bn } });
    expect(m.field('GUEST_CR0') & 8).toBe(8);
  });
  test('I/O and MSRs whose bits are 0', () => {
    const m = run({
      code: [0xe4, 0x80, 0x0f, 0x32],
      primary: Primary.useIoBitmaps | Primary.useMsrBitmaps,
      setup: (each) => each.setGpr(1, 0xc000_0080),
    });
    expect(m.gpr(0) & 0xfff).toBe(0xd01);
  });
  test('without "enable RDTSCP" and "enable INVPCID" these are #UD', () => {
    for (const code of [
      [0x0f, 0x01, 0xf9],
      [0x66, 0x0f, 0x38, 0x82, 0x10],
    ]) {
      const m = prepared({ code, reason: 'HLT', length: 1 });
      expect(exitReasonRow(m.enter())?.name).toBe('HLT');
      expect(m.field('GUEST_RIP')).toBe(Guest.HANDLERS + 6 * 16);
    }
  });
  test('guest CR3 loads, INVLPG and page faults under EPT', () => {
    // mov rax, cr3; mov cr3, rax; invlpg [rax]; mov ecx, [0x400000] (not mapped by the guest: #PF handler)
    const m = run({ code: [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0x0f, 0x01, 0x38, 0x8b, 0x0c, 0x25, 0, 0, 0x40, 0] });
    expect([m.field('GUEST_RIP'), m.cpu.registers.get64(State.cr2)]).toEqual([Guest.HANDLERS + 14 * 16, 0x40_0000n]);
    expect(m.vmx.exits).toEqual({ HLT: 1 });
  });
});
