import { asm32, asm64 } from '@minusone/asm';
import { Gpr, Segment, State, segmentOffset } from '@minusone/x86';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VMRUN_CHECKS } from '../checks/all-checks.ts';
import { breakCheck } from '../checks/break-check.ts';
import { SvmExit } from '../exit/codes.ts';
import { Intercept } from '../intercepts/intercepts.ts';
import type { VmcbFieldName } from '../vmcb/fields.ts';
import { Guest, Place, TestHost } from './testing/test-host.ts';

const long = asm64.with({ origin: Guest.CODE });

describe('a guest that VMRUN refuses: VMEXIT_INVALID, and nothing else of the VMCB changes (APM Vol. 2, 15.5.1)', () => {
  for (const check of VMRUN_CHECKS) {
    if (check.breakIt.processor !== undefined || check.usesEnvironment === true) continue;
    test(check.id, () => {
      const { vmcb } = breakCheck(check);
      const host = new TestHost();
      const { cr4Mask } = host.svm.capabilities.processor;
      expect(cr4Mask).not.toBe(0);
      host.vmcb.region.set(vmcb.region);
      const before = host.vmcb.clone();
      const { hostState } = host;
      expect(host.svm.explainEntry(Place.VMCB).failed.map(({ id }) => id)).toEqual([check.id]);
      expect(host.enter()).toBe(SvmExit.INVALID);
      expect(host.get('EXITCODE')).toBe(2n ** 64n - 1n);
      before.write(0x70 | (64 << 17), host.get('EXITCODE'));
      expect(host.vmcb.region).toEqual(before.region);
      expect([host.svm.inGuest, host.cpu.globalInterruptFlag, host.hostState]).toEqual([false, false, hostState]);
      expect(host.svm.exits).toEqual({ INVALID: 1 });
    });
  }

  test('without paging in the host there is no nested paging (15.25.3)', () => {
    const host = new TestHost().real();
    host.cpu.registers.set32(State.cr0, 0x33);
    host.cpu.registers.set64(State.efer, 0x1001n);
    host.cpu.updatePaging();
    host.cpu.updateMode();
    expect(host.enter()).toBe(SvmExit.INVALID);
    expect(host.svm.explainEntry(Place.VMCB).failed.map(({ id }) => id)).toEqual(['control.np.host-paging']);
  });
});

