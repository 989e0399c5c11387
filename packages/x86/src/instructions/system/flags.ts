import { and, eqz, extendU, i32, leS, ltU, or, shrU } from '@minusone/wasm';
import { InterruptShadow } from '../../cpu/activity.ts';
import { Cr4 } from '../../cpu/control-bits.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { ARITHMETIC_FLAGS, Eflags, iopl, readEflags, writeEflags } from '../../cpu/eflags.ts';
import { Layered } from '../../cpu/extension.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import { StackCursor } from '../../cpu/stack.ts';
import type { Insn } from '../../decode/insn.ts';
import type { Emit } from '../../semantics/emit.ts';
import { State } from '../../state/layout.ts';
import { type InstructionRow, system, warmSystem } from '../../table/row.ts';

/** CLI, STI, PUSHF, POPF, CLAC, STAC (SDM Vol. 2). */

/** Whether VIF stands for IF: virtual-8086 mode with CR4.VME, or CPL 3 with CR4.PVI; both with IOPL below CPL. */
function usesVirtualIf(cpu: Cpu): boolean {
  const cr4 = cpu.registers.get32(State.cr4);
  if (cpu.isVirtual8086) return (cr4 & Cr4.VME) !== 0 && iopl(cpu.registers) < 3;
  return cpu.isProtected && cpu.cpl === 3 && iopl(cpu.registers) < 3 && (cr4 & Cr4.PVI) !== 0;
}

function mayChangeIf(cpu: Cpu): boolean {
  if (cpu.isRealMode) return true;
  return cpu.isVirtual8086 ? iopl(cpu.registers) === 3 : iopl(cpu.registers) >= cpu.cpl;
}

function cli(cpu: Cpu): void {
  if (mayChangeIf(cpu)) writeEflags(cpu.registers, 0, Eflags.IF);
  else if (usesVirtualIf(cpu)) writeEflags(cpu.registers, 0, Eflags.VIF);
  else raise(Vector.GP, 0);
}

function sti(cpu: Cpu): void {
  const { registers } = cpu;
  if (mayChangeIf(cpu)) {
    if ((registers.get32(State.eflags) & Eflags.IF) === 0) cpu.holdInterrupts(InterruptShadow.STI);
    writeEflags(registers, Eflags.IF, Eflags.IF);
  } else if (usesVirtualIf(cpu) && (registers.get32(State.eflags) & Eflags.VIP) === 0) {
    writeEflags(registers, Eflags.VIF, Eflags.VIF);
  } else {
    raise(Vector.GP, 0);
  }
}

function pushf(cpu: Cpu, insn: Insn): void {
  // The intercept takes priority over any exceptions (APM Vol. 2, 15.9 "Instruction Intercepts"); so does POPF's.
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'PUSHF' });
  const { registers } = cpu;
  let image = readEflags(registers) & ~(Eflags.VM | Eflags.RF);
  if (cpu.isVirtual8086 && iopl(registers) < 3) {
    if (insn.operandBytes !== 2 || (registers.get32(State.cr4) & Cr4.VME) === 0) raise(Vector.GP, 0);
    image = (image & ~Eflags.IF) | ((image & Eflags.VIF) !== 0 ? Eflags.IF : 0) | Eflags.IOPL;
  }
  const stack = StackCursor.current(cpu);
  stack.push(insn.operandBytes, image, 0);
  stack.commit();
}

const ALWAYS = ARITHMETIC_FLAGS | Eflags.TF | Eflags.DF | Eflags.NT | Eflags.AC | Eflags.ID;

