import type { AccessRights } from '../engine/engine.ts';
import { Gpr, Segment, segmentOffset } from '../state/layout.ts';
import { addHigh, isCanonical } from './address.ts';
import type { Cpu } from './cpu.ts';
import { raise, Vector } from './fault.ts';
import { Attribute, type Descriptor } from './segments/descriptor.ts';
import { attributesOf, baseLowOf } from './segments/segment-register.ts';

/**
 * A place in a stack that items are pushed to or popped from, before anything of the CPU's state changes: far transfers and event delivery
 * work on one, and commit it last. It may stand in a stack that is not loaded yet (that of an inner privilege level).
 */
export class StackCursor {
  readonly #cpu: Cpu;
  readonly bits: 16 | 32 | 64;
  readonly #baseLow: number;
  /** Offsets that may be written, outside 64-bit stacks. */
  readonly #first: number;
  readonly #last: number;
  readonly #rights: AccessRights;
  /** Error code of #SS where the stack does not hold the item. */
  readonly #error: number;
  pointerLow: number;
  pointerHigh: number;
  /** High half of the last item popped. */
  high = 0;

  constructor(
    cpu: Cpu,
    stack: { bits: 16 | 32 | 64; baseLow: number; first: number; last: number },
    pointerLow: number,
    pointerHigh: number,
    rights: AccessRights,
    error: number,
  ) {
    this.#cpu = cpu;
    this.bits = stack.bits;
    this.#baseLow = stack.baseLow;
    this.#first = stack.first;
    this.#last = stack.last;
    this.#rights = rights;
    this.#error = error;
    this.pointerLow = pointerLow;
    this.pointerHigh = pointerHigh;
  }

  /** The stack that SS:rSP is now, accessed at CPL. */
  static current(cpu: Cpu, rights: AccessRights = 'cpl', error = 0): StackCursor {
    const { registers } = cpu;
    const stack = {
      bits: cpu.stackBits,
      baseLow: baseLowOf(registers, Segment.SS),
      first: registers.get32(segmentOffset(Segment.SS, 'writeLow')) >>> 0,
      last: registers.get32(segmentOffset(Segment.SS, 'writeHigh')) >>> 0,
    };
    return new StackCursor(cpu, stack, registers.gprLow(Gpr.RSP), registers.gprHigh(Gpr.RSP), rights, error);
  }

  /** The stack of a descriptor that SS will be loaded with (legacy modes). */
  static inner(cpu: Cpu, descriptor: Descriptor, pointer: number, rights: AccessRights, error: number): StackCursor {
    const down = (descriptor.attributes & Attribute.EXPAND_DOWN_OR_CONFORMING) !== 0;
    const stack = {
      bits: descriptor.isBig ? (32 as const) : (16 as const),
      baseLow: descriptor.baseLow,
      first: down ? descriptor.limit + 1 : 0,
      last: !down ? descriptor.limit : descriptor.isBig ? 0xffffffff : 0xffff,
    };
    return new StackCursor(cpu, stack, pointer, 0, rights, error);
  }

  /** A 64-bit stack (long mode's inner stacks). */
  static wide(cpu: Cpu, low: number, high: number, rights: AccessRights, error: number): StackCursor {
    return new StackCursor(cpu, { bits: 64, baseLow: 0, first: 0, last: 0xffffffff }, low, high, rights, error);
  }

  /** Moves the pointer by a signed number of bytes, wrapping at the stack's width. */
  move(bytes: number): void {
    if (this.bits === 64) {
      this.pointerHigh = addHigh(this.pointerLow, this.pointerHigh, bytes, bytes < 0 ? -1 : 0);
      this.pointerLow = (this.pointerLow + bytes) | 0;
    } else if (this.bits === 32) {
      this.pointerLow = (this.pointerLow + bytes) | 0;
      this.pointerHigh = 0;
    } else {
      this.pointerLow = (this.pointerLow & ~0xffff) | ((this.pointerLow + bytes) & 0xffff);
    }
  }

  push(bytes: 2 | 4 | 8, low: number, high = 0): void {
    this.move(-bytes);
    this.#locate(bytes);
    const { linear, linearLow, linearHigh } = this.#cpu;
    if (bytes === 2) {
      linear.write16(linearLow, linearHigh, low & 0xffff, this.#rights);
    } else if (bytes === 4) {
      linear.write32(linearLow, linearHigh, low, this.#rights);
    } else {
      linear.probe(linearLow, linearHigh, 8, true, this.#rights);
      linear.write32(linearLow, linearHigh, low, this.#rights);
      linear.write32((linearLow + 4) | 0, addHigh(linearLow, linearHigh, 4, 0), high, this.#rights);
    }
  }

  /** Low half of the next item, unsigned; its high half is in `high`. */
  pop(bytes: 2 | 4 | 8): number {
    this.#locate(bytes);
    const { linear, linearLow, linearHigh } = this.#cpu;
    this.high = 0;
    // Alignment is checked for the whole item.
    if (bytes === 8 && (linearLow & 7) !== 0) linear.probe(linearLow, linearHigh, 8, false, this.#rights);
    let low: number;
    if (bytes === 2) low = linear.read16(linearLow, linearHigh, this.#rights);
    else low = linear.read32(linearLow, linearHigh, this.#rights);
    if (bytes === 8) this.high = linear.read32((linearLow + 4) | 0, addHigh(linearLow, linearHigh, 4, 0), this.#rights) | 0;
    this.move(bytes);
    return low >>> 0;
  }

  /** Raises now what pushing `bytes` more would. */
  probePush(bytes: number): void {
    const low = this.pointerLow;
    const high = this.pointerHigh;
    this.move(-bytes);
    this.#locate(bytes);
    this.pointerLow = low;
    this.pointerHigh = high;
    this.#cpu.linear.probe(this.#cpu.linearLow, this.#cpu.linearHigh, bytes, true, this.#rights);
  }

  /** Makes rSP this place. A 16-bit stack keeps the rest of RSP, a 32-bit one clears its upper half. */
  commit(): void {
    const { registers } = this.#cpu;
    if (this.bits === 16) {
      const old = registers.gprLow(Gpr.RSP);
      registers.setGprHalves(Gpr.RSP, (old & ~0xffff) | (this.pointerLow & 0xffff), registers.gprHigh(Gpr.RSP));
    } else {
      registers.setGprHalves(Gpr.RSP, this.pointerLow, this.bits === 64 ? this.pointerHigh : 0);
    }
  }

  #locate(bytes: number): void {
    const cpu = this.#cpu;
    if (this.bits === 64) {
      if (!isCanonical(cpu, this.pointerHigh) || !isCanonical(cpu, addHigh(this.pointerLow, this.pointerHigh, bytes - 1, 0))) this.#fault();
      cpu.linearLow = this.pointerLow;
      cpu.linearHigh = this.pointerHigh;
      return;
    }
    const offset = this.bits === 16 ? this.pointerLow & 0xffff : this.pointerLow >>> 0;
    if (offset < this.#first || offset + bytes - 1 > this.#last) this.#fault();
    cpu.linearLow = (this.#baseLow + offset) | 0;
    cpu.linearHigh = 0;
  }

  #fault(): never {
    raise(Vector.SS, this.#error);
  }
}

/** True where SS's hidden part says a 32-bit stack pointer. */
export function stackIsBig(cpu: Cpu): boolean {
  return (attributesOf(cpu.registers, Segment.SS) & Attribute.DB) !== 0;
}
