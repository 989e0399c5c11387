import { Activity, Cr4, Eflags, readEflags, Segment, State, setSegment } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { vmxCapabilities } from '../capabilities/presets.ts';
import { ExitReason } from '../exit/reasons.ts';
import { FIELD } from '../vmcs/fields.ts';
import { At, Guest, VmxMachine } from './testing/vmx-machine.ts';
import { Vmx } from './vmx.ts';

const ARITHMETIC = Eflags.CF | Eflags.PF | Eflags.AF | Eflags.ZF | Eflags.SF | Eflags.OF;
const VMXON = [0xf3, 0x0f, 0xc7, 0x30]; // vmxon [rax]
const VMXOFF = [0x0f, 0x01, 0xc4];
const VMCLEAR = [0x66, 0x0f, 0xc7, 0x30];
const VMPTRLD = [0x0f, 0xc7, 0x30];
const VMPTRST = [0x0f, 0xc7, 0x38];
const VMREAD = [0x0f, 0x78, 0xd1]; // vmread rcx, rdx
const VMWRITE = [0x0f, 0x79, 0xd1]; // vmwrite rdx, rcx
const VMLAUNCH = [0x0f, 0x01, 0xc2];
const VMRESUME = [0x0f, 0x01, 0xc3];
const VMCALL = [0x0f, 0x01, 0xc1];
const HLT = 0xf4;

/** A 64-bit hypervisor in machine code: at At.HOST_CODE, its operand at C000H, its IDT's handlers (HLT) at D000H + 16 n. */
class Host extends VmxMachine {
  constructor(jitThreshold?: number) {
    super(jitThreshold === undefined ? {} : { jitThreshold });
    // The mode that a hypervisor has before VMXON: as the face prepares it, then out of VMX operation again.
    this.vmx.vmxon(At.VMXON);
    this.vmx.vmxoff();
    const { registers } = this.cpu;
    registers.set64(State.cr3, BigInt(At.PAGES));
    registers.setGpr(4, 0xf000n);
    for (let vector = 0; vector < 32; vector++) {
      this.physical.write8(0xd000 + vector * 16, HLT);
      this.physical.write32(0xa000 + vector * 16, (8 << 16) | (0xd000 + vector * 16));
      this.physical.write32(0xa000 + vector * 16 + 4, 0x8e00);
    }
    this.physical.write32(0x9008, 0xffff);
    this.physical.write32(0x900c, 0x00af9b00);
    registers.set64(State.gdtrBase, 0x9000n);
    registers.set64(State.idtrBase, 0xa000n);
    registers.set32(State.gdtrLimit, 0xff);
    registers.set32(State.idtrLimit, 0x1ff);
    this.cpu.updatePaging();
    this.cpu.engine.flushAll();
    this.cpu.updateMode();
    this.setGpr(0, 0xc000);
    this.operand(At.VMXON);
  }
  operand(value: number | bigint): this {
    this.physical.write64(0xc000, BigInt(value));
    return this;
  }
  /** Executes host code up to its HLT; the arithmetic flags and, after a fault, its vector. */
  host(...code: readonly (readonly number[])[]): { flags: number; fault: number } {
    this.hostCode([...code.flat(), HLT]);
    this.cpu.jumpTo(At.HOST_CODE, 0);
    this.cpu.activity = Activity.ACTIVE;
    this.cpu.run(1000);
    const rip = Number(this.cpu.registers.rip) - 1 - 0xd000;
    return { flags: readEflags(this.cpu.registers) & ARITHMETIC, fault: rip >= 0 && rip < 0x200 ? rip / 16 : -1 };
  }
  /** VM-instruction error after host code that is to VMfailValid. */
  error(...code: readonly (readonly number[])[]): number {
    expect(this.host(...code)).toEqual({ flags: Eflags.ZF, fault: -1 });
    return this.field('VM_INSTRUCTION_ERROR');
  }
}
const succeeds = { flags: 0, fault: -1 };
const invalid = { flags: Eflags.CF, fault: -1 };