describe('what VMRUN loads and #VMEXIT saves (APM Vol. 2, 15.5.1, 15.6)', () => {
  test('a guest that does nothing leaves the state-save area as it was', () => {
    const host = new TestHost().long().code(0x0f, 0xa2);
    const canonical = fc.bigInt({ min: 0n, max: 2n ** 47n - 1n });
    const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const values = fc.record({
      CR2: word,
      RAX: word,
      RSP: word,
      GDTR_BASE: canonical,
      IDTR_BASE: canonical,
      GDTR_LIMIT: fc.bigInt({ min: 0n, max: 0xffffn }),
      IDTR_LIMIT: fc.bigInt({ min: 0n, max: 0xffffn }),
      DS_SELECTOR: fc.bigInt({ min: 0n, max: 0xffffn }),
      DS_BASE: canonical,
      DS_LIMIT: fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
      ES_ATTRIBUTES: fc.constantFrom(0xc93n, 0x893n, 0x91n, 0n, 0xcf3n),
      SS_BASE: canonical,
      RFLAGS: fc.constantFrom(2n, 0x246n, 0x3202n, 0x4_0ed6n),
      DR6: fc.constantFrom(0xffff_0ff0n, 0xffff_4ff1n),
      G_PAT: fc.constantFrom(0x0007_0406_0007_0406n, 0x0606_0606_0606_0606n),
    });
    fc.assert(
      fc.property(values, (changes) => {
        host.set(changes).set({ RIP: BigInt(Guest.CODE) });
        const before = host.vmcb.clone();
        expect(host.enter()).toBe(SvmExit.CPUID);
        expect(host.vmcb.region.subarray(0x400)).toEqual(before.region.subarray(0x400));
      }),
      { numRuns: 60 },
    );
  });

  test('bases are made canonical, RIP has 32 bits outside 64-bit mode, CPL is that of the mode', () => {
    const host = new TestHost().real().code(0x0f, 0xa2).set({ SS_BASE: 0x1234_8000_0000_0000n, RIP: 0xffff_ffff_0000_1000n, CPL: 3n });
    expect(host.enter()).toBe(SvmExit.CPUID);
    expect([host.get('SS_BASE'), host.num('RIP'), host.num('CPL')]).toEqual([0xffff_8000_0000_0000n, Guest.CODE, 0]);
  });

  test('virtual-8086 mode has CPL 3, paged real mode CPL 0 (15.19)', () => {
    const v86 = new TestHost().long().real().code(0x0f, 0xa2);
    v86.set({ CR0: 0x11n, RFLAGS: 0x2_3002n, CPL: 0n });
    expect(v86.enter()).toBe(SvmExit.CPUID);
    expect(v86.num('CPL')).toBe(3);
    const paged = new TestHost().long().real().code(0x0f, 0xa2);
    paged.write64(0x5000, BigInt(0x83));
    paged.set({ CR0: 0x8000_0010n, CR3: 0x5000n, CR4: 0x10n, EFER: 0x1000n, CPL: 3n });
    expect(paged.enter()).toBe(SvmExit.CPUID);
    expect([paged.num('CPL'), paged.num('CR0')]).toEqual([0, 0x8000_0010]);
  });

  test('EFER.LMA follows from LME and CR0.PG', () => {
    const host = new TestHost().long().code(0x0f, 0xa2).set({ EFER: 0x1901n });
    expect(host.enter()).toBe(SvmExit.CPUID);
    expect(host.num('EFER')).toBe(0x1d01);
  });

  test('legacy PAE paging: the PDPTEs come from memory at VMRUN, through the nested tables (15.25.10)', () => {
    const host = new TestHost().real().code(0x0f, 0xa2);
    host.write64(0x5000, 0x6001n).write64(0x6000, 0x83n);
    host.set({ CR0: 0x8001_0011n, CR4: 0x20n, CR3: 0x5000n, CS_ATTRIBUTES: 0xc9bn, CS_LIMIT: 0xffff_ffffn });
    expect(host.enter()).toBe(SvmExit.CPUID);
    host.nestedEntry(0x5000, 0n).set({ TLB_CONTROL: 1n, RIP: BigInt(Guest.CODE) });
    expect(host.enter()).toBe(SvmExit.NPF);
    expect([host.get('EXITINFO1'), host.num('EXITINFO2')]).toEqual([0x2_0000_0006n, 0x5000]);
  });
});

test('with nested paging an illegal PDPTE is no #GP of MOV CR3: it faults when it is used (APM Vol. 2, 15.25.10)', () => {
  const host = new TestHost().real().load(asm32`
    mov eax, 0x5000
    mov cr3, eax
    mov al, [0x40000000]`);
  host.write64(0x5000, 0x6001n).write64(0x5008, 0x6003n).write64(0x6000, 0x83n);
  host.set({ CR0: 0x8001_0011n, CR4: 0x20n, CR3: 0x5000n, CS_ATTRIBUTES: 0xc9bn, CS_LIMIT: 0xffff_ffffn, DS_LIMIT: 0xffff_ffffn });
  host.set({ INTERCEPT_EXCEPTIONS: (1n << 13n) | (1n << 14n) });
  expect(host.enter()).toBe(SvmExit.EXCP14);
  expect([host.num('EXITINFO1'), host.num('EXITINFO2')]).toEqual([9, 0x4000_0000]);
});

