import type { PhysicalAddressSpace } from '@minusone/memory';
import type { MachineClock, TimeStampSource } from '@minusone/x86';
import { checkExtension } from '../capabilities/capabilities.ts';
import { KvmClock, type KvmClockData } from '../clock/kvm-clock.ts';
import { Emulator } from '../emulation/emulator.ts';
import { VcpuIdError, VmDestroyedError, WrongOrderError } from '../errors.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { Host } from '../host/host.ts';
import type { HostMemory } from '../host/host-memory.ts';
import type { KvmIoapicState, KvmPicState, KvmPitState2 } from '../irqchip/chip-states.ts';
import { EventFds, type IoEventFdArgs, type IrqFdArgs } from '../irqchip/event-fds.ts';
import type { Irqchip, KvmMsi } from '../irqchip/irqchip.ts';
import type { IrqchipName, IrqRoutingEntry } from '../irqchip/routing.ts';
import { SecondStageTables } from '../mmu/second-stage.ts';
import { MsrFilter, type MsrFilterRanges } from '../msrs/msr-filter.ts';
import type { VcpuCore } from '../vcpu/core.ts';
import { Vcpu } from '../vcpu/vcpu.ts';
import { enableCap } from './enable-cap.ts';
import { EnabledCapabilities, MAX_VCPU_IDS } from './enabled-capabilities.ts';
import { GuestPhysical } from './guest-physical.ts';
import { InterruptControllers } from './interrupt-controllers.ts';
import { KernelPorts } from './kernel-ports.ts';
import { interceptByFilter, makeVcpu } from './make-vcpu.ts';
import { type DirtyLogRange, KvmMemorySlots, type MemoryRegion } from './memory-slots.ts';
import type { FaultAnswer, VmContext } from './vm-context.ts';
import { VmMemory } from './vm-memory.ts';
import { VmRunner, type VmTimeOptions } from './vm-runner.ts';

export interface VmOptions extends VmTimeOptions {
  /** Size of RAM at guest-physical address 0, in slot 0. By default none: use `setUserMemoryRegion`. */
  readonly memory?: number | string;
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
const UNLIMITED = Number.MAX_SAFE_INTEGER / 2;

/**
 * A virtual machine: what a file descriptor of KVM_CREATE_VM is under Linux, a method for each of its ioctls, in the words of the KVM API
 * (Documentation/virt/kvm/api.rst).
 */
export class Vm {
  /** Guest memory for the VMM: read and written by guest-physical address. */
  readonly memory: VmMemory;
  readonly #host: Host;
  readonly #physical: GuestPhysical;
  readonly #tables: SecondStageTables;
  readonly #slots: KvmMemorySlots;
  readonly #runner: VmRunner;
  readonly #timeStamp: TimeStampSource;
  readonly #eventFds: EventFds;
  readonly #msrFilter = new MsrFilter();
  readonly #capabilities = new EnabledCapabilities();
  readonly #kvmClock: KvmClock;
  /** Virtual CPUs from the inside and from the outside, at the same places. */
  readonly #cores: VcpuCore[] = [];
  readonly #vcpus: Vcpu[] = [];
  readonly #context: VmContext;
  readonly #controllers: InterruptControllers;
  readonly #ownMemory: HostMemory | undefined;
  #bootId = 0;
  #isDestroyed = false;

