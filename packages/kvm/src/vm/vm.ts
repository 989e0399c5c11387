import type { PhysicalAddressSpace } from '@minusone/memory';
import { ApicWindow, type MachineClock, Rounds, type RoundsResult, type TimeStampSource, timeStampOf } from '@minusone/x86';
import { checkExtension } from '../capabilities/capabilities.ts';
import { KvmClock, type KvmClockData } from '../clock/kvm-clock.ts';
import { supportedCpuid } from '../cpuid/supported-cpuid.ts';
import { Emulator } from '../emulation/emulator.ts';
import { VcpuBusyError, VcpuIdError, VmDestroyedError, WrongOrderError } from '../errors.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { Host } from '../host/host.ts';
import type { HostMemory } from '../host/host-memory.ts';
import type { KvmIoapicState, KvmPicState, KvmPitState2 } from '../irqchip/chip-states.ts';
import { EventFds, type IoEventFdArgs, type IrqFdArgs } from '../irqchip/event-fds.ts';
import { Irqchip, type KvmMsi } from '../irqchip/irqchip.ts';
import type { Pit2 } from '../irqchip/pit2.ts';
import type { IrqchipName, IrqRoutingEntry } from '../irqchip/routing.ts';
import { SecondStageTables } from '../mmu/second-stage.ts';
import { GuestMsrs } from '../msrs/guest-msrs.ts';
import { MsrFilter, type MsrFilterRange } from '../msrs/msr-filter.ts';
import { VcpuCore } from '../vcpu/core.ts';
import { CoreMsrHost } from '../vcpu/msr-host.ts';
import { SLICE_INSTRUCTIONS, Sleeper, Turns } from '../vcpu/run-async.ts';
import { Vcpu } from '../vcpu/vcpu.ts';
import { enableCap } from './enable-cap.ts';
import { EnabledCapabilities } from './enabled-capabilities.ts';
import { GuestPhysical } from './guest-physical.ts';
import { KernelPorts } from './kernel-ports.ts';
import { KvmMemorySlots, type MemoryRegion } from './memory-slots.ts';
import type { FaultAnswer, VmContext } from './vm-context.ts';
import { VmMemory } from './vm-memory.ts';

export interface VmOptions {
  /** Size of RAM at guest-physical address 0, in slot 0. By default none: use `setUserMemoryRegion`. */
  readonly memory?: number | string;
  /** `virtual`: the VM's time is a function of instructions executed. `host`: wall time. @default 'virtual' */
  readonly clock?: 'virtual' | 'host';
  /** Monotonic nanoseconds of the host; only for the host clock. By default `performance.now()`. */
  readonly hostNowNs?: () => number;
  /** Speed of virtual time; by default 1e9: an instruction a nanosecond. */
  readonly instructionsPerSecond?: number;
  /** Wall-clock time when the VM is made, nanoseconds since 1970. By default that of the host; on the virtual clock, the start of 2024. */
  readonly realTimeNs?: bigint;
}

/** Why `Vm.run` came back. */
export type VmRunResult =
  /** A virtual CPU has an exit for the user. */
  | { readonly reason: 'exit'; readonly vcpu: Vcpu; readonly exit: VcpuExit }
  /** Every virtual CPU waits. On the host clock the next timer is due at `deadlineNs`; undefined: nothing will happen by itself. */
  | { readonly reason: 'idle'; readonly deadlineNs: number | undefined }
  /** The instructions given are used up. */
  | { readonly reason: 'budget' }
  /** `stop` was called. */
  | { readonly reason: 'stopped' };

const START_OF_2024_NS = 1_704_067_200_000_000_000n;
/** Local APIC ids of xAPIC end at 254; KVM_CAP_MAX_VCPU_ID. */
const MAX_VCPU_IDS = 4096;

/** A virtual CPU from the outside and from the inside. */
interface Member {
  readonly vcpu: Vcpu;
  readonly core: VcpuCore;
}

