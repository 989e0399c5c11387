import { add, and, eqz, extendU, gtS, i32, i64, mul, or, select, shrU, sub, wrap } from '@minusone/wasm';
import { Activity } from '../../cpu/activity.ts';
import { isCanonical, linearBase, linearOf } from '../../cpu/address.ts';
import { Cr4 } from '../../cpu/control-bits.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { cpuid } from '../../cpu/cpuid/leaves.ts';
import { Layered } from '../../cpu/extension.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import type { Insn } from '../../decode/insn.ts';
import type { Emit } from '../../semantics/emit.ts';
import { loadAt, storeTo } from '../../semantics/state-access.ts';
import { Gpr, State } from '../../state/layout.ts';
import { type InstructionRow, system, warmSystem } from '../../table/row.ts';
import { offsetOf, readMemory64 } from './operand-access.ts';

/** CPUID, MSRs, counters, HLT, MWAIT, and the caches' and TLB's instructions (SDM Vol. 2). */

/** True where a layer took the instruction: the row returns. */
function isIntercepted(cpu: Cpu, mnemonic: string): boolean {
  return cpu.layer !== undefined && cpu.isIntercepted({ kind: 'instruction', mnemonic });
}

function executeCpuid(cpu: Cpu): void {
  if (isIntercepted(cpu, 'CPUID')) return;
  const { registers } = cpu;
  const { eax, ebx, ecx, edx } = cpuid(cpu, registers.gprLow(Gpr.RAX), registers.gprLow(Gpr.RCX));
  registers.setGprHalves(Gpr.RAX, eax, 0);
  registers.setGprHalves(Gpr.RBX, ebx, 0);
  registers.setGprHalves(Gpr.RCX, ecx, 0);
  registers.setGprHalves(Gpr.RDX, edx, 0);
}

function setEdxEax(cpu: Cpu, value: bigint): void {
  cpu.registers.setGprHalves(Gpr.RAX, Number(BigInt.asIntN(32, value)), 0);
  cpu.registers.setGprHalves(Gpr.RDX, Number(BigInt.asIntN(32, value >> 32n)), 0);
}

function edxEax(cpu: Cpu): bigint {
  return (BigInt(cpu.registers.gprLow(Gpr.RDX) >>> 0) << 32n) | BigInt(cpu.registers.gprLow(Gpr.RAX) >>> 0);
}

function rdmsr(cpu: Cpu): void {
  cpu.requireCpl0();
  const index = cpu.registers.gprLow(Gpr.RCX) >>> 0;
  if (cpu.layer !== undefined && cpu.isIntercepted({ kind: 'msr', index, write: false, value: 0n })) return;
  setEdxEax(cpu, cpu.msrs.read(index));
}

function wrmsr(cpu: Cpu): void {
  cpu.requireCpl0();
  const index = cpu.registers.gprLow(Gpr.RCX) >>> 0;
  const value = edxEax(cpu);
  if (cpu.layer !== undefined && cpu.isIntercepted({ kind: 'msr', index, write: true, value })) return;
  cpu.msrs.write(index, value);
}

/** CR4.TSD keeps RDTSC and RDTSCP to CPL 0. */
function checkTimeStamp(cpu: Cpu): void {
  if ((cpu.registers.get32(State.cr4) & Cr4.TSD) !== 0 && cpu.cpl > 0) raise(Vector.GP, 0);
}

function rdtsc(cpu: Cpu): void {
  checkTimeStamp(cpu);
  if (isIntercepted(cpu, 'RDTSC')) return;
  setEdxEax(cpu, cpu.msrs.timeStamp);
}

function rdtscp(cpu: Cpu): void {
  checkTimeStamp(cpu);
  if (isIntercepted(cpu, 'RDTSCP')) return;
  setEdxEax(cpu, cpu.msrs.timeStamp);
  cpu.registers.setGprHalves(Gpr.RCX, cpu.registers.get32(State.tscAux), 0);
}

/** The usual case of both: no layer, CR4.TSD clear, and time is a function of instructions executed. */
function emitTimeStamp(e: Emit): void {
  const perInstruction = e.stateField(State.ticksPerInstruction);
  const disabled = and(e.stateField(State.cr4), i32(Cr4.TSD));
  e.exitToSystem(or(or(and(e.stateField(State.layered), i32(Layered.TIME)), disabled), eqz(perInstruction)));
  const { f, cpu } = e;
  const left = mul(extendU(e.budgetAfter), extendU(perInstruction));
  const own = f.let(sub(loadAt(cpu, State.ticksAtEnd, 8), left));
  const seen = f.let(loadAt(cpu, State.ticksSeen, 8));
  const now = f.let(select(gtS(own, seen), own, seen));
  storeTo(f, cpu, State.ticksSeen, 8, now);
  const ticks = f.let(add(now, loadAt(cpu, State.tscOffset, 8)));
  e.gpr(Gpr.RAX, 4).write(wrap(ticks));
  e.gpr(Gpr.RDX, 4).write(wrap(shrU(ticks, i64(32))));
}
function emitTimeStampAndAux(e: Emit): void {
  emitTimeStamp(e);
  e.gpr(Gpr.RCX, 4).write(e.stateField(State.tscAux));
}

/** No performance counters: after the privilege check every index is #GP(0). */
function rdpmc(cpu: Cpu): void {
  if (cpu.cpl > 0 && (cpu.registers.get32(State.cr4) & Cr4.PCE) === 0) raise(Vector.GP, 0);
  if (isIntercepted(cpu, 'RDPMC')) return;
  raise(Vector.GP, 0);
}

