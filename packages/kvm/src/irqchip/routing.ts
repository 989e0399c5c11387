import { InvalidArgumentError } from '@minusone/core';

/** Pins of each chip of KVM's irqchip. */
export const PIC_PINS = 8;
export const IOAPIC_PINS = 24;
/** KVM_CAP_IRQ_ROUTING: GSIs are 0 to this - 1. */
export const MAX_IRQ_ROUTES = 4096;

/** The chips, by KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC. */
export type IrqchipName = 'pic-master' | 'pic-slave' | 'ioapic';

/** Who drives a GSI: levels of different sources on one line are ORed. */
export type IrqSource = 'user' | 'resample' | 'pit';

/** `struct kvm_irq_routing_entry` (api.rst, 4.52 KVM_SET_GSI_ROUTING). */
export type IrqRoutingEntry =
  /** KVM_IRQ_ROUTING_IRQCHIP. */
  | { readonly gsi: number; readonly type: 'irqchip'; readonly irqchip: IrqchipName; readonly pin: number }
  /** KVM_IRQ_ROUTING_MSI. `addressHi` bits 31:8 are bits 31:8 of the destination, with KVM_CAP_X2APIC_API's 32-bit ids. */
  | {
      readonly gsi: number;
      readonly type: 'msi';
      readonly addressLo: number;
      readonly addressHi: number;
      readonly data: number;
      readonly devid?: number;
    };

/** What KVM_CREATE_IRQCHIP makes (api.rst, 4.24): GSIs 0-15 go to both the PIC and the IOAPIC, 16-23 to the IOAPIC; a pin each, in order. */
export function defaultRouting(): IrqRoutingEntry[] {
  const entries: IrqRoutingEntry[] = [];
  for (let gsi = 0; gsi < IOAPIC_PINS; gsi++) {
    if (gsi < 2 * PIC_PINS) {
      entries.push({ gsi, type: 'irqchip', irqchip: gsi < PIC_PINS ? 'pic-master' : 'pic-slave', pin: gsi % PIC_PINS });
    }
    entries.push({ gsi, type: 'irqchip', irqchip: 'ioapic', pin: gsi });
  }
  return entries;
}

/**
 * KVM's rules for a table: GSIs and pins in range; at most one route of a GSI to each chip; one to an MSI stands alone; no chips that are not there.
 * @throws {InvalidArgumentError} names the entry
 */
export function checkRouting(entries: readonly IrqRoutingEntry[], hasChips: boolean): void {
  if (entries.length > MAX_IRQ_ROUTES) {
    throw new InvalidArgumentError(`${entries.length} routes are too many.`, `There may be ${MAX_IRQ_ROUTES}.`, { routes: entries.length });
  }
  const seen = new Map<number, Set<string>>();
  for (const entry of entries) {
    const { gsi } = entry;
    if (!Number.isInteger(gsi) || gsi < 0 || gsi >= MAX_IRQ_ROUTES) {
      throw new InvalidArgumentError(`There is no GSI ${gsi}.`, `GSIs are 0 to ${MAX_IRQ_ROUTES - 1}.`, { entry });
    }
    const chips = seen.get(gsi) ?? new Set();
    seen.set(gsi, chips);
    const chip = entry.type === 'msi' ? 'msi' : entry.irqchip;
    if (entry.type === 'irqchip') {
      if (!hasChips) throw new InvalidArgumentError('A split irqchip has no PIC and no IOAPIC.', 'Route its GSIs to MSIs.', { entry });
      const pins = entry.irqchip === 'ioapic' ? IOAPIC_PINS : PIC_PINS;
      if (!Number.isInteger(entry.pin) || entry.pin < 0 || entry.pin >= pins) {
        throw new InvalidArgumentError(`The ${entry.irqchip} has no pin ${entry.pin}.`, `Its pins are 0 to ${pins - 1}.`, { entry });
      }
    }
    if (chips.has(chip) || chips.has('msi') || (chip === 'msi' && chips.size > 0)) {
      throw new InvalidArgumentError(`GSI ${gsi} has another such route.`, 'A GSI has one MSI, or at most one pin of each chip.', {
        entry,
      });
    }
    chips.add(chip);
  }
}