/**
 * A virtual machine: what a file descriptor of KVM_CREATE_VM is under Linux, a method for each of its ioctls, in the words of the KVM API
 * (Documentation/virt/kvm/api.rst).
 */
export class Vm {
  /** Guest memory for the VMM: read and written by guest-physical address. */
  readonly memory: VmMemory;
  readonly #host: Host;
  readonly #physical: GuestPhysical;
  readonly #kernelPorts = new KernelPorts();
  readonly #tables: SecondStageTables;
  readonly #slots: KvmMemorySlots;
  readonly #rounds: Rounds<VcpuCore, VcpuExit>;
  readonly #timeStamp: TimeStampSource;
  readonly #emulator: Emulator;
  readonly #eventFds: EventFds;
  readonly #msrFilter = new MsrFilter();
  readonly #capabilities = new EnabledCapabilities();
  readonly #kvmClock: KvmClock;
  readonly #members: Member[] = [];
  readonly #context: VmContext;
  readonly #sleeper = new Sleeper();
  readonly #ownMemory: HostMemory | undefined;
  #irqchip: Irqchip | undefined;
  #window: ApicWindow | undefined;
  #pit: Pit2 | undefined;
  #bootId = 0;
  #isRunning = false;
  #isDestroyed = false;

  /** Made by `kvm.createVm`. */
  constructor(host: Host, options: VmOptions = {}) {
    this.#host = host;
    this.#physical = new GuestPhysical(host.memory);
    this.#physical.observer = host.code;
    this.memory = new VmMemory(this.#physical);
    this.#tables = new SecondStageTables(host.pages, host.vendor.tables);
    this.#slots = new KvmMemorySlots(this.#physical, this.#tables, () => this.#flush());
    const { clock = 'virtual', hostNowNs, instructionsPerSecond } = options;
    this.#rounds = new Rounds<VcpuCore, VcpuExit>({ clock, hostNowNs, instructionsPerSecond }, (core, instructions) =>
      core.run(instructions),
    );
    this.#timeStamp = timeStampOf(this.clock, host.model.tscHz, this.#rounds.isVirtual ? this.#rounds.nsPerInstruction : 0);
    this.#eventFds = new EventFds(() => this.#irqchip);
    const { realTimeNs = clock === 'virtual' ? START_OF_2024_NS : BigInt(Math.floor(Date.now())) * 1_000_000n } = options;
    this.#kvmClock = new KvmClock({
      nowNs: () => this.clock.nowNs(),
      realTimeNs: () => realTimeNs + BigInt(Math.floor(this.clock.nowNs())),
      writeGuest: (gpa, bytes) => this.memory.tryWrite(gpa, bytes),
      readGuest: (gpa, length) => this.memory.tryRead(gpa, length),
    });
    this.#emulator = new Emulator(host, {
      physical: this.#physical,
      kernelPorts: this.#kernelPorts,
      eventFds: this.#eventFds,
      timeStamp: this.#timeStamp,
    });
    this.#context = this.#makeContext();
    if (options.memory === undefined) return;
    this.#ownMemory = host.allocateMemory(options.memory);
    this.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0, memorySize: this.#ownMemory.bytes, memory: this.#ownMemory });
  }

  #makeContext(): VmContext {
    const vm = this;
    return {
      host: this.#host,
      physical: this.#physical,
      kernelPorts: this.#kernelPorts,
      eventFds: this.#eventFds,
      emulator: this.#emulator,
      msrFilter: this.#msrFilter,
      capabilities: this.#capabilities,
      get irqchip(): Irqchip | undefined {
        return vm.#irqchip;
      },
      resolveFault: (gpa: number, access: number): FaultAnswer => vm.#slots.resolve(gpa, access),
      wake: () => vm.#sleeper.wake(),
    };
  }

  /** Guest-physical memory as an address space, for loaders and the VMM's own devices. */
  get physical(): PhysicalAddressSpace {
    return this.#physical;
  }
  /** The VM's time: what timers of the VMM's devices are to use. */
  get clock(): MachineClock {
    return this.#rounds.clock;
  }
  get irqchip(): Irqchip | undefined {
    return this.#irqchip;
  }
  get vcpus(): readonly Vcpu[] {
    return this.#members.map(({ vcpu }) => vcpu);
  }
  /** Instructions that all virtual CPUs have executed. */
  get instructions(): number {
    return this.#members.reduce((sum, { core }) => sum + core.instructions, 0);
  }
  /** How often all virtual CPUs that ran have been waiting. */
  get idleCount(): number {
    return this.#rounds.idleCount;
  }

  // Memory

  /**
   * Creates, moves, changes or deletes a memory slot: KVM_SET_USER_MEMORY_REGION (api.rst, 4.35).
   *
   * @throws {MemorySlotOverlapError} it would overlap another slot: names both, with their ranges
   * @throws {UnalignedAddressError} names the address and the next aligned one
   * @throws {SlotLimitError} there is no such slot
   * @throws {SlotChangeError} size, memory and read-only flag of a slot that is there cannot change
   * @throws {ForeignMemoryError} the memory is not the host's; {MemoryTooSmallError} it is smaller than the slot
   * @example
   * vm.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0x1000, memorySize: 0x1000, memory: kvm.allocateMemory(0x1000) });
   */
  setUserMemoryRegion(region: MemoryRegion): void {
    this.#alive();
    this.#slots.set(region);
  }
  /**
   * KVM_GET_DIRTY_LOG (4.8): a bit a page, lowest first, 1 where it was written since the log was last cleared. Clears the log, unless KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is enabled.
   * @throws {UnknownMemorySlotError} @throws {DirtyLogOffError}
   */
  getDirtyLog(slot: number): Uint8Array {
    return this.#slots.getDirtyLog(slot, !this.#capabilities.manualDirtyLog);
  }
  /** KVM_CLEAR_DIRTY_LOG (4.117): makes pages whose bit is 1 clean, counted from `firstPage`. @throws {WrongOrderError} the capability is not enabled */
  clearDirtyLog(range: {
    readonly slot: number;
    readonly firstPage: number;
    readonly numPages: number;
    readonly dirtyBitmap: Uint8Array;
  }): void {
    if (!this.#capabilities.manualDirtyLog) {
      throw new WrongOrderError('getDirtyLog clears the log.', 'Enable KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 first.', { slot: range.slot });
    }
    this.#slots.clearDirtyLog(range.slot, range.firstPage, range.numPages, range.dirtyBitmap);
  }

  /** What guests may have cached of the second stage goes. */
  #flush(): void {
    for (const { core } of this.#members) {
      core.out();
      core.vendor.flushTlb();
    }
  }

  // Capabilities

  /** KVM_CHECK_EXTENSION (4.4). */
  checkExtension(name: string): number {
    return checkExtension(name);
  }
  /** KVM_ENABLE_CAP (4.37). @throws {UnknownCapabilityError} @throws {WrongOrderError} */
  enableCap(name: string, ...args: readonly bigint[]): void {
    const vm = this;
    enableCap(
      {
        capabilities: this.#capabilities,
        get irqchip() {
          return vm.#irqchip;
        },
        vcpuCount: this.#members.length,
        setIrqchip: (kind) => this.#setIrqchip(kind),
      },
      name,
      args,
    );
  }
  /** KVM_X86_SET_MSR_FILTER (4.97). */
  setMsrFilter(filter: { readonly defaultAllow: boolean; readonly ranges: readonly MsrFilterRange[] }): void {
    this.#msrFilter.set(filter);
  }

  // Interrupts

  /** KVM_CREATE_IRQCHIP (4.24): the 8259 pair, the IOAPIC, and a local APIC for each virtual CPU that will be made. @throws {WrongOrderError} there is one, or a virtual CPU */
  createIrqchip(): void {
    this.#alive();
    if (this.#irqchip !== undefined) throw new WrongOrderError('This VM has an irqchip already.', 'Make one only.');
    if (this.#members.length > 0) throw new WrongOrderError('A virtual CPU exists already.', 'Call createIrqchip before createVcpu.');
    this.#setIrqchip('full');
  }
  #setIrqchip(kind: 'full' | 'split'): void {
    const irqchip = new Irqchip({ kind, clock: this.clock });
    this.#irqchip = irqchip;
    for (const { first, count, device } of irqchip.ports) this.#kernelPorts.map(first, count, device);
    for (const { gpa, bytes, device } of irqchip.mmio) {
      this.#physical.mapMmio(gpa, bytes, device);
      this.#slots.deviceMoved(gpa);
    }
    this.#window = new ApicWindow(this.#physical, irqchip.bus, () => this.#emulator.lapic);
    irqchip.bus.onMove(() => {
      for (const { baseAddress } of irqchip.bus.apics) this.#slots.deviceMoved(baseAddress);
    });
    irqchip.onIoapicEoi((vector, lapic) => {
      const member = this.#members.find(({ core }) => core.lapic === lapic);
      if (member !== undefined) member.core.pendingExit = { reason: 'ioapicEoi', vector };
    });
  }
  /** KVM_CREATE_PIT2 (4.71). @throws {WrongOrderError} there is no irqchip */
  createPit2(flags: { readonly speakerDummy?: boolean } = {}): void {
    const irqchip = this.#needIrqchip();
    const before = new Set(irqchip.ports.map(({ first }) => first));
    this.#pit = irqchip.createPit2(flags);
    for (const { first, count, device } of irqchip.ports) if (!before.has(first)) this.#kernelPorts.map(first, count, device);
  }
  #needIrqchip(): Irqchip {
    this.#alive();
    if (this.#irqchip === undefined) throw new WrongOrderError('This VM has no irqchip.', 'Call createIrqchip first.');
    return this.#irqchip;
  }
  #needPit(): Pit2 {
    if (this.#pit === undefined) throw new WrongOrderError('This VM has no PIT.', 'Call createPit2 first.');
    return this.#pit;
  }
  /** KVM_IRQ_LINE (4.25): drives a GSI. @throws {WrongOrderError} there is no irqchip */
  irqLine(gsi: number, level: boolean): void {
    this.#needIrqchip().irqLine(gsi, level);
  }
  /** KVM_IRQ_LINE_STATUS: as `irqLine`; how many virtual CPUs it went to, 0 if it coalesced, -1 if it is masked. */
  irqLineStatus(gsi: number, level: boolean): number {
    return this.#needIrqchip().irqLine(gsi, level);
  }
  /** KVM_SET_GSI_ROUTING (4.52). */
  setGsiRouting(entries: readonly IrqRoutingEntry[]): void {
    this.#needIrqchip().setGsiRouting(entries);
  }
  /** KVM_SIGNAL_MSI (4.70). */
  signalMsi(msi: KvmMsi): number {
    return this.#needIrqchip().signalMsi(msi);
  }
  /** KVM_GET_IRQCHIP (4.26). */
  getIrqchip(chip: IrqchipName): KvmPicState | KvmIoapicState {
    return this.#needIrqchip().getIrqchip(chip);
  }
  /** KVM_SET_IRQCHIP (4.27). */
  setIrqchip(chip: 'ioapic', state: KvmIoapicState): void;
  setIrqchip(chip: 'pic-master' | 'pic-slave', state: KvmPicState): void;
  setIrqchip(chip: IrqchipName, state: KvmPicState | KvmIoapicState): void {
    const irqchip = this.#needIrqchip();
    if (chip === 'ioapic') irqchip.setIoapic(state as KvmIoapicState);
    else irqchip.setPic(chip, state as KvmPicState);
  }
  /** KVM_GET_PIT2 (4.72). */
  getPit2(): KvmPitState2 {
    return this.#needPit().getPit2();
  }
  /** KVM_SET_PIT2 (4.73). */
  setPit2(state: KvmPitState2): void {
    this.#needPit().setPit2(state);
  }
  /** KVM_REINJECT_CONTROL (4.54). */
  reinjectControl(pitReinject: boolean): void {
    this.#needPit().reinjectControl(pitReinject);
  }
  /** KVM_IOEVENTFD (4.59). */
  ioeventfd(args: IoEventFdArgs): void {
    this.#eventFds.ioeventfd(args);
  }
  /** KVM_IRQFD (4.75). */
  irqfd(args: IrqFdArgs): void {
    this.#eventFds.irqfd(args);
  }

  // Time

  /** KVM_GET_CLOCK (4.29). */
  getClock(): KvmClockData {
    return this.#kvmClock.getClock();
  }
  /** KVM_SET_CLOCK (4.30). */
  setClock(data: { readonly clock: bigint; readonly realtime?: bigint }): void {
    this.#kvmClock.setClock(data);
  }

  // What Intel's older processors needed: nothing is put there, as the hardware runs real mode by itself.

  /** KVM_SET_TSS_ADDR (4.36). */
  setTssAddr(_address: number): void {
    this.#alive();
  }
  /** KVM_SET_IDENTITY_MAP_ADDR (4.40). @throws {WrongOrderError} a virtual CPU exists */
  setIdentityMapAddr(_address: number): void {
    if (this.#members.length > 0) throw new WrongOrderError('A virtual CPU exists already.', 'Call setIdentityMapAddr before createVcpu.');
  }
  /** KVM_SET_BOOT_CPU_ID (4.41): which virtual CPU is the bootstrap processor; 0 by default. @throws {WrongOrderError} a virtual CPU exists */
  setBootCpuId(id: number): void {
    if (this.#members.length > 0) throw new WrongOrderError('A virtual CPU exists already.', 'Call setBootCpuId before createVcpu.');
    this.#bootId = id;
  }

  // Virtual CPUs

  /** KVM_CREATE_VCPU (4.7). @throws {VcpuIdError} the id is taken, or out of range */
  createVcpu(id: number): Vcpu {
    this.#alive();
    const most = this.#capabilities.maxVcpuId ?? MAX_VCPU_IDS;
    if (!Number.isInteger(id) || id < 0 || id >= most)
      throw new VcpuIdError(`A virtual CPU cannot have the id ${id}.`, `Ids are 0 to ${most - 1}.`, id);
    if (this.#members.some(({ core }) => core.id === id)) throw new VcpuIdError(`Virtual CPU ${id} exists already.`, 'Use another id.', id);
    const { vendor, pages } = this.#host;
    const { cpu, extension } = this.#host.createCpu(this.#timeStamp);
    const made = vendor.createVcpu({ cpu, extension, pages, root: this.#tables.root, id, tag: this.#host.nextTag() });
    const core = new VcpuCore({ id, vm: this.#context, vendor: made, isBootstrap: id === this.#bootId });
    core.clock = this.#kvmClock.createVcpu({ at: (ns) => core.tscAt(ns), hz: core.tscHz });
    core.msrs = new GuestMsrs(new CoreMsrHost(core));
    core.cpuid.set(supportedCpuid(this.#host.model));
    if (this.#irqchip !== undefined) {
      core.lapic = this.#irqchip.createLapic({
        id,
        host: core,
        timeStamp: { hz: core.tscHz, read: () => core.tsc() },
        isBootstrap: core.isBootstrap,
      });
      this.#window?.refresh();
      this.#slots.deviceMoved(core.lapic.baseAddress);
      core.mpState = core.isBootstrap ? 'runnable' : 'uninitialized';
    }
    core.userApicBase = core.isBootstrap ? 0xfee00900n : 0xfee00800n;
    const { guestHalts, guestMonitors } = this.#capabilities;
    // Virtual CPUs take turns by instructions executed: one that spins costs the others nothing, so PAUSE need not exit.
    made.setIdleExits({ hlt: !guestHalts, pause: false, mwait: !guestMonitors });
    core.reset(false);
    // The guest's TSC begins at 0 when its virtual CPU is made, and the VM's clock with it.
    made.setTscOffset(core.tscOffset);
    const vcpu = new Vcpu(this, core);
    this.#members.push({ vcpu, core });
    this.#rounds.add(core);
    return vcpu;
  }

  /**
   * Runs all virtual CPUs in turns, as the processors of a machine: KVM_RUN on each from one thread.
   * @param instructions of time; by default, no limit
   * @throws {VcpuBusyError} one of them runs
   */
  run(instructions: number = Number.MAX_SAFE_INTEGER / 2): VmRunResult {
    const result = this.#locked(undefined, () => this.#rounds.run(instructions));
    if (result.reason !== 'reported') return result;
    const member = this.#members.find(({ core }) => core === result.member) as Member;
    return { reason: 'exit', vcpu: member.vcpu, exit: result.report };
  }

  /** Makes `run` come back after the instruction under way. */
  stop(): void {
    this.#rounds.stop();
  }

  /** As `run`, but yields to the event loop every few milliseconds, and sleeps where all wait. Aborting by `signal` gives `stopped`. */
  async runAsync(options: { readonly signal?: AbortSignal } = {}): Promise<VmRunResult> {
    const { signal } = options;
    const turns = new Turns();
    for (;;) {
      if (signal?.aborted) return { reason: 'stopped' };
      const result = this.run(SLICE_INSTRUCTIONS);
      if (result.reason === 'idle') await this.sleep(result.deadlineNs, signal);
      else if (result.reason !== 'budget') return result;
      else await turns.next();
    }
  }

  /** Runs one virtual CPU while the others sleep: what `Vcpu.run` is. */
  runOne(core: VcpuCore, instructions: number): RoundsResult<VcpuCore, VcpuExit> {
    return this.#locked(core, () => {
      if (core.wasIdle && !core.isRunnable) this.#rounds.skipToDeadline();
      const result = this.#rounds.run(instructions, core);
      core.wasIdle = result.reason === 'idle';
      return result;
    });
  }

  /** Sleeps until a deadline of the host's clock, or until something wakes the VM. Virtual time needs no sleep. */
  async sleep(deadlineNs: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (deadlineNs !== undefined && this.#rounds.isVirtual) return;
    await this.#sleeper.sleep(deadlineNs === undefined ? undefined : (deadlineNs - this.clock.nowNs()) / 1e6, signal);
  }

  #locked<T>(core: VcpuCore | undefined, run: () => T): T {
    this.#alive();
    if (this.#isRunning) throw new VcpuBusyError((core ?? this.#rounds.current)?.id ?? 0);
    this.#isRunning = true;
    try {
      return run();
    } finally {
      this.#isRunning = false;
    }
  }

  #alive(): void {
    if (this.#isDestroyed) throw new VmDestroyedError();
  }

  /** Ends the VM, as closing its file descriptors does: its tables and the memory that `createVm` made go back to the host. @throws {VcpuBusyError} it runs */
  destroy(): void {
    if (this.#isDestroyed) return;
    if (this.#isRunning) throw new VcpuBusyError(this.#rounds.current?.id ?? 0);
    for (const { core } of this.#members) {
      core.out();
      this.#rounds.remove(core);
    }
    this.#isDestroyed = true;
    this.#physical.observer = undefined;
    this.#tables.destroy();
    if (this.#ownMemory !== undefined) this.#host.freeMemory(this.#ownMemory);
  }
}
