import type { AccessSize } from '@minusone/core';
import { Gpr } from '@minusone/x86';
import { putNumber } from '../emulation/device-bus.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { VendorExit } from '../vendor/vendor-exit.ts';
import { Completion } from './completion-kinds.ts';
import type { VcpuCore } from './core.ts';
import { setResult } from './gprs.ts';

const MASKS = { 1: 0xff, 2: 0xffff, 4: 0xffffffff } as const;

/** IN and OUT: devices of the kernel and eventfds answer at once; else the user (KVM's `kvm_fast_pio`). The instruction ends on re-entry. */
export function portIo(core: VcpuCore, exit: VendorExit): VcpuExit | undefined {
  const { port, size, isInput } = exit;
  const { kernelPorts, eventFds } = core.vm;
  const isKernels = kernelPorts.has(port, size);
  if (isInput) {
    if (!isKernels) return userIo(core, 'in', port, size, new Uint8Array(size));
    setResult(core, size, kernelPorts.space.read(port, size as AccessSize));
    core.skip();
    return undefined;
  }
  const value = (core.cpu.registers.gprLow(Gpr.RAX) & MASKS[size]) >>> 0;
  if (isKernels) {
    kernelPorts.space.write(port, size as AccessSize, value);
    core.skip();
    return undefined;
  }
  const fd = eventFds.match('pio', port, size, value);
  if (fd !== undefined) {
    fd.signal();
    core.skip();
    return undefined;
  }
  const data = new Uint8Array(size);
  putNumber(data, 0, size, value);
  return userIo(core, 'out', port, size, data);
}

function userIo(core: VcpuCore, direction: 'in' | 'out', port: number, size: 1 | 2 | 4, data: Uint8Array): VcpuExit {
  const exit: VcpuExit = { reason: 'io', direction, port, size, count: 1, data };
  core.completion = direction === 'in' ? Completion.PORT_IN : Completion.PORT_OUT;
  core.completes = exit;
  core.rememberRip();
  return exit;
}
