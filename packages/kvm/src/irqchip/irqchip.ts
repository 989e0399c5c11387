import { type Clock, InternalError, type InterruptAcknowledge, type MmioDevice, type PortDevice } from '@minusone/core';
import { ApicBus, type ApicHost, type LocalApic, type TimeStamp } from '@minusone/x86';
import type { KvmIoapicState, KvmPicState } from './chip-states.ts';
import type { Pit2 } from './pit2.ts';
import type { IrqchipName, IrqRoutingEntry, IrqSource } from './routing.ts';

/** `struct kvm_msi` (api.rst, 4.70 KVM_SIGNAL_MSI). */
export interface KvmMsi {
  readonly addressLo: number;
  readonly addressHi: number;
  readonly data: number;
  readonly devid?: number;
}

export interface IrqchipParts {
  /** `full`: KVM_CREATE_IRQCHIP. `split`: KVM_CAP_SPLIT_IRQCHIP, local APICs only. */
  readonly kind: 'full' | 'split';
  readonly clock: Clock;
}

/** Ports of a device of the irqchip, for the VM's own port space. */
export interface IrqchipPorts {
  readonly first: number;
  readonly count: number;
  readonly device: PortDevice;
}
export interface IrqchipMmio {
  readonly gpa: number;
  readonly bytes: number;
  readonly device: MmioDevice;
}

/** The interrupt controllers "in the kernel": local APICs on one bus, and unless split the 8259 pair, the IOAPIC and the GSI routing between (api.rst, 4.24 KVM_CREATE_IRQCHIP). */
export class Irqchip {
  readonly kind: 'full' | 'split';
  readonly bus: ApicBus = new ApicBus();
  /** The 8259 pair, for LINT0 of virtual CPU 0; undefined when split. */
  readonly extInt: InterruptAcknowledge | undefined;
  readonly ports: readonly IrqchipPorts[] = [];
  readonly mmio: readonly IrqchipMmio[] = [];

  constructor(parts: IrqchipParts) {
    this.kind = parts.kind;
  }
  /** The local APIC of a virtual CPU; that of id 0 is the bootstrap processor's, with the 8259 pair on LINT0. */
  createLapic(_parts: {
    readonly id: number;
    readonly host: ApicHost;
    readonly timeStamp: TimeStamp;
    readonly isBootstrap?: boolean;
  }): LocalApic {
    throw new InternalError('in work');
  }
  /** KVM_CREATE_PIT2 (api.rst, 4.71). `speakerDummy`: port 61H too. Its ports are to be added to the VM's. */
  createPit2(_flags?: { readonly speakerDummy?: boolean }): Pit2 {
    throw new InternalError('in work');
  }
  /** KVM_IRQ_LINE_STATUS: how many virtual CPUs it went to; 0: coalesced with one pending; below 0: masked. */
  irqLine(_gsi: number, _level: boolean, _source?: IrqSource): number {
    throw new InternalError('in work');
  }
  setGsiRouting(_entries: readonly IrqRoutingEntry[]): void {
    throw new InternalError('in work');
  }
  signalMsi(_msi: KvmMsi): number {
    throw new InternalError('in work');
  }
  /** A guest ended an interrupt of this GSI (PIC or IOAPIC pins). @returns what ends it */
  onAck(_listener: (gsi: number) => void): () => void {
    throw new InternalError('in work');
  }
  /** Split: a guest's EOI of a vector that a level-triggered route of the table has (KVM_EXIT_IOAPIC_EOI on the CPU of that local APIC). */
  onIoapicEoi(_listener: (vector: number, lapic: LocalApic) => void): void {
    throw new InternalError('in work');
  }
  getPic(_chip: 'pic-master' | 'pic-slave'): KvmPicState {
    throw new InternalError('in work');
  }
  setPic(_chip: 'pic-master' | 'pic-slave', _state: KvmPicState): void {
    throw new InternalError('in work');
  }
  getIoapic(): KvmIoapicState {
    throw new InternalError('in work');
  }
  setIoapic(_state: KvmIoapicState): void {
    throw new InternalError('in work');
  }
  /** KVM_GET_IRQCHIP, KVM_SET_IRQCHIP (api.rst, 4.26, 4.27). */
  getIrqchip(chip: IrqchipName): KvmPicState | KvmIoapicState {
    return chip === 'ioapic' ? this.getIoapic() : this.getPic(chip);
  }
}

/** KVM_GET_LAPIC (api.rst, 4.57): the registers as a page of 1 KiB. `x2apicIds`: KVM_X2APIC_API_USE_32BIT_IDS. */
export function getLapic(_lapic: LocalApic, _x2apicIds = false): Uint8Array {
  throw new InternalError('in work');
}
/** KVM_SET_LAPIC (api.rst, 4.58). */
export function setLapic(_lapic: LocalApic, _page: Uint8Array, _x2apicIds = false): void {
  throw new InternalError('in work');
}