describe('VMXON (SDM Vol. 3C, 31.3; 24.7)', () => {
  test('enters VMX operation', () => {
    const h = new Host();
    expect(h.host(VMXON)).toEqual(succeeds);
    expect(h.vmx.on).toBe(true);
  });
  test('#UD without CR4.VMXE; #GP(0) at CPL 0 with NE clear, or IA32_FEATURE_CONTROL not locked', () => {
    const h = new Host();
    const { registers } = h.cpu;
    registers.set32(State.cr4, registers.get32(State.cr4) & ~Cr4.VMXE);
    expect(h.host(VMXON).fault).toBe(6);
    const ne = new Host();
    ne.cpu.registers.set32(State.cr0, ne.cpu.registers.get32(State.cr0) & ~0x20);
    expect(ne.host(VMXON).fault).toBe(13);
    const unlocked = new VmxMachine();
    expect(unlocked.cpu.msrs.read(0x3a)).toBe(0n);
    unlocked.cpu.msrs.write(0x3a, 5n);
    expect(() => unlocked.cpu.msrs.write(0x3a, 4n)).toThrow();
  });
  test('VMfailInvalid for an operand that is not aligned, beyond the address width, or of another revision', () => {
    for (const address of [At.VMXON + 8, 2 ** 45, At.VMCS]) expect(new Host().operand(address).host(VMXON)).toEqual(invalid);
    const shadow = new Host();
    shadow.physical.write32(At.VMXON, 0x8000_4d31);
    expect(shadow.host(VMXON)).toEqual(invalid);
  });
  test('in VMX root operation: error 15; without a current VMCS VMfailInvalid', () => {
    const h = new Host();
    expect(h.host(VMXON, VMXON)).toEqual(invalid);
    h.physical.write32(At.VMCS, 0x4d31);
    h.operand(At.VMCS).host(VMPTRLD);
    expect(h.error(VMXON)).toBe(15);
  });
  test('in VMX operation CR0.PG and CR4.VMXE are fixed: #GP(0) (24.8); after VMXOFF they are not', () => {
    const clear = [0x0f, 0x20, 0xe1, 0x81, 0xe1, 0xff, 0xdf, 0xff, 0xff, 0x0f, 0x22, 0xe1]; // mov rcx, cr4; and ecx, ~2000h; mov cr4, rcx
    const h = new Host();
    expect(h.host(VMXON, clear).fault).toBe(13);
    expect(h.host(VMXOFF, clear)).toMatchObject({ fault: -1 });
  });
});

describe('the VMCS pointers (31.3)', () => {
  test('every instruction but VMXON is #UD outside VMX operation', () => {
    for (const code of [VMXOFF, VMCLEAR, VMPTRLD, VMPTRST, VMREAD, VMWRITE, VMLAUNCH, VMRESUME, VMCALL])
      expect(new Host().host(code).fault).toBe(6);
  });
  test('VMPTRLD, VMPTRST, VMCLEAR', () => {
    const h = new Host();
    h.host(VMXON);
    expect([h.host(VMPTRST).flags, h.physical.read64(0xc000)]).toEqual([0, 0xffff_ffff_ffff_ffffn]);
    h.physical.write32(At.VMCS, 0x4d31);
    expect(h.operand(At.VMCS).host(VMPTRLD)).toEqual(succeeds);
    expect([h.host(VMPTRST).flags, h.physical.read64(0xc000)]).toEqual([0, BigInt(At.VMCS)]);
    expect(h.operand(At.VMCS).host(VMCLEAR)).toEqual(succeeds);
    expect(h.vmx.currentAddress).toBe(-1);
  });
  test('errors 2, 3, 9, 10, 11, 1', () => {
    const h = new Host();
    h.host(VMXON);
    h.physical.write32(At.VMCS, 0x4d31);
    h.operand(At.VMCS).host(VMPTRLD);
    expect(h.operand(At.VMCS + 1).error(VMCLEAR)).toBe(2);
    expect(h.operand(At.VMXON).error(VMCLEAR)).toBe(3);
    expect(h.operand(2 ** 50).error(VMPTRLD)).toBe(9);
    expect(h.operand(At.VMXON).error(VMPTRLD)).toBe(10);
    expect(h.operand(At.VMCS2).error(VMPTRLD)).toBe(11);
    expect(h.error(VMCALL)).toBe(1);
  });
  test('VMREAD and VMWRITE: values, and errors 12; VMfailInvalid without a current VMCS', () => {
    const h = new Host();
    h.host(VMXON);
    expect(h.host(VMREAD)).toEqual(invalid);
    h.physical.write32(At.VMCS, 0x4d31);
    h.operand(At.VMCS).host(VMPTRLD);
    h.setGpr(2, FIELD.GUEST_RIP).setGpr(1, 0x1234_5678_9abcn);
    expect(h.host(VMWRITE)).toEqual(succeeds);
    h.setGpr(1, 0);
    expect(h.host(VMREAD)).toEqual(succeeds);
    expect(h.cpu.registers.gpr(1)).toBe(0x1234_5678_9abcn);
    h.setGpr(2, 0x681f);
    expect([h.error(VMREAD), h.error(VMWRITE)]).toEqual([12, 12]);
  });
  test('at CPL 3 they are #GP(0)', () => {
    for (const code of [VMXON, VMXOFF, VMCLEAR, VMPTRLD, VMPTRST, VMREAD, VMWRITE, VMLAUNCH, VMRESUME, VMCALL]) {
      const h = new Host();
      h.host(VMXON);
      const { registers } = h.cpu;
      setSegment(registers, Segment.CS, 0x23, 0xa0fb, -1, 0);
      setSegment(registers, Segment.SS, 0x2b, 0xc0f3, -1, 0);
      setSegment(registers, Segment.TR, 0x40, 0x8b, 0x67, 0xb000);
      h.physical.write64(0xb004, 0xf000n);
      registers.set32(State.cpl, 3);
      h.cpu.updateMode();
      expect(h.host(code).fault).toBe(13);
    }
  });
});

