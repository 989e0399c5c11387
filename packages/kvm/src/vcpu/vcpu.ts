import { type Cpu, Vector } from '@minusone/x86';
import type { CpuidEntry } from '../cpuid/cpuid-entry.ts';
import { InvalidStateError, VcpuBusyError, WrongOrderError } from '../errors.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import { getLapic, setLapic } from '../irqchip/lapic-page.ts';
import type { VendorVcpu } from '../vendor/vendor.ts';
import { cannotBeEnabled } from '../vm/enable-cap.ts';
import type { Vm } from '../vm/vm.ts';
import type { VmRunner } from '../vm/vm-runner.ts';
import type { VcpuCore, VcpuStatistics } from './core.ts';
import type { GuestDebugControl } from './guest-debug.ts';
import { applyPayload } from './inject-events.ts';
import { MP_STATES, type MpState } from './mp-state.ts';
import { type StartState, start } from './start.ts';
import { getDebugRegs, getVcpuEvents, type KvmDebugRegs, type KvmVcpuEvents, setDebugRegs, setVcpuEvents } from './state/events.ts';
import { getFpu, getXcrs, getXsave, type KvmFpu, type KvmXcrs, setFpu, setXcrs, setXsave } from './state/fpu.ts';
import { getMsrs, type KvmMsrEntry, setMsrs } from './state/msrs.ts';
import { getRegs, type KvmRegs, setRegs } from './state/regs.ts';
import { getSregs, getSregs2, IA32_APIC_BASE, type KvmSregs, type KvmSregs2, setSregs, setSregs2, taskPriority } from './state/sregs.ts';
import { type KvmTranslation, translateLinear } from './translate.ts';
import { userInterrupt } from './user-interrupt.ts';

export interface RunOptions {
  /** At most so many instructions; then the exit is `budget`. By default, no limit. */
  readonly instructions?: number;
}

const UNLIMITED = Number.MAX_SAFE_INTEGER / 2;
const BUDGET: VcpuExit = Object.freeze({ reason: 'budget' });
const INTR: VcpuExit = Object.freeze({ reason: 'intr' });

/**
 * A virtual CPU: what a file descriptor of KVM_CREATE_VCPU is under Linux, a method for each of its ioctls, in the words of the KVM API
 * (Documentation/virt/kvm/api.rst).
 */
export class Vcpu {
  readonly vm: Vm;
  readonly #core: VcpuCore;
  readonly #runner: VmRunner;
  #isAsync = false;

  /** Made by `vm.createVcpu`. */
  constructor(vm: Vm, core: VcpuCore, runner: VmRunner) {
    this.vm = vm;
    this.#core = core;
    this.#runner = runner;
  }

  get id(): number {
    return this.#core.id;
  }
  /** The emulated processor that serves this virtual CPU. Its registers are the guest's only in part: see `getRegs`, `getSregs`. */
  get cpu(): Cpu {
    return this.#core.cpu;
  }
  /** The control block, as the vendor module has it. */
  get vendor(): VendorVcpu {
    return this.#core.vendor;
  }
  get statistics(): VcpuStatistics {
    return this.#core.statistics;
  }

  // struct kvm_run

