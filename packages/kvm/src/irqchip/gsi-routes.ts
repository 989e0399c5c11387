import type { IrqRoutingEntry } from './routing.ts';
import { checkRouting, IOAPIC_PINS, PIC_PINS } from './routing.ts';

/** A table of routes, for its readers: by GSI, and back from pins and vectors. */
export class GsiRoutes {
  readonly #byGsi: (readonly IrqRoutingEntry[])[] = [];
  readonly #gsiOfPic: (number | undefined)[] = Array(2 * PIC_PINS).fill(undefined);
  readonly #gsiOfIoapic: (number | undefined)[] = Array(IOAPIC_PINS).fill(undefined);
  /** Vectors of level-triggered MSI routes. */
  readonly levelVectors: Uint8Array = new Uint8Array(256);

  /** @throws {InvalidArgumentError} see `checkRouting` */
  constructor(entries: readonly IrqRoutingEntry[], hasChips: boolean) {
    checkRouting(entries, hasChips);
    for (const entry of entries) {
      this.#byGsi[entry.gsi] = [...(this.#byGsi[entry.gsi] ?? []), entry];
      if (entry.type === 'msi') {
        if (isLevelMsi(entry.data)) this.levelVectors[entry.data & 0xff] = 1;
      } else if (entry.irqchip === 'ioapic') this.#gsiOfIoapic[entry.pin] = entry.gsi;
      else this.#gsiOfPic[irqOf(entry.irqchip, entry.pin)] = entry.gsi;
    }
  }

  of(gsi: number): readonly IrqRoutingEntry[] | undefined {
    return this.#byGsi[gsi];
  }
  gsiOfPic(irq: number): number | undefined {
    return this.#gsiOfPic[irq];
  }
  gsiOfIoapic(pin: number): number | undefined {
    return this.#gsiOfIoapic[pin];
  }
}

/** IRQ 0 to 15 of the 8259 pair. */
export function irqOf(chip: 'pic-master' | 'pic-slave', pin: number): number {
  return chip === 'pic-master' ? pin : PIC_PINS + pin;
}

/** Trigger mode of an MSI's data register (SDM Vol. 3A, 10.11.2). */
function isLevelMsi(data: number): boolean {
  return (data & 0x8000) !== 0;
}