describe('VMLAUNCH and VMRESUME (27.1)', () => {
  test('VMfailInvalid without a VMCS; 5 before a launch, 4 after it; 26 behind MOV SS', () => {
    const m = new VmxMachine();
    m.vmx.vmxon(At.VMXON);
    expect(m.vmx.vmlaunch()).toMatchObject({ ok: false, error: 0 });
    m.ready().code([HLT]);
    m.vmx.vmxoff();
    m.vmx.vmxon(At.VMXON);
    m.vmx.vmptrld(At.VMCS);
    expect(m.vmx.vmresume()).toMatchObject({ ok: false, error: 5 });
    m.enter();
    expect(m.vmx.vmlaunch()).toMatchObject({ ok: false, error: 4 });
    expect(m.field('VM_INSTRUCTION_ERROR')).toBe(4);
    const h = new Host();
    h.host(VMXON);
    h.physical.write32(At.VMCS, 0x4d31);
    h.operand(At.VMCS).host(VMPTRLD);
    // mov ebx, ss; mov ss, ebx (a flat data segment), then VMLAUNCH in its shadow
    h.physical.write32(0x9010, 0xffff);
    h.physical.write32(0x9014, 0x00cf9300);
    expect(h.error([0xbb, 0x10, 0, 0, 0, 0x8e, 0xd3], VMLAUNCH)).toBe(26);
  });
  test('invalid controls: 7; invalid host state: 8; the guest is not touched', () => {
    const m = new VmxMachine().ready('64-bit', { PIN_BASED_VM_EXEC_CONTROL: 0n });
    expect(m.vmx.vmlaunch()).toMatchObject({ ok: false, error: 7 });
    expect(m.vmx.explainEntry().failed[0]?.id).toBe('control.pin-based.settings');
    const host = new VmxMachine().ready('64-bit', { HOST_CR4: 0n });
    expect(host.vmx.vmlaunch()).toMatchObject({ ok: false, error: 8 });
    expect([host.vmx.inNonRootOperation, host.vmcs.launchState, host.vmx.exits]).toEqual([false, 'clear', {}]);
  });
  test('invalid guest state: exit 33 with bit 31, the host\'s state loaded, nothing of the guest saved, launch state "clear" (27.8)', () => {
    const m = new VmxMachine().ready('64-bit', { GUEST_RFLAGS: 0n, VM_ENTRY_INTR_INFO_FIELD: 0x8000_0030n });
    expect(m.vmx.vmlaunch()).toEqual({ ok: true });
    expect([m.reason, m.qualification, m.vmx.inNonRootOperation]).toEqual([0x8000_0021, 0, false]);
    expect([m.cpu.registers.rip, m.field('GUEST_RFLAGS'), m.vmcs.launchState]).toEqual([BigInt(At.HOST_CODE), 0, 'clear']);
    expect(m.field('VM_ENTRY_INTR_INFO_FIELD')).toBe(0x8000_0030);
    expect([m.cpu.layer, m.vmx.exits]).toEqual([undefined, { INVALID_STATE: 1 }]);
    m.vmcs.assign({ GUEST_RFLAGS: 0x202n });
    expect(m.code([HLT]).enter()).toBe(ExitReason.HLT);
  });
  test('the VMCS link pointer: qualification 4', () => {
    const m = new VmxMachine().ready('64-bit', { VMCS_LINK_POINTER: 0x123n });
    m.vmx.vmlaunch();
    expect([m.reason, m.qualification]).toEqual([0x8000_0021, 4]);
  });
  test('an MSR that cannot be loaded: exit 34 with its number', () => {
    const m = new VmxMachine().ready('64-bit', { VM_ENTRY_MSR_LOAD_ADDR: BigInt(At.MSR_AREA), VM_ENTRY_MSR_LOAD_COUNT: 2n });
    m.physical.write64(At.MSR_AREA, 0xc000_0082n);
    // Not canonical: WRMSR would raise #GP(0).
    m.physical.write64(At.MSR_AREA + 16, 0xc000_0082n);
    m.physical.write64(At.MSR_AREA + 24, 1n << 60n);
    m.vmx.vmlaunch();
    expect([m.reason, m.qualification, m.vmx.inNonRootOperation, m.cpu.registers.rip]).toEqual([
      0x8000_0022,
      2,
      false,
      BigInt(At.HOST_CODE),
    ]);
  });
  test('MSRs before one that cannot be loaded are loaded, those behind it are not (27.4)', () => {
    const m = new VmxMachine().ready('64-bit', { VM_ENTRY_MSR_LOAD_ADDR: BigInt(At.MSR_AREA), VM_ENTRY_MSR_LOAD_COUNT: 3n });
    // LSTAR; IA32_FS_BASE, which is refused whatever its value; CSTAR.
    for (const [n, index] of [0xc000_0082n, 0xc000_0100n, 0xc000_0083n].entries()) {
      m.physical.write64(At.MSR_AREA + 16 * n, index);
      m.physical.write64(At.MSR_AREA + 16 * n + 8, 0x1234n);
    }
    m.vmx.vmlaunch();
    expect([m.reason, m.qualification, m.cpu.msrs.read(0xc000_0082), m.cpu.msrs.read(0xc000_0083)]).toEqual([0x8000_0022, 2, 0x1234n, 0n]);
  });
  test('an MSR of the exit that cannot be loaded or stored: VMX abort 4, 1, and shutdown (28.7)', () => {
    const m = new VmxMachine().ready('64-bit', { VM_EXIT_MSR_LOAD_ADDR: BigInt(At.MSR_AREA), VM_EXIT_MSR_LOAD_COUNT: 1n }).code([HLT]);
    m.physical.write64(At.MSR_AREA, 0xc000_0100n);
    m.vmx.vmlaunch();
    expect([m.cpu.run(10), m.vmcs.abortIndicator]).toEqual(['shutdown', 4]);
    const store = new VmxMachine()
      .ready('64-bit', { VM_EXIT_MSR_STORE_ADDR: BigInt(At.MSR_AREA), VM_EXIT_MSR_STORE_COUNT: 1n })
      .code([HLT]);
    store.physical.write64(At.MSR_AREA, 0x9999n);
    store.vmx.vmlaunch();
    expect([store.cpu.run(10), store.vmcs.abortIndicator]).toEqual(['shutdown', 1]);
  });
});

