import { State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { ExitReason } from '../exit/reasons.ts';
import { ExitControl, Primary, Secondary } from './controls.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';

/** mov [Guest.DATA], al; mov bl, [Guest.DATA]; hlt */
const STORE = [0x88, 0x04, 0x25, 0, 0xa0, 0, 0];
const LOAD = [0x8a, 0x1c, 0x25, 0, 0xa0, 0, 0];
const page = At.GUEST + Guest.DATA;

describe.each([
  ['interpreted', undefined],
  ['compiled', 1],
] as const)('EPT violations and misconfigurations, %s (SDM Vol. 3C, 29.3.3; Table 28-7)', (_projection, jitThreshold) => {
  const machine = (): VmxMachine => new VmxMachine(jitThreshold === undefined ? {} : { jitThreshold }).ready();
  test.each([
    ['a read of a page that is not present', LOAD, 0, 0x181],
    ['a write of one', STORE, 0, 0x182],
    ['a write of a page that may be read and executed', STORE, page | 0x35, 0x1aa],
    ['a read of an execute-only page', LOAD, page | 0x34, 0x1a1],
  ] as const)('%s', (_name, code, entry, qualification) => {
    const m = machine()
      .code([...code, 0xf4])
      .eptEntry(Guest.DATA, entry);
    expect([m.enter(), m.qualification]).toEqual([ExitReason.EPT_VIOLATION, qualification]);
    expect([m.field('GUEST_PHYSICAL_ADDRESS'), m.field('GUEST_LINEAR_ADDRESS'), m.field('GUEST_RIP')]).toEqual([
      Guest.DATA,
      Guest.DATA,
      Guest.CODE,
    ]);
    // Mended, the instruction runs as if nothing had been; an EPT violation leaves nothing cached of that address (29.4.3.1).
    m.eptEntry(Guest.DATA, page | 0x37);
    expect(m.enter()).toBe(ExitReason.HLT);
  });
  test('a fetch, and the page that an instruction runs into', () => {
    const m = machine().eptEntry(Guest.CODE, (At.GUEST + Guest.CODE) | 0x33);
    expect([m.enter(), m.qualification]).toEqual([ExitReason.EPT_VIOLATION, 0x19c]);
    const across = machine()
      .code([0xb8, 1, 2], Guest.CODE + 0xffd)
      .eptEntry(Guest.CODE + 0x1000, 0);
    across.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE + 0xffd) });
    expect([across.enter(), across.qualification, across.field('GUEST_RIP')]).toEqual([
      ExitReason.EPT_VIOLATION,
      0x184,
      Guest.CODE + 0xffd,
    ]);
    expect(across.field('GUEST_LINEAR_ADDRESS')).toBe(Guest.CODE + 0x1000);
  });
  test('an access to a guest paging-structure entry: bit 8 is 0', () => {
    const m = machine().code(LOAD).eptEntry(0x2_2000, 0);
    expect([m.enter(), m.qualification, m.field('GUEST_PHYSICAL_ADDRESS')]).toEqual([ExitReason.EPT_VIOLATION, 0x81, 0x2_2000]);
    expect(m.field('GUEST_LINEAR_ADDRESS')).toBe(Guest.CODE);
  });
  test('with A/D flags, an access to a paging-structure entry is a write', () => {
    const m = machine()
      .code(LOAD)
      .eptEntry(0x2_1000, (At.GUEST + 0x2_1000) | 0x35);
    m.vmcs.assign({ EPT_POINTER: BigInt(At.EPT | 0x5e) });
    expect([m.enter(), m.qualification]).toEqual([ExitReason.EPT_VIOLATION, 0xab]);
  });
  test('misconfigurations: write without read, reserved bits, memory type', () => {
    for (const entry of [page | 0x32, page | 0x3f | 0, page | 0x17]) {
      const m = machine().code(STORE).eptEntry(Guest.DATA, entry);
      expect([m.enter(), m.field('GUEST_PHYSICAL_ADDRESS'), m.qualification]).toEqual([ExitReason.EPT_MISCONFIG, Guest.DATA, 0]);
    }
  });
  test('A and D flags are set; a page is written again after its D flag was cleared and INVEPT', () => {
    const m = machine().code([...STORE, 0x0f, 0xa2, ...STORE, 0xf4]);
    m.vmcs.assign({ EPT_POINTER: BigInt(At.EPT | 0x5e) });
    expect(m.enter()).toBe(ExitReason.CPUID);
    const flags = (): number => m.physical.read32(At.EPT + 0x3000 + (Guest.DATA >>> 12) * 8) & 0x300;
    expect(flags()).toBe(0x300);
    m.eptEntry(Guest.DATA, page | 0x37);
    m.vmx.invept(1, BigInt(At.EPT | 0x5e));
    m.vmcs.assign({ GUEST_RIP: BigInt(m.field('GUEST_RIP') + 2) });
    expect([m.enter(), flags()]).toEqual([ExitReason.HLT, 0x300]);
  });
});

