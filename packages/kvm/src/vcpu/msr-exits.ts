import { Gpr, Vector } from '@minusone/x86';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import { MsrExitReason } from '../vm/enabled-capabilities.ts';
import { Completion } from './completion-kinds.ts';
import type { VcpuCore } from './core.ts';
import { setHalves } from './gprs.ts';

/** RDMSR. */
export function rdmsr(core: VcpuCore): VcpuExit | undefined {
  const index = core.cpu.registers.gprLow(Gpr.RCX) >>> 0;
  if (!core.vm.msrFilter.allows(index, false)) return refused(core, index, undefined, 'filter');
  const { msrs } = core;
  if (!msrs.readHalves(index)) return refused(core, index, undefined, msrs.has(index) ? 'invalid' : 'unknown');
  setHalves(core, msrs.low, msrs.high);
  core.skip();
  return undefined;
}

/** WRMSR. */
export function wrmsr(core: VcpuCore): VcpuExit | undefined {
  const { registers } = core.cpu;
  const index = registers.gprLow(Gpr.RCX) >>> 0;
  const low = registers.gprLow(Gpr.RAX);
  const high = registers.gprLow(Gpr.RDX);
  const { msrs } = core;
  if (!core.vm.msrFilter.allows(index, true)) return refused(core, index, joined(low, high), 'filter');
  if (!msrs.writeHalves(index, low, high)) return refused(core, index, joined(low, high), msrs.has(index) ? 'invalid' : 'unknown');
  core.skip();
  return undefined;
}

function joined(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

const REASONS = { invalid: MsrExitReason.INVALID, unknown: MsrExitReason.UNKNOWN, filter: MsrExitReason.FILTER } as const;

/** The user's, where KVM_CAP_X86_USER_SPACE_MSR says so (api.rst, 7.21); otherwise #GP(0). */
function refused(core: VcpuCore, index: number, value: bigint | undefined, cause: 'invalid' | 'unknown' | 'filter'): VcpuExit | undefined {
  if ((core.vm.capabilities.userSpaceMsr & REASONS[cause]) === 0) {
    core.events.queueException(Vector.GP, 0);
    return undefined;
  }
  const exit: VcpuExit = { reason: 'msr', isWrite: value !== undefined, index, cause, data: value ?? 0n, error: false };
  core.completion = value === undefined ? Completion.RDMSR : Completion.WRMSR;
  core.completes = exit;
  core.rememberRip();
  return exit;
}
