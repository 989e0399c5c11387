import { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import { Decoder } from '../decode/decoder.ts';
import { CpuEngine } from '../engine/cpu-engine.ts';
import { CodeSpace } from '../engine/interpreter/code-space.ts';
import { instructionTable } from '../instructions/index.ts';
import { systemRows } from '../instructions/system/index.ts';
import { Segment, State } from '../state/layout.ts';
import { InstructionTable } from '../table/instruction-table.ts';
import { Cr0, Cr4, Efer } from './control-bits.ts';
import type { Cpu } from './cpu.ts';
import { type CpuModel, intel } from './cpuid/model.ts';
import { Processors } from './processors.ts';
import { setSegment } from './segments/segment-register.ts';

const has = (row: { execute: unknown }): boolean => row.execute !== undefined;
const table = instructionTable.rows.some(has) ? instructionTable : new InstructionTable([...instructionTable.rows, ...systemRows]);

/** Where the test's tables stand, below its code at 1000H and its stack below 9000H. */
export const GDT = 0x2000;
export const IDT = 0x3000;
export const TSS = 0x4000;
export const CODE = 0x1000;
export const HANDLERS = 0x6000;
export const STACK = 0x9000;
export const INNER_STACK = 0xa000;

/** Selectors of the test's GDT. */
export const Selector = {
  CODE0: 0x08,
  DATA0: 0x10,
  CODE3: 0x1b,
  DATA3: 0x23,
  TSS: 0x28,
  CODE32: 0x38,
  DATA_NP: 0x40,
  LDT: 0x48,
  CALL_GATE: 0x58,
  CODE16: 0x68,
  DATA16: 0x70,
  CODE3_32: 0x7b,
} as const;

/** A machine with the real interpreter, for tests of the CPU's rules. Linear addresses are physical ones. */
export class TestMachine {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace = new PortSpace();
  readonly processors: Processors;
  readonly cpu: Cpu;

  constructor(options: { cpus?: number; model?: CpuModel } = {}) {
    this.memory = new MachineMemory({ ramBytes: 2 ** 21, reservedBytes: 16 * 2 ** 20 });
    this.physical = new PhysicalAddressSpace(this.memory);
    this.physical.addSlot({ id: 0, gpa: 0, bytes: 2 ** 21, hostOffset: this.memory.ramOffset });
    const model = options.model ?? intel;
    const space = new CodeSpace(this.memory, new Decoder(table, new Set(model.features)), 2 ** 20);
    this.physical.observer = space;
    this.processors = new Processors({
      memory: this.memory,
      physical: this.physical,
      ports: this.ports,
      model,
      cpus: options.cpus ?? 1,
      engine: (cpu) => new CpuEngine(space, cpu),
    });
    this.cpu = this.processors.bootstrap;
  }

  bytes(address: number, bytes: readonly number[]): this {
    bytes.forEach((byte, i) => {
      this.physical.write8(address + i, byte);
    });
    return this;
  }

  /** Puts code at RIP's place and starts there. */
  code(bytes: readonly number[], address: number = CODE): this {
    this.bytes(address, bytes);
    this.cpu.jumpTo(address, 0);
    return this;
  }

  descriptor(selector: number, low: number, high: number): this {
    this.physical.write32(GDT + (selector & ~7), low >>> 0);
    this.physical.write32(GDT + (selector & ~7) + 4, high >>> 0);
    return this;
  }

  /** Real-address mode with all segments at 0 and a vector table that sends vector n to HANDLERS + 16 n, where HLT stands. */
  real(): this {
    const { registers } = this.cpu;
    for (let segment = 0; segment < 6; segment++) setSegment(registers, segment, 0, 0x93, 0xffff, 0);
    for (let vector = 0; vector < 64; vector++) {
      this.physical.write32(vector * 4, HANDLERS + vector * 16);
      this.physical.write8(HANDLERS + vector * 16, 0xf4);
    }
    registers.setGpr(4, BigInt(STACK));
    this.cpu.updateMode();
    return this;
  }

  /** Protected mode (32-bit) or, with `long`, 64-bit mode with 4-level paging (identity, 2 MiB); every vector's gate leads to a HLT at HANDLERS + 16 n. */
  protected(options: { long?: boolean; cpl?: 0 | 3 } = {}): this {
    const { long = false, cpl = 0 } = options;
    const { registers } = this.cpu;
    const code = long ? 0x00af9b00 : 0x00cf9b00;
    this.descriptor(Selector.CODE0, 0xffff, code).descriptor(Selector.DATA0, 0xffff, 0x00cf9300);
    this.descriptor(Selector.CODE3, 0xffff, code | 0x6000).descriptor(Selector.DATA3, 0xffff, 0x00cff300);
    this.descriptor(Selector.TSS, (TSS << 16) | 0x67, 0x00008b00).descriptor(Selector.TSS + 8, 0, 0);
    this.descriptor(Selector.CODE32, 0xffff, 0x00cf9b00).descriptor(Selector.DATA_NP, 0xffff, 0x00cf1300);
    this.descriptor(Selector.CODE16, 0xffff, 0x00009b00)
      .descriptor(Selector.DATA16, 0xffff, 0x00009300)
      .descriptor(Selector.CODE3_32, 0xffff, 0x00cffb00);
    for (let vector = 0; vector < 64; vector++) this.gate(vector, HANDLERS + vector * 16, { long });
    registers.set64(State.gdtrBase, BigInt(GDT));
    registers.set32(State.gdtrLimit, 0xff);
    registers.set64(State.idtrBase, BigInt(IDT));
    registers.set32(State.idtrLimit, 64 * (long ? 16 : 8) - 1);
    if (long) {
      this.physical.write32(TSS + 4, INNER_STACK);
      this.physical.write32(0x10000, 0x11007);
      this.physical.write32(0x11000, 0x12007);
      this.physical.write32(0x12000, 0x87);
    } else {
      this.physical.write32(TSS + 4, INNER_STACK);
      this.physical.write32(TSS + 8, Selector.DATA0);
    }
    registers.set32(State.cr0, Cr0.PE | Cr0.ET | Cr0.NE | (long ? Cr0.PG : 0));
    registers.set32(State.cr4, long ? Cr4.PAE : 0);
    registers.set64(State.cr3, long ? 0x10000n : 0n);
    registers.set64(State.efer, long ? BigInt(Efer.LME | Efer.LMA | Efer.SCE) : 0n);
    registers.set32(State.cpl, cpl);
    const dpl = cpl << 5;
    setSegment(registers, Segment.CS, cpl === 3 ? Selector.CODE3 : Selector.CODE0, (long ? 0xa09b : 0xc09b) | dpl, 0xffffffff, 0);
    for (const segment of [0, 2, 3, 4, 5])
      setSegment(registers, segment, cpl === 3 ? Selector.DATA3 : Selector.DATA0, 0xc093 | dpl, 0xffffffff, 0);
    setSegment(registers, Segment.TR, Selector.TSS, 0x8b, 0x67, TSS);
    registers.setGpr(4, BigInt(STACK));
    this.cpu.updatePaging();
    this.cpu.engine.flushAll();
    this.cpu.updateMode();
    return this;
  }

  /** An interrupt gate (or another type) in the IDT, and HLT at its target. */
  gate(
    vector: number,
    target: number,
    options: { long?: boolean; dpl?: number; type?: number; ist?: number; present?: boolean; selector?: number } = {},
  ): this {
    const { long = false, dpl = 0, type = 0xe, ist = 0, present = true, selector = Selector.CODE0 } = options;
    const at = IDT + vector * (long ? 16 : 8);
    this.physical.write32(at, ((selector << 16) | (target & 0xffff)) >>> 0);
    this.physical.write32(at + 4, ((target & 0xffff0000) | (present ? 0x8000 : 0) | (dpl << 13) | (type << 8) | ist) >>> 0);
    if (long) {
      this.physical.write32(at + 8, 0);
      this.physical.write32(at + 12, 0);
    }
    this.physical.write8(target, 0xf4);
    return this;
  }

  /** Runs until the CPU halts (or shuts down), at most 1000 instructions. */
  run(budget = 1000): string {
    return this.cpu.run(budget);
  }
  get rip(): number {
    return Number(this.cpu.registers.rip);
  }
  /** The vector whose handler's HLT was reached, or -1. */
  get handled(): number {
    const offset = this.rip - 1 - HANDLERS;
    return offset >= 0 && offset % 16 === 0 ? offset / 16 : -1;
  }
  gpr(index: number): number {
    return Number(this.cpu.registers.gpr(index));
  }
  setGpr(index: number, value: number | bigint): this {
    this.cpu.registers.setGpr(index, BigInt(value));
    return this;
  }
  /** Items on the stack from rSP on. */
  stack(count: number, bytes: 2 | 4 | 8): number[] {
    const sp = this.gpr(4);
    return Array.from({ length: count }, (_, i) =>
      bytes === 2
        ? this.physical.read16(sp + i * 2)
        : bytes === 4
          ? this.physical.read32(sp + i * 4)
          : Number(this.physical.read64(sp + i * 8)),
    );
  }
}
