import type { Clock } from '@minusone/core';
import { BytePortDevice, Pit8254, SystemControlPortB } from '@minusone/devices';
import type { KvmPitState2 } from './chip-states.ts';
import type { Irqchip, IrqchipPorts } from './irqchip.ts';
import { kvmPitChannel, pitState } from './pit-conversions.ts';

const GSI = 0;

/**
 * The 8254 "in the kernel" (api.rst, KVM_CREATE_PIT2): each rising edge of OUT 0 is a tick, and a tick is a pulse of GSI 0. Ticks that come before the guest has ended the last
 * one are kept and given one by one, unless KVM_REINJECT_CONTROL says otherwise.
 */
export class Pit2 {
  /** 40H-43H, and 61H if asked for. */
  readonly ports: readonly IrqchipPorts[];
  readonly #clock: Clock;
  readonly #irqchip: Irqchip;
  readonly #pit: Pit8254;
  readonly #portB: SystemControlPortB;
  #reinjects = true;
  #hpetLegacy = false;
  /** Ticks given and not ended yet, and those that wait behind. */
  #pending = 0;
  /** The guest has ended the last one. */
  #acked = true;
  #out = false;
  /** OUT is set by a control word or a restore, which is no tick. */
  #isSet = false;

  constructor(parts: { readonly clock: Clock; readonly irqchip: Irqchip; readonly speakerDummy: boolean }) {
    const { clock, irqchip } = parts;
    this.#clock = clock;
    this.#irqchip = irqchip;
    this.#pit = new Pit8254({ clock, outputs: [{ set: (out) => this.#setOut(out) }] });
    this.#portB = new SystemControlPortB({ clock, pit: this.#pit });
    const ports: IrqchipPorts[] = [
      { first: Pit8254.BASE, count: Pit8254.PORTS, device: new CounterPorts(this.#pit, (work) => this.#set(work)) },
    ];
    if (parts.speakerDummy) ports.push({ first: SystemControlPortB.PORT, count: 1, device: this.#portB });
    this.ports = ports;
    irqchip.onAck((gsi) => {
      if (gsi === GSI) this.#ended();
    });
    irqchip.onUnmask((gsi) => {
      if (gsi === GSI) this.#forgetTicks();
    });
  }

  /** Ticks that the guest has not ended yet. */
  get pendingTicks(): number {
    return this.#pending;
  }

  #setOut(out: boolean): void {
    const rises = out && !this.#out;
    this.#out = out;
    // KVM_PIT_FLAGS_HPET_LEGACY: the HPET has taken GSI 0 over.
    if (rises && !this.#isSet && !this.#hpetLegacy) this.#tick();
  }

  #set(work: () => void): void {
    this.#isSet = true;
    try {
      work();
    } finally {
      this.#isSet = false;
    }
  }

  #tick(): void {
    if (!this.#reinjects) {
      this.#pulse();
      return;
    }
    this.#pending++;
    if (this.#acked) this.#pulse();
  }

  #pulse(): void {
    this.#acked = false;
    this.#irqchip.irqLine(GSI, true, 'pit');
    this.#irqchip.irqLine(GSI, false, 'pit');
  }

  #ended(): void {
    this.#acked = true;
    if (this.#pending > 0) this.#pending--;
    if (this.#reinjects && this.#pending > 0) this.#pulse();
  }

  /** What was given while the pin was masked nobody will end. */
  #forgetTicks(): void {
    this.#pending = 0;
    this.#acked = true;
  }

  /** KVM_REINJECT_CONTROL (api.rst): `false` drops the ticks that a guest is too slow for. */
  reinjectControl(pitReinject: boolean): void {
    this.#reinjects = pitReinject;
    this.#forgetTicks();
  }

  /** KVM_GET_PIT2 (api.rst). */
  getPit2(): KvmPitState2 {
    const { counters, ticks } = this.#pit.save();
    const channel = (at: number) => kvmPitChannel(counters[at], ticks[at] ?? 0);
    return {
      channels: [channel(0), channel(1), channel(2)],
      flags: { hpetLegacy: this.#hpetLegacy, speakerDataOn: (this.#portB.save().written & 2) !== 0 },
    };
  }

  /** KVM_SET_PIT2 (api.rst): counter 0 begins its count anew; the others are as far as `countLoadTime` says. */
  setPit2(state: KvmPitState2): void {
    this.#hpetLegacy = state.flags.hpetLegacy;
    const gate2 = state.channels[2].gate !== 0;
    this.#set(() => this.#pit.restore(pitState(state.channels, this.#clock.nowNs())));
    this.#portB.restore({ written: (gate2 ? 1 : 0) | (state.flags.speakerDataOn ? 2 : 0) });
    this.#forgetTicks();
  }
}

/** Ports 40H to 43H. A control word of counter 0 puts OUT into the mode's first state (8254 data sheet, "Mode Definitions"): in KVM that is no interrupt. */
class CounterPorts extends BytePortDevice {
  readonly #pit: Pit8254;
  readonly #set: (work: () => void) => void;

  constructor(pit: Pit8254, set: (work: () => void) => void) {
    super();
    this.#pit = pit;
    this.#set = set;
  }

  protected override readRegister(port: number): number {
    return this.#pit.readPort(port, 1);
  }
  protected override writeRegister(port: number, value: number): void {
    const isControlWord = (port & 3) === 3 && value >>> 6 === 0 && (value & 0x30) !== 0;
    if (isControlWord) this.#set(() => this.#pit.writePort(port, 1, value));
    else this.#pit.writePort(port, 1, value);
  }
}
