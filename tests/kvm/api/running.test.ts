import { asm16, asm64 } from '@minusone/asm';
import { Kvm } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode } from './testing.ts';

onEither((vendor) => {
  test('a run executes exactly its budget; slices of any size give the same guest', () => {
    const code = asm16`
  next: inc   ax
        mov   [0x2000], ax
        jmp   next`;
    const whole = realMode(vendor, code);
    expect(whole.vcpu.run({ instructions: 3001 }).reason).toBe('budget');
    expect(whole.vcpu.statistics.instructions).toBe(3001);
    expect([whole.vcpu.getRegs().rax, whole.vcpu.getRegs().rip]).toEqual([1001n, 0x1001n]);
    const sliced = realMode(vendor, code);
    for (let n = 0; n < 3001; n += 7) {
      sliced.vcpu.run({ instructions: Math.min(7, 3001 - n) });
      if (n % 5 === 0) sliced.vcpu.getSregs();
    }
    expect(sliced.vcpu.getRegs()).toEqual(whole.vcpu.getRegs());
    expect(sliced.vcpu.statistics.instructions).toBe(3001);
  });

  test('RDTSC counts instructions, those too that KVM executes for the guest', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        rdtsc
        mov   esi, eax
        cpuid
        mov   ecx, [0x20000000]
        in    al, 0x10
        rdtsc
        hlt`,
    );
    exitsOf(vcpu);
    const { rax, rsi } = vcpu.getRegs();
    // On this host an instruction is a tick, and RDTSC counts itself.
    expect([rsi, rax]).toEqual([1n, 6n]);
  });

  test('immediateExit completes what is to be completed, and the guest does not go on (api.rst, immediate_exit)', () => {
    const { vcpu } = realMode(
      vendor,
      asm16`
        in    al, 0x10
        inc   ah
        hlt`,
    );
    const exit = vcpu.run();
    if (exit.reason === 'io') exit.data[0] = 0x77;
    vcpu.immediateExit = true;
    expect(vcpu.run().reason).toBe('intr');
    expect([vcpu.getRegs().rax, vcpu.getRegs().rip]).toEqual([0x77n, 0x1002n]);
    expect(vcpu.run().reason).toBe('intr');
    vcpu.immediateExit = false;
    expect(vcpu.run().reason).toBe('hlt');
    expect(vcpu.getRegs().rax).toBe(0x177n);
  });

  test('without an irqchip HLT is an exit, and the next run goes on behind it', () => {
    const { vcpu } = realMode(
      vendor,
      asm16`
        hlt
        inc   ax
        hlt`,
    );
    expect([vcpu.run().reason, vcpu.getRegs().rip, vcpu.run().reason, vcpu.getRegs().rax]).toEqual(['hlt', 0x1001n, 'hlt', 1n]);
  });

  test('state is written and read back as it was: general, special, x87, SSE, XSAVE, XCR0, debug registers', () => {
    const { vcpu } = longMode(vendor, asm64`hlt`);
    const regs = { ...vcpu.getRegs(), rax: 0xffff_ffff_ffff_ffffn, r15: 1n << 63n, rflags: 0x246n };
    vcpu.setRegs(regs);
    expect(vcpu.getRegs()).toEqual(regs);
    const sregs = vcpu.getSregs();
    expect([sregs.cs.l, sregs.cs.dpl, sregs.efer, sregs.cr4, sregs.tr.present]).toEqual([1, 0, 0x500n, 0x620n, 1]);
    const changed = {
      ...sregs,
      cr2: 0x1234n,
      gdt: { base: 0xffff_8000_0000_1000n, limit: 0x7f },
      fs: { ...sregs.fs, base: 0x7fff_0000_1234n },
      cr8: 5n,
    };
    vcpu.setSregs(changed);
    expect(vcpu.getSregs()).toEqual(changed);
    const fpu = vcpu.getFpu();
    fpu.xmm[3] = Uint8Array.from({ length: 16 }, (_, n) => n);
    fpu.fpr[2] = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0, 0);
    fpu.fcw = 0x27f;
    vcpu.setFpu(fpu);
    expect(vcpu.getFpu()).toEqual(fpu);
    const xsave = vcpu.getXsave();
    expect([xsave.length, xsave[160 + 3 * 16 + 5], xsave[32 + 2 * 16 + 1]]).toEqual([4096, 5, 2]);
    vcpu.setFpu({ ...fpu, xmm: fpu.xmm.map(() => new Uint8Array(16)) });
    vcpu.setXsave(xsave);
    expect(vcpu.getXsave2()).toEqual(xsave);
    const debug = { db: [1n, 2n, 3n, 4n] as const, dr6: 0xffff0ff1n, dr7: 0x400n };
    vcpu.setDebugRegs(debug);
    expect(vcpu.getDebugRegs()).toEqual(debug);
    expect(vcpu.getXcrs()).toEqual({ xcrs: [{ xcr: 0, value: 1n }] });
    vcpu.setXcrs({ xcrs: [{ xcr: 0, value: 3n }] });
    expect(vcpu.getXcrs()).toEqual({ xcrs: [{ xcr: 0, value: 3n }] });
    expect(() => vcpu.setXcrs({ xcrs: [{ xcr: 0, value: 2n }] })).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }));
    expect(() => vcpu.setFpu({ ...fpu, mxcsr: 0x10000 })).toThrow(/MXCSR/);
  });

  test('KVM refuses control registers that no processor has together, and changes nothing', () => {
    const { vcpu } = longMode(vendor, asm64`hlt`);
    const sregs = vcpu.getSregs();
    expect(() => vcpu.setSregs({ ...sregs, cr4: sregs.cr4 & ~0x20n })).toThrow(/needs CR4.PAE/);
    expect(() => vcpu.setSregs({ ...sregs, efer: 0x100n })).toThrow(/EFER.LMA is not/);
    expect(() => vcpu.setSregs({ ...sregs, cr0: 0x80000030n })).toThrow(/INVALID_STATE|CR0.PG is set without/);
    expect(() => vcpu.setSregs({ ...sregs, cr4: sregs.cr4 | 0x8000_0000n })).toThrow(/does not have/);
    expect(vcpu.getSregs()).toEqual(sregs);
  });

  test("translate walks the guest's own tables (api.rst, KVM_TRANSLATE)", () => {
    const { vcpu } = longMode(vendor, asm64`hlt`);
    expect(vcpu.translate(0x212345n)).toEqual({ physicalAddress: 0x212345, valid: true, writeable: true, usermode: false });
    expect(vcpu.translate(0x4000_0000n)).toMatchObject({ valid: false });
  });

  test('a triple fault is a shutdown that says where', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   eax, [0x50000000]
        hlt`,
    );
    const exit = vcpu.run();
    expect(exit.reason).toBe('shutdown');
    expect((exit as { explanation: string }).explanation).toMatch(
      /mov eax, \[0x50000000\][\s\S]*CR2 0x50000000[\s\S]*walk of 0x50000000:[\s\S]*not present/,
    );
  });

  test('wrong order of calls, unknown capabilities and ids are refused by name', () => {
    const kvm = new Kvm(vendor(), { memory: '2M' });
    const vm = kvm.createVm({ memory: '64K' });
    const code = (expected: string) => expect.objectContaining({ code: expected });
    expect(() => vm.irqLine(1, true)).toThrow(code('WRONG_ORDER'));
    expect(() => vm.createPit2()).toThrow(code('WRONG_ORDER'));
    expect(() => vm.enableCap('KVM_CAP_NO_SUCH_THING')).toThrow(code('UNKNOWN_CAPABILITY'));
    expect(() => vm.enableCap('KVM_CAP_X86_USER_SPACE_MSR', 0x100n)).toThrow(code('UNKNOWN_CAPABILITY'));
    const vcpu = vm.createVcpu(0);
    expect(() => vm.createVcpu(0)).toThrow(code('VCPU_ID'));
    expect(() => vm.createVcpu(-1)).toThrow(code('VCPU_ID'));
    expect(() => vm.createIrqchip()).toThrow(code('WRONG_ORDER'));
    expect(() => vcpu.getLapic()).toThrow(code('WRONG_ORDER'));
    expect(() => vcpu.setMpState('halted')).toThrow(code('INVALID_STATE'));
    vm.memory.write(0x1000, Uint8Array.of(0xf4));
    vcpu.start({ mode: 'real', ip: 0x1000 });
    vcpu.run();
    expect(() => vcpu.setCpuid2([])).toThrow(code('WRONG_ORDER'));
    expect(() => vcpu.start({ mode: 'long', ip: 0 })).toThrow(/needs page tables/);
    expect(() => kvm.createVm({ memory: 'much' })).toThrow(/"much" is not a size/);
  });

  test('a virtual CPU that runs cannot be run: not from one of its own devices, and not while it runs in the background', async () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
  next: jmp   next`,
    );
    const controller = new AbortController();
    const running = vcpu.runAsync({ signal: controller.signal });
    expect(() => vcpu.run()).toThrow(expect.objectContaining({ code: 'VCPU_BUSY' }));
    setTimeout(() => controller.abort(), 20);
    expect((await running).reason).toBe('intr');
    let refused = '';
    vm.clock
      .createTimer(() => {
        try {
          vcpu.run();
        } catch (error) {
          refused = (error as { code: string }).code;
        }
      })
      .arm(vm.clock.nowNs() + 100);
    vcpu.run({ instructions: 1000 });
    expect(refused).toBe('VCPU_BUSY');
  });
});