test('page-modification logging: a D flag that is set is logged, a full log exits before the access (29.3.6)', () => {
  const log = 0x9_0000;
  const m = new VmxMachine().ready('64-bit', { PML_ADDRESS: BigInt(log), GUEST_PML_INDEX: 0n, EPT_POINTER: BigInt(At.EPT | 0x5e) });
  m.code([...STORE, ...STORE, 0x88, 0x04, 0x25, 0, 0xb0, 0, 0, 0xf4]).turnOn('SECONDARY_VM_EXEC_CONTROL', Secondary.enablePml);
  // The guest's paging-structure entries are written already: only the data pages are left to log.
  for (const page of [0x2_0000, 0x2_1000, 0x2_2000]) m.eptEntry(page, (At.GUEST + page) | 0x337);
  expect([m.enter(), m.field('GUEST_RIP'), m.field('GUEST_PHYSICAL_ADDRESS')]).toEqual([ExitReason.PML_FULL, Guest.CODE + 14, 0xb000]);
  expect([m.physical.read64(log), m.field('GUEST_PML_INDEX')]).toEqual([BigInt(Guest.DATA), 0xffff]);
  m.vmcs.assign({ GUEST_PML_INDEX: 511n });
  expect([m.enter(), m.physical.read64(log + 511 * 8)]).toEqual([ExitReason.HLT, 0xb000n]);
});

describe('PDPTEs (27.3.2.4, 28.3.4, 29.3.1)', () => {
  const pae = (m: VmxMachine): VmxMachine => {
    m.physical.write64(At.GUEST + 0x2_4000, 0x2_2001n);
    m.physical.write64(At.GUEST + 0x2_2000, 0x87n);
    return m;
  };
  test('with EPT an entry takes them from the VMCS, an exit puts them there, MOV to CR3 reads memory', () => {
    const m = pae(new VmxMachine().ready('pae', { GUEST_PDPTR0: 0x2_2001n, GUEST_CR3: 0xdead_0000n & 0xffff_ffe0n }));
    m.code([0x0f, 0xa2, 0x0f, 0x22, 0xd9, 0xf4]).setGpr(1, 0x2_4000);
    m.physical.write64(At.GUEST + 0x2_4018, 0x7001n);
    expect(m.enter()).toBe(ExitReason.CPUID);
    expect([m.field('GUEST_PDPTR0'), m.field('GUEST_PDPTR3')]).toEqual([0x2_2001, 0]);
    m.setGpr(1, 0x2_4000).vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE + 2) });
    expect([m.enter(), m.field('GUEST_PDPTR3'), m.field('GUEST_CR3')]).toEqual([ExitReason.HLT, 0x7001, 0x2_4000]);
  });
  test('MOV to CR3 whose PDPTEs EPT refuses: no linear address', () => {
    const m = pae(new VmxMachine().ready('pae', { GUEST_PDPTR0: 0x2_2001n }))
      .code([0x0f, 0x22, 0xd9])
      .setGpr(1, 0x2_4000)
      .eptEntry(0x2_4000, 0);
    expect([m.enter(), m.qualification, m.field('GUEST_PHYSICAL_ADDRESS')]).toEqual([ExitReason.EPT_VIOLATION, 1, 0x2_4000]);
  });
});

