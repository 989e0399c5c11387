import { Access } from '@minusone/mmu';
import { Gpr, State, Vector } from '@minusone/x86';
import { Emulation } from '../emulation/emulator.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import { VendorExitKind } from '../vendor/vendor-exit.ts';
import { FaultAnswer } from '../vm/vm-context.ts';
import type { VcpuCore } from './core.ts';
import { afterwards, emulate, internalError } from './emulate.ts';
import { hypercall } from './hypercall.ts';
import { shutdown } from './inject-events.ts';
import { rdmsr, wrmsr } from './msr-exits.ts';
import { NMI_EVENT } from './pending-events.ts';
import { portIo } from './port-io.ts';

const HLT: VcpuExit = Object.freeze({ reason: 'hlt' });

/** What an exit means. Undefined: KVM has dealt with it, and the guest goes on; otherwise it is the user's. */
export function handleExit(core: VcpuCore): VcpuExit | undefined {
  const { exit } = core.vendor;
  switch (exit.kind) {
    case VendorExitKind.INTERRUPT:
    case VendorExitKind.INTERRUPT_WINDOW:
    case VendorExitKind.NMI_WINDOW:
    case VendorExitKind.NMI:
    case VendorExitKind.TASK_PRIORITY:
      // It is out, and the next entry thinks of events anew.
      return undefined;
    case VendorExitKind.IO:
      return exit.isString ? emulate(core, true) : portIo(core, exit);
    case VendorExitKind.SECOND_STAGE:
      return secondStage(core);
    case VendorExitKind.CPUID:
      return cpuid(core);
    case VendorExitKind.HLT:
      return halt(core);
    case VendorExitKind.RDMSR:
      return rdmsr(core);
    case VendorExitKind.WRMSR:
      return wrmsr(core);
    case VendorExitKind.CONTROL_REGISTER:
    case VendorExitKind.DEBUG_REGISTER:
    case VendorExitKind.DESCRIPTOR_TABLE:
    case VendorExitKind.INVLPG:
      if (exit.kind === VendorExitKind.INVLPG) core.vendor.flushGuestTlb();
      return emulate(core, true);
    case VendorExitKind.EXCEPTION:
      return exception(core);
    case VendorExitKind.TRIPLE_FAULT:
      return shutdown(core);
    case VendorExitKind.HYPERCALL:
      return hypercall(core);
    case VendorExitKind.PAUSE:
    case VendorExitKind.CACHE_CONTROL:
    // As KVM: MONITOR and MWAIT that the guest was not shown do nothing.
    case VendorExitKind.MONITOR:
    case VendorExitKind.MWAIT:
      core.skip();
      return undefined;
    case VendorExitKind.XSETBV:
      return xsetbv(core);
    case VendorExitKind.EXTENSION_INSTRUCTION:
    // There is no system-management mode to resume from.
    case VendorExitKind.RSM:
      core.events.queueException(Vector.UD);
      return undefined;
    case VendorExitKind.RDPMC:
      core.events.queueException(Vector.GP, 0);
      return undefined;
    case VendorExitKind.RDTSC:
      return rdtsc(core);
    case VendorExitKind.TASK_SWITCH:
      return taskSwitch(core);
    case VendorExitKind.ENTRY_FAILED:
      return {
        reason: 'failEntry',
        hardwareEntryFailureReason: BigInt(exit.hardwareReason >>> 0),
        explanation: core.vendor.explainEntry(),
      };
    default:
      return internalError(core, 'unexpectedExitReason', `The hardware gave an exit that KVM does not know: ${exit.hardwareReason}.`);
  }
}

function secondStage(core: VcpuCore): VcpuExit | undefined {
  const { exit } = core.vendor;
  switch (core.vm.resolveFault(exit.gpa, exit.access)) {
    case FaultAnswer.MAPPED:
      return undefined;
    case FaultAnswer.DEVICE:
      return emulate(core, false);
    default: {
      const linear = exit.linearValid ? (BigInt(exit.linearHigh >>> 0) << 32n) | BigInt(exit.linearLow >>> 0) : undefined;
      const what = (exit.access & Access.EXECUTE) !== 0 ? 'An instruction was fetched' : 'Memory was accessed';
      return internalError(
        core,
        'emulation',
        `${what} at guest-physical address 0x${exit.gpa.toString(16)}, where no memory slot stands.`,
        linear,
      );
    }
  }
}

