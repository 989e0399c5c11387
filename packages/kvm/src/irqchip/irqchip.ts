import {
  type Clock,
  type InterruptAcknowledge,
  type InterruptLine,
  InvalidArgumentError,
  type MmioDevice,
  type PortDevice,
} from '@minusone/core';
import { I8259Pair, IoApic } from '@minusone/devices';
import { ApicBus, type ApicHost, LocalApic, type TimeStamp } from '@minusone/x86';
import { i8259State, initialPic, ioApicState, kvmIoapicState, kvmPicState } from './chip-conversions.ts';
import type { KvmIoapicState, KvmPicState } from './chip-states.ts';
import { ExternalVector } from './external-vector.ts';
import { GsiRoutes, irqOf } from './gsi-routes.ts';
import { Pit2 } from './pit2.ts';
import { defaultRouting, IOAPIC_PINS, type IrqchipName, type IrqRoutingEntry, type IrqSource } from './routing.ts';

/** `struct kvm_msi` (api.rst, KVM_SIGNAL_MSI). */
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

/** KVM_CAP_X2APIC_API's flags (api.rst, 7.7). */
export interface X2apicApi {
  /** KVM_X2APIC_API_USE_32BIT_IDS: of KVM_GET_LAPIC, KVM_SET_LAPIC, and bits 31:8 of an MSI's destination in `addressHi`. */
  readonly use32BitIds: boolean;
  /** KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK: an MSI to FFH is for x2APIC id FFH alone. */
  readonly disableBroadcastQuirk: boolean;
}

const SOURCE_BIT = { user: 1, resample: 2, pit: 4 } as const;
/** KVM_X86_QUIRK_LINT0_REENABLED: the bootstrap processor takes the 8259 pair's interrupts without firmware. */
const LINT0_EXT_INT = 0x700;
const LOWEST_PRIORITY = 1;

/**
 * The interrupt controllers "in the kernel": local APICs on one bus, and unless split the 8259 pair and the IOAPIC, with the GSI routing in front of them
 * (api.rst, KVM_CREATE_IRQCHIP, KVM_SET_GSI_ROUTING).
 */
export class Irqchip {
  readonly kind: 'full' | 'split';
  readonly bus: ApicBus = new ApicBus();
  readonly #clock: Clock;
  readonly #pic: I8259Pair | undefined;
  readonly #ioapic: IoApic | undefined;
  readonly #picLines: readonly (InterruptLine | undefined)[];
  readonly #ioapicLines: readonly InterruptLine[];
  /** Who asserts each pin, a bit a source. */
  readonly #picSources = new Uint8Array(16);
  readonly #ioapicSources = new Uint8Array(IOAPIC_PINS);
  readonly #ports: IrqchipPorts[] = [];
  readonly #ackListeners = new Set<(gsi: number) => void>();
  readonly #unmaskListeners: ((gsi: number) => void)[] = [];
  readonly #ioapicEoiListeners: ((vector: number, lapic: LocalApic) => void)[] = [];
  readonly #external = new Map<LocalApic, ExternalVector>();
  #routes: GsiRoutes;
  #entries: readonly IrqRoutingEntry[];
  #pit: Pit2 | undefined;
  #x2apicApi: X2apicApi = { use32BitIds: false, disableBroadcastQuirk: false };
  #picAsserted = false;
  /** How many took the message that the IOAPIC sent last; undefined: it sent none. */
  #accepted: number | undefined;