describe('VPIDs and what is cached (29.4)', () => {
  /** mov al, [Guest.DATA]; cpuid-like exit by HLT; jump back. */
  const LOOP = [0x8a, 0x04, 0x25, 0, 0xa0, 0, 0, 0xf4, 0xeb, 0xf6];
  const next = (m: VmxMachine): number => {
    m.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE + 8) });
    m.enter();
    return m.gpr(0) & 0xff;
  };
  const other = (m: VmxMachine): void => {
    m.physical.write8(At.GUEST + 0xb000, 0x77);
    m.eptEntry(Guest.DATA, (At.GUEST + 0xb000) | 0x37);
  };
  test('translations of a VPID outlive exits and entries; INVEPT of its EPTP ends them, of another does not', () => {
    const m = new VmxMachine().ready().code(LOOP).code([0x11], Guest.DATA);
    m.enter();
    other(m);
    expect(next(m)).toBe(0x11);
    expect(m.vmx.invept(1, 0x5_001en)).toEqual({ ok: true });
    expect(next(m)).toBe(0x11);
    m.vmx.invept(1, BigInt(At.EPT | 0x1e));
    expect(next(m)).toBe(0x77);
  });
  test.each([
    ['individual address', 0, 1, BigInt(Guest.DATA)],
    ['single context', 1, 1, 0n],
    ['all contexts', 2, 0, 0n],
    ['single context, retaining globals', 3, 1, 0n],
  ] as const)('INVVPID, %s', (_name, type, vpid, linear) => {
    const m = new VmxMachine().ready().code(LOOP).code([0x11], Guest.DATA);
    m.enter();
    other(m);
    expect(m.vmx.invvpid(type, vpid, linear)).toEqual({ ok: true });
    expect(next(m)).toBe(0x77);
  });
  test('INVVPID of another VPID leaves them; all-context INVEPT does not', () => {
    const m = new VmxMachine().ready().code(LOOP).code([0x11], Guest.DATA);
    m.enter();
    other(m);
    m.vmx.invvpid(1, 2, 0n);
    expect(next(m)).toBe(0x11);
    m.vmx.invept(2, 0n);
    expect(next(m)).toBe(0x77);
  });
  test('without VPIDs every entry forgets them', () => {
    const m = new VmxMachine().ready().code(LOOP).code([0x11], Guest.DATA).turnOff('SECONDARY_VM_EXEC_CONTROL', Secondary.enableVpid);
    m.enter();
    other(m);
    expect(next(m)).toBe(0x77);
  });
  test('the operands that INVEPT and INVVPID refuse: VM-instruction error 28', () => {
    const { vmx } = new VmxMachine().ready();
    const refused = { ok: false, error: 28 };
    for (const [type, eptp] of [
      [0, 0x1_001en],
      [3, 0x1_001en],
      [1, 0x1_0000n],
      [1, 0x1_0026n],
      [1, 0x1_009en],
      [1, (1n << 50n) | 0x1en],
    ] as const)
      expect(vmx.invept(type, eptp)).toMatchObject(refused);
    for (const [type, vpid, linear] of [
      [0, 0, 0n],
      [1, 0, 0n],
      [3, 0, 0n],
      [4, 1, 0n],
      [0, 0x1_0001, 0n],
      [0, 1, 1n << 47n],
    ] as const)
      expect(vmx.invvpid(type, vpid, linear)).toMatchObject(refused);
  });
});

test('two guests side by side: each has its memory, its registers and its count of exits', () => {
  const m = new VmxMachine().ready('64-bit', { VIRTUAL_PROCESSOR_ID: 1n }).code([0x8a, 0x04, 0x25, 0, 0xa0, 0, 0, 0xf4]);
  m.code([0x11], Guest.DATA);
  // The second one's data page is another; its code is shared.
  const tables = 0x4_0000;
  for (let at = 0; at < 0x4000; at += 8) m.physical.write64(tables + at, m.physical.read64(At.EPT + at));
  m.physical.write64(tables, BigInt((tables + 0x1000) | 7));
  m.physical.write64(tables + 0x1000, BigInt((tables + 0x2000) | 7));
  m.physical.write64(tables + 0x2000, BigInt((tables + 0x3000) | 7));
  m.physical.write64(tables + 0x3000 + (Guest.DATA >>> 12) * 8, BigInt((At.GUEST + 0xb000) | 0x37));
  m.code([0x22], 0xb000);
  m.vmcsAt(At.VMCS2, '64-bit', { VIRTUAL_PROCESSOR_ID: 2n, EPT_POINTER: BigInt(tables | 0x1e) });
  for (let round = 0; round < 3; round++) {
    for (const [vmcs, value] of [
      [At.VMCS, 0x11],
      [At.VMCS2, 0x22],
    ] as const) {
      m.vmx.vmptrld(vmcs);
      m.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE) });
      m.enter();
      expect(m.gpr(0) & 0xff).toBe(value);
    }
  }
});

