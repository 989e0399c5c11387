import { Kvm, type KvmVendor, MsrExitReason, type Vcpu, type VcpuExit } from '@minusone/kvm';
import type { GuestProgram } from './guests.ts';

const INSTRUCTIONS = 20_000_000;
const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'rip', 'rflags'] as const;

/** One exit as `native/kvm-run.c` prints it. */
export function describeExit(exit: VcpuExit): string {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  switch (exit.reason) {
    case 'io': {
      const { direction, port, size, count, data } = exit;
      return `io ${direction} port ${port.toString(16)} size ${size} count ${count}${direction === 'out' ? ` data ${hex(data)}` : ''}`;
    }
    case 'mmio': {
      const at = exit.physAddr.toString(16);
      return exit.isWrite ? `mmio write at ${at} data ${hex(exit.data)}` : `mmio read at ${at} bytes ${exit.data.length}`;
    }
    case 'debug':
      return `debug exception ${exit.exception} pc ${exit.pc.toString(16)} dr6 ${exit.dr6.toString(16)}`;
    case 'msr':
      return exit.isWrite ? `wrmsr ${exit.index.toString(16)} data ${exit.data.toString(16)}` : `rdmsr ${exit.index.toString(16)}`;
    case 'internalError':
      return `internalError ${exit.suberror}: ${exit.explanation}`;
    case 'failEntry':
      return `failEntry: ${exit.explanation}`;
    default:
      return exit.reason;
  }
}

/** Puts a guest into a new VM, as `native/kvm-run.c` does. */
export function createGuest(vendor: KvmVendor, guest: GuestProgram): Vcpu {
  const vm = new Kvm(vendor, { memory: '8M' }).createVm({ memory: guest.memoryBytes });
  if (guest.irqchip) vm.createIrqchip();
  const vcpu = vm.createVcpu(0);
  for (const { address, bytes } of guest.load) vm.memory.write(address, bytes);
  // Only now, so that what the VMM has loaded is not in it.
  if (guest.dirtyLog) vm.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0, memorySize: guest.memoryBytes, flags: { logDirtyPages: true } });
  const sregs = vcpu.getSregs();
  for (const name of ['cs', 'ds', 'es', 'fs', 'gs', 'ss'] as const) Object.assign(sregs[name], { base: 0n, selector: 0 });
  if (guest.mode === 'protected') {
    sregs.cr0 |= 1n;
    const flat = { base: 0n, limit: 0xffff_ffff, present: 1, s: 1, db: 1, g: 1, dpl: 0, l: 0, unusable: 0 };
    for (const name of ['ds', 'es', 'fs', 'gs', 'ss'] as const) Object.assign(sregs[name], { ...flat, selector: 0x10, type: 3 });
    Object.assign(sregs.cs, { ...flat, selector: 8, type: 0xb });
  }
  if (guest.cpuid.length > 0) {
    vcpu.setCpuid2(
      guest.cpuid.map(([leaf = 0, index = 0, flags = 0, eax = 0, ebx = 0, ecx = 0, edx = 0]) => ({
        function: leaf,
        index,
        flags,
        eax,
        ebx,
        ecx,
        edx,
      })),
    );
  }
  vcpu.setSregs(sregs);
  const zero = Object.fromEntries(REGISTERS.map((name) => [name, 0n]));
  vcpu.setRegs({
    ...zero,
    rflags: 2n,
    ...Object.fromEntries(Object.entries(guest.registers).map(([name, value]) => [name, BigInt(value >>> 0)])),
  });
  if (guest.userMsrs !== undefined) {
    const { base, count: nmsrs } = guest.userMsrs;
    vm.enableCap('KVM_CAP_X86_USER_SPACE_MSR', BigInt(MsrExitReason.UNKNOWN | MsrExitReason.FILTER));
    vm.setMsrFilter({
      defaultAllow: true,
      ranges: [{ read: true, write: true, base, nmsrs, bitmap: new Uint8Array(Math.ceil(nmsrs / 8)) }],
    });
  }
  if (guest.breakpoint !== undefined) {
    const debugreg = [BigInt(guest.breakpoint), 0n, 0n, 0n, 0n, 0n, 0n, 0x402n];
    vcpu.setGuestDebug({ enable: true, useHwBp: true, debugreg });
  }
  if (guest.softwareBreakpoints) vcpu.setGuestDebug({ enable: true, useSwBp: true });
  if (guest.singleStep) vcpu.setGuestDebug({ enable: true, singleStep: true });
  return vcpu;
}

/** Exits after which the guest goes on. */
const GOES_ON: ReadonlySet<string> = new Set(['io', 'mmio', 'irqWindowOpen', 'debug', 'msr']);
/** A write there is answered by the next interrupt. */
const IRQ_PORT = 0x10;
const MSR_ANSWER = 0x1122_3344_5566_7788n;

function pulse({ vm }: Vcpu, gsi: number | undefined): void {
  if (gsi === undefined) return;
  vm.irqLine(gsi, true);
  vm.irqLine(gsi, false);
}

/** The exits of a guest under one of our vendor modules, a line each, then its registers: what `runNatively` gives of the host's KVM. */
export function runGuest(vendor: KvmVendor, guest: GuestProgram): string[] {
  const vcpu = createGuest(vendor, guest);
  const waiting = [...guest.interrupts];
  const irqs = [...guest.irqs];
  const lines: string[] = [];
  let answer = 0x11;
  const fill = (data: Uint8Array): void => {
    for (let i = 0; i < data.length; i++) data[i] = answer++;
  };
  for (let exits = 0, over = false; exits < guest.limit && !over; exits++) {
    if (waiting.length > 0 && exits > 0 && vcpu.readyForInterruptInjection) vcpu.interrupt(waiting.shift() as number);
    vcpu.requestInterruptWindow = waiting.length > 0;
    const exit = vcpu.run({ instructions: INSTRUCTIONS });
    lines.push(describeExit(exit));
    if (exit.reason === 'io' && exit.direction === 'in') fill(exit.data);
    else if (exit.reason === 'mmio' && !exit.isWrite) fill(exit.data);
    else if (exit.reason === 'io' && exit.port === IRQ_PORT) pulse(vcpu, irqs.shift());
    else if (exit.reason === 'msr') exit.data = MSR_ANSWER;
    else if (exit.reason === 'hlt') over = waiting.length === 0;
    else over = !GOES_ON.has(exit.reason);
  }
  if (guest.dirtyLog) {
    const bitmap = vcpu.vm.getDirtyLog(0);
    const pages = Array.from({ length: bitmap.length * 8 }, (_, page) => page).filter(
      (page) => ((bitmap[page >>> 3] as number) >>> (page & 7)) & 1,
    );
    lines.push(`dirty ${pages.map((page) => page.toString(16)).join(' ')}`);
  }
  const regs = vcpu.getRegs();
  const sregs = vcpu.getSregs();
  const values = REGISTERS.map((name) => `${name} ${regs[name].toString(16)}`);
  lines.push(`end ${values.join(' ')} cs ${sregs.cs.selector.toString(16)} cr0 ${sregs.cr0.toString(16)}`);
  return lines;
}
