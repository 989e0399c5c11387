import { PortSpace } from '@minusone/memory';
import {
  type Cpu,
  Eflags,
  EventType,
  Gpr,
  type InterceptEvent,
  type Layer,
  type LocalApic,
  readAddressRegister,
  State,
  type TimeStampSource,
} from '@minusone/x86';
import type { Host } from '../host/host.ts';
import type { EventFds } from '../irqchip/event-fds.ts';
import type { VendorEvent, VendorVcpu } from '../vendor/vendor.ts';
import type { GuestPhysical } from '../vm/guest-physical.ts';
import type { KernelPorts } from '../vm/kernel-ports.ts';
import type { AccessLog } from './access-log.ts';
import { DeviceBus } from './device-bus.ts';
import { GuestState } from './guest-state.ts';

/** How the emulation of an instruction went. */
export const Emulation = {
  /** It has completed (or an iteration of a REP has); the guest's state is what it left. */
  DONE: 0,
  /** The user has to answer a read first; then it runs again. */
  WAITS: 1,
  /** It raised an exception, which is in `fault`. */
  FAULT: 2,
  /** A task switch's event could not be delivered: triple fault. */
  TRIPLE_FAULT: 3,
} as const;
export type Emulation = (typeof Emulation)[keyof typeof Emulation];

/** An exception that an emulated instruction raised. */
export interface EmulatedFault {
  vector: number;
  errorCode: number;
  hasErrorCode: boolean;
  addressLow: number;
  addressHigh: number;
  debugBits: number;
  /** It arose while an event was delivered through a task gate. */
  duringDelivery: boolean;
}

/** Iterations of a repeated instruction in one go, where none of them needs the user. */
const ITERATIONS = 1024;
const BYTES_AHEAD = 1024;

const EVENT_TYPES: Readonly<Record<VendorEvent['type'], EventType>> = {
  interrupt: EventType.EXTERNAL_INTERRUPT,
  nmi: EventType.NMI,
  exception: EventType.HARDWARE_EXCEPTION,
  'software-interrupt': EventType.SOFTWARE_INTERRUPT,
  'software-exception': EventType.SOFTWARE_EXCEPTION,
  'privileged-software-exception': EventType.PRIVILEGED_SOFTWARE_EXCEPTION,
};

/**
 * KVM's instruction emulator: a processor of the same model without the extension, on the VM's guest-physical memory. It is handed a guest's state, executes one instruction (all of what
 * x86 means by it: the same semantics and the same interpreter), and gives the state back. Exceptions are caught before their delivery: the guest's own processor delivers them.
 */
export class Emulator {
  readonly cpu: Cpu;
  readonly bus: DeviceBus;
  readonly fault: EmulatedFault = {
    vector: 0,
    errorCode: 0,
    hasErrorCode: false,
    addressLow: 0,
    addressHigh: 0,
    debugBits: 0,
    duringDelivery: false,
  };
  /** Debug traps that the instruction earned (bits of DR6). */
  pendingDebug = 0;
  /** The local APIC of the virtual CPU that is served: it stands at its page. */
  lapic: LocalApic | undefined;
  /** Instructions completed by the last `execute` or `deliver`. */
  completed = 0;
  readonly #physical: GuestPhysical;
  readonly #state: GuestState;
  /** Whose state the processor holds, as it was left. */
  #holds: VendorVcpu | undefined;
  #faulted = false;
  #shutDown = false;
  /** An event is being delivered on purpose: it is not caught. */
  #delivering = false;

  constructor(
    host: Host,
    parts: {
      readonly physical: GuestPhysical;
      readonly kernelPorts: KernelPorts;
      readonly eventFds: EventFds;
      readonly timeStamp: TimeStampSource;
    },
  ) {
    this.#physical = parts.physical;
    const { physical, kernelPorts, eventFds } = parts;
    this.bus = new DeviceBus({ physical, kernelPorts, eventFds, accessed: () => this.cpu.stop() });
    const ports = new PortSpace();
    ports.map(0, 65536, this.bus);
    this.cpu = host.createEmulator(physical, ports, this.bus, parts.timeStamp);
    this.cpu.layer = this.#layer();
    this.bus.itemsAhead = (size) => this.#itemsAhead(size);
    this.#state = new GuestState(this.cpu);
  }

  /** Takes over a guest's state, to look at (`cpu.paging`, `cpu.registers`). */
  load(vendor: VendorVcpu): void {
    this.#state.load(vendor);
    this.#holds = vendor;
  }
  /** The guest's state may be changed by others. */
  forget(): void {
    this.#holds = undefined;
  }