describe('the host is given back by #VMEXIT (APM Vol. 2, 15.6)', () => {
  test('whatever the guest did to its registers, descriptor tables and modes', () => {
    const host = new TestHost().long().load(long`
      mov rsp, 0x1234
      mov ecx, 0x277
      mov eax, 0x06060606
      mov edx, eax
      wrmsr
      mov eax, 0x10
      mov ds, ax
      lidt [0x8000]
      mov rax, cr4
      or rax, 0x10
      mov cr4, rax
      hlt`);
    host.allow('MSR_PROT').set({ TSC_OFFSET: 12345n });
    const { hostState } = host;
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.hostState).toEqual(hostState);
    expect(host.get('G_PAT')).toBe(0x0606_0606_0606_0606n);
  });

  test('other registers stay what the guest left in them', () => {
    const host = new TestHost()
      .long()
      .load(long`
      mov rbx, 0x1122334455667788
      mov r15, rbx
      movq xmm3, rbx
      mov dr0, rbx
      hlt`)
      .set({ CR4: 0x220n });
    expect(host.enter()).toBe(SvmExit.HLT);
    const { registers } = host.cpu;
    expect([registers.gpr(Gpr.RBX), registers.gpr(Gpr.R15), registers.get64(State.ymm + 96), registers.get64(State.dr)]).toEqual(
      Array(4).fill(0x1122_3344_5566_7788n),
    );
  });

  test('illegal page-directory-pointer entries of the host shut the processor down', () => {
    const host = new TestHost()
      .real()
      .code(0xf4)
      .set({ NP_ENABLE: 0n, RIP: BigInt(Place.GUEST + Guest.CODE), CS_LIMIT: 0xffff_ffffn });
    const { cpu, physical } = host;
    physical.write64(0x3_1000, 0x3_2001n);
    physical.write64(0x3_2000, 0x83n);
    cpu.registers.set64(State.efer, 0x1000n);
    cpu.registers.set64(State.cr3, 0x3_1000n);
    cpu.registers.set64(State.pdptes, 0x3_2001n);
    cpu.updatePaging();
    cpu.engine.flushAll();
    cpu.updateMode();
    host.svm.vmrun(Place.VMCB);
    physical.write64(0x3_1008, 0x1e7n);
    cpu.run(10);
    expect(cpu.run(10)).toBe('shutdown');
  });
});

describe('address spaces (APM Vol. 2, 15.16)', () => {
  /** A guest that reads 5000H, whose nested entry the host changes behind the TLB's back. */
  const staleGuest = (): TestHost => {
    const host = new TestHost().long().load(long`
      mov rax, [0x5000]
      hlt`);
    host.write64(0x5000, 1n).write64(0x7000, 2n);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.num('RAX')).toBe(1);
    return host.nestedEntry(0x5000, BigInt(Place.GUEST + 0x7000) | 7n).set({ RIP: BigInt(Guest.CODE) });
  };
  const reads = (host: TestHost): number => {
    expect(host.enter()).toBe(SvmExit.HLT);
    return host.num('RAX');
  };
  const change = (values: { readonly [Name in VmcbFieldName]?: bigint }): number => reads(staleGuest().set(values));

  test('translations stay from exit to entry; TLB_CONTROL 1, 3 and 7 flush them (15.16.1)', () => {
    expect(change({})).toBe(1);
    expect([change({ TLB_CONTROL: 1n }), change({ TLB_CONTROL: 3n }), change({ TLB_CONTROL: 7n })]).toEqual([2, 2, 2]);
  });
  test('another ASID shares none of them, and the first comes back with its own', () => {
    const host = staleGuest().set({ GUEST_ASID: 2n });
    expect(reads(host)).toBe(2);
    expect(reads(host.set({ GUEST_ASID: 1n, RIP: BigInt(Guest.CODE) }))).toBe(1);
    expect(change({ GUEST_ASID: 0x8001n })).toBe(2);
  });
  test('INVLPGA forgets a page', () => {
    const host = staleGuest();
    host.svm.invlpga(0x5000n, 1);
    expect(reads(host)).toBe(2);
  });
  test('another nCR3 under the same ASID brings nothing stale along', () => {
    const host = staleGuest();
    const copy = host.physical.read(Place.NESTED_TABLES, 0x1000);
    host.physical.write(0x3_8000, copy);
    expect(reads(host.set({ N_CR3: 0x3_8000n }))).toBe(2);
  });
  test("the guest's own CR3 loads, INVLPG and page faults do not exit (15.25)", () => {
    const host = new TestHost().long().load(long`
      mov rax, cr3
      mov cr3, rax
      invlpg [0x5000]
      mov rbx, [0x5000]
      mov rbx, [0x200000]
      hlt`);
    host.bytes(Guest.HANDLERS + 14 * 16, [
      ...asm64`
      add qword [rsp + 8], 8
      add rsp, 8
      iretq`.subarray(0, 16),
    ]);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.svm.exits).toEqual({ HLT: 1 });
  });
});

