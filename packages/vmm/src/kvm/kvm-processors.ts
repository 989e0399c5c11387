import { type InterruptAcknowledge, type InterruptLine, InvalidArgumentError } from '@minusone/core';
import { guestCpuid, type Irqchip, Kvm, type KvmVendor, type Vcpu, type VcpuExit, type Vm } from '@minusone/kvm';
import type { BootState } from '@minusone/loader';
import type { MemorySlot, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { ApicRegister } from '@minusone/x86';
import type { ProcessorParts, ProcessorSet, ProcessorsResult, ProcessorsStatistics } from '../accelerator.ts';
import { GuestStoppedError } from '../errors.ts';
import { applyKvmBootState } from './kvm-boot-state.ts';

/** Pins of the IOAPIC, whose routes KVM leaves to the VMM. */
const IOAPIC_PINS = 24n;
/** Spurious vector FFH, APIC software-enabled; LINT0 unmasked in ExtINT mode. */
const SPURIOUS_ENABLED = 0x1ff;
const LINT0_EXTINT = 0x700;
/** HWCR.TscFreqSel: the time-stamp counter runs at the P0 frequency, as on any AMD processor since family 10h (APM Vol. 2 3.2.10; Linux complains without). */
const HWCR = 0xc0010015;
const TSC_FREQ_SEL = 1n << 24n;

/**
 * A machine's processors as virtual CPUs of KVM. Local APICs are KVM's ("split irqchip"); the 8259 pair, the IOAPIC and all else are the board's, reached by `io`
 * and `mmio` exits as from any VMM.
 */
export class KvmProcessors implements ProcessorSet {
  readonly vm: Vm;
  readonly vcpus: readonly Vcpu[];
  readonly intr: InterruptLine;
  readonly #physical: PhysicalAddressSpace;
  readonly #ports: PortSpace;
  readonly #pic: InterruptAcknowledge;
  readonly #kvm: Kvm;
  readonly #irqchip: Irqchip;
  readonly #view: DataView = new DataView(new ArrayBuffer(8));
  /** Slots of KVM as they stand, by number. */
  #slots: readonly (Required<MemorySlot> | undefined)[] = [];
  #mappingChanged = true;
  /** INTR of the 8259 pair. */
  #interrupt = false;
  #stopRequested = false;

  /** @throws {InvalidArgumentError} the vendor module's processors are of another model */
  constructor(vendor: KvmVendor, parts: ProcessorParts) {
    const { memory, physical, ports, model, cpus, clock, startEpochSeconds, jit, spare } = parts;
    if (vendor.model.name !== model.name) {
      throw new InvalidArgumentError(
        `${vendor.name} runs on a CPU of the model ${vendor.model.name}, and the machine is to show ${model.name}.`,
        'Give both the same model.',
        { vendor: vendor.model.name, machine: model.name },
      );
    }
    this.#physical = physical;
    this.#ports = ports;
    this.#pic = parts.interruptAcknowledge;
    this.#kvm = new Kvm(vendor, { memory, spare, jit });
    this.vm = this.#kvm.createVm({ clock, realTimeNs: BigInt(Math.floor(startEpochSeconds)) * 1_000_000_000n });
    this.vm.enableCap('KVM_CAP_SPLIT_IRQCHIP', IOAPIC_PINS);
    this.#irqchip = this.vm.irqchip as Irqchip;
    this.vcpus = Array.from({ length: cpus }, (_, id) => this.#createVcpu(id, cpus, vendor));
    physical.observer = {
      onCodeWritten: () => {},
      onWriteTagsMustDrop: () => {},
      onMappingChanged: () => {
        this.#mappingChanged = true;
      },
    };
    this.intr = {
      set: (asserted) => {
        this.#interrupt = asserted;
        // The guest may be running: it comes out, so that it can be injected.
        if (asserted) this.vm.stop();
      },
    };
  }

  #createVcpu(id: number, cpus: number, { model }: KvmVendor): Vcpu {
    const vcpu = this.vm.createVcpu(id);
    vcpu.setCpuid2(guestCpuid(model, { apicId: id, cpus }));
    if (model.vendor === 'amd') vcpu.setMsrs([{ index: HWCR, data: TSC_FREQ_SEL }]);
    return vcpu;
  }

  get clock(): ProcessorSet['clock'] {
    return this.vm.clock;
  }
  get messages(): ProcessorSet['messages'] {
    return this.#irqchip.bus;
  }
  get idleCount(): number {
    return this.vm.idleCount;
  }
  onEoi(listener: (vector: number) => void): void {
    this.#irqchip.bus.onEoi(listener);
  }

  start(state: BootState): void {
    const bootstrap = this.vcpus[0] as Vcpu;
    applyKvmBootState(bootstrap, state);
    // Firmware that starts at the reset vector sets the APIC up by itself.
    if (state.keepsReset) return;
    // Virtual wire mode, as firmware leaves it (MultiProcessor Specification 1.4, 3.6.2.2): interrupts of the 8259 pair reach the first processor.
    const registers = bootstrap.getLapic();
    const view = new DataView(registers.buffer, registers.byteOffset, registers.length);
    view.setUint32(ApicRegister.SVR, SPURIOUS_ENABLED, true);
    view.setUint32(ApicRegister.LVT_LINT0, LINT0_EXTINT, true);
    bootstrap.setLapic(registers);
  }

  run(instructions: number): ProcessorsResult {
    this.#stopRequested = false;
    const first = this.vm.instructions;
    for (;;) {
      if (this.#mappingChanged) this.#mirrorSlots();
      this.#offerInterrupt();
      const left = instructions - Math.floor((this.vm.instructions - first) / this.vcpus.length);
      if (left <= 0) return { reason: 'budget' };
      const result = this.vm.run(left);
      if (this.#stopRequested) return { reason: 'stopped' };
      switch (result.reason) {
        case 'budget':
          return { reason: 'budget' };
        case 'idle':
          if (this.#interrupt && (this.vcpus[0] as Vcpu).readyForInterruptInjection) continue;
          return { reason: 'idle', deadlineNs: result.deadlineNs };
        case 'exit': {
          const end = this.#handle(result.vcpu, result.exit);
          if (end !== undefined) return end;
          if (this.#stopRequested) return { reason: 'stopped' };
        }
      }
    }
  }

  stop(): void {
    this.#stopRequested = true;
    this.vm.stop();
  }

  get statistics(): ProcessorsStatistics {
    const exits: Record<string, number> = {};
    let instructionsInRegions = 0;
    for (const vcpu of this.vcpus) {
      for (const [name, count] of Object.entries(vcpu.statistics.exits)) if (count > 0) exits[name] = (exits[name] ?? 0) + count;
      instructionsInRegions += vcpu.cpu.engine.statistics.instructionsInRegions;
    }
    return { instructions: this.vm.instructions, instructionsInRegions, exits };
  }

  /** An interrupt of the 8259 pair goes to the first virtual CPU as soon as that can take it (KVM_INTERRUPT). */
  #offerInterrupt(): void {
    const bootstrap = this.vcpus[0] as Vcpu;
    if (this.#interrupt && bootstrap.readyForInterruptInjection) bootstrap.interrupt(this.#pic.acknowledge());
    if (bootstrap.requestInterruptWindow !== this.#interrupt) bootstrap.requestInterruptWindow = this.#interrupt;
  }

  #handle(vcpu: Vcpu, exit: VcpuExit): ProcessorsResult | undefined {
    switch (exit.reason) {
      case 'io':
        this.#io(exit);
        return undefined;
      case 'mmio':
        this.#mmio(exit);
        return undefined;
      case 'irqWindowOpen':
      case 'intr':
      case 'budget':
      case 'idle':
      case 'ioapicEoi':
        return undefined;
      case 'shutdown':
        return { reason: 'shutdown', cpu: vcpu.id };
      default:
        throw new GuestStoppedError(vcpu.id, exit);
    }
  }

  #io(exit: VcpuExit & { reason: 'io' }): void {
    const { direction, port, size, count, data } = exit;
    const view = this.#view;
    for (let item = 0; item < count; item++) {
      const at = item * size;
      if (direction === 'out') {
        for (let byte = 0; byte < size; byte++) view.setUint8(byte, data[at + byte] as number);
        this.#ports.write(port, size, size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0, true) : view.getUint32(0, true));
      } else {
        view.setUint32(0, this.#ports.read(port, size), true);
        for (let byte = 0; byte < size; byte++) data[at + byte] = view.getUint8(byte);
      }
    }
  }

  /** To the board's devices; where none stands, reads give ones and writes go nowhere. */
  #mmio({ isWrite, physAddr, data }: VcpuExit & { reason: 'mmio' }): void {
    const physical = this.#physical;
    const view = this.#view;
    const { length } = data;
    if (isWrite) {
      for (let byte = 0; byte < length; byte++) view.setUint8(byte, data[byte] as number);
      if (length === 4) physical.write32(physAddr, view.getUint32(0, true));
      else if (length === 1) physical.write8(physAddr, view.getUint8(0));
      else if (length === 2) physical.write16(physAddr, view.getUint16(0, true));
      else if (length === 8) physical.write64Parts(physAddr, view.getUint32(0, true), view.getUint32(4, true));
      else for (let byte = 0; byte < length; byte++) physical.write8(physAddr + byte, view.getUint8(byte));
      return;
    }
    if (length === 4) view.setUint32(0, physical.read32(physAddr), true);
    else if (length === 1) view.setUint8(0, physical.read8(physAddr));
    else if (length === 2) view.setUint16(0, physical.read16(physAddr), true);
    else if (length === 8) {
      view.setUint32(0, physical.read64Lo(physAddr), true);
      view.setUint32(4, physical.hi, true);
    } else for (let byte = 0; byte < length; byte++) view.setUint8(byte, physical.read8(physAddr + byte));
    for (let byte = 0; byte < length; byte++) data[byte] = view.getUint8(byte);
  }

  /** Brings KVM's slots in line with the machine's: at the start, and when the A20 gate or a ROM moved. */
  #mirrorSlots(): void {
    this.#mappingChanged = false;
    const wanted = this.#physical.slots();
    const known = new Map(wanted.map((slot) => [`${slot.gpa} ${slot.bytes} ${slot.hostOffset} ${slot.readOnly}`, slot]));
    const next: (Required<MemorySlot> | undefined)[] = this.#slots.map((slot, id) => {
      const key = slot === undefined ? '' : `${slot.gpa} ${slot.bytes} ${slot.hostOffset} ${slot.readOnly}`;
      if (slot === undefined || known.delete(key)) return slot;
      this.vm.setUserMemoryRegion({ slot: id, guestPhysAddr: slot.gpa, memorySize: 0 });
      return undefined;
    });
    for (const slot of known.values()) {
      const free = next.indexOf(undefined);
      const id = free < 0 ? next.length : free;
      next[id] = slot;
      const memory = this.#kvm.hostMemory(slot.hostOffset, slot.bytes);
      const flags = { readOnly: slot.readOnly };
      this.vm.setUserMemoryRegion({ slot: id, flags, guestPhysAddr: slot.gpa, memorySize: slot.bytes, memory });
    }
    this.#slots = next;
  }
}
