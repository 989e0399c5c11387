import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MachineMemory, type MemorySlot, type MmioRegion, PhysicalAddressSpace } from './index.ts';

const PAGE = 4096;
const RAM_PAGES = 6;
/** Guest pages in play: around 4 GiB, where the map changes from arrays to a hash. */
const FIRST_GPA: number = 2 ** 32 - 5 * PAGE;
const GUEST_PAGES = 10;

/** What the address space should be, said in the slowest and simplest way: byte by byte, by search. */
class Model {
  slots: Required<MemorySlot>[] = [];
  dirty = new Map<number, Set<number>>();
  mmio: { gpa: number; bytes: number; value: number; region?: MmioRegion }[] = [];
  ram: Uint8Array = new Uint8Array(RAM_PAGES * PAGE);

  slotAt(gpa: number): Required<MemorySlot> | undefined {
    return this.slots.find((slot) => gpa >= slot.gpa && gpa < slot.gpa + slot.bytes);
  }
  mmioAt(gpa: number): { value: number } | undefined {
    return this.mmio.find((region) => gpa >= region.gpa && gpa < region.gpa + region.bytes);
  }
  read8(gpa: number): number {
    const slot = this.slotAt(gpa);
    return this.mmioAt(gpa)?.value ?? (slot === undefined ? 0xff : this.ram[slot.hostOffset + gpa - slot.gpa]!);
  }
  write8(gpa: number, value: number): void {
    const slot = this.slotAt(gpa);
    if (this.mmioAt(gpa) !== undefined || slot === undefined || slot.readOnly) return;
    const at = slot.hostOffset + gpa - slot.gpa;
    this.ram[at] = value;
    for (const other of this.slots) {
      if (at >= other.hostOffset && at < other.hostOffset + other.bytes)
        this.dirty.get(other.id)?.add(Math.floor((at - other.hostOffset) / PAGE));
    }
  }
  fits(slot: Required<MemorySlot>, butId = -1): boolean {
    return (
      slot.hostOffset + slot.bytes <= RAM_PAGES * PAGE &&
      this.slots.every((other) => other.id === butId || other.gpa >= slot.gpa + slot.bytes || slot.gpa >= other.gpa + other.bytes)
    );
  }
}

const guestPage = fc.nat(GUEST_PAGES - 1).map((page) => FIRST_GPA + page * PAGE);
const id = fc.nat(3);
const slot = fc.record({
  id,
  gpa: guestPage,
  bytes: fc.integer({ min: 1, max: 3 }).map((pages) => pages * PAGE),
  hostOffset: fc.nat(RAM_PAGES - 1).map((page) => page * PAGE),
  readOnly: fc.boolean(),
  logDirty: fc.boolean(),
});
/** Addresses near page ends, where the mistakes are. */
const gpa = fc.tuple(guestPage, fc.integer({ min: -9, max: 9 })).map(([page, delta]) => page + delta);
const command = fc.oneof(
  { weight: 3, arbitrary: slot.map((value) => ({ do: 'add' as const, slot: value })) },
  { weight: 1, arbitrary: id.map((value) => ({ do: 'remove' as const, id: value })) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change' as const), id, gpa: guestPage, readOnly: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('mmio' as const), gpa, bytes: fc.integer({ min: 1, max: 6000 }), value: fc.nat(0xfe) }),
  },
  { weight: 1, arbitrary: fc.nat(3).map((index) => ({ do: 'unmmio' as const, index })) },
  { weight: 1, arbitrary: id.map((value) => ({ do: 'clear' as const, id: value })) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      gpa,
      size: fc.constantFrom(1, 2, 4, 8),
      value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    }),
  },
);

