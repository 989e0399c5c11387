import { asm16, asm32, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type SegmentState } from '@minusone/kvm';
import { Cr0, Cr4, Efer, Gpr, Segment, State } from '@minusone/x86';
import { expect, test } from 'vitest';
import { onEachVendor } from './each-vendor.ts';
import { CODE } from './vendor-machine.ts';

const empty = (): SegmentState => ({ selector: 0, base: 0n, limit: 0, attributes: 0 });

onEachVendor((machine) => {
  test('after reset: F000:FFF0, real-address mode, PAT and DR7 as the manuals have them (SDM Vol. 3A, Table 9-1; APM Vol. 2, Table 14-1)', () => {
    const { vcpu } = machine();
    expect([vcpu.state.ripLow(), vcpu.state.ripHigh(), vcpu.debug.rflags(), vcpu.state.cpl()]).toEqual([0xfff0, 0, 2, 0]);
    expect(vcpu.state.segment(Segment.CS, empty())).toMatchObject({ selector: 0xf000, base: 0xffff_0000n, limit: 0xffff });
    expect(vcpu.state.segment(Segment.TR, empty())).toEqual({ selector: 0, base: 0n, limit: 0xffff, attributes: 0x8b });
    expect(vcpu.state.segment(Segment.LDTR, empty())).toEqual({ selector: 0, base: 0n, limit: 0xffff, attributes: 0x82 });
    expect(vcpu.controlRegisters.cr0() >>> 0).toBe(0x6000_0010);
    expect([vcpu.controlRegisters.cr3(), vcpu.controlRegisters.cr4(), vcpu.controlRegisters.efer(), vcpu.debug.dr7()]).toEqual([
      0n,
      0,
      0,
      0x400,
    ]);
    expect([vcpu.state.gdtr(), vcpu.state.idtr()]).toEqual([
      { base: 0n, limit: 0xffff },
      { base: 0n, limit: 0xffff },
    ]);
    expect(vcpu.state.msr(0x277)).toBe(0x0007_0406_0007_0406n);
  });

  test('INIT keeps CR0.CD, CR0.NW and the PAT (SDM Vol. 3A, Table 9-1; APM Vol. 2, Table 14-1)', () => {
    const { vcpu } = machine();
    vcpu.controlRegisters.setCr0(Cr0.PE | Cr0.ET);
    vcpu.state.setMsr(0x277, 6n);
    vcpu.nmis.set(true);
    vcpu.reset(true);
    expect(vcpu.controlRegisters.cr0()).toBe(Cr0.ET);
    expect(vcpu.state.msr(0x277)).toBe(6n);
    expect(vcpu.nmis.masked).toBe(false);
  });

  test('every segment register is read back as it was set, FS, GS, LDTR and TR too', () => {
    const { vcpu } = machine();
    for (let index = 0; index < 8; index++) {
      const system = index >= Segment.LDTR;
      const value = { selector: 8 * index, base: 0x1_2345_6000n + BigInt(index), limit: 0xfffff, attributes: system ? 0x8b : 0xc0f3 };
      vcpu.state.setSegment(index, value);
      expect(vcpu.state.segment(index, empty())).toEqual(value);
    }
    vcpu.state.setSegment(Segment.ES, { ...empty(), attributes: 0x1_0000 });
    expect(vcpu.state.segment(Segment.ES, empty()).attributes).toBe(0x1_0000);
  });

  test('CPL is SS.DPL', () => {
    const { vcpu } = machine();
    vcpu.state.setSegment(Segment.SS, { selector: 0x2b, base: 0n, limit: 0xffff_ffff, attributes: 0xc0f3 });
    expect(vcpu.state.cpl()).toBe(3);
  });

  test('registers go in and come out: RAX, RSP, RFLAGS, CR2 and FS.base', () => {
    const code = asm64.with({ origin: CODE })`
    mov rcx, rax
    mov rdx, cr2
    mov rax, 0x1122334455667788
    push rax
    mov rbx, fs:[0]
    mov rsi, rsp
    stc
    mov rdi, 0x99
    mov cr2, rdi
    hlt`;
    const guest = machine().long(code);
    const { vcpu, cpu } = guest;
    guest.setGpr(Gpr.RAX, 0xffff_8000_0000_0001n);
    cpu.registers.set64(State.cr2, 0x5555_0000_1234n);
    vcpu.state.setSegment(Segment.FS, { selector: 0, base: 0x5000n, limit: 0xffff_ffff, attributes: 0xc093 });
    guest.write64(0x5000, 0xabcdn).run();
    expect(vcpu.exit.kind).toBe(Kind.HLT);
    expect(cpu.registers.gpr(Gpr.RCX)).toBe(0xffff_8000_0000_0001n);
    expect(cpu.registers.gpr(Gpr.RDX)).toBe(0x5555_0000_1234n);
    expect(cpu.registers.gpr(Gpr.RAX)).toBe(0x1122_3344_5566_7788n);
    expect([guest.gpr(Gpr.RBX), guest.gpr(Gpr.RSP), guest.gpr(Gpr.RSI)]).toEqual([0xabcd, 0x7ff8, 0x7ff8]);
    expect(cpu.registers.get64(State.cr2)).toBe(0x99n);
    expect(vcpu.debug.rflags() & 1).toBe(1);
    expect(guest.rip).toBe(CODE + code.length - 1);
  });

  test('a guest that switches to 64-bit mode by itself: EFER.LMA and CS.L are there, and no bit of the extension itself', () => {
    const guest = machine().flat(asm32.with({ origin: CODE })`
    mov eax, 0x10000
    mov cr3, eax
    mov eax, 0x20
    mov cr4, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    jmp 8:inside
  bits 64
  inside:
    mov rax, 0x100000000
    hlt`);
    guest.write64(0x1_0000, 0x1_1007n).write64(0x1_1000, 0x1_2007n).write64(0x1_2000, 0x87n);
    guest.write64(0x2008, 0x00af_9b00_0000_ffffn);
    guest.vcpu.controlRegisters.setEfer(Efer.LME);
    guest.run();
    expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
    expect(guest.vcpu.controlRegisters.efer()).toBe(Efer.LME | Efer.LMA);
    expect(guest.vcpu.state.segment(Segment.CS, empty()).attributes).toBe(0xa09b);
    expect(guest.cpu.registers.gpr(Gpr.RAX)).toBe(0x1_0000_0000n);
    expect(guest.vcpu.controlRegisters.cr4()).toBe(Cr4.PAE);
  });

  test('the TSC offset is added for the guest alone (SDM Vol. 3C, 26.3; APM Vol. 2 15.30.5)', () => {
    const guest = machine().real(asm16.with({ origin: CODE })`
    rdtsc
    hlt`);
    guest.vcpu.state.setTscOffset(0x1234_0000_0000n);
    guest.run();
    expect(guest.gpr(Gpr.RDX)).toBe(0x1234);
  });

  test('an entry that the hardware refuses says which checks failed, and the guest goes on once it is mended', () => {
    const guest = machine().long(asm64`hlt`);
    guest.vcpu.controlRegisters.setCr4(0);
    expect(guest.vcpu.enter(10)).toBe(true);
    expect(guest.vcpu.exit.kind).toBe(Kind.ENTRY_FAILED);
    expect(guest.vcpu.isInGuest).toBe(false);
    expect(guest.vcpu.explainEntry()).toMatch(/PAE/);
    guest.vcpu.controlRegisters.setCr4(Cr4.PAE);
    expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
  });
});
