import { linearOf } from '../../cpu/address.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { Eflags } from '../../cpu/eflags.ts';
import { instructionWaits } from '../../cpu/extension.ts';
import { checkIoPermission } from '../../cpu/io-permission.ts';
import type { Insn } from '../../decode/insn.ts';
import { Gpr, Segment, State } from '../../state/layout.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { addToRegister, readAddressRegister, writeGpr } from './operand-access.ts';

/** IN, OUT, INS, OUTS (SDM Vol. 2; Vol. 1, chapter 19). Warm: no BigInt. */

type Size = 1 | 2 | 4;

/** What comes before the access; false where a layer took it. */
function prepare(cpu: Cpu, insn: Insn, port: number, size: Size, input: boolean, string: boolean, immediate: boolean): boolean {
  checkIoPermission(cpu, port, size);
  if (cpu.layer !== undefined) {
    const { segment, addressBytes } = insn;
    if (cpu.isIntercepted({ kind: 'io', port, size, input, string, rep: insn.rep !== 0, immediate, segment, addressBytes })) return false;
  }
  if (input && cpu.gate?.mayReadPort(port, size) === false) throw instructionWaits;
  cpu.debug.watchPorts(port, size);
  return true;
}

function sizeOf(insn: Insn): Size {
  return insn.operandBytes === 2 ? 2 : 4;
}

function input(byte: boolean, immediate: boolean): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const size = byte ? 1 : sizeOf(insn);
    const port = immediate ? insn.immediate & 0xff : cpu.registers.gprLow(Gpr.RDX) & 0xffff;
    if (!prepare(cpu, insn, port, size, true, false, immediate)) return;
    writeGpr(cpu, Gpr.RAX, size, cpu.ports.read(port, size) | 0, 0);
  };
}

function output(byte: boolean, immediate: boolean): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const size = byte ? 1 : sizeOf(insn);
    const port = immediate ? insn.immediate & 0xff : cpu.registers.gprLow(Gpr.RDX) & 0xffff;
    if (!prepare(cpu, insn, port, size, false, false, immediate)) return;
    const value = cpu.registers.gprLow(Gpr.RAX);
    cpu.ports.write(port, size, size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff));
  };
}

/** One iteration; the instruction stays current while a REP count is left, so that interrupts come in between (SDM Vol. 2B, REP). */
function repeated(cpu: Cpu, insn: Insn, iteration: () => void): void {
  if (insn.rep === 0) {
    iteration();
    return;
  }
  const count = readAddressRegister(cpu, Gpr.RCX, insn.addressBytes);
  if ((count.low | count.high) === 0) return;
  iteration();
  addToRegister(cpu, Gpr.RCX, insn.addressBytes, -1);
  const left = readAddressRegister(cpu, Gpr.RCX, insn.addressBytes);
  if ((left.low | left.high) === 0) return;
  cpu.jumpTo(cpu.registers.get32(State.rip), cpu.registers.get32(State.rip + 4));
  cpu.engine.isRepeating = true;
}

function step(cpu: Cpu, size: Size): number {
  return (cpu.registers.get32(State.eflags) & Eflags.DF) !== 0 ? -size : size;
}

function ins(byte: boolean): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const size = byte ? 1 : sizeOf(insn);
    const port = cpu.registers.gprLow(Gpr.RDX) & 0xffff;
    if (!prepare(cpu, insn, port, size, true, true, false)) return;
    repeated(cpu, insn, () => {
      const offset = readAddressRegister(cpu, Gpr.RDI, insn.addressBytes);
      linearOf(cpu, Segment.ES, offset.low, offset.high, size, true);
      const { linear, linearLow, linearHigh } = cpu;
      // The place is claimed first: the device must not be read for nothing.
      linear.probe(linearLow, linearHigh, size, true);
      const value = cpu.ports.read(port, size);
      if (size === 1) linear.write8(linearLow, linearHigh, value);
      else if (size === 2) linear.write16(linearLow, linearHigh, value);
      else linear.write32(linearLow, linearHigh, value | 0);
      addToRegister(cpu, Gpr.RDI, insn.addressBytes, step(cpu, size));
    });
  };
}

function outs(byte: boolean): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const size = byte ? 1 : sizeOf(insn);
    const port = cpu.registers.gprLow(Gpr.RDX) & 0xffff;
    if (!prepare(cpu, insn, port, size, false, true, false)) return;
    repeated(cpu, insn, () => {
      const offset = readAddressRegister(cpu, Gpr.RSI, insn.addressBytes);
      linearOf(cpu, insn.segment, offset.low, offset.high, size, false);
      const { linear, linearLow, linearHigh } = cpu;
      const value =
        size === 1
          ? linear.read8(linearLow, linearHigh)
          : size === 2
            ? linear.read16(linearLow, linearHigh)
            : linear.read32(linearLow, linearHigh);
      cpu.ports.write(port, size, value >>> 0);
      addToRegister(cpu, Gpr.RSI, insn.addressBytes, step(cpu, size));
    });
  };
}

export const ioRows: readonly InstructionRow[] = [
  system('IN', ['E4 AL,Ib'], input(true, true)),
  system('IN', ['E5 eAX,Ib'], input(false, true)),
  system('IN', ['EC AL,DX'], input(true, false)),
  system('IN', ['ED eAX,DX'], input(false, false)),
  system('OUT', ['E6 Ib,AL'], output(true, true)),
  system('OUT', ['E7 Ib,eAX'], output(false, true)),
  system('OUT', ['EE DX,AL'], output(true, false)),
  system('OUT', ['EF DX,eAX'], output(false, false)),
  system('INS{size}', ['6C Yb,DX rep'], ins(true)),
  system('INS{size}', ['6D Yz,DX rep'], ins(false)),
  system('OUTS{size}', ['6E DX,Xb rep'], outs(true)),
  system('OUTS{size}', ['6F DX,Xz rep'], outs(false)),
];
