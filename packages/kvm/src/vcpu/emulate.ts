import { State, Vector } from '@minusone/x86';
import { AccessKind, type LoggedAccess } from '../emulation/access-log.ts';
import { Emulation } from '../emulation/emulator.ts';
import { explainGuest } from '../emulation/explain.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import { EVERY_PRIORITY } from '../vendor/vendor.ts';
import { Completion } from './completion-kinds.ts';
import type { VcpuCore } from './core.ts';
import { shutdown } from './inject-events.ts';

const LONGEST_MMIO = 8;

/** Lets KVM's emulator execute the instruction at the guest's RIP. `counted`: the hardware has counted it among the instructions executed. */
export function emulate(core: VcpuCore, counted: boolean): VcpuExit | undefined {
  const { events, log } = core;
  if (events.exceptionInjected || events.nmiInjected || events.interruptInjected >= 0) {
    return internalError(
      core,
      'deliveryEv',
      'An event was being delivered, and its delivery needs an instruction emulated: its stack or tables are no memory.',
    );
  }
  core.countedByHardware = counted;
  // The next iteration of a repeated instruction finds what was read ahead for it.
  if (!core.isPartial || !core.isAtRememberedRip) log.clear();
  core.rememberRip();
  return execute(core, false);
}

function execute(core: VcpuCore, again: boolean): VcpuExit | undefined {
  const { emulator } = core.vm;
  emulator.lapic = core.lapic;
  const priority = core.lapic === undefined ? core.vendor.priority.get() : core.lapic.taskPriority >>> 4;
  return afterwards(core, emulator.execute(core.vendor, core.log, priority, again), priority);
}

/** What an emulated instruction, or a task switch, has left to do. */
export function afterwards(core: VcpuCore, result: Emulation, priorityBefore: number): VcpuExit | undefined {
  const { emulator } = core.vm;
  const { fault } = emulator;
  core.reruns = result === Emulation.WAITS;
  core.isPartial = result === Emulation.DONE && emulator.isPartial;
  core.extraInstructions += emulator.completed;
  if (emulator.completed > 0 && core.countedByHardware) {
    core.extraInstructions--;
    core.countedByHardware = false;
  }
  switch (result) {
    case Emulation.DONE: {
      const exit = finish(core, priorityBefore);
      if (exit !== undefined) return exit;
      break;
    }
    case Emulation.FAULT: {
      const payload =
        fault.vector === Vector.PF
          ? (BigInt(fault.addressHigh >>> 0) << 32n) | BigInt(fault.addressLow >>> 0)
          : fault.vector === Vector.DB
            ? BigInt(fault.debugBits >>> 0)
            : undefined;
      core.events.queueException(fault.vector, fault.hasErrorCode ? fault.errorCode : undefined, payload);
      break;
    }
    case Emulation.TRIPLE_FAULT:
      return shutdown(core);
  }
  return nextAccess(core);
}

/** The instruction (or an iteration of it) has completed. */
function finish(core: VcpuCore, priorityBefore: number): VcpuExit | undefined {
  const { emulator } = core.vm;
  if (!core.isPartial && core.debug.singleSteps) core.stepped = true;
  if (emulator.pendingDebug !== 0) {
    core.events.queueException(Vector.DB, undefined, BigInt(emulator.pendingDebug));
  }
  const priority = emulator.cpu.registers.get32(State.cr8);
  if (priority === priorityBefore) return undefined;
  if (core.lapic !== undefined) {
    core.lapic.taskPriority = priority << 4;
    return undefined;
  }
  core.vendor.priority.set(priority, EVERY_PRIORITY);
  return priority < priorityBefore ? { reason: 'setTpr' } : undefined;
}

/** The user's turn, for the next access that is the user's; without one the instruction runs again if it waited, or is through. */
function nextAccess(core: VcpuCore): VcpuExit | undefined {
  const { log } = core;
  const access = log.firstPending();
  if (access === undefined) {
    if (core.isPartial) log.clearIteration();
    else log.clear();
    return undefined;
  }
  core.completion = Completion.EMULATION;
  core.rememberRip();
  core.completes = exitFor(access);
  return core.completes;
}

function exitFor(access: LoggedAccess): VcpuExit {
  const { kind, address, size, data, done } = access;
  if (kind === AccessKind.PORT_READ || kind === AccessKind.PORT_WRITE) {
    return {
      reason: 'io',
      direction: kind === AccessKind.PORT_READ ? 'in' : 'out',
      port: address,
      size: size as 1 | 2 | 4,
      count: data.length / size,
      data,
    };
  }
  return {
    reason: 'mmio',
    isWrite: kind === AccessKind.MMIO_WRITE,
    physAddr: address + done,
    data: data.subarray(done, done + LONGEST_MMIO),
  };
}

/** The user has seen an access (and answered it, in place): the next one, or on with the instruction. */
export function goOnEmulating(core: VcpuCore): VcpuExit | undefined {
  const { log } = core;
  if (core.reruns && !core.isAtRememberedRip) {
    // The user has sent the guest elsewhere: the instruction is abandoned.
    log.clear();
    return undefined;
  }
  const access = log.firstPending();
  if (access !== undefined) {
    const isPort = access.kind === AccessKind.PORT_READ || access.kind === AccessKind.PORT_WRITE;
    access.done = isPort ? access.data.length : Math.min(access.data.length, access.done + LONGEST_MMIO);
  }
  if (log.firstPending() === undefined && core.reruns) return execute(core, true);
  return nextAccess(core);
}

export function internalError(
  core: VcpuCore,
  suberror: 'emulation' | 'simulEx' | 'deliveryEv' | 'unexpectedExitReason',
  about: string,
  linear?: bigint,
): VcpuExit {
  const { emulator, physical } = core.vm;
  return { reason: 'internalError', suberror, explanation: explainGuest(emulator, physical, core.vendor, about, linear) };
}