  /** Executes the instruction at the guest's RIP. `again`: it waited, and its answer is there. */
  execute(vendor: VendorVcpu, log: AccessLog, taskPriority: number, again: boolean): Emulation {
    if (!again || this.#holds !== vendor) this.load(vendor);
    const { cpu } = this;
    cpu.registers.set32(State.cr8, taskPriority);
    this.completed = 0;
    for (let iteration = 0; iteration < ITERATIONS; iteration++) {
      const result = this.#run(log);
      if (result === Emulation.WAITS && iteration === 0 && !this.#isRepeated) return result;
      if (result !== Emulation.DONE) {
        // An instruction that waits or faults leaves no trace, but what iterations before it have done stays.
        this.#state.store(vendor);
        return result;
      }
      if (!this.#isPartial() || log.firstPending() !== undefined || this.pendingDebug !== 0) break;
      log.clearIteration();
    }
    this.#state.store(vendor);
    return Emulation.DONE;
  }

  /** True where the last run was an iteration of a REP that is not through. */
  #ripBefore = 0;
  #isPartial(): boolean {
    const { cpu } = this;
    if (cpu.registers.get32(State.rip) !== this.#ripBefore) return false;
    const insn = cpu.engine.currentInsn();
    if (insn.rep === 0) return false;
    const { low, high } = readAddressRegister(cpu, Gpr.RCX, insn.addressBytes);
    return (low | high) !== 0;
  }
  get #isRepeated(): boolean {
    return this.cpu.engine.currentInsn().rep !== 0;
  }
  /** Whether the guest, as it was left, is in the middle of a repeated instruction. */
  get isPartial(): boolean {
    return this.#isPartial();
  }

  #run(log: AccessLog): Emulation {
    const { cpu } = this;
    this.#ripBefore = cpu.registers.get32(State.rip);
    return this.#guarded(log, () => cpu.run(1) === 'restart');
  }

  #guarded(log: AccessLog, run: () => boolean): Emulation {
    const { cpu, bus } = this;
    this.#faulted = this.#shutDown = false;
    this.pendingDebug = 0;
    log.rewind();
    bus.log = log;
    this.#physical.outside = bus;
    const before = cpu.instructions;
    let waits: boolean;
    try {
      waits = run();
    } finally {
      this.#physical.outside = undefined;
      bus.log = undefined;
    }
    if (this.#shutDown) return Emulation.TRIPLE_FAULT;
    if (this.#faulted) return Emulation.FAULT;
    if (waits) return Emulation.WAITS;
    this.completed += cpu.instructions - before;
    this.pendingDebug = cpu.pendingDebug;
    cpu.pendingDebug = 0;
    return Emulation.DONE;
  }

  /** Delivers an event through the guest's IDT: for task gates, which hardware leaves to its hypervisor. */
  deliver(vendor: VendorVcpu, log: AccessLog, event: VendorEvent): Emulation {
    this.load(vendor);
    this.completed = 0;
    const { cpu } = this;
    this.#delivering = true;
    const result = this.#guarded(log, () => {
      cpu.inject(event.vector, EVENT_TYPES[event.type], event.errorCode ?? 0, event.errorCode !== undefined, event.instructionLength);
      return false;
    });
    this.#delivering = false;
    this.fault.duringDelivery = result === Emulation.FAULT;
    this.#state.store(vendor);
    return result;
  }

  /** As KVM's read-ahead: what a REP INS will read until its count, its page, or the buffer ends. */
  #itemsAhead(size: number): number {
    const { cpu } = this;
    const insn = cpu.engine.currentInsn();
    const isString = insn.form.opcode === 0x6c || insn.form.opcode === 0x6d;
    if (!isString || insn.rep === 0) return 1;
    const count = readAddressRegister(cpu, Gpr.RCX, insn.addressBytes);
    const wanted = count.high !== 0 ? ITERATIONS : count.low >>> 0;
    const offset = readAddressRegister(cpu, Gpr.RDI, insn.addressBytes).low & 0xfff;
    const inPage = (cpu.registers.get32(State.eflags) & Eflags.DF) !== 0 ? offset : 4096 - offset;
    return Math.max(1, Math.floor(Math.min(inPage, BYTES_AHEAD, wanted * size) / size));
  }

  /** The emulator's own layer: nothing is intercepted but exceptions on their way to delivery. */
  #layer(): Layer {
    return {
      wantsBoundary: false,
      boundary: () => false,
      stage: null,
      addressSpaceTag: 0,
      slowRows: 0,
      acceptsInterrupt: () => false,
      acceptsNmi: () => false,
      intercept: (event) => this.#intercept(event),
    };
  }
  #intercept(event: InterceptEvent): boolean {
    if (event.kind === 'triple-fault') {
      this.#shutDown = true;
      this.cpu.stop();
      return true;
    }
    if (event.kind !== 'exception') return false;
    if (this.#delivering) {
      // The event itself; what comes after it is caught.
      this.#delivering = false;
      return false;
    }
    const { fault } = this;
    fault.vector = event.vector;
    fault.errorCode = event.errorCode;
    fault.hasErrorCode = event.hasErrorCode;
    fault.addressLow = event.addressLow;
    fault.addressHigh = event.addressHigh;
    fault.debugBits = event.debugBits;
    fault.duringDelivery = false;
    this.#faulted = true;
    this.cpu.stop();
    return true;
  }
}