function cpuid(core: VcpuCore): undefined {
  const { registers } = core.cpu;
  const { cpuidRuntime: runtime, cpuidResult: result } = core;
  runtime.cr4 = core.vendor.controlRegisters.cr4();
  runtime.xcr0 = core.xcr0;
  runtime.apicEnabled = core.lapic?.isEnabled ?? false;
  core.cpuid.query(registers.gprLow(Gpr.RAX), registers.gprLow(Gpr.RCX), runtime, result);
  registers.setGprHalves(Gpr.RAX, result.eax | 0, 0);
  registers.setGprHalves(Gpr.RBX, result.ebx | 0, 0);
  registers.setGprHalves(Gpr.RCX, result.ecx | 0, 0);
  registers.setGprHalves(Gpr.RDX, result.edx | 0, 0);
  core.skip();
}

/** HLT: with a local APIC of KVM's the virtual CPU waits, otherwise the user is told. */
function halt(core: VcpuCore): VcpuExit | undefined {
  core.skip();
  if (core.lapic === undefined) return HLT;
  core.mpState = 'halted';
  return undefined;
}

/** XSETBV (SDM Vol. 2D): x87 always, SSE with AVX; nothing that the guest was not shown. */
function xsetbv(core: VcpuCore): undefined {
  const { registers } = core.cpu;
  const value = registers.gprLow(Gpr.RAX);
  const isValid =
    core.vendor.state.cpl() === 0 && registers.gprLow(Gpr.RCX) === 0 && registers.gprLow(Gpr.RDX) === 0 && isValidXcr0(core, value);
  if (!isValid) {
    core.events.queueException(Vector.GP, 0);
    return;
  }
  registers.set32(State.xcr0, value);
  core.cpu.updateMode();
  core.skip();
}

/** Whether XCR0 could have this value: low half. */
export function isValidXcr0(core: VcpuCore, value: number): boolean {
  const supported = core.vm.host.model.has('AVX') && core.cpuid.has('AVX') ? 7 : 3;
  return (value & 1) !== 0 && (value & ~supported) === 0 && ((value & 4) === 0 || (value & 2) !== 0);
}

function rdtsc(core: VcpuCore): undefined {
  const { registers } = core.cpu;
  const ticks = core.tsc();
  registers.setGprHalves(Gpr.RAX, Number(BigInt.asIntN(32, ticks)), 0);
  registers.setGprHalves(Gpr.RDX, Number(BigInt.asIntN(32, ticks >> 32n)), 0);
  core.skip();
}

function exception(core: VcpuCore): VcpuExit | undefined {
  const { exit } = core.vendor;
  const { vector, hasErrorCode, errorCode } = exit;
  if (vector === Vector.DB && core.debug.takesDebug) return core.debug.exit(core, vector, exit.debugBits);
  if (vector === Vector.BP && core.debug.takesBreakpoint) return core.debug.exit(core, vector, 0);
  if (vector === Vector.BP) {
    // INT3 that nobody debugs: delivered as what it was.
    core.events.interrupted({ type: 'software-exception', vector, errorCode: undefined, instructionLength: exit.instructionLength });
    return undefined;
  }
  const payload =
    vector === Vector.PF
      ? (BigInt(exit.linearHigh >>> 0) << 32n) | BigInt(exit.linearLow >>> 0)
      : vector === Vector.DB
        ? BigInt(exit.debugBits >>> 0)
        : undefined;
  core.events.queueException(vector, hasErrorCode ? errorCode : undefined, payload);
  return undefined;
}

/** Hardware leaves task switches to its hypervisor: the instruction is emulated, or the event delivered through its task gate (SDM Vol. 3C, 25.2). */
function taskSwitch(core: VcpuCore): VcpuExit | undefined {
  const { events, vendor, vm, log } = core;
  if (vendor.exit.taskSource !== 'gate') {
    events.interrupted(undefined);
    return emulate(core, true);
  }
  const event = events.exceptionInjected
    ? events.exceptionEvent(true)
    : events.nmiInjected
      ? NMI_EVENT
      : events.interruptInjected >= 0
        ? events.interruptEvent()
        : undefined;
  // INT n through a task gate exits as a software interrupt in delivery.
  if (event === undefined) return emulate(core, true);
  events.interrupted(undefined);
  core.countedByHardware = false;
  log.clear();
  const result = vm.emulator.deliver(vendor, log, event);
  const priority = vm.emulator.cpu.registers.get32(State.cr8);
  if (result === Emulation.WAITS) {
    return internalError(core, 'emulation', 'A task switch needs a task-state segment that is no memory.');
  }
  return afterwards(core, result, priority);
}
