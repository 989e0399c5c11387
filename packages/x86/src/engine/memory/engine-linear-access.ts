import type { MachineMemory } from '@minusone/memory';
import { instructionWaits } from '../../cpu/extension.ts';
import { guestFault, raise } from '../../cpu/fault.ts';
import { Segment, State } from '../../state/layout.ts';
import type { Registers } from '../../state/registers.ts';
import type { AccessRights, LinearAccess } from '../engine.ts';
import type { LinearMemory } from './linear-memory.ts';
import { AccessKind } from './tlb.ts';

const BUFFER_BYTES = 16;

/** Data accesses by TypeScript code, through the same TLB; faults are thrown. */
export class EngineLinearAccess implements LinearAccess {
  readonly #memory: LinearMemory;
  readonly #machine: MachineMemory;
  readonly #registers: Registers;
  /** Sixteen bytes in linear memory through which values pass. */
  readonly #buffer: number;

  constructor(machine: MachineMemory, memory: LinearMemory, registers: Registers) {
    this.#machine = machine;
    this.#memory = memory;
    this.#registers = registers;
    this.#buffer = machine.allocate(BUFFER_BYTES, 16);
  }
  dispose(): void {
    this.#machine.release(this.#buffer, BUFFER_BYTES);
  }

  #kind(rights: AccessRights): AccessKind {
    if (rights === 'cpl') return this.#memory.kind;
    return rights === 'supervisor' ? AccessKind.SUPERVISOR : AccessKind.USER;
  }
  #throw(): never {
    if (this.#memory.waits) {
      this.#memory.waits = false;
      throw instructionWaits;
    }
    const registers = this.#registers;
    guestFault.addressLow = registers.get32(State.faultAddress);
    guestFault.addressHigh = registers.get32(State.faultAddress + 4);
    raise(registers.get32(State.faultVector), registers.get32(State.faultError));
  }
  /** Reads into the buffer. */
  #read(low: number, high: number, bytes: number, rights: AccessRights): number {
    const kind = this.#kind(rights);
    const buffer = this.#buffer;
    if (!this.#memory.check(low, high, bytes, Segment.DS, kind) || !this.#memory.read(low, high, bytes, kind, buffer)) this.#throw();
    return buffer;
  }
  #write(low: number, high: number, bytes: number, rights: AccessRights): void {
    const kind = this.#kind(rights);
    if (!this.#memory.check(low, high, bytes, Segment.DS, kind) || !this.#memory.write(low, high, bytes, kind, this.#buffer)) this.#throw();
  }

  read8(low: number, high: number, rights: AccessRights = 'cpl'): number {
    return this.#machine.u8[this.#read(low, high, 1, rights)] as number;
  }
  read16(low: number, high: number, rights: AccessRights = 'cpl'): number {
    return this.#machine.u16[this.#read(low, high, 2, rights) >>> 1] as number;
  }
  read32(low: number, high: number, rights: AccessRights = 'cpl'): number {
    return this.#machine.u32[this.#read(low, high, 4, rights) >>> 2] as number;
  }
  read64(low: number, high: number, rights: AccessRights = 'cpl'): bigint {
    return this.#machine.u64[this.#read(low, high, 8, rights) >>> 3] as bigint;
  }
  write8(low: number, high: number, value: number, rights: AccessRights = 'cpl'): void {
    this.#machine.u8[this.#buffer] = value;
    this.#write(low, high, 1, rights);
  }
  write16(low: number, high: number, value: number, rights: AccessRights = 'cpl'): void {
    this.#machine.u16[this.#buffer >>> 1] = value;
    this.#write(low, high, 2, rights);
  }
  write32(low: number, high: number, value: number, rights: AccessRights = 'cpl'): void {
    this.#machine.u32[this.#buffer >>> 2] = value;
    this.#write(low, high, 4, rights);
  }
  write64(low: number, high: number, value: bigint, rights: AccessRights = 'cpl'): void {
    this.#machine.u64[this.#buffer >>> 3] = value;
    this.#write(low, high, 8, rights);
  }
  probe(low: number, high: number, bytes: number, write: boolean, rights: AccessRights = 'cpl'): void {
    const kind = this.#kind(rights);
    if (!this.#memory.check(low, high, bytes, Segment.DS, kind)) this.#throw();
    if (!this.#memory.probe(low, high, bytes, kind, write)) this.#throw();
  }
  translate(low: number, high: number, write: boolean, rights: AccessRights = 'cpl'): number {
    const kind = this.#kind(rights);
    if (!this.#memory.check(low, high, 1, Segment.DS, kind) || !this.#memory.translate(low, high, write, kind)) this.#throw();
    return this.#memory.gpa;
  }
}
