import { Gpr } from '@minusone/x86';
import type { VcpuCore } from '../core.ts';

/** `struct kvm_regs` (api.rst, 4.11 KVM_GET_REGS). */
export interface KvmRegs {
  rax: bigint;
  rbx: bigint;
  rcx: bigint;
  rdx: bigint;
  rsi: bigint;
  rdi: bigint;
  rsp: bigint;
  rbp: bigint;
  r8: bigint;
  r9: bigint;
  r10: bigint;
  r11: bigint;
  r12: bigint;
  r13: bigint;
  r14: bigint;
  r15: bigint;
  rip: bigint;
  rflags: bigint;
}

const GPRS = {
  rax: Gpr.RAX,
  rbx: Gpr.RBX,
  rcx: Gpr.RCX,
  rdx: Gpr.RDX,
  rsi: Gpr.RSI,
  rdi: Gpr.RDI,
  rsp: Gpr.RSP,
  rbp: Gpr.RBP,
  r8: Gpr.R8,
  r9: Gpr.R9,
  r10: Gpr.R10,
  r11: Gpr.R11,
  r12: Gpr.R12,
  r13: Gpr.R13,
  r14: Gpr.R14,
  r15: Gpr.R15,
} as const;
const NAMES = Object.keys(GPRS) as (keyof typeof GPRS)[];

export function getRegs(core: VcpuCore): KvmRegs {
  const { vendor, cpu } = core;
  const rip = (BigInt(vendor.state.ripHigh() >>> 0) << 32n) | BigInt(vendor.state.ripLow() >>> 0);
  const regs = { rip, rflags: BigInt(vendor.debug.rflags() >>> 0) } as KvmRegs;
  for (const name of NAMES) regs[name] = cpu.registers.gpr(GPRS[name]);
  return regs;
}

/** Registers that are left out keep their values. An exception that waits to be injected is gone, as in KVM. */
export function setRegs(core: VcpuCore, regs: Partial<KvmRegs>): void {
  const { vendor, cpu, events } = core;
  for (const name of NAMES) {
    const value = regs[name];
    if (value !== undefined) cpu.registers.setGpr(GPRS[name], BigInt.asUintN(64, value));
  }
  if (regs.rip !== undefined) vendor.state.setRip(Number(BigInt.asIntN(32, regs.rip)), Number(BigInt.asIntN(32, regs.rip >> 32n)));
  if (regs.rflags !== undefined) vendor.debug.setRflags(Number(BigInt.asIntN(32, regs.rflags)) | 2);
  events.exceptionPending = false;
  core.stateChanged();
}