test('slots, MMIO, typed accesses and dirty logs agree with a byte-by-byte model', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 30 }), fc.array(gpa, { minLength: 5, maxLength: 5 }), (commands, probes) => {
      const memory = new MachineMemory({ ramBytes: RAM_PAGES * PAGE, reservedBytes: 0 });
      const space = new PhysicalAddressSpace(memory);
      const model = new Model();
      for (const step of commands) {
        switch (step.do) {
          case 'add': {
            const fits = model.fits(step.slot) && model.slots.every((other) => other.id !== step.slot.id);
            const add = (): void => space.addSlot({ ...step.slot, hostOffset: memory.ramOffset + step.slot.hostOffset });
            if (!fits) {
              expect(add).toThrow();
              break;
            }
            add();
            model.slots.push(step.slot);
            if (step.slot.logDirty) model.dirty.set(step.slot.id, new Set());
            break;
          }
          case 'remove': {
            const at = model.slots.findIndex((each) => each.id === step.id);
            if (at < 0) {
              expect(() => space.removeSlot(step.id)).toThrow();
              break;
            }
            space.removeSlot(step.id);
            model.slots.splice(at, 1);
            model.dirty.delete(step.id);
            break;
          }
          case 'change': {
            const old = model.slots.find((each) => each.id === step.id);
            const change = (): void => space.changeSlot(step.id, { gpa: step.gpa, readOnly: step.readOnly });
            if (old === undefined || !model.fits({ ...old, gpa: step.gpa }, old.id)) {
              expect(change).toThrow();
              break;
            }
            change();
            model.slots[model.slots.indexOf(old)] = { ...old, gpa: step.gpa, readOnly: step.readOnly };
            break;
          }
          case 'mmio': {
            const clash = model.mmio.some((other) => other.gpa < step.gpa + step.bytes && step.gpa < other.gpa + other.bytes);
            const all = step.value * 0x0101_0101;
            const map = (): MmioRegion => space.mapMmio(step.gpa, step.bytes, { readMmio: () => all, writeMmio: () => undefined });
            if (clash) expect(map).toThrow();
            else model.mmio.push({ gpa: step.gpa, bytes: step.bytes, value: step.value, region: map() });
            break;
          }
          case 'unmmio': {
            const [removed] = model.mmio.splice(step.index, 1);
            if (removed?.region !== undefined) space.unmapMmio(removed.region);
            break;
          }
          case 'clear': {
            const log = model.dirty.get(step.id);
            if (log === undefined) expect(() => space.clearDirtyLog(step.id)).toThrow();
            else space.clearDirtyLog(step.id);
            log?.clear();
            break;
          }
          case 'write': {
            if (step.size === 8) space.write64(step.gpa, step.value);
            else if (step.size === 4) space.write32(step.gpa, Number(step.value & 0xffff_ffffn));
            else if (step.size === 2) space.write16(step.gpa, Number(step.value & 0xffffn));
            else space.write8(step.gpa, Number(step.value & 0xffn));
            for (let byte = 0; byte < step.size; byte++) model.write8(step.gpa + byte, Number((step.value >> BigInt(8 * byte)) & 0xffn));
          }
        }
      }
      const modelRead = (at: number, size: number): bigint => {
        let value = 0n;
        for (let byte = 0; byte < size; byte++) value |= BigInt(model.read8(at + byte)) << BigInt(8 * byte);
        return value;
      };
      for (const at of probes) {
        expect(BigInt(space.read8(at))).toBe(modelRead(at, 1));
        expect(BigInt(space.read16(at))).toBe(modelRead(at, 2));
        expect(BigInt(space.read32(at))).toBe(modelRead(at, 4));
        expect(space.read64(at)).toBe(modelRead(at, 8));
      }
      expect(model.ram.findIndex((byte, at) => byte !== memory.u8[memory.ramOffset + at])).toBe(-1);
      for (const [slotId, pages] of model.dirty) {
        const bitmap = space.getDirtyLog(slotId);
        const dirty = [...pages].sort((a, b) => a - b);
        expect([...Array(8).keys()].filter((page) => (bitmap[0]! & (1 << page)) !== 0)).toEqual(dirty);
      }
      for (let page = 0; page < GUEST_PAGES; page++) {
        const at = FIRST_GPA + page * PAGE;
        const under = model.slotAt(at);
        const covered = model.mmio.some((region) => region.gpa < at + PAGE && at < region.gpa + region.bytes);
        expect(space.hostPage(at)).toBe(under === undefined || covered ? -1 : memory.ramOffset + under.hostOffset + at - under.gpa);
      }
    }),
    { numRuns: 400 },
  );
});