  /** Made by `kvm.createVm`. */
  constructor(host: Host, options: VmOptions = {}) {
    const alive = (): void => this.#alive();
    this.#host = host;
    this.#physical = new GuestPhysical(host.memory);
    this.#physical.observer = host.code;
    this.#tables = new SecondStageTables(host.pages, host.vendor.tables);
    this.#slots = new KvmMemorySlots(this.#physical, this.#tables, () => this.#flush());
    this.memory = new VmMemory(this.#physical, this.#slots);
    this.#runner = new VmRunner(options, alive);
    this.#timeStamp = this.#runner.timeStamp(host.model.tscHz);
    this.#eventFds = new EventFds(() => this.#controllers.irqchip);
    const isVirtual = options.clock !== 'host';
    const { realTimeNs = isVirtual ? START_OF_2024_NS : BigInt(Math.floor(Date.now())) * 1_000_000n } = options;
    this.#kvmClock = new KvmClock({
      nowNs: () => this.clock.nowNs(),
      realTimeNs: () => realTimeNs + BigInt(Math.floor(this.clock.nowNs())),
      writeGuest: (gpa, bytes) => this.memory.tryWrite(gpa, bytes),
      readGuest: (gpa, length) => this.memory.tryRead(gpa, length),
    });
    this.#context = this.#makeContext();
    this.#controllers = new InterruptControllers({
      context: this.#context,
      cores: this.#cores,
      deviceMoved: (gpa) => this.#slots.deviceMoved(gpa),
      alive,
    });
    if (options.memory === undefined) return;
    this.#ownMemory = host.allocateMemory(options.memory);
    this.setUserMemoryRegion({ slot: 0, guestPhysAddr: 0, memorySize: this.#ownMemory.bytes, memory: this.#ownMemory });
  }

  #makeContext(): VmContext {
    const vm = this;
    const kernelPorts = new KernelPorts();
    const { physical, eventFds, timeStamp } = { physical: this.#physical, eventFds: this.#eventFds, timeStamp: this.#timeStamp };
    return {
      host: this.#host,
      clock: this.clock,
      tscSync: this.#kvmClock.tscSync,
      physical,
      kernelPorts,
      eventFds,
      emulator: new Emulator(this.#host, { physical, kernelPorts, eventFds, timeStamp }),
      msrFilter: this.#msrFilter,
      capabilities: this.#capabilities,
      get irqchip(): Irqchip | undefined {
        return vm.#controllers.irqchip;
      },
      resolveFault: (gpa: number, access: number): FaultAnswer => vm.#slots.resolve(gpa, access),
      wake: () => vm.#runner.wake(),
    };
  }

  #alive(): void {
    if (this.#isDestroyed) throw new VmDestroyedError();
  }
  #beforeVcpus(call: string): void {
    this.#alive();
    if (this.#cores.length > 0) throw new WrongOrderError('A virtual CPU exists already.', `Call ${call} before createVcpu.`);
  }

  /** Guest-physical memory as an address space, for loaders and the VMM's own devices. */
  get physical(): PhysicalAddressSpace {
    return this.#physical;
  }
  /** The VM's time: what timers of the VMM's devices are to use. */
  get clock(): MachineClock {
    return this.#runner.clock;
  }
  get irqchip(): Irqchip | undefined {
    return this.#controllers.irqchip;
  }
  get vcpus(): readonly Vcpu[] {
    return this.#vcpus;
  }
  /** Instructions that all virtual CPUs have executed. */
  get instructions(): number {
    return this.#cores.reduce((sum, core) => sum + core.instructions, 0);
  }
  /** How often all virtual CPUs that ran have been waiting. */
  get idleCount(): number {
    return this.#runner.idleCount;
  }

  // Memory

  /**
   * Creates, moves, changes or deletes a memory slot: KVM_SET_USER_MEMORY_REGION (api.rst, 4.35).
   *
   * @param region.slot 0 .. `checkExtension('NR_MEMSLOTS') - 1`
   * @param region.guestPhysAddr bytes, a multiple of 4096
   * @param region.memorySize bytes, a multiple of 4096; 0 deletes the slot
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
    this.#alive();
    return this.#slots.getDirtyLog(slot, !this.#capabilities.manualDirtyLog);
  }
  /**
   * KVM_CLEAR_DIRTY_LOG (4.117): makes pages whose bit is 1 clean, counted from `firstPage`.
   * @throws {InvalidArgumentError} `firstPage`, or `numPages` of a range that ends before the slot does, is no multiple of 64; the range leaves the slot, or the bitmap is too short
   * @throws {UnknownMemorySlotError} @throws {DirtyLogOffError}
   */
  clearDirtyLog(range: DirtyLogRange): void {
    this.#alive();
    this.#slots.clearDirtyRange(range);
  }

  /** What guests may have cached of the second stage goes. */
  #flush(): void {
    for (const core of this.#cores) {
      core.out();
      core.vendor.flushTlb();
    }
  }

  // Capabilities

  /** KVM_CHECK_EXTENSION (4.4): 0 where it is not there. Names with or without `KVM_CAP_`. */
  checkExtension(name: string): number {
    return checkExtension(name, this.#host);
  }
  /**
   * KVM_ENABLE_CAP (4.37; 7 says what the arguments of each mean).
   * @throws {UnknownCapabilityError} it is not there, not for a VM, or not with these arguments; {WrongOrderError} it is too late, or too early
   */
  enableCap(name: string, ...args: readonly bigint[]): void {
    this.#alive();
    const { irqchip } = this.#controllers;
    const applyToVcpus = (): void => {
      for (const { msrs } of this.#cores) msrs.guestReadsPlatformInfo = this.#capabilities.guestReadsPlatformInfo;
    };
    const setIrqchip = (kind: 'split'): void => this.#controllers.create(kind);
    enableCap({ capabilities: this.#capabilities, irqchip, vcpuCount: this.#cores.length, setIrqchip, applyToVcpus }, name, args);
  }
  /** KVM_X86_SET_MSR_FILTER (4.97). @throws {InvalidArgumentError} too many ranges, or one that cannot be */
  setMsrFilter(filter: MsrFilterRanges): void {
    this.#alive();
    this.#msrFilter.set(filter);
    for (const core of this.#cores) {
      core.out();
      interceptByFilter(core.vendor, this.#msrFilter);
    }
  }

  // Interrupts

  /** KVM_CREATE_IRQCHIP (4.24): the 8259 pair, the IOAPIC, and a local APIC for each virtual CPU that will be made. @throws {WrongOrderError} there is one, or a virtual CPU */
  createIrqchip(): void {
    this.#controllers.create('full');
  }
  /** KVM_CREATE_PIT2 (4.71). @throws {WrongOrderError} there is no irqchip; {InvalidArgumentError} it is a split one, or has a PIT */
  createPit2(flags: { readonly speakerDummy?: boolean } = {}): void {
    this.#controllers.createPit2(flags);
  }
  /** KVM_IRQ_LINE (4.25): drives a GSI. @throws {WrongOrderError} there is no irqchip */
  irqLine(gsi: number, level: boolean): void {
    this.#controllers.needed.irqLine(gsi, level);
  }
  /** KVM_IRQ_LINE_STATUS (4.25): as `irqLine`; how many virtual CPUs it went to, 0 if it coalesced, -1 if it is masked. */
  irqLineStatus(gsi: number, level: boolean): number {
    return this.#controllers.needed.irqLine(gsi, level);
  }
  /** KVM_SET_GSI_ROUTING (4.52): replaces the whole table. @throws {WrongOrderError} there is no irqchip; {InvalidArgumentError} names the entry */
  setGsiRouting(entries: readonly IrqRoutingEntry[]): void {
    this.#controllers.needed.setGsiRouting(entries);
  }
  /** KVM_SIGNAL_MSI (4.71): to how many virtual CPUs it went; 0: coalesced. @throws {WrongOrderError} there is no irqchip */
  signalMsi(msi: KvmMsi): number {
    return this.#controllers.needed.signalMsi(msi);
  }
  /** KVM_GET_IRQCHIP (4.26). @throws {WrongOrderError} there is no irqchip */
  getIrqchip(chip: 'ioapic'): KvmIoapicState;
  getIrqchip(chip: 'pic-master' | 'pic-slave'): KvmPicState;
  getIrqchip(chip: IrqchipName): KvmPicState | KvmIoapicState {
    return this.#controllers.needed.getIrqchip(chip);
  }
  /** KVM_SET_IRQCHIP (4.27). @throws {WrongOrderError} there is no irqchip */
  setIrqchip(chip: 'ioapic', state: KvmIoapicState): void;
  setIrqchip(chip: 'pic-master' | 'pic-slave', state: KvmPicState): void;
  setIrqchip(chip: IrqchipName, state: KvmPicState | KvmIoapicState): void {
    const irqchip = this.#controllers.needed;
    if (chip === 'ioapic') irqchip.setIoapic(state as KvmIoapicState);
    else irqchip.setPic(chip, state as KvmPicState);
  }
  /** KVM_GET_PIT2 (4.72). @throws {WrongOrderError} there is no PIT */
  getPit2(): KvmPitState2 {
    return this.#controllers.pit.getPit2();
  }
  /** KVM_SET_PIT2 (4.73). @throws {WrongOrderError} there is no PIT */
  setPit2(state: KvmPitState2): void {
    this.#controllers.pit.setPit2(state);
  }
  /** KVM_REINJECT_CONTROL (4.99): whether ticks that the guest was too slow for are given later. @throws {WrongOrderError} there is no PIT */
  reinjectControl(pitReinject: boolean): void {
    this.#controllers.pit.reinjectControl(pitReinject);
  }
  /** KVM_IOEVENTFD (4.59): a guest's write there signals, and does not exit. @throws {InvalidArgumentError} one stands there, or the one to deassign does not */
  ioeventfd(args: IoEventFdArgs): void {
    this.#alive();
    this.#eventFds.ioeventfd(args);
  }
  /** KVM_IRQFD (4.75): a signal raises a GSI. @throws {InvalidArgumentError} there is no irqchip, the fd is in use, or the one to deassign is not */
  irqfd(args: IrqFdArgs): void {
    this.#alive();
    this.#eventFds.irqfd(args);
  }

  // Time

  /** KVM_GET_CLOCK (4.29): kvmclock, nanoseconds. */
  getClock(): KvmClockData {
    this.#alive();
    return this.#kvmClock.getClock();
  }
  /** KVM_SET_CLOCK (4.30). `realtime`: when `clock` was read; the clock is moved on by what has gone by since then. */
  setClock(data: { readonly clock: bigint; readonly realtime?: bigint }): void {
    this.#alive();
    this.#kvmClock.setClock(data);
  }

  // What Intel's older processors needed: nothing is put there, as the hardware runs real mode by itself.

  /** KVM_SET_TSS_ADDR (4.36). */
  setTssAddr(_address: number): void {
    this.#alive();
  }
  /** KVM_SET_IDENTITY_MAP_ADDR (4.40). @throws {WrongOrderError} a virtual CPU exists */
  setIdentityMapAddr(_address: number): void {
    this.#beforeVcpus('setIdentityMapAddr');
  }
  /** KVM_SET_BOOT_CPU_ID (4.41): which virtual CPU is the bootstrap processor; 0 by default. @throws {WrongOrderError} a virtual CPU exists */
  setBootCpuId(id: number): void {
    this.#beforeVcpus('setBootCpuId');
    this.#bootId = id;
  }

  // Virtual CPUs

  /** KVM_CREATE_VCPU (4.7). @throws {VcpuIdError} the id is taken, or out of range */
  createVcpu(id: number): Vcpu {
    this.#alive();
    const most = this.#capabilities.maxVcpuId ?? MAX_VCPU_IDS;
    if (!Number.isInteger(id) || id < 0 || id >= most)
      throw new VcpuIdError(`A virtual CPU cannot have the id ${id}.`, `Ids are 0 to ${most - 1}.`, id);
    if (this.#cores.some((core) => core.id === id)) throw new VcpuIdError(`Virtual CPU ${id} exists already.`, 'Use another id.', id);
    const core = makeVcpu(id, {
      context: this.#context,
      timeStamp: this.#timeStamp,
      kvmClock: this.#kvmClock,
      controllers: this.#controllers,
      root: this.#tables.root,
      isBootstrap: id === this.#bootId,
    });
    const vcpu = new Vcpu(this, core, this.#runner);
    this.#cores.push(core);
    this.#vcpus.push(vcpu);
    this.#runner.add(core);
    return vcpu;
  }

  #result(result: ReturnType<VmRunner['runAll']>): VmRunResult {
    if (result.reason !== 'reported') return result;
    return { reason: 'exit', vcpu: this.#vcpus[this.#cores.indexOf(result.member)] as Vcpu, exit: result.report };
  }

  /**
   * Runs all virtual CPUs in turns, as the processors of a machine: KVM_RUN on each from one thread.
   * @param instructions of time; by default, no limit
   * @throws {VcpuBusyError} one of them runs
   */
  run(instructions: number = UNLIMITED): VmRunResult {
    return this.#result(this.#runner.runAll(instructions));
  }
  /** Makes `run` come back after the instruction under way. */
  stop(): void {
    this.#runner.stop();
  }
  /** As `run`, but yields to the event loop every few milliseconds, and sleeps where all wait. Aborting by `signal` gives `stopped`. */
  async runAsync(options: { readonly signal?: AbortSignal } = {}): Promise<VmRunResult> {
    const slice = (instructions: number) => ({ result: this.#runner.runAll(instructions), used: 0 });
    return this.#result(await this.#runner.inSlices(UNLIMITED, options.signal, slice));
  }

  /** Ends the VM, as closing its file descriptors does: its tables and the memory that `createVm` made go back to the host. @throws {VcpuBusyError} it runs */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#runner.removeAll(this.#cores);
    this.#isDestroyed = true;
    this.#physical.observer = undefined;
    this.#tables.destroy();
    for (const core of this.#cores) core.dispose();
    this.#context.emulator.cpu.dispose();
    if (this.#ownMemory !== undefined) this.#host.freeMemory(this.#ownMemory);
  }
}
