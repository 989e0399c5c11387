import { InvalidArgumentError } from '@minusone/core';
import { type I8259State, IoApic, type IoApicState } from '@minusone/devices';
import type { KvmIoapicState, KvmPicState } from './chip-states.ts';
import { IOAPIC_PINS } from './routing.ts';

/** ELCR bits that a chipset lets software set (82371AB PIIX4, ELCR1 and ELCR2). */
const ELCR_MASK = { 'pic-master': 0xf8, 'pic-slave': 0xde } as const;
const Icw1 = { IC4: 0x01, ICW1: 0x10 } as const;
const Icw4 = { AEOI: 0x02, SFNM: 0x10 } as const;

/** An 8259A as KVM makes it: it takes requests at once, with vectors from 0. */
export function initialPic(chip: 'pic-master' | 'pic-slave'): KvmPicState {
  return {
    lastIrr: 0,
    irr: 0,
    imr: 0,
    isr: 0,
    priorityAdd: 0,
    irqBase: 0,
    readRegSelect: 0,
    poll: 0,
    specialMask: 0,
    initState: 0,
    autoEoi: 0,
    rotateOnAutoEoi: 0,
    specialFullyNestedMode: 0,
    init4: 0,
    elcr: 0,
    elcrMask: ELCR_MASK[chip],
  };
}

export function kvmPicState(chip: 'pic-master' | 'pic-slave', state: I8259State): KvmPicState {
  return {
    lastIrr: state.lines,
    irr: (state.irr & ~state.elcr) | (state.lines & state.elcr),
    imr: state.imr,
    isr: state.isr,
    priorityAdd: (state.lowestPriority + 1) & 7,
    irqBase: state.vectorBase,
    readRegSelect: state.readIsr ? 1 : 0,
    poll: state.poll ? 1 : 0,
    specialMask: state.specialMask ? 1 : 0,
    initState: state.expects === 0 ? 0 : state.expects - 1,
    autoEoi: (state.icw4 & Icw4.AEOI) !== 0 ? 1 : 0,
    rotateOnAutoEoi: state.rotateOnAeoi ? 1 : 0,
    specialFullyNestedMode: (state.icw4 & Icw4.SFNM) !== 0 ? 1 : 0,
    init4: (state.icw1 & Icw1.IC4) !== 0 ? 1 : 0,
    elcr: state.elcr,
    elcrMask: ELCR_MASK[chip],
  };
}

/** Edges are requests of `irr`; level-triggered ones are as `lastIrr` and `irr` have their lines. */
export function i8259State(chip: 'pic-master' | 'pic-slave', state: KvmPicState): I8259State {
  const elcr = state.elcr & ELCR_MASK[chip];
  return {
    irr: state.irr & ~elcr & 0xff,
    isr: state.isr & 0xff,
    imr: state.imr & 0xff,
    lines: ((state.lastIrr & ~elcr) | (state.irr & elcr)) & 0xff,
    elcr,
    vectorBase: state.irqBase & 0xf8,
    icw1: Icw1.ICW1 | (state.init4 !== 0 ? Icw1.IC4 : 0),
    icw3: chip === 'pic-master' ? 0x04 : 0x02,
    icw4: (state.autoEoi !== 0 ? Icw4.AEOI : 0) | (state.specialFullyNestedMode !== 0 ? Icw4.SFNM : 0) | 1,
    expects: state.initState === 0 ? 0 : (state.initState & 3) + 1,
    lowestPriority: (state.priorityAdd + 7) & 7,
    rotateOnAeoi: state.rotateOnAutoEoi !== 0,
    specialMask: state.specialMask !== 0,
    readIsr: state.readRegSelect !== 0,
    poll: state.poll !== 0,
  };
}

export function kvmIoapicState(state: IoApicState): KvmIoapicState {
  return {
    baseAddress: BigInt(IoApic.ADDRESS),
    ioregsel: state.select,
    id: state.id,
    irr: state.lines,
    redirtbl: Array.from(
      { length: IOAPIC_PINS },
      (_, pin) => (BigInt(state.entries[2 * pin + 1] ?? 0) << 32n) | BigInt(state.entries[2 * pin] ?? 0),
    ),
  };
}

/**
 * With no line asserted: whoever restores raises those of `irr` again, which delivers what waits.
 * @throws {InvalidArgumentError} another base address than FEC00000H, or not 24 entries
 */
export function ioApicState(state: KvmIoapicState): IoApicState {
  if (state.baseAddress !== BigInt(IoApic.ADDRESS)) {
    throw new InvalidArgumentError('The IOAPIC cannot stand elsewhere.', 'Its base address is 0xfec00000.', {
      baseAddress: state.baseAddress,
    });
  }
  if (state.redirtbl.length !== IOAPIC_PINS) {
    throw new InvalidArgumentError(`${state.redirtbl.length} redirection entries.`, `The IOAPIC has ${IOAPIC_PINS}.`, {
      entries: state.redirtbl.length,
    });
  }
  const entries = new Uint32Array(2 * IOAPIC_PINS);
  state.redirtbl.forEach((entry, pin) => {
    entries[2 * pin] = Number(BigInt.asUintN(32, entry));
    entries[2 * pin + 1] = Number(BigInt.asUintN(32, entry >> 32n));
  });
  return { select: state.ioregsel & 0xff, id: state.id & 15, entries, lines: 0 };
}
