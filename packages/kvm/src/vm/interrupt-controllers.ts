import { ApicWindow, type LocalApic } from '@minusone/x86';
import { WrongOrderError } from '../errors.ts';
import { Irqchip } from '../irqchip/irqchip.ts';
import type { Pit2 } from '../irqchip/pit2.ts';
import type { VcpuCore } from '../vcpu/core.ts';
import type { VmContext } from './vm-context.ts';

/** What interrupt controllers need of their VM. */
export interface InterruptControllersHost {
  readonly context: VmContext;
  readonly cores: readonly VcpuCore[];
  /** A device of the kernel was put at a page, or taken from it. */
  deviceMoved(gpa: number): void;
  /** Throws if the VM is gone. */
  alive(): void;
}

/** The interrupt controllers and timer of a VM "in the kernel", once they have been asked for: where they stand on its buses, and in which order they can be made. */
export class InterruptControllers {
  readonly #vm: InterruptControllersHost;
  #irqchip: Irqchip | undefined;
  #window: ApicWindow | undefined;
  #pit: Pit2 | undefined;

  constructor(vm: InterruptControllersHost) {
    this.#vm = vm;
  }

  /** Undefined: none has been made. */
  get irqchip(): Irqchip | undefined {
    return this.#irqchip;
  }
  /** @throws {WrongOrderError} none has been made */
  get needed(): Irqchip {
    this.#vm.alive();
    if (this.#irqchip === undefined) throw new WrongOrderError('This VM has no irqchip.', 'Call createIrqchip first.');
    return this.#irqchip;
  }
  /** @throws {WrongOrderError} none has been made */
  get pit(): Pit2 {
    this.#vm.alive();
    if (this.#pit === undefined) throw new WrongOrderError('This VM has no PIT.', 'Call createPit2 first.');
    return this.#pit;
  }

  /** @throws {WrongOrderError} there is one, or a virtual CPU */
  create(kind: 'full' | 'split'): void {
    this.#vm.alive();
    if (this.#irqchip !== undefined) throw new WrongOrderError('This VM has an irqchip already.', 'Make one only.');
    if (this.#vm.cores.length > 0) throw new WrongOrderError('A virtual CPU exists already.', 'Make the irqchip before the virtual CPUs.');
    const { physical, kernelPorts, emulator, clock } = this.#vm.context;
    const irqchip = new Irqchip({ kind, clock });
    this.#irqchip = irqchip;
    for (const { first, count, device } of irqchip.ports) kernelPorts.map(first, count, device);
    for (const { gpa, bytes, device } of irqchip.mmio) {
      physical.mapMmio(gpa, bytes, device);
      this.#vm.deviceMoved(gpa);
    }
    this.#window = new ApicWindow(physical, irqchip.bus, () => emulator.lapic);
    irqchip.bus.onMove(() => {
      for (const { baseAddress } of irqchip.bus.apics) this.#vm.deviceMoved(baseAddress);
    });
    irqchip.onIoapicEoi((vector, lapic) => {
      const core = this.#vm.cores.find((one) => one.lapic === lapic);
      if (core !== undefined) core.pendingExit = { reason: 'ioapicEoi', vector };
    });
  }

  /** @throws {WrongOrderError} there is no irqchip */
  createPit2(flags: { readonly speakerDummy?: boolean }): void {
    const irqchip = this.needed;
    const before = new Set(irqchip.ports.map(({ first }) => first));
    this.#pit = irqchip.createPit2(flags);
    for (const { first, count, device } of irqchip.ports) {
      if (!before.has(first)) this.#vm.context.kernelPorts.map(first, count, device);
    }
  }

  /** The local APIC of a virtual CPU that is being made, at its page; undefined without an irqchip. */
  createLapic(core: VcpuCore): LocalApic | undefined {
    if (this.#irqchip === undefined) return undefined;
    const lapic = this.#irqchip.createLapic({
      id: core.id,
      host: core,
      timeStamp: { hz: core.tscHz, read: () => core.tsc() },
      isBootstrap: core.isBootstrap,
    });
    this.#window?.refresh();
    this.#vm.deviceMoved(lapic.baseAddress);
    return lapic;
  }
}