describe('TSC offsetting and the TPR shadow (25.6.5, 25.6.8, 30.3)', () => {
  test.each([undefined, 1])('RDTSC and RDMSR add the offset, compiled too; after the exit the host sees its own', (jitThreshold) => {
    const m = new VmxMachine(jitThreshold === undefined ? {} : { jitThreshold }).ready('64-bit', { TSC_OFFSET: 0xffff_ffff_0000_0000n });
    m.code([0x0f, 0x31, 0xf4]).turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.useTscOffsetting);
    const before = m.cpu.registers.get64(State.tscOffset);
    expect([m.enter(), m.gpr(2)]).toEqual([ExitReason.HLT, 0xffff_ffff]);
    expect(m.cpu.registers.get64(State.tscOffset)).toBe(before);
    m.vmcs.assign({ GUEST_RIP: BigInt(Guest.CODE), TSC_OFFSET: 0x5_ffff_0000n });
    expect([m.enter(), m.gpr(2)]).toEqual([ExitReason.HLT, 5]);
  });
  test('MOV to and from CR8 use VTPR; below the threshold the guest exits after the instruction', () => {
    // mov eax, 7; mov cr8, rax; mov rcx, cr8; mov eax, 2; mov cr8, rax; nop
    const m = new VmxMachine().ready('64-bit', { TPR_THRESHOLD: 3n });
    m.physical.write8(At.VIRTUAL_APIC + 0x80, 0x50);
    m.code([0xb8, 7, 0, 0, 0, 0x44, 0x0f, 0x22, 0xc0, 0x44, 0x0f, 0x20, 0xc1, 0xb8, 2, 0, 0, 0, 0x44, 0x0f, 0x22, 0xc0, 0x90]);
    m.turnOn('CPU_BASED_VM_EXEC_CONTROL', Primary.useTprShadow);
    expect([m.enter(), m.gpr(1), m.field('GUEST_RIP')]).toEqual([ExitReason.TPR_BELOW_THRESHOLD, 7, Guest.CODE + 22]);
    expect(m.physical.read32(At.VIRTUAL_APIC + 0x80)).toBe(0x20);
  });
});

describe('what exits save and load by their controls (28.3.1, 28.5.1)', () => {
  test('IA32_PAT, IA32_EFER and the debug controls', () => {
    const m = new VmxMachine().ready('64-bit', {
      GUEST_IA32_PAT: 0x0606_0606_0606_0606n,
      HOST_IA32_PAT: 0x0004_0004_0004_0004n,
      GUEST_DR7: 0x455n,
      GUEST_IA32_DEBUGCTL: 2n,
    });
    m.code([0xf4]).turnOn('VM_ENTRY_CONTROLS', 1 << 14);
    m.turnOn('VM_EXIT_CONTROLS', ExitControl.saveIa32Pat | ExitControl.loadIa32Pat | ExitControl.saveDebugControls);
    m.vmx.vmlaunch();
    expect([m.cpu.registers.get64(State.pat), m.cpu.registers.get32(State.dr7), m.cpu.msrs.debugCtl]).toEqual([
      0x0606_0606_0606_0606n,
      0x455,
      2,
    ]);
    m.cpu.registers.set64(State.pat, 0x0101_0101_0101_0101n);
    m.go();
    expect([m.field('GUEST_IA32_PAT'), m.field('GUEST_DR7'), m.field('GUEST_IA32_DEBUGCTL')]).toEqual([
      Number(0x0101_0101_0101_0101n),
      0x455,
      2,
    ]);
    expect([m.cpu.registers.get64(State.pat), m.cpu.registers.get32(State.dr7), m.cpu.msrs.debugCtl]).toEqual([
      0x0004_0004_0004_0004n,
      0x400,
      0,
    ]);
  });
  test('a guest that leaves IA-32e mode clears "IA-32e mode guest" (IA32_VMX_MISC[5])', () => {
    const m = new VmxMachine().ready('real').code([0xf4]);
    expect([m.enter(), m.field('VM_ENTRY_CONTROLS') & 0x200]).toEqual([ExitReason.HLT, 0]);
    const long = new VmxMachine().ready('64-bit').code([0xf4]);
    expect([long.enter(), long.field('VM_ENTRY_CONTROLS') & 0x200]).toEqual([ExitReason.HLT, 0x200]);
  });
  test('MSR areas: loaded at entry, stored and loaded at exit (27.4, 28.4, 28.6)', () => {
    const entry = (n: number, index: number, value: bigint): void => {
      m.physical.write64(At.MSR_AREA + n * 16, BigInt(index));
      m.physical.write64(At.MSR_AREA + n * 16 + 8, value);
    };
    const area = BigInt(At.MSR_AREA);
    const m = new VmxMachine()
      .ready('64-bit', {
        VM_ENTRY_MSR_LOAD_ADDR: area,
        VM_ENTRY_MSR_LOAD_COUNT: 1n,
        VM_EXIT_MSR_STORE_ADDR: area + 16n,
        VM_EXIT_MSR_STORE_COUNT: 1n,
        VM_EXIT_MSR_LOAD_ADDR: area + 32n,
        VM_EXIT_MSR_LOAD_COUNT: 1n,
      })
      .code([0xf4]);
    entry(0, 0xc000_0082, 0x1111n);
    entry(1, 0xc000_0082, 0n);
    entry(2, 0xc000_0082, 0x3333n);
    m.enter();
    expect([m.physical.read64(At.MSR_AREA + 24), m.cpu.registers.get64(State.lstar)]).toEqual([0x1111n, 0x3333n]);
  });
});