describe('time (APM Vol. 2, VMCB TSC_OFFSET)', () => {
  test.each([
    ['interpreter', {}],
    ['JIT', { jit: { threshold: 1 } }],
  ] as const)('RDTSC, RDTSCP and RDMSR add it, %s', (_, options) => {
    const host = new TestHost(options).long().allow('MSR_PROT').set({ TSC_OFFSET: 0x1234_0000_0000n });
    host.load(long`
      nop
      rdtsc
      mov ebx, edx
      rdtscp
      mov esi, edx
      mov ecx, 0x10
      rdmsr
      mov edi, edx
      hlt`);
    expect(host.enter()).toBe(SvmExit.HLT);
    expect([Gpr.RBX, Gpr.RSI, Gpr.RDI].map((gpr) => host.cpu.registers.gprLow(gpr))).toEqual([0x1234, 0x1234, 0x1234]);
    expect(host.cpu.msrs.timeStamp >> 32n).toBe(0n);
  });
});

test('without nested paging the guest runs on its own tables over host-physical memory (APM Vol. 2, 15.25.1)', () => {
  const host = new TestHost({ capabilities: 'svm:minimal' }).long().set({ CR3: BigInt(Place.HOST_TABLES), RIP: 0x10_1000n });
  host.load(long`
    mov dword [0x150000], 0x77
    hlt`);
  expect(host.enter()).toBe(SvmExit.HLT);
  expect(host.physical.read32(0x15_0000)).toBe(0x77);
});

test('VMLOAD and VMSAVE move FS, GS, TR, LDTR and the MSRs of system calls (APM Vol. 2, 15.5.2)', () => {
  const host = new TestHost();
  const values: { readonly [Name in VmcbFieldName]?: bigint } = {
    FS_SELECTOR: 0x23n,
    FS_ATTRIBUTES: 0xcf3n,
    FS_LIMIT: 0xffff_ffffn,
    FS_BASE: 0x7f00_1234_5678n,
    GS_BASE: 0xffff_8000_0000_1000n,
    GS_ATTRIBUTES: 0n,
    TR_SELECTOR: 0x40n,
    TR_ATTRIBUTES: 0x8bn,
    TR_LIMIT: 0x67n,
    TR_BASE: 0x9000n,
    LDTR_SELECTOR: 0x50n,
    LDTR_ATTRIBUTES: 0x82n,
    LDTR_LIMIT: 0xfffn,
    STAR: 0x23_0010_0000_0000n,
    LSTAR: 0xffff_ffff_8000_0000n,
    CSTAR: 1n,
    SFMASK: 0x4_7700n,
    KERNEL_GS_BASE: 0x1234_5000n,
    SYSENTER_CS: 8n,
    SYSENTER_ESP: 0xffff_8800_0000_0000n,
    SYSENTER_EIP: 0xffff_8800_0000_1000n,
  };
  host.set(values);
  const before = host.vmcb.clone();
  host.svm.vmload(Place.VMCB);
  expect(host.cpu.msrs.read(0xc000_0082)).toBe(0xffff_ffff_8000_0000n);
  expect(host.cpu.msrs.read(0xc000_0100)).toBe(0x7f00_1234_5678n);
  expect(host.cpu.registers.get32(segmentOffset(Segment.TR, 'selector'))).toBe(0x40);
  for (const name of Object.keys(values) as VmcbFieldName[]) host.set({ [name]: 0n });
  host.svm.vmsave(Place.VMCB);
  expect(host.vmcb.region).toEqual(before.region);
});

test('the intercepts are those that VMRUN loaded: later writes wait for the next one', () => {
  const host = new TestHost().long().load(long`
    nop
    cpuid
    hlt`);
  host.allow('CPUID').svm.vmrun(Place.VMCB);
  host.set({ INTERCEPT_3: host.get('INTERCEPT_3') | BigInt(Intercept.CPUID) });
  expect(host.go()).toBe(SvmExit.HLT);
});
