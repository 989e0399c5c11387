import { MachineMemory, PhysicalAddressSpace } from '@minusone/memory';

const MIB = 2 ** 20;
const PCI_HOLE = 0xc000_0000;
const ABOVE_4_GIB = 0x1_0000_0000;
const RESERVED_BYTES = 160 * MIB;

/** Something read-only in the guest's address space. */
export interface Rom {
  readonly gpa: number;
  readonly data: Uint8Array;
}

/** A PC's RAM and ROM, and its A20 gate. */
export class GuestRam {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly below4GiB: number;
  readonly above4GiB: number;
  #a20 = true;

  /** @param bytes RAM, a multiple of 4096; what reaches beyond 3 GiB stands at 4 GiB */
  constructor(bytes: number, roms: readonly Rom[] = []) {
    const romBytes = roms.reduce((sum, rom) => sum + rom.data.length, 0);
    this.memory = new MachineMemory({ ramBytes: bytes + romBytes, reservedBytes: RESERVED_BYTES });
    this.physical = new PhysicalAddressSpace(this.memory);
    this.below4GiB = Math.min(bytes, PCI_HOLE);
    this.above4GiB = bytes - this.below4GiB;
    const { ramOffset } = this.memory;
    const lowRoms = roms.filter(({ gpa }) => gpa < this.below4GiB).sort((a, b) => a.gpa - b.gpa);
    // RAM stands wherever no ROM does; the second MiB is a slot of its own, which the A20 gate moves.
    const edges = new Set([0, Math.min(MIB, this.below4GiB), Math.min(2 * MIB, this.below4GiB), this.below4GiB]);
    for (const { gpa, data } of lowRoms) edges.add(gpa).add(Math.min(gpa + data.length, this.below4GiB));
    const sorted = [...edges].sort((a, b) => a - b);
    sorted.slice(0, -1).forEach((gpa, i) => {
      const end = sorted[i + 1] as number;
      if (lowRoms.some((rom) => rom.gpa <= gpa && gpa < rom.gpa + rom.data.length)) return;
      this.physical.addSlot({ id: this.#nextId(), gpa, bytes: end - gpa, hostOffset: ramOffset + gpa });
    });
    if (this.above4GiB > 0) {
      this.physical.addSlot({ id: this.#nextId(), gpa: ABOVE_4_GIB, bytes: this.above4GiB, hostOffset: ramOffset + this.below4GiB });
    }
    let romOffset = ramOffset + bytes;
    for (const { gpa, data } of roms) {
      this.memory.u8.set(data, romOffset);
      this.physical.addSlot({ id: this.#nextId(), gpa, bytes: data.length, hostOffset: romOffset, readOnly: true });
      romOffset += data.length;
    }
  }

  #ids = 0;
  #nextId(): number {
    return this.#ids++;
  }

  /** The A20 gate: when closed, the second MiB shows the first (all that real-mode addresses reach). */
  setA20(enabled: boolean): void {
    if (enabled === this.#a20 || this.below4GiB < 2 * MIB) return;
    this.#a20 = enabled;
    const slot = this.physical.slots().find(({ gpa }) => gpa === MIB);
    if (slot !== undefined) this.physical.changeSlot(slot.id, { hostOffset: this.memory.ramOffset + (enabled ? MIB : 0) });
  }
}