describe.each([
  ['interpreted', undefined],
  ['compiled', 1],
] as const)('a hypervisor in machine code, %s', (_projection, jitThreshold) => {
  test('launches a guest, counts its exits, and stops at its HLT', () => {
    const h = new Host(jitThreshold);
    // The VMCS is written by the face of a twin of this machine: the region's bytes are what VMPTRLD finds.
    const twin = new VmxMachine().ready();
    h.physical.load(At.VMCS, twin.vmcs.region.slice());
    for (let at = At.GUEST; at < At.GUEST + 0x3_0000; at += 8) h.physical.write64(at, twin.physical.read64(at));
    h.code([0x0f, 0xa2, 0xff, 0xc6, 0x83, 0xfe, 100, 0x75, 0xf7, HLT]); // again: cpuid; inc esi; cmp esi, 100; jne again; hlt
    // Exit handler: vmread rcx, reason; cmp ecx, 12; je done; inc edi; add GUEST_RIP, 2; vmresume. done: hlt
    const handler = [
      ...[0xba, 0x02, 0x44, 0, 0, ...VMREAD, 0x83, 0xf9, 0x0c, 0x74, 0x14],
      ...[0xff, 0xc7, 0xba, 0x1e, 0x68, 0, 0, ...VMREAD, 0x48, 0x83, 0xc1, 2, ...VMWRITE, ...VMRESUME],
      ...[HLT, HLT],
    ];
    // The exit's address is in the VMCS: behind the launching code.
    const start = [...VMXON, 0x48, 0xc7, 0x00, 0, 0x20, 0, 0, ...VMPTRLD, ...VMLAUNCH, HLT];
    const launched = twin.vmcs;
    launched.assign({ HOST_RIP: BigInt(At.HOST_CODE + start.length) });
    h.physical.load(At.VMCS, launched.region.slice());
    h.hostCode([...start, ...handler]);
    h.setGpr(6, 0).setGpr(7, 0);
    h.cpu.jumpTo(At.HOST_CODE, 0);
    expect(h.cpu.run(100_000)).toBe('halted');
    expect([h.gpr(6), h.gpr(7), h.gpr(1)]).toEqual([100, 100, 12]);
    expect(h.vmx.exits).toEqual({ CPUID: 100, HLT: 1 });
    expect(h.vmx.inNonRootOperation).toBe(false);
  });
});