/** PAUSE is NOP to those who do not intercept it. */
function pause(cpu: Cpu): void {
  if (isIntercepted(cpu, 'PAUSE')) return;
}
function emitPause(e: Emit): void {
  e.exitToSystem(and(e.stateField(State.layered), i32(Layered.PAUSE)));
}

function hlt(cpu: Cpu): void {
  cpu.requireCpl0();
  if (isIntercepted(cpu, 'HLT')) return;
  cpu.activity = Activity.HALTED;
}

/** MONITOR and MWAIT are undefined outside CPL 0 (SDM Vol. 2B; APM Vol. 3). */
function requireMonitorCpl(cpu: Cpu): void {
  if (cpu.cpl !== 0) raise(Vector.UD);
}

function monitor(cpu: Cpu, insn: Insn): void {
  requireMonitorCpl(cpu);
  if (isIntercepted(cpu, 'MONITOR')) return;
  if (cpu.registers.gprLow(Gpr.RCX) !== 0) raise(Vector.GP, 0);
  linearOf(cpu, insn.segment, cpu.registers.gprLow(Gpr.RAX), insn.addressBytes === 8 ? cpu.registers.gprHigh(Gpr.RAX) : 0, 1, false);
  cpu.linear.read8(cpu.linearLow, cpu.linearHigh);
  cpu.monitorArmed = true;
}

/** MWAIT may end at once for any reason (SDM Vol. 2B): it does, as nothing watches the monitored line. */
function mwait(cpu: Cpu): void {
  requireMonitorCpl(cpu);
  if (isIntercepted(cpu, 'MWAIT')) return;
  if (cpu.registers.gprLow(Gpr.RCX) !== 0) raise(Vector.GP, 0);
  cpu.monitorArmed = false;
}

/** Memory is coherent, so that writing back and invalidating caches changes nothing that a program can see. */
function cacheControl(mnemonic: string): (cpu: Cpu) => void {
  return (cpu) => {
    cpu.requireCpl0();
    if (isIntercepted(cpu, mnemonic)) return;
  };
}

function invlpg(cpu: Cpu, insn: Insn): void {
  cpu.requireCpl0();
  const { low, high } = offsetOf(cpu, insn);
  if (cpu.is64Bit) {
    // An address that is not canonical is ignored (SDM Vol. 2A, INVLPG).
    linearBase(cpu, insn.segment, low, high);
    if (!isCanonical(cpu, cpu.linearHigh)) return;
  } else {
    linearBase(cpu, insn.segment, low, 0);
  }
  const { linearLow, linearHigh } = cpu;
  if (cpu.layer !== undefined && cpu.isIntercepted({ kind: 'invlpg', addressLow: linearLow, addressHigh: linearHigh })) return;
  cpu.engine.invalidatePage(linearLow, linearHigh);
}

function invpcid(cpu: Cpu, insn: Insn): void {
  cpu.requireCpl0();
  if (isIntercepted(cpu, 'INVPCID')) return;
  const type = cpu.is64Bit ? cpu.registers.gpr(insn.reg) : cpu.registers.gpr(insn.reg) & 0xffffffffn;
  const descriptor = readMemory64(cpu, insn, 0);
  const address = readMemory64(cpu, insn, 8);
  if (type > 3n) raise(Vector.GP, 0);
  const pcide = (cpu.registers.get32(State.cr4) & Cr4.PCIDE) !== 0;
  const pcid = descriptor & 0xfffn;
  if (type < 2n && (descriptor >> 12n !== 0n || (pcid !== 0n && !pcide))) raise(Vector.GP, 0);
  const low = Number(BigInt.asIntN(32, address));
  const high = Number(BigInt.asIntN(32, address >> 32n));
  if (type === 0n && !isCanonical(cpu, high)) raise(Vector.GP, 0);
  // Individual address; one PCID or all PCIDs without globals; everything: forgetting more is allowed.
  if (type === 0n) cpu.engine.invalidatePage(low, high);
  else cpu.engine.flushAll();
}

export const processorRows: readonly InstructionRow[] = [
  system('CPUID', ['0F A2'], executeCpuid, { machineDependent: true }),
  system('RDMSR', ['0F 32'], rdmsr, { features: ['MSR'] }),
  system('WRMSR', ['0F 30'], wrmsr, { features: ['MSR'] }),
  warmSystem('RDTSC', ['0F 31'], emitTimeStamp, rdtsc, { features: ['TSC'], machineDependent: true }),
  warmSystem('RDTSCP', ['0F 01 F9'], emitTimeStampAndAux, rdtscp, { features: ['RDTSCP'], machineDependent: true }),
  system('RDPMC', ['0F 33'], rdpmc, { machineDependent: true }),
  warmSystem('PAUSE', ['F3 90'], emitPause, pause),
  system('HLT', ['F4'], hlt),
  system('MONITOR', ['NP 0F 01 C8'], monitor, { features: ['MONITOR'] }),
  system('MWAIT', ['NP 0F 01 C9'], mwait, { features: ['MONITOR'] }),
  system('INVD', ['0F 08'], cacheControl('INVD')),
  system('WBINVD', ['0F 09'], cacheControl('WBINVD')),
  system('INVLPG', ['0F 01 /7 M'], invlpg),
  system('INVPCID', ['66 0F 38 82 /r Gy,Mdq f64'], invpcid, { features: ['INVPCID'] }),
];
