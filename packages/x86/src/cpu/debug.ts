import { Segment, State } from '../state/layout.ts';
import { Cr4, Dr6, Dr7 } from './control-bits.ts';
import type { Cpu } from './cpu.ts';
import { raise, Vector } from './fault.ts';
import { baseLowOf } from './segments/segment-register.ts';

/** R/W fields of DR7 (SDM Vol. 3B, 17.2.4). */
const Kind = { EXECUTE: 0, WRITE: 1, IO: 2, READ_WRITE: 3 } as const;
/** LEN fields: 1, 2, 8 and 4 bytes. */
const LENGTHS = [1, 2, 8, 4] as const;

interface Breakpoint {
  readonly bit: number;
  readonly enabled: boolean;
  readonly kind: number;
  readonly bytes: number;
  readonly low: number;
  readonly high: number;
}

/** The debug registers and the breakpoints that they describe (SDM Vol. 3B, 17.2 "Debug Registers"). */
export class DebugRegisters {
  readonly #cpu: Cpu;
  #breakpoints: readonly Breakpoint[] = [];
  hasInstructionBreakpoints = false;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** For entries and exits of a layer: DR7 as it is then, with bits of CR4 that have just changed. Only where a breakpoint is concerned is there anything to do. */
  loadControl(dr7: number, cr4Changed: number): void {
    const { registers } = this.#cpu;
    const old = registers.get32(State.dr7);
    registers.set32(State.dr7, dr7);
    if (((old | dr7) & Dr7.BREAKPOINTS) !== 0 && (old !== dr7 || (cr4Changed & Cr4.DE) !== 0)) this.changed();
  }

  /** To be called after DR0 to DR3, DR7 or CR4.DE changed. */
  changed(): void {
    const { registers } = this.#cpu;
    const hadData = this.#breakpoints.some(isData);
    const dr7 = registers.get32(State.dr7);
    const io = (registers.get32(State.cr4) & Cr4.DE) !== 0;
    const found: Breakpoint[] = [];
    for (let i = 0; i < 4; i++) {
      const kind = (dr7 >>> (16 + i * 4)) & 3;
      const bytes = kind === Kind.EXECUTE ? 1 : (LENGTHS[(dr7 >>> (18 + i * 4)) & 3] as number);
      const low = registers.get32(State.dr + i * 8);
      // The address is aligned to the length by ignoring its low bits (17.2.5).
      found.push({
        bit: 1 << i,
        enabled: ((dr7 >>> (i * 2)) & 3) !== 0 && (kind !== Kind.IO || io),
        kind,
        bytes,
        low: kind === Kind.EXECUTE ? low : low & ~(bytes - 1),
        high: registers.get32(State.dr + i * 8 + 4),
      });
    }
    this.#breakpoints = found;
    this.hasInstructionBreakpoints = found.some((each) => each.enabled && each.kind === Kind.EXECUTE);
    // Pages under data breakpoints have no fast tags: let the TLB be filled anew.
    if (hadData || found.some(isData)) this.#cpu.engine.flushAll();
  }

  /** DR6 bits of the instruction breakpoints that match RIP: all that match, enabled ones must be among them. */
  instructionBreakpoints(): number {
    const { registers, is64Bit } = this.#cpu;
    const rip = registers.get32(State.rip);
    const low = is64Bit ? rip : (baseLowOf(registers, Segment.CS) + rip) | 0;
    const high = is64Bit ? registers.get32(State.rip + 4) : 0;
    return this.#matching((each) => each.kind === Kind.EXECUTE && each.low === low && each.high === high);
  }

  /** A data access: true where it touches an enabled breakpoint; the trap comes after the instruction. */
  watches(low: number, high: number, bytes: number, write: boolean): boolean {
    const bits = this.#matching(
      (each) => (each.kind === Kind.READ_WRITE || (write && each.kind === Kind.WRITE)) && overlaps(each, low, high, bytes),
    );
    if (bits === 0) return false;
    this.#cpu.pendingDebug |= bits;
    this.#cpu.attention();
    return true;
  }

  watchesPage(low: number, high: number): boolean {
    return this.#breakpoints.some((each) => isData(each) && each.high === high && (each.low & ~0xfff) === (low & ~0xfff));
  }

  /** An access to I/O ports (CR4.DE). */
  watchPorts(port: number, bytes: number): void {
    this.#cpu.pendingDebug |= this.#matching((each) => each.kind === Kind.IO && overlaps(each, port, 0, bytes));
  }

  #matching(matches: (each: Breakpoint) => boolean): number {
    let bits = 0;
    let enabled = false;
    for (const each of this.#breakpoints) {
      if (!matches(each)) continue;
      bits |= each.bit;
      enabled ||= each.enabled;
    }
    return enabled ? bits : 0;
  }

  /** What #DB leaves in DR6 and DR7: B0-B3 are replaced, BD, BS and BT are sticky; GD is cleared (17.2.3, 17.2.4). */
  record(bits: number): void {
    const { registers } = this.#cpu;
    registers.set32(State.dr6, (registers.get32(State.dr6) & ~0xf) | bits);
    registers.set32(State.dr7, registers.get32(State.dr7) & ~Dr7.GD);
    this.#cpu.msrs.debugCtl &= ~2;
  }

  /** MOV to or from a debug register: CR4.DE and DR4/5, then GD (SDM Vol. 2B, MOV "Debug Registers"). Gives the register's number, 4 and 5 aliased. */
  checkAccess(register: number): number {
    const { registers } = this.#cpu;
    let number = register;
    if (register === 4 || register === 5) {
      if ((registers.get32(State.cr4) & Cr4.DE) !== 0) raise(Vector.UD);
      number += 2;
    }
    if (register > 7) raise(Vector.UD);
    if ((registers.get32(State.dr7) & Dr7.GD) !== 0) raise(Vector.DB, Dr6.BD);
    return number;
  }

  read(register: number): bigint {
    const { registers } = this.#cpu;
    if (register < 4) return registers.get64(State.dr + register * 8);
    return BigInt(registers.get32(register === 6 ? State.dr6 : State.dr7) >>> 0);
  }

  /** @throws GuestFault #GP(0) where bits 63:32 of DR6 or DR7 are set in 64-bit mode */
  write(register: number, value: bigint): void {
    const { registers } = this.#cpu;
    if (register < 4) {
      registers.set64(State.dr + register * 8, value);
    } else {
      if (value >> 32n !== 0n) raise(Vector.GP, 0);
      const low = Number(BigInt.asIntN(32, value));
      if (register === 6) registers.set32(State.dr6, (low & 0xe00f) | Dr6.INITIAL);
      else registers.set32(State.dr7, (low & ~0xd800) | Dr7.FIXED);
    }
    this.changed();
  }
}

function isData(each: Breakpoint): boolean {
  return each.enabled && (each.kind === Kind.WRITE || each.kind === Kind.READ_WRITE);
}

/** Whether the access and the breakpoint share a byte. */
function overlaps(each: Breakpoint, low: number, high: number, bytes: number): boolean {
  const borrow = low >>> 0 < each.low >>> 0 ? 1 : 0;
  const distance = (low - each.low) | 0;
  const distanceHigh = (high - each.high - borrow) | 0;
  if (distanceHigh === 0) return distance >>> 0 < each.bytes;
  return distanceHigh === -1 && distance < 0 && -distance < bytes;
}
