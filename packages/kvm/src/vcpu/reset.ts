import { Dr6, Gpr, Segment, State } from '@minusone/x86';
import { EVERY_PRIORITY } from '../vendor/vendor.ts';
import type { VcpuCore } from './core.ts';

/** RESET or INIT of a virtual CPU (SDM Vol. 3A, Table 9-1): the vendor module resets its control block, this the rest. */
export function resetVcpu(core: VcpuCore, init: boolean): void {
  const { vendor, cpu, events, vm } = core;
  const { registers } = cpu;
  vendor.reset(init);
  // The VMM that has the local APIC hears of CR8 (`setTpr`).
  if (core.lapic === undefined) vendor.priority.set(0, EVERY_PRIORITY);
  for (let gpr = 0; gpr < 16; gpr++) registers.setGprHalves(gpr, 0, 0);
  registers.setGprHalves(Gpr.RDX, core.cpuid.find(1, 0)?.eax ?? vm.host.model.signature, 0);
  registers.set64(State.cr2, 0n);
  for (let n = 0; n < 4; n++) registers.set64(State.dr + n * 8, 0n);
  registers.set32(State.dr6, Dr6.INITIAL);
  if (!init) {
    registers.set32(State.fcw, 0x0040);
    for (const field of [State.fsw, State.fop, State.fcs, State.fds]) registers.set32(field, 0);
    registers.set32(State.ftw, 0xff);
    registers.set32(State.mxcsr, 0x1f80);
    for (const field of [State.fip, State.fdp]) registers.set64(field, 0n);
    for (let at = State.fpr; at < State.fpr + 128; at += 8) registers.set64(at, 0n);
    for (let at = State.ymm; at < State.ymm + 512; at += 8) registers.set64(at, 0n);
    registers.set64(State.xcr0, 1n);
  }
  events.clear();
  core.log.clear();
  core.stepped = false;
  core.setWindows(false, false);
  if (init) core.lapic?.init();
  else core.lapic?.reset();
  core.msrs.reset(init);
  core.stateChanged();
}

/** INIT: the bootstrap processor starts at its reset vector, the others wait for a SIPI (SDM Vol. 3A, 8.4.2). */
export function acceptInit(core: VcpuCore): void {
  const { sipi } = core.events;
  core.reset(true);
  core.events.sipi = sipi;
  core.mpState = core.isBootstrap ? 'runnable' : 'initReceived';
}

/** Start-up IPI: real-address mode at vector * 4096. */
export function acceptStartUp(core: VcpuCore, vector: number): void {
  const { vendor, segment } = core;
  vendor.state.segment(Segment.CS, segment);
  segment.selector = vector << 8;
  segment.base = BigInt(vector) << 12n;
  vendor.state.setSegment(Segment.CS, segment);
  vendor.state.setRip(0, 0);
  core.mpState = 'runnable';
}
