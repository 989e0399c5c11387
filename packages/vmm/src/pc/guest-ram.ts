import { MachineMemory, PhysicalAddressSpace } from '@minusone/memory';
import type { SpareMemory } from '../accelerator.ts';

const MIB = 2 ** 20;
const PCI_HOLE = 0xc000_0000;
const ABOVE_4_GIB = 0x1_0000_0000;
const RESERVED_BYTES = 160 * MIB;

/** Something read-only in the guest's address space. */
export interface Rom {
  readonly gpa: number;
  readonly data: Uint8Array;
}

/** RAM at an address, and where it is in linear memory. */
interface RamRange {
  readonly gpa: number;
  readonly bytes: number;
  readonly hostOffset: number;
}

/** A PC's RAM and ROM, and its A20 gate. */
export class GuestRam {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly below4GiB: number;
  readonly above4GiB: number;
  /** RAM as it stands while the A20 gate is open. */
  readonly #ranges: RamRange[] = [];
  /** Slots of the RAM as it stands now. */
  #ramSlots: number[] = [];
  #ids = 0;
  #a20 = true;

  /** RAM that is not the guest's: for the tables of what runs it. */
  readonly spare: SpareMemory;

  /**
   * @param bytes RAM, a multiple of 4096; what reaches beyond 3 GiB stands at 4 GiB
   * @param spareBytes a multiple of 4096
   */
  constructor(bytes: number, roms: readonly Rom[] = [], spareBytes = 0) {
    const romBytes = roms.reduce((sum, rom) => sum + rom.data.length, 0);
    this.memory = new MachineMemory({ ramBytes: bytes + romBytes + spareBytes, reservedBytes: RESERVED_BYTES });
    this.physical = new PhysicalAddressSpace(this.memory);
    this.below4GiB = Math.min(bytes, PCI_HOLE);
    this.above4GiB = bytes - this.below4GiB;
    const { ramOffset } = this.memory;
    const lowRoms = roms.filter(({ gpa }) => gpa < this.below4GiB).sort((a, b) => a.gpa - b.gpa);
    // RAM stands wherever no ROM does.
    const edges = new Set([0, this.below4GiB]);
    for (const { gpa, data } of lowRoms) edges.add(gpa).add(Math.min(gpa + data.length, this.below4GiB));
    const sorted = [...edges].sort((a, b) => a - b);
    sorted.slice(0, -1).forEach((gpa, i) => {
      const end = sorted[i + 1] as number;
      if (lowRoms.some((rom) => rom.gpa <= gpa && gpa < rom.gpa + rom.data.length)) return;
      this.#ranges.push({ gpa, bytes: end - gpa, hostOffset: ramOffset + gpa });
    });
    if (this.above4GiB > 0) {
      this.#ranges.push({ gpa: ABOVE_4_GIB, bytes: this.above4GiB, hostOffset: ramOffset + this.below4GiB });
    }
    this.#placeRam(this.#ranges);
    let romOffset = ramOffset + bytes;
    for (const { gpa, data } of roms) {
      this.memory.u8.set(data, romOffset);
      this.physical.addSlot({ id: this.#ids++, gpa, bytes: data.length, hostOffset: romOffset, readOnly: true });
      romOffset += data.length;
    }
    this.spare = { hostOffset: romOffset, bytes: spareBytes };
  }

  /** The A20 gate. While it is closed, address line 20 is low: each odd MiB of RAM shows the even one below it. */
  setA20(enabled: boolean): void {
    if (enabled === this.#a20) return;
    this.#a20 = enabled;
    this.#placeRam(enabled ? this.#ranges : this.#ranges.flatMap((range) => withLine20Low(range)));
  }

  #placeRam(ranges: readonly RamRange[]): void {
    for (const id of this.#ramSlots) this.physical.removeSlot(id);
    this.#ramSlots = ranges.map((range) => {
      const id = this.#ids++;
      this.physical.addSlot({ id, ...range });
      return id;
    });
  }
}

/** A range of RAM in pieces of a MiB at most, of which the odd ones show what stands a MiB below. */
function withLine20Low({ gpa, bytes, hostOffset }: RamRange): RamRange[] {
  const pieces: RamRange[] = [];
  for (let at = gpa; at < gpa + bytes; ) {
    const next = Math.min((Math.floor(at / MIB) + 1) * MIB, gpa + bytes);
    const isOdd = Math.floor(at / MIB) % 2 === 1;
    pieces.push({ gpa: at, bytes: next - at, hostOffset: hostOffset + (at - gpa) - (isOdd ? MIB : 0) });
    at = next;
  }
  return pieces;
}
