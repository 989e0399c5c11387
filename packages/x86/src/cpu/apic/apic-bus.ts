import type { InterruptMessage, InterruptMessageSink } from '@minusone/core';
import type { LocalApic } from './local-apic.ts';
import { DeliveryMode } from './registers.ts';

/** The local APICs of a machine and the messages between them and from IOAPICs and MSIs (SDM Vol. 3A, 10.6.2 "Determining IPI Destination"). */
export class ApicBus implements InterruptMessageSink {
  readonly apics: LocalApic[] = [];
  readonly #eoiListeners: ((vector: number) => void)[] = [];
  readonly #moveListeners: (() => void)[] = [];

  attach(apic: LocalApic): void {
    this.apics.push(apic);
  }

  /** IOAPICs hear of the end of level-triggered interrupts (10.8.5). */
  onEoi(listener: (vector: number) => void): void {
    this.#eoiListeners.push(listener);
  }
  broadcastEoi(vector: number): void {
    for (const listener of this.#eoiListeners) listener(vector);
  }

  /** Told when an IA32_APIC_BASE was written. */
  onMove(listener: () => void): void {
    this.#moveListeners.push(listener);
  }
  moved(): void {
    for (const listener of this.#moveListeners) listener();
  }

  deliver(message: InterruptMessage): void {
    const { destination, logical, vector, deliveryMode, level } = message;
    const targets = this.apics.filter((apic) => (logical ? apic.matchesLogical(destination) : apic.matchesPhysical(destination)));
    this.#deliverTo(targets, vector, deliveryMode, level);
  }

  /** Destination shorthands: 1 self, 2 all including self, 3 all but self. */
  deliverShorthand(from: LocalApic, shorthand: 1 | 2 | 3, vector: number, mode: number): void {
    const targets = shorthand === 1 ? [from] : shorthand === 2 ? this.apics : this.apics.filter((apic) => apic !== from);
    this.#deliverTo(targets, vector, mode, false);
  }

  #deliverTo(targets: readonly LocalApic[], vector: number, mode: number, level: boolean): void {
    if (mode !== DeliveryMode.LOWEST_PRIORITY) {
      for (const apic of targets) apic.receive(vector, mode, level);
      return;
    }
    // Lowest priority among those that are software-enabled; the lowest ID where alike.
    let chosen: LocalApic | undefined;
    for (const apic of targets) {
      if (!apic.isEnabled || !apic.isSoftwareEnabled) continue;
      if (chosen === undefined || apic.processorPriority < chosen.processorPriority) chosen = apic;
    }
    chosen?.receive(vector, mode, level);
  }
}