function popf(cpu: Cpu, insn: Insn): void {
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'POPF' });
  const { registers } = cpu;
  const inVirtual8086 = cpu.isVirtual8086;
  const narrow = insn.operandBytes === 2;
  const level = iopl(registers);
  const vme = (registers.get32(State.cr4) & Cr4.VME) !== 0;
  if (inVirtual8086 && level < 3 && !(narrow && vme)) raise(Vector.GP, 0);
  const stack = StackCursor.current(cpu);
  const image = stack.pop(insn.operandBytes) | 0;
  let mask = ALWAYS & (narrow ? 0xffff : ~0);
  if (inVirtual8086 && level < 3) {
    // VME: IF goes to VIF; a pending virtual interrupt, or TF, is #GP(0) (SDM Vol. 2B, POPF).
    const old = registers.get32(State.eflags);
    if (((image & Eflags.IF) !== 0 && (old & Eflags.VIP) !== 0) || (image & Eflags.TF) !== 0) raise(Vector.GP, 0);
    writeEflags(registers, (image & Eflags.IF) !== 0 ? Eflags.VIF : 0, Eflags.VIF);
  } else {
    if (cpu.isRealMode || (cpu.cpl === 0 && !inVirtual8086)) mask |= Eflags.IF | Eflags.IOPL;
    else if (mayChangeIf(cpu)) mask |= Eflags.IF;
    // CPL 0: VIF and VIP are cleared by a 32- or 64-bit POPF; RF is cleared always.
    if (!narrow && !inVirtual8086 && cpu.cpl === 0) writeEflags(registers, 0, Eflags.VIF | Eflags.VIP);
  }
  stack.commit();
  const acBefore = registers.get32(State.eflags) & Eflags.AC;
  writeEflags(registers, image, mask);
  if ((registers.get32(State.eflags) & Eflags.AC) !== acBefore) cpu.updateMode();
}

function setAc(value: number): (cpu: Cpu) => void {
  return (cpu) => {
    if (cpu.isVirtual8086 || cpu.cpl > 0) raise(Vector.UD);
    writeEflags(cpu.registers, value, Eflags.AC);
    cpu.updateMode();
  };
}

// The usual cases, as emitters

/** Leaves to TypeScript where IF is not the program's: virtual-8086 mode, or IOPL below CPL. */
function requireOwnIf(e: Emit): void {
  if (e.mode.virtual8086) e.exitToSystem();
  else if (e.mode.protected) {
    const level = and(shrU(e.stateField(State.eflags), i32(12)), i32(3));
    e.exitToSystem(ltU(level, e.stateField(State.cpl)));
  }
}

function emitCli(e: Emit): void {
  requireOwnIf(e);
  e.setStateField(State.eflags, and(e.stateField(State.eflags), i32(~Eflags.IF)));
}

/**
 * STI holds interrupts back until the next instruction has completed (SDM Vol. 2B, STI). Where one is waiting, or the run loop will look in between,
 * TypeScript notes it; elsewhere it shows only to whoever asks at the next instruction: a layer that exits there.
 */
function emitSti(e: Emit): void {
  requireOwnIf(e);
  const flags = e.stateField(State.eflags);
  const looks = or(
    or(and(e.stateField(State.layered), i32(Layered.FLAGS)), e.stateField(State.interruptPending)),
    leS(e.budgetAfter, i32(0)),
  );
  e.if(eqz(and(flags, i32(Eflags.IF))), () => {
    e.exitToSystem(looks);
    e.setStateField(State.stiBudget, e.budgetAfter);
  });
  e.setStateField(State.eflags, or(flags, i32(Eflags.IF)));
}

function emitPushf(e: Emit): void {
  if (e.mode.virtual8086) {
    e.exitToSystem();
    return;
  }
  e.exitToSystem(and(e.stateField(State.layered), i32(Layered.FLAGS)));
  const image = or(and(e.stateField(State.eflags), i32(~(Eflags.VM | Eflags.RF))), e.flags.read());
  e.push(e.operandBytes === 8 ? extendU(image) : image);
}

export const flagRows: readonly InstructionRow[] = [
  warmSystem('CLI', ['FA'], emitCli, cli),
  warmSystem('STI', ['FB'], emitSti, sti),
  warmSystem('PUSHF/PUSHFD/PUSHFQ', ['9C d64'], emitPushf, pushf),
  system('POPF/POPFD/POPFQ', ['9D d64'], popf),
  system('CLAC', ['NP 0F 01 CA'], setAc(0), { features: ['SMAP'] }),
  system('STAC', ['NP 0F 01 CB'], setAc(Eflags.AC), { features: ['SMAP'] }),
];
