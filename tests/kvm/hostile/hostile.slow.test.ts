import { describe, expect, test } from 'vitest';
import { vendors } from '../vendors.ts';
import { Arena } from './arena.ts';
import type { Attack } from './attack.ts';
import { descriptorAttacks } from './descriptor-attacks.ts';
import { instructionAttacks } from './instruction-attacks.ts';
import { memoryAttacks } from './memory-attacks.ts';
import { taskAttacks } from './task-attacks.ts';
import { timeAttacks } from './time-attacks.ts';

const attacks: readonly Attack[] = [...memoryAttacks, ...descriptorAttacks, ...instructionAttacks, ...taskAttacks, ...timeAttacks];
/** Interpreted, and compiled at once: what is tried again runs as regions. */
const projections = [
  ['interpreted', false, 1],
  ['compiled', { threshold: 1 }, 3],
] as const;

test.each(vendors)(
  "on %s the watch sees a byte of the neighbour's, a page of nobody's and a foreign page in the second stage",
  (_name, vendor) => {
    const { isolation, targets, kvm } = new Arena(vendor(), { jit: false, irqchip: false });
    const { memory, pages } = kvm.host;
    isolation.remember();
    expect([isolation.firstChange(), isolation.firstForeignMapping(targets.root)]).toEqual([undefined, undefined]);
    for (const at of [targets.neighbour + 5, memory.ramOffset + memory.ramBytes - 1]) {
      const byte = memory.u8[at] as number;
      memory.u8[at] = byte ^ 1;
      expect(isolation.firstChange()).toContain(at.toString(16));
      memory.u8[at] = byte;
    }
    const { low, high } = kvm.vendor.tables.leaf(targets.neighbour - (targets.neighbour % 4096), 2, true, true);
    const table = pages.allocate(2);
    const link = (entry: number, to: { readonly low: number; readonly high: number }): void => memory.u32.set([to.low, to.high], entry / 4);
    link(targets.root + 8, kvm.vendor.tables.table(table));
    link(table, kvm.vendor.tables.table(table + 4096));
    link(table + 4096, { low, high });
    expect(isolation.firstForeignMapping(targets.root)).toMatch(/^guest-physical 0x8000000000 at host-physical/);
  },
);

for (const [vendorName, vendor] of vendors) {
  describe.each(projections)(`a hostile guest on ${vendorName}, %s`, (_projection, jit, tries) => {
    for (const irqchip of [false, true]) {
      const own = attacks.filter((attack) => (attack.irqchip === true) === irqchip);
      let made: Arena | undefined;
      const arena = (): Arena => {
        made ??= new Arena(vendor(), { jit, irqchip });
        return made;
      };

      test.each(own.map((attack) => [attack.name, attack.section, attack] as const))('%s (%s)', (_name, _section, attack) => {
        const { isolation, targets, kvm } = arena();
        attack.once?.(arena());
        arena().reset();
        arena().load(attack.code(targets));
        for (let n = 0; n < tries; n++) {
          arena().reset();
          attack.before?.(arena());
          isolation.remember();
          const seen = arena().watch(attack.budget);
          if (attack.ends instanceof RegExp) expect(seen.join('; ')).toMatch(attack.ends);
          else expect(seen).toEqual(typeof attack.ends === 'function' ? attack.ends(targets) : attack.ends);
          // Nothing of the host's memory has changed that is not the attacker's, and nothing else is mapped for it.
          expect(isolation.firstChange()).toBeUndefined();
          expect(isolation.firstForeignMapping(targets.root)).toBeUndefined();
          expect(isolation.watchedBytes).toBeGreaterThan(kvm.host.memory.ramBytes / 2);
        }
      });

      test(`after all of them the neighbour goes on with what it was doing${irqchip ? ' (interrupt controllers)' : ''}`, () => {
        // Each round adds 100 + 99 + ... + 1.
        expect([arena().neighbourSays(), arena().neighbourSays()]).toEqual([2 * 5050, 3 * 5050]);
      });
    }
  });
}
