import type { InterruptMessage, InterruptMessageSink } from '@minusone/core';
import type { LocalApic } from './local-apic.ts';
import { DeliveryMode } from './registers.ts';

/** The local APICs of a machine and the messages between them and from IOAPICs and MSIs (SDM Vol. 3A, 10.6.2 "Determining IPI Destination"). */
export class ApicBus implements InterruptMessageSink {
  readonly apics: LocalApic[] = [];
  readonly #eoiListeners: ((vector: number) => void)[] = [];
  readonly #endListeners: ((vector: number, apic: LocalApic) => void)[] = [];
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

  /** Told of every end of an interrupt, edge- or level-triggered, and before `onEoi`'s listeners: for a hypervisor, which keeps count of what its guest has taken. */
  onEndOfInterrupt(listener: (vector: number, apic: LocalApic) => void): void {
    this.#endListeners.push(listener);
  }
  endOfInterrupt(vector: number, apic: LocalApic): void {
    for (const listener of this.#endListeners) listener(vector, apic);
  }

  /** Told when an IA32_APIC_BASE was written. */
  onMove(listener: () => void): void {
    this.#moveListeners.push(listener);
  }
  moved(): void {
    for (const listener of this.#moveListeners) listener();
  }

  /** @returns how many local APICs have accepted it; -1: no destination there */
  deliver(message: InterruptMessage): number {
    return this.send(message.vector, message.deliveryMode, message.destination, message.logical, message.level);
  }

  /** `deliver` without an object. */
  send(vector: number, mode: number, destination: number, logical: boolean, level: boolean): number {
    const lowest = mode === DeliveryMode.LOWEST_PRIORITY;
    let chosen: LocalApic | undefined;
    let accepted = -1;
    for (const apic of this.apics) {
      if (!(logical ? apic.matchesLogical(destination) : apic.matchesPhysical(destination))) continue;
      if (accepted < 0) accepted = 0;
      if (!lowest) accepted += apic.receive(vector, mode, level) ? 1 : 0;
      else if (isLower(apic, chosen)) chosen = apic;
    }
    return chosen?.receive(vector, mode, level) ? 1 : accepted;
  }

  /** Destination shorthands: 1 self, 2 all including self, 3 all but self. */
  deliverShorthand(from: LocalApic, shorthand: 1 | 2 | 3, vector: number, mode: number): void {
    if (shorthand === 1) {
      from.receive(vector, mode, false);
      return;
    }
    const lowest = mode === DeliveryMode.LOWEST_PRIORITY;
    let chosen: LocalApic | undefined;
    for (const apic of this.apics) {
      if (shorthand === 3 && apic === from) continue;
      if (!lowest) apic.receive(vector, mode, false);
      else if (isLower(apic, chosen)) chosen = apic;
    }
    chosen?.receive(vector, mode, false);
  }
}

/** Lowest priority among those that are software-enabled; the first where alike (SDM Vol. 3A, 10.6.2.4). */
function isLower(apic: LocalApic, chosen: LocalApic | undefined): boolean {
  if (!apic.isEnabled || !apic.isSoftwareEnabled) return false;
  return chosen === undefined || apic.processorPriority < chosen.processorPriority;
}
