import { asm64 } from '@minusone/asm';
import { amd, cpuid, Gpr, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { svmCapabilities } from '../capabilities/capabilities.ts';
import { SvmCapabilityError, SvmFaultError, SvmStateError } from '../errors.ts';
import { SvmExit } from '../exit/codes.ts';
import { Svm } from './svm.ts';
import { SvmMsr } from './svm-msrs.ts';
import { Guest, Place, TestHost } from './testing/test-host.ts';

const VMRUN = [0x0f, 0x01, 0xd8];
const VMLOAD = [0x0f, 0x01, 0xda];
const VMSAVE = [0x0f, 0x01, 0xdb];
const STGI = [0x0f, 0x01, 0xdc];
const CLGI = [0x0f, 0x01, 0xdd];
const INVLPGA = [0x0f, 0x01, 0xdf];
const long = asm64.with({ origin: Guest.CODE });

/** Code of the host, at its RIP. */
const hostCode = (host: TestHost, ...bytes: readonly number[]): TestHost => {
  host.physical.write(Place.HOST_CODE, Uint8Array.from(bytes));
  return host;
};
/** An IDT for the host whose handlers are HLTs at 38000H + 16 n. */
function withHandlers(host: TestHost): TestHost {
  for (let vector = 0; vector < 32; vector++) {
    const target = BigInt(0x3_8000 + vector * 16);
    const at = 0x3_7000 + vector * 16;
    host.physical.write64(at, (8n << 16n) | (target & 0xffffn) | ((target >> 16n) << 48n) | (0x8e00n << 32n));
    host.physical.write64(at + 8, 0n);
    host.physical.write8(0x3_8000 + vector * 16, 0xf4);
  }
  host.physical.write64(0x3_6008, 0x00af_9b00_0000_ffffn);
  host.physical.write64(0x3_6010, 0x00cf_9300_0000_ffffn);
  host.cpu.registers.set64(State.gdtrBase, 0x3_6000n);
  host.cpu.registers.set64(State.idtrBase, 0x3_7000n);
  host.cpu.registers.set32(State.idtrLimit, 0xfff);
  return host;
}
/** The exception that the host's code ends in, or -1. */
function exception(host: TestHost): number {
  expect(host.cpu.run(100)).toBe('halted');
  const offset = Number(host.cpu.registers.rip) - 1 - 0x3_8000;
  return offset >= 0 && offset % 16 === 0 ? offset / 16 : -1;
}

describe('VMRUN as an instruction of the host (APM Vol. 2, 15.5; Vol. 3, VMRUN)', () => {
  test('the host goes on behind it after the exit', () => {
    const host = new TestHost().long().load(long`cpuid`);
    hostCode(
      host,
      ...VMRUN,
      ...asm64`
      mov ebx, 0x55
      hlt`,
    );
    host.cpu.registers.setGpr(Gpr.RAX, BigInt(Place.VMCB));
    host.cpu.globalInterruptFlag = false;
    expect(host.cpu.run(100)).toBe('halted');
    expect([host.cpu.registers.gpr(Gpr.RBX), host.num('EXITCODE'), host.cpu.registers.gpr(Gpr.RAX)]).toEqual([
      0x55n,
      SvmExit.CPUID,
      BigInt(Place.VMCB),
    ]);
  });

  test.each([
    ['interpreter', {}],
    ['JIT', { jit: { threshold: 1 } }],
  ] as const)('a hypervisor in machine code counts the exits of its guest, %s', (_, options) => {
    const host = new TestHost(options).long().load(long`
      again:
      inc ebx
      out 0x80, al
      jmp again`);
    // VMRUN; skip the guest's OUT by NRIP; until 1000 exits.
    hostCode(
      host,
      ...asm64.with({ origin: Place.HOST_CODE })`
      mov ecx, 1000
      again:
      mov eax, ${Place.VMCB}
      ${Uint8Array.from(VMRUN)}
      mov rdx, [${Place.VMCB + 0xc8}]
      mov [${Place.VMCB + 0x578}], rdx
      dec ecx
      jnz again
      hlt`,
    );
    host.cpu.registers.setGpr(Gpr.RBX, 0n);
    expect(host.cpu.run(100_000)).toBe('halted');
    expect(host.cpu.registers.gpr(Gpr.RBX)).toBe(1000n);
    expect(host.svm.exits).toEqual({ IOIO: 1000 });
  });

  test('exceptions: #UD without EFER.SVME, #GP for the address', () => {
    const run = (code: readonly number[], rax: bigint, prepare?: (host: TestHost) => void): number => {
      const host = hostCode(withHandlers(new TestHost()), ...code);
      host.cpu.registers.setGpr(Gpr.RAX, rax);
      prepare?.(host);
      return exception(host);
    };
    const noSvme = (host: TestHost): void => host.cpu.registers.set64(State.efer, 0xd01n);
    for (const code of [VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA]) expect(run(code, 0x1000n, noSvme)).toBe(6);
    for (const code of [VMRUN, VMLOAD, VMSAVE]) {
      expect([run(code, 0x1008n), run(code, 1n << 45n), run(code, 0x8000_0000n)]).toEqual([13, 13, 13]);
    }
  });
});

describe('the programmatic face raises what the instruction would', () => {
  test('SvmFaultError with the vector', () => {
    const host = new TestHost();
    expect(() => host.svm.vmrun(0x1234)).toThrow(SvmFaultError);
    expect(() => host.svm.vmload(2 ** 45)).toThrow(/#GP/);
    host.cpu.registers.set64(State.efer, 0xd01n);
    for (const act of [
      () => host.svm.vmrun(Place.VMCB),
      () => host.svm.vmsave(Place.VMCB),
      () => host.svm.stgi(),
      () => host.svm.clgi(),
      () => host.svm.invlpga(0n, 1),
    ]) {
      expect(act).toThrow(expect.objectContaining({ code: 'SVM_FAULT', vector: 6 }));
    }
    expect(() => host.svm.explainEntry(0x1234)).toThrow(SvmFaultError);
  });
  test('wrong times', () => {
    expect(() => new Svm().cpu).toThrow(SvmStateError);
    expect(() => new Svm().vmrun(0)).toThrow(SvmStateError);
    const host = new TestHost().long().load(long`again: jmp again`);
    host.svm.vmrun(Place.VMCB);
    expect(() => host.svm.vmrun(Place.VMCB)).toThrow(SvmStateError);
    expect(() => host.svm.attach(host.cpu)).toThrow(SvmStateError);
  });
  test('capabilities that nobody implements here', () => {
    expect(() => new Svm({ capabilities: 'svm:zen3' })).toThrow(SvmCapabilityError);
    expect(() => new Svm({ capabilities: 'svm:none' as 'svm:max' })).toThrow(SvmCapabilityError);
    expect(new Svm({ capabilities: svmCapabilities('svm:max').without('NP') }).capabilities.has('NP')).toBe(false);
  });
});

describe('what software sees of SVM (APM Vol. 2, 15.4, 15.30)', () => {
  test('CPUID: SVM, revision, ASIDs and just the features that work', () => {
    const { cpu } = new TestHost();
    expect(cpuid(cpu, 0x8000_0000, 0).eax >>> 0).toBe(0x8000_000a);
    expect(cpuid(cpu, 0x8000_0001, 0).ecx & 4).toBe(4);
    // NP, NRIPS, VMCBCLEAN, FLUSHBYASID, DECODEASSISTS, PAUSEFILTER, PAUSEFILTERTHRESHOLD.
    expect(cpuid(cpu, 0x8000_000a, 0)).toEqual({ eax: 1, ebx: 0x8000, ecx: 0, edx: 0x14e9 });
  });
  test('EFER.SVME can be set, unless VM_CR.SVMDIS; LOCK makes that last', () => {
    const { cpu } = new TestHost();
    cpu.msrs.write(0xc000_0080, 0xd01n);
    cpu.msrs.write(SvmMsr.VM_CR, 0x18n);
    expect(() => cpu.msrs.write(0xc000_0080, 0x1d01n)).toThrow();
    cpu.msrs.write(SvmMsr.VM_CR, 0n);
    expect(cpu.msrs.read(SvmMsr.VM_CR)).toBe(0x18n);
    expect(() => cpu.msrs.write(SvmMsr.VM_CR, 1n)).toThrow();
  });
  test('VM_HSAVE_PA takes the address of a page', () => {
    const { cpu } = new TestHost();
    expect(() => cpu.msrs.write(SvmMsr.VM_HSAVE_PA, 0x1001n)).toThrow();
    expect(() => cpu.msrs.write(SvmMsr.VM_HSAVE_PA, 1n << 50n)).toThrow();
    cpu.msrs.write(SvmMsr.VM_HSAVE_PA, 0x2000n);
    expect(cpu.msrs.read(SvmMsr.VM_HSAVE_PA)).toBe(0x2000n);
  });
  test('a model without it has neither bits nor instructions', () => {
    expect(amd.has('SVM')).toBe(false);
  });
});

test('GIF: with it clear neither NMI nor interrupt is taken; STGI lets them in (APM Vol. 2, 15.17)', () => {
  const host = withHandlers(new TestHost());
  hostCode(host, ...CLGI, 0x90, 0x90, ...STGI, 0x90, 0xf4);
  host.cpu.run(1);
  host.cpu.raiseNmi();
  host.cpu.run(2);
  expect(host.cpu.registers.rip).toBe(BigInt(Place.HOST_CODE + 5));
  expect(exception(host)).toBe(2);
  expect(host.physical.read64(Number(host.cpu.registers.gpr(Gpr.RSP)))).toBe(BigInt(Place.HOST_CODE + 8));
});

test('CLGI and STGI of a guest, where nobody intercepts them, are the real ones (APM Vol. 2, 15.17)', () => {
  const host = new TestHost().long().allow('CLGI', 'STGI');
  host.code(...CLGI, 0x90, 0x90, ...STGI, 0xf4);
  host.svm.vmrun(Place.VMCB);
  host.cpu.run(1);
  host.cpu.raiseNmi();
  host.cpu.run(2);
  expect(host.svm.inGuest).toBe(true);
  expect(host.go()).toBe(SvmExit.NMI);
  expect(host.num('RIP')).toBe(Guest.CODE + 8);
});

test('reset leaves guest mode', () => {
  const host = new TestHost().long().load(long`again: jmp again`);
  host.svm.vmrun(Place.VMCB);
  host.cpu.reset();
  expect([host.svm.inGuest, host.cpu.layer, host.cpu.globalInterruptFlag]).toEqual([false, undefined, true]);
});
