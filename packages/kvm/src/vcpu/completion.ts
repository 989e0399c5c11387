import { Gpr } from '@minusone/x86';
import { number } from '../emulation/device-bus.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import { Completion } from './completion-kinds.ts';
import type { VcpuCore } from './core.ts';
import { goOnEmulating } from './emulate.ts';
import { setHalves, setResult } from './gprs.ts';

/** Ends the instruction whose exit the user has seen, with the user's answer (KVM's `complete_userspace_io`). An exit, if there is more to ask. */
export function complete(core: VcpuCore): VcpuExit | undefined {
  const { completion, completes } = core;
  core.completion = Completion.NONE;
  core.completes = undefined;
  if (completion === Completion.EMULATION) return goOnEmulating(core);
  // The user has sent the guest elsewhere: then there is nothing to complete.
  if (!core.isAtRememberedRip) return undefined;
  switch (completes?.reason) {
    case 'io':
      if (completes.direction === 'in') setResult(core, completes.size, number(completes.data, 0, completes.size));
      core.skip();
      return undefined;
    case 'hypercall':
      core.cpu.registers.setGpr(Gpr.RAX, BigInt.asUintN(64, completes.ret));
      core.skip();
      return undefined;
    case 'msr':
      if (completes.error) {
        core.events.queueException(13, 0);
        core.stateChanged();
        return undefined;
      }
      if (!completes.isWrite) setHalves(core, Number(BigInt.asIntN(32, completes.data)), Number(BigInt.asIntN(32, completes.data >> 32n)));
      core.skip();
      return undefined;
    default:
      return undefined;
  }
}