  /** Set: the next run completes what is to be completed, and comes back with `intr` before the guest goes on (api.rst, 5, `immediate_exit`). */
  get immediateExit(): boolean {
    return this.#core.immediateExit;
  }
  set immediateExit(value: boolean) {
    this.#core.immediateExit = value;
  }
  /** Set: exit with `irqWindowOpen` as soon as an interrupt can be injected by `interrupt`. */
  get requestInterruptWindow(): boolean {
    return this.#core.requestInterruptWindow;
  }
  set requestInterruptWindow(value: boolean) {
    this.#core.requestInterruptWindow = value;
    this.#core.stateChanged();
  }
  get readyForInterruptInjection(): boolean {
    return this.vm.irqchip?.kind === 'full' || this.#state().isReadyForInterrupt;
  }
  /** RFLAGS.IF. */
  get ifFlag(): boolean {
    return (this.#state().vendor.debug.rflags() & 0x200) !== 0;
  }
  get cr8(): bigint {
    return BigInt(taskPriority(this.#state()));
  }
  get apicBase(): bigint {
    return this.#core.msrs.read(IA32_APIC_BASE, true) ?? 0n;
  }

  // Running

  /**
   * KVM_RUN (api.rst, 4.10): runs the guest until there is something that only the user can do.
   *
   * With KVM's own local APIC a halted virtual CPU makes it come back with `idle`; the next call then lets virtual time go on to the next timer, or looks
   * whether the host's time has come.
   * @throws {VcpuBusyError} it runs already
   */
  run(options: RunOptions = {}): VcpuExit {
    if (this.#isAsync) throw new VcpuBusyError(this.id);
    return exitOf(this.#runner.runOne(this.#core, options.instructions ?? UNLIMITED));
  }

  /**
   * The exits of a guest, one after the other, for as long as it runs: ends after `shutdown`, `failEntry` and `internalError`, and where the guest waits for what will never come. With
   * `instructions` it gives `budget` each time so many are used up.
   * @example for (const exit of vcpu.exits()) if (exit.reason === 'hlt') break;
   */
  *exits(options: RunOptions = {}): Generator<VcpuExit, void, undefined> {
    for (;;) {
      const exit = this.run(options);
      yield exit;
      if (exit.reason === 'shutdown' || exit.reason === 'failEntry' || exit.reason === 'internalError') return;
      if (exit.reason === 'idle' && exit.deadlineNs === undefined && !this.#core.isRunnable) return;
    }
  }

  /**
   * As `run`, but yields to the event loop every few milliseconds, and sleeps where the guest waits: on the host's clock until its deadline, otherwise until something wakes it.
   * @param options.signal aborts: the exit is `intr`
   */
  async runAsync(options: RunOptions & { readonly signal?: AbortSignal } = {}): Promise<VcpuExit> {
    const { signal, instructions = UNLIMITED } = options;
    if (this.#isAsync || this.#core.isRunning) throw new VcpuBusyError(this.id);
    this.#isAsync = true;
    try {
      const slice = (most: number) => {
        const before = this.#core.instructions;
        const result = this.#runner.runOne(this.#core, most);
        return { result, used: this.#core.instructions - before };
      };
      return exitOf(await this.#runner.inSlices(instructions, signal, slice));
    } finally {
      this.#isAsync = false;
    }
  }

  /** Puts the virtual CPU where a guest's code begins. See `StartState`. */
  start(state: StartState): void {
    start(this.#state(), state);
  }

  // State

  /** The guest out of its processor, so that its state can be read and written. */
  #state(): VcpuCore {
    this.#runner.alive();
    this.#core.out();
    this.#core.vm.emulator.forget();
    return this.#core;
  }

  /** KVM_GET_REGS (api.rst, 4.11). */
  getRegs(): KvmRegs {
    return getRegs(this.#state());
  }
  /** KVM_SET_REGS (4.12). Registers that are left out stay. */
  setRegs(regs: Partial<KvmRegs>): void {
    setRegs(this.#state(), regs);
  }
  /** KVM_GET_SREGS (4.13). */
  getSregs(): KvmSregs {
    return getSregs(this.#state());
  }
  /** KVM_SET_SREGS (4.14). @throws {InvalidStateError} what KVM refuses; what only hardware refuses is `failEntry` */
  setSregs(sregs: KvmSregs): void {
    setSregs(this.#state(), sregs);
  }
  /** KVM_GET_SREGS2 (4.131). */
  getSregs2(): KvmSregs2 {
    return getSregs2(this.#state());
  }
  /** KVM_SET_SREGS2 (4.132). */
  setSregs2(sregs: KvmSregs2): void {
    setSregs2(this.#state(), sregs);
  }
  /** KVM_GET_FPU (4.22). */
  getFpu(): KvmFpu {
    return getFpu(this.#state());
  }
  /** KVM_SET_FPU (4.23). @throws {InvalidStateError} reserved bits of MXCSR */
  setFpu(fpu: KvmFpu): void {
    setFpu(this.#state(), fpu);
  }
  /** KVM_GET_XSAVE (4.42): 4096 bytes. */
  getXsave(): Uint8Array {
    return getXsave(this.#state());
  }
  /** KVM_GET_XSAVE2 (4.134): as many bytes as KVM_CAP_XSAVE2 says, which are those of KVM_GET_XSAVE. */
  getXsave2(): Uint8Array {
    return this.getXsave();
  }
  /** KVM_SET_XSAVE (4.43). @throws {InvalidStateError} components that this processor does not have */
  setXsave(area: Uint8Array): void {
    setXsave(this.#state(), area);
  }
  /** KVM_GET_XCRS (4.44). */
  getXcrs(): KvmXcrs {
    return getXcrs(this.#state());
  }
  /** KVM_SET_XCRS (4.45). @throws {InvalidStateError} a value that XCR0 cannot have */
  setXcrs(xcrs: KvmXcrs): void {
    setXcrs(this.#state(), xcrs);
  }
  /** KVM_GET_DEBUGREGS (4.33). */
  getDebugRegs(): KvmDebugRegs {
    return getDebugRegs(this.#state());
  }
  /** KVM_SET_DEBUGREGS (4.34). */
  setDebugRegs(registers: KvmDebugRegs): void {
    setDebugRegs(this.#state(), registers);
  }
  /** KVM_GET_VCPU_EVENTS (4.31). */
  getVcpuEvents(): KvmVcpuEvents {
    const core = this.#state();
    if (!core.vm.capabilities.exceptionPayload && core.events.exceptionPending) applyPayload(core);
    return getVcpuEvents(core);
  }
  /** KVM_SET_VCPU_EVENTS (4.32). @throws {InvalidStateError} vectors that are none, or what a capability has to be enabled for */
  setVcpuEvents(events: KvmVcpuEvents): void {
    setVcpuEvents(this.#state(), events);
  }
  /** KVM_GET_MP_STATE (4.38). */
  getMpState(): MpState {
    return this.#state().mpState;
  }
  /** KVM_SET_MP_STATE (4.39). @throws {InvalidStateError} without an irqchip of KVM's only `runnable` (and `stopped`) can be */
  setMpState(state: MpState): void {
    if (!MP_STATES.includes(state) || (this.#core.lapic === undefined && state !== 'runnable' && state !== 'stopped')) {
      throw new InvalidStateError(`The state "${state}" cannot be set.`, 'Without an irqchip a virtual CPU is `runnable` or `stopped`.', {
        state,
      });
    }
    const core = this.#state();
    core.mpState = state;
    core.attention();
  }
  /** KVM_GET_MSRS (4.18). As many as could be read, in order: it stops at the first that is not there. */
  getMsrs(indices: readonly number[]): KvmMsrEntry[] {
    return getMsrs(this.#state(), indices);
  }
  /** KVM_SET_MSRS (4.19). @returns how many were set: it stops at the first that is refused */
  setMsrs(entries: readonly KvmMsrEntry[]): number {
    return setMsrs(this.#state(), entries);
  }
  /** KVM_SET_CPUID2 (4.20). @throws {WrongOrderError} it has run */
  setCpuid2(entries: readonly CpuidEntry[]): void {
    if (this.#core.hasRun) {
      throw new WrongOrderError(`Virtual CPU ${this.id} has run: its CPUID can no longer be set.`, 'Call setCpuid2 before the first run.', {
        id: this.id,
      });
    }
    this.#core.cpuid.set(entries);
  }
  /** KVM_GET_CPUID2 (4.20). */
  getCpuid2(): CpuidEntry[] {
    return this.#core.cpuid.get();
  }

  // Interrupts

  /** KVM_INTERRUPT (4.16): an interrupt of a controller that is the user's. @throws {WrongOrderError} KVM has the controllers */
  interrupt(vector: number): void {
    this.#runner.alive();
    userInterrupt(this.#core, vector);
  }
  /** KVM_NMI (4.64). */
  nmi(): void {
    this.#runner.alive();
    this.#core.raiseNmi();
  }
  /** KVM_GET_LAPIC (4.57): 1 KiB. @throws {WrongOrderError} there is no irqchip */
  getLapic(): Uint8Array {
    return getLapic(this.#lapic(), this.vm.irqchip?.x2apicApi.use32BitIds);
  }
  /** KVM_SET_LAPIC (4.58). @throws {WrongOrderError} there is no irqchip */
  setLapic(page: Uint8Array): void {
    this.#state();
    setLapic(this.#lapic(), page, this.vm.irqchip?.x2apicApi.use32BitIds);
    this.#core.stateChanged();
  }
  #lapic(): NonNullable<VcpuCore['lapic']> {
    const { lapic } = this.#core;
    if (lapic === undefined) throw new WrongOrderError('This VM has no irqchip.', 'Call createIrqchip before createVcpu.');
    return lapic;
  }

  // The rest

  /** KVM_TRANSLATE (4.15): by the guest's own tables, as its mode is now. */
  translate(linear: bigint): KvmTranslation {
    return translateLinear(this.#state(), linear);
  }
  /** KVM_SET_GUEST_DEBUG (4.87). `injectBp` gives the guest the #BP of an INT3 that stands at RIP, which `useSwBp` has taken. */
  setGuestDebug(control: GuestDebugControl): void {
    const core = this.#state();
    core.debug.set(core, control);
    if (control.injectDb === true) core.events.queueException(Vector.DB);
    if (control.injectBp === true) core.events.resumeSoftException(Vector.BP);
  }
  /** KVM_SET_TSC_KHZ (4.55). 0: the host's. @throws {InvalidStateError} another frequency: the hardware does not scale the TSC */
  setTscKhz(khz: number): void {
    const hostKhz = this.#core.vm.host.model.tscHz / 1000;
    if (khz !== 0 && khz !== hostKhz) {
      throw new InvalidStateError(
        `The TSC cannot run at ${khz} kHz.`,
        `It runs at the host's ${hostKhz} kHz: KVM_CAP_TSC_CONTROL is not there.`,
        { khz },
      );
    }
    this.#core.tscHz = hostKhz * 1000;
  }
  /** KVM_GET_TSC_KHZ (4.56). */
  getTscKhz(): number {
    return this.#core.tscHz / 1000;
  }
  /** KVM_KVMCLOCK_CTRL (4.70). @throws {InvalidStateError} the guest has no kvmclock */
  kvmclockCtrl(): void {
    if (!this.#core.clock.kvmclockCtrl())
      throw new InvalidStateError('The guest has set up no kvmclock.', 'Call it when a guest that uses it was paused.');
  }
  /**
   * KVM_X86_SETUP_MCE (4.105): how many machine-check banks there are, and what IA32_MCG_CAP says.
   * @param mcgCap within `kvm.getMceCapSupported()`, and in bits 7:0 the banks, at most `checkExtension('MCE')`
   * @throws {InvalidArgumentError} it is not
   */
  setupMce(mcgCap: bigint): void {
    this.#state().msrs.setupMce(mcgCap);
  }
  /**
   * KVM_ENABLE_CAP on a virtual CPU (4.37).
   * @throws {UnknownCapabilityError} it is none that is there for a virtual CPU
   */
  enableCap(name: string, ...args: readonly bigint[]): void {
    // 8.28
    if (name.replace(/^KVM_CAP_/, '') !== 'ENFORCE_PV_FEATURE_CPUID') throw cannotBeEnabled(name, 'vcpu');
    this.#state().msrs.enforcesPvFeatures = (args[0] ?? 1n) !== 0n;
  }
}

function exitOf(result: ReturnType<VmRunner['runOne']>): VcpuExit {
  switch (result.reason) {
    case 'reported':
      return result.report;
    case 'idle':
      return { reason: 'idle', deadlineNs: result.deadlineNs };
    case 'stopped':
      return INTR;
    default:
      return BUDGET;
  }
}