  constructor(parts: IrqchipParts) {
    this.kind = parts.kind;
    this.#clock = parts.clock;
    const isFull = parts.kind === 'full';
    if (isFull) {
      this.#pic = new I8259Pair({
        intr: { set: (asserted) => this.#setIntr(asserted) },
        edgeRequests: 'latched',
        onEoi: (irq) => this.#acked(this.#routes.gsiOfPic(irq)),
        onMask: (irq, masked) => this.#maskChanged(this.#routes.gsiOfPic(irq), masked),
      });
      this.#pic.restore({
        master: i8259State('pic-master', initialPic('pic-master')),
        slave: i8259State('pic-slave', initialPic('pic-slave')),
      });
      this.#ioapic = new IoApic({
        sink: { deliver: (m) => this.#fromIoapic(this.#send(m.vector, m.deliveryMode, m.destination, m.logical, m.level)) },
        version: 0x11,
        onMask: (pin, masked) => this.#maskChanged(this.#routes.gsiOfIoapic(pin), masked),
      });
      for (const [first, device] of [I8259Pair.MASTER, I8259Pair.SLAVE, I8259Pair.ELCR].map((port) => [port, this.#pic] as const)) {
        if (device !== undefined) this.#ports.push({ first, count: 2, device });
      }
    }
    const { ioapic, pic } = { ioapic: this.#ioapic, pic: this.#pic };
    this.#picLines = pic === undefined ? [] : Array.from({ length: 16 }, (_, irq) => (irq === 2 ? undefined : pic.irq(irq)));
    this.#ioapicLines = ioapic === undefined ? [] : Array.from({ length: IOAPIC_PINS }, (_, pin) => ioapic.pin(pin));
    this.#entries = isFull ? defaultRouting() : [];
    this.#routes = new GsiRoutes(this.#entries, isFull);
    this.bus.onEndOfInterrupt((vector, lapic) => this.#ended(vector, lapic));
    if (ioapic !== undefined) this.bus.onEoi((vector) => ioapic.eoi(vector));
  }

  /** The 8259 pair, which answers INTA for ExtINT; undefined when split. */
  get extInt(): InterruptAcknowledge | undefined {
    return this.#pic;
  }
  /** To be mapped into the VM's port space; the PIT's are among them once it has been made. */
  get ports(): readonly IrqchipPorts[] {
    return this.#pit === undefined ? this.#ports : [...this.#ports, ...this.#pit.ports];
  }
  get mmio(): readonly IrqchipMmio[] {
    return this.#ioapic === undefined ? [] : [{ gpa: IoApic.ADDRESS, bytes: 0x100, device: this.#ioapic }];
  }
  get pit(): Pit2 | undefined {
    return this.#pit;
  }

  // Local APICs

  /** The local APIC of a virtual CPU. That of id 0 is the bootstrap processor's, unless `isBootstrap` says otherwise. */
  createLapic(parts: {
    readonly id: number;
    readonly host: ApicHost;
    readonly timeStamp: TimeStamp;
    readonly isBootstrap?: boolean;
  }): LocalApic {
    const isBootstrap = parts.isBootstrap ?? parts.id === 0;
    const external = this.#pic ?? new ExternalVector();
    const lapic = new LocalApic({
      ...parts,
      isBootstrap,
      bus: this.bus,
      clock: this.#clock,
      external,
      suppressesEoiBroadcast: this.kind === 'split',
      ...(isBootstrap ? { lint0AtReset: LINT0_EXT_INT } : {}),
    });
    if (external instanceof ExternalVector) this.#external.set(lapic, external.connect(lapic.lint0));
    lapic.lint0.set(this.#picAsserted);
    return lapic;
  }

  /**
   * Split: KVM_INTERRUPT (api.rst), an interrupt of the 8259 pair in user space, to be taken through LINT0.
   * @returns false: one is pending already (EEXIST), or the pair is in the kernel (ENXIO)
   */
  interrupt(lapic: LocalApic, vector: number): boolean {
    return this.#external.get(lapic)?.raise(vector) ?? false;
  }

  /** The INT output of the 8259 pair is wired to LINT0 of every local APIC. */
  #setIntr(asserted: boolean): void {
    this.#picAsserted = asserted;
    for (const apic of this.bus.apics) apic.lint0.set(asserted);
  }

  get x2apicApi(): X2apicApi {
    return this.#x2apicApi;
  }
  /** KVM_ENABLE_CAP of KVM_CAP_X2APIC_API: what is false stays as it was. */
  enableX2apicApi(flags: Partial<X2apicApi>): void {
    const { use32BitIds, disableBroadcastQuirk } = this.#x2apicApi;
    this.#x2apicApi = {
      use32BitIds: use32BitIds || flags.use32BitIds === true,
      disableBroadcastQuirk: disableBroadcastQuirk || flags.disableBroadcastQuirk === true,
    };
  }

  // Interrupts coming in

  /**
   * KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS (api.rst): drives a GSI. An edge-triggered interrupt needs the level to be set to 1 and then back to 0.
   * @param source levels of different sources are ORed
   * @returns how many virtual CPUs it went to; 0: it coalesced with one that was pending; -1: masked, or not routed
   */
  irqLine(gsi: number, level: boolean, source: IrqSource = 'user'): number {
    const routes = this.#routes.of(gsi);
    if (routes === undefined) return -1;
    let status = -1;
    for (const route of routes) {
      const one = this.#drive(route, level, source);
      if (one >= 0) status = Math.max(status, 0) + one;
    }
    return status;
  }

  #drive(route: IrqRoutingEntry, level: boolean, source: IrqSource): number {
    if (route.type === 'msi') return level ? this.signalMsi(route) : -1;
    if (route.irqchip === 'ioapic') return this.#driveIoapic(route.pin, combine(this.#ioapicSources, route.pin, source, level));
    const irq = irqOf(route.irqchip, route.pin);
    return this.#drivePic(irq, combine(this.#picSources, irq, source, level));
  }

  #drivePic(irq: number, asserted: boolean): number {
    const pic = this.#pic;
    const line = this.#picLines[irq];
    if (pic === undefined || line === undefined) return -1; // IRQ 2 is the slave's
    const wasRequested = pic.isRequested(irq);
    line.set(asserted);
    if (pic.isMasked(irq)) return -1;
    return asserted && wasRequested ? 0 : 1;
  }

  #driveIoapic(pin: number, asserted: boolean): number {
    this.#accepted = undefined;
    this.#ioapicLines[pin]?.set(asserted);
    if (!asserted) return 1;
    const accepted = this.#accepted as number | undefined;
    if (accepted !== undefined) return accepted;
    return isMasked(this.#ioapic?.entry(pin) ?? 0) ? -1 : 0;
  }

  #fromIoapic(accepted: number): void {
    this.#accepted = accepted;
  }

  #send(vector: number, mode: number, destination: number, logical: boolean, level: boolean): number {
    const isBroadcast = destination === 0xff && !this.#x2apicApi.disableBroadcastQuirk;
    return this.bus.send(vector, mode, isBroadcast ? 0xffffffff : destination, logical, level);
  }

  /**
   * KVM_SIGNAL_MSI (api.rst): fields as SDM Vol. 3A, 10.11 "Message Signalled Interrupts".
   * @returns as `irqLine`
   * @throws {InvalidArgumentError} with 32-bit ids, bits 7:0 of `addressHi` are not 0
   */
  signalMsi(msi: KvmMsi): number {
    const { addressLo, addressHi, data } = msi;
    if (this.#x2apicApi.use32BitIds && (addressHi & 0xff) !== 0) {
      throw new InvalidArgumentError(
        'Bits 7:0 of an MSI address_hi are reserved.',
        'Bits 31:8 of the destination stand in its bits 31:8.',
        { addressHi },
      );
    }
    const high = this.#x2apicApi.use32BitIds ? addressHi & ~0xff : 0;
    const destination = (((addressLo >>> 12) & 0xff) | high) >>> 0;
    const redirectionHint = (addressLo & 8) !== 0;
    const mode = redirectionHint ? LOWEST_PRIORITY : (data >>> 8) & 7;
    return this.#send(data & 0xff, mode, destination, (addressLo & 4) !== 0, (data & 0x8000) !== 0);
  }

  // Routing

  get gsiRouting(): readonly IrqRoutingEntry[] {
    return this.#entries;
  }
  /**
   * KVM_SET_GSI_ROUTING (api.rst): replaces the whole table.
   * @throws {InvalidArgumentError} an entry that cannot be (see `checkRouting`)
   */
  setGsiRouting(entries: readonly IrqRoutingEntry[]): void {
    const routes = new GsiRoutes(entries, this.kind === 'full');
    // An interrupt that is under way is still to be ended where it came from.
    for (let vector = 0; vector < 256; vector++) {
      if (this.#routes.levelVectors[vector] === 1 && this.bus.apics.some((apic) => apic.holdsLevel(vector)))
        routes.levelVectors[vector] = 1;
    }
    this.#routes = routes;
    this.#entries = entries.map((entry) => ({ ...entry }));
  }

  // Ends of interrupts

  /** Told of each GSI whose interrupt a guest has ended, at the 8259 pair or the IOAPIC. @returns what ends it */
  onAck(listener: (gsi: number) => void): () => void {
    this.#ackListeners.add(listener);
    return () => this.#ackListeners.delete(listener);
  }
  /** Told of each GSI whose pin a guest has unmasked. */
  onUnmask(listener: (gsi: number) => void): void {
    this.#unmaskListeners.push(listener);
  }
  /** Split: KVM_EXIT_IOAPIC_EOI on the virtual CPU of that local APIC, for vectors that a level-triggered route of the table has. */
  onIoapicEoi(listener: (vector: number, lapic: LocalApic) => void): void {
    this.#ioapicEoiListeners.push(listener);
  }

  #ended(vector: number, lapic: LocalApic): void {
    if (this.#ioapic === undefined) {
      if (this.#routes.levelVectors[vector] !== 1 || !lapic.isLevel(vector)) return;
      for (const listener of this.#ioapicEoiListeners) listener(vector, lapic);
      return;
    }
    if (this.#ackListeners.size === 0) return;
    for (let pins = this.#ioapic.pinsOf(vector); pins !== 0; pins &= pins - 1) {
      this.#acked(this.#routes.gsiOfIoapic(31 - Math.clz32(pins & -pins)));
    }
  }

  #acked(gsi: number | undefined): void {
    if (gsi !== undefined) for (const listener of this.#ackListeners) listener(gsi);
  }
  #maskChanged(gsi: number | undefined, masked: boolean): void {
    if (gsi !== undefined && !masked) for (const listener of this.#unmaskListeners) listener(gsi);
  }

  // The PIT

  /**
   * KVM_CREATE_PIT2 (api.rst). Its ports are among `ports` from now on.
   * @param flags.speakerDummy KVM_PIT_SPEAKER_DUMMY: port 61H too
   * @throws {InvalidArgumentError} there is one already, or the irqchip is split
   */
  createPit2(flags: { readonly speakerDummy?: boolean } = {}): Pit2 {
    if (this.kind === 'split')
      throw new InvalidArgumentError('A split irqchip has no PIT.', 'Emulate it in the VMM, or call createIrqchip.');
    if (this.#pit !== undefined) throw new InvalidArgumentError('There is a PIT already.', 'Call createPit2 once.');
    this.#pit = new Pit2({ clock: this.#clock, irqchip: this, speakerDummy: flags.speakerDummy ?? false });
    return this.#pit;
  }

  // State

  /**
   * KVM_GET_IRQCHIP (api.rst).
   * @throws {InvalidArgumentError} a split irqchip has none of these
   */
  getIrqchip(chip: IrqchipName): KvmPicState | KvmIoapicState {
    return chip === 'ioapic' ? this.getIoapic() : this.getPic(chip);
  }
  getPic(chip: 'pic-master' | 'pic-slave'): KvmPicState {
    const { master, slave } = there(this.#pic).save();
    return kvmPicState(chip, chip === 'pic-master' ? master : slave);
  }
  getIoapic(): KvmIoapicState {
    return kvmIoapicState(there(this.#ioapic).save());
  }

  /** KVM_SET_IRQCHIP (api.rst). */
  setPic(chip: 'pic-master' | 'pic-slave', state: KvmPicState): void {
    const pic = there(this.#pic);
    const old = pic.save();
    const next = i8259State(chip, state);
    pic.restore(chip === 'pic-master' ? { ...old, master: next } : { ...old, slave: next });
  }
  setIoapic(state: KvmIoapicState): void {
    const ioapic = there(this.#ioapic);
    ioapic.restore(ioApicState(state));
    for (let pin = 0; pin < IOAPIC_PINS; pin++) if ((state.irr & (1 << pin)) !== 0) this.#ioapicLines[pin]?.set(true);
  }
}

/** Notes that a source drives a pin. @returns whether any asserts it now */
function combine(sources: Uint8Array, pin: number, source: IrqSource, level: boolean): boolean {
  const bit = SOURCE_BIT[source];
  const now = level ? (sources[pin] as number) | bit : (sources[pin] as number) & ~bit;
  sources[pin] = now;
  return now !== 0;
}

function isMasked(entry: number): boolean {
  return (entry & 0x10000) !== 0;
}

function there<Chip>(chip: Chip | undefined): Chip {
  if (chip === undefined) throw new InvalidArgumentError('A split irqchip has no PIC and no IOAPIC.', "Their state is the VMM's own.");
  return chip;
}
