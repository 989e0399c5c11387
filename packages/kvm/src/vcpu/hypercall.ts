import { Cr0, Efer, Gpr, Segment } from '@minusone/x86';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import { Completion } from './completion-kinds.ts';
import type { VcpuCore } from './core.ts';

/** Numbers and errors of KVM's hypercalls (Documentation/virt/kvm/x86/hypercalls.rst). */
const VAPIC_POLL_IRQ = 1n;
const ENOSYS = -1000n;
const EPERM = -1n;
const ATTRIBUTE_L = 0x2000;

/** VMCALL or VMMCALL: arguments in RBX, RCX, RDX, RSI; the number and the result in RAX. */
export function hypercall(core: VcpuCore): VcpuExit | undefined {
  const { registers } = core.cpu;
  const { vendor } = core;
  const isLong = (vendor.controlRegisters.efer() & Efer.LMA) !== 0 && (vendor.controlRegisters.cr0() & Cr0.PG) !== 0;
  const is64Bit = isLong && (vendor.state.segment(Segment.CS, core.segment).attributes & ATTRIBUTE_L) !== 0;
  const read = (gpr: number): bigint => (is64Bit ? registers.gpr(gpr) : registers.gpr(gpr) & 0xffffffffn);
  const nr = read(Gpr.RAX);
  const answer = (value: bigint): undefined => {
    const image = BigInt.asUintN(64, value);
    registers.setGpr(Gpr.RAX, is64Bit ? image : image & 0xffffffffn);
    core.skip();
  };
  if (vendor.state.cpl() !== 0) return answer(EPERM);
  if (nr === VAPIC_POLL_IRQ) return answer(0n);
  if (nr >= 32n || (core.vm.capabilities.exitHypercall & (1 << Number(nr))) === 0) return answer(ENOSYS);
  const args = [Gpr.RBX, Gpr.RCX, Gpr.RDX, Gpr.RSI].map(read);
  const exit: VcpuExit = { reason: 'hypercall', nr, args: [...args, 0n, 0n], ret: 0n };
  core.completion = Completion.HYPERCALL;
  core.completes = exit;
  core.rememberRip();
  return exit;
}