describe('what the CPU announces', () => {
  test('CPUID.1:ECX.VMX and the capability MSRs; MSRs that the capabilities lack are #GP(0)', () => {
    const m = new VmxMachine().ready('64-bit').code([0xb8, 1, 0, 0, 0, 0x0f, 0xa2, HLT]);
    expect(m.cpu.msrs.read(0x480)).toBe(m.vmx.capabilities.msrs.IA32_VMX_BASIC);
    expect(() => m.cpu.msrs.read(0x491)).toThrow();
    expect(() => m.cpu.msrs.write(0x480, 0n)).toThrow();
  });
  test("'vmx:max' follows the model: address width, CR4 bits, instructions", () => {
    const { vmx } = new VmxMachine();
    expect(vmx.capabilities.processor.physicalAddressWidth).toBe(vmx.cpu.model.physicalBits);
    expect(Number(vmx.capabilities.msrs.IA32_VMX_CR4_FIXED1) & 0x10_2000).toBe(0x10_2000);
    expect(vmx.capabilities.offers('secondary', 'enableRdtscp')).toBe(vmx.cpu.model.has('RDTSCP'));
  });
  test('capabilities that promise more than there is are refused by name', () => {
    expect(() => new Vmx({ capabilities: 'vmx:skylake' })).toThrow(/which this CPU does not do/);
    expect(() => new Vmx({ capabilities: vmxCapabilities('vmx:manual') })).toThrow();
    expect(new Vmx({ capabilities: 'vmx:minimal' }).name).toBe('VT-x');
  });
  test('a control that is not offered is refused at entry, with its check', () => {
    const m = new VmxMachine().ready().turnOn('SECONDARY_VM_EXEC_CONTROL', 0x200);
    expect(m.vmx.vmlaunch()).toMatchObject({ ok: false, error: 7 });
    expect(m.vmx.explainEntry().failed.map(({ id }) => id)).toContain('control.secondary.settings');
  });
});

describe('the programmatic face', () => {
  test('instructions that would fault throw, those that fail say why', () => {
    const m = new VmxMachine();
    expect(() => m.vmx.vmclear(0)).toThrow(/VMCLEAR raises #UD/);
    m.ready().code([0xeb, 0xfe]);
    expect(() => m.vmx.vmread(0x681f)).toThrow(/VMREAD fails/);
    m.vmx.vmwrite(FIELD.GUEST_RIP, BigInt(Guest.CODE));
    expect([m.vmx.vmread(FIELD.GUEST_RIP), m.vmx.vmptrst(), m.vmx.currentAddress]).toEqual([BigInt(Guest.CODE), At.VMCS, At.VMCS]);
    expect(m.vmx.vmxon(At.VMXON)).toMatchObject({ ok: false, error: 15 });
    m.vmx.vmlaunch();
    expect(() => m.vmx.vmresume()).toThrow(/the guest is running/i);
    expect(() => new Vmx().on).toThrow(/belongs to no CPU/);
  });
  test('a reset ends VMX operation', () => {
    const m = new VmxMachine().ready().code([0xeb, 0xfe]);
    m.vmx.vmlaunch();
    m.cpu.run(10);
    m.cpu.reset();
    expect([m.vmx.on, m.vmx.inNonRootOperation, m.cpu.layer, m.cpu.isRealMode]).toEqual([false, false, undefined, true]);
  });
});
