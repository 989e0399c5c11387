import { Kvm, type KvmVendor, type Vcpu, type VcpuExit, type Vm, type VmOptions } from '@minusone/kvm';
import { describe } from 'vitest';
import { vendors } from '../vendors.ts';

export function onEither(rules: (vendor: () => KvmVendor) => void): void {
  describe.each(vendors)('%s', (_name, vendor) => rules(vendor));
}

export interface Guest {
  readonly kvm: Kvm;
  readonly vm: Vm;
  readonly vcpu: Vcpu;
}

/** A VM with 64 KiB of RAM and code at 1000H in real-address mode. */
export function realMode(
  vendor: () => KvmVendor,
  code: Uint8Array,
  options: VmOptions & { readonly prepare?: (vm: Vm) => void } = {},
): Guest {
  const kvm = new Kvm(vendor(), { memory: '8M', jit: false });
  const { prepare, ...rest } = options;
  const vm = kvm.createVm({ memory: '64K', ...rest });
  prepare?.(vm);
  const vcpu = vm.createVcpu(0);
  vm.memory.write(0x1000, code);
  vcpu.start({ mode: 'real', ip: 0x1000, sp: 0x8000 });
  return { kvm, vm, vcpu };
}

/** A VM with 4 MiB of RAM and code at 10000H in 64-bit mode; the first GiB is mapped to itself by tables at 1000H to 3FFFH. */
export function longMode(
  vendor: () => KvmVendor,
  code: Uint8Array,
  options: VmOptions & { readonly prepare?: (vm: Vm) => void } = {},
): Guest {
  const kvm = new Kvm(vendor(), { memory: '16M', jit: false });
  const { prepare, ...rest } = options;
  const vm = kvm.createVm({ memory: '4M', ...rest });
  prepare?.(vm);
  const vcpu = vm.createVcpu(0);
  vm.memory.write(0x10000, code);
  vcpu.start({ mode: 'long', ip: 0x10000, tables: 0x1000, sp: 0x9000 });
  return { kvm, vm, vcpu };
}

/** What an exit says, in a line. */
export function line(exit: VcpuExit): string {
  switch (exit.reason) {
    case 'io':
      return `${exit.direction} ${exit.port.toString(16)} ${exit.size}x${exit.count}${exit.direction === 'out' ? ` ${hex(exit.data)}` : ''}`;
    case 'mmio':
      return exit.isWrite
        ? `write ${exit.physAddr.toString(16)} ${hex(exit.data)}`
        : `read ${exit.physAddr.toString(16)} ${exit.data.length}`;
    default:
      return exit.reason;
  }
}

export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Exits up to the first of a kind that ends it; reads are answered by `answer`, or by 11H, 22H ... in order. */
export function exitsOf(
  vcpu: Vcpu,
  answer?: (exit: VcpuExit) => void,
  ends: readonly VcpuExit['reason'][] = ['hlt'],
  most = 100,
): string[] {
  const lines: string[] = [];
  let next = 0;
  for (const exit of vcpu.exits()) {
    lines.push(line(exit));
    if (ends.includes(exit.reason)) return lines;
    if (lines.length >= most) throw new Error(`no end: ${lines.join('; ')}`);
    if (answer !== undefined) answer(exit);
    else if ((exit.reason === 'io' && exit.direction === 'in') || (exit.reason === 'mmio' && !exit.isWrite)) {
      for (let n = 0; n < exit.data.length; n++) exit.data[n] = 0x11 * ((next++ % 15) + 1);
    }
  }
  return lines;
}

/** Handlers of real-mode interrupts, at 2000H + vector * 20H. */
export function vectors16(vm: Vm, handlers: Readonly<Record<number, Uint8Array>>): void {
  for (const [vector, code] of Object.entries(handlers)) {
    const at = 0x2000 + Number(vector) * 0x20;
    vm.memory.write(Number(vector) * 4, Uint8Array.of(at & 0xff, at >>> 8, 0, 0));
    vm.memory.write(at, code);
  }
}

/** Handlers of interrupts in 64-bit mode, from 20000H on; their gates at 6000H, code and data segments at 4008H. */
export function tables64(vcpu: Vcpu, handlers: Readonly<Record<number, Uint8Array>>): void {
  const { memory } = vcpu.vm;
  memory.write(0x4000, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x9b, 0xaf, 0, 0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0));
  Object.entries(handlers).forEach(([vector, code], n) => {
    const at = 0x20000 + n * 0x100;
    memory.write(at, code);
    memory.write(
      0x6000 + Number(vector) * 16,
      Uint8Array.of(at & 0xff, (at >>> 8) & 0xff, 8, 0, 0, 0x8e, at >>> 16, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    );
  });
  vcpu.setSregs({ ...vcpu.getSregs(), gdt: { base: 0x4000n, limit: 23 }, idt: { base: 0x6000n, limit: 0xfff } });
}
