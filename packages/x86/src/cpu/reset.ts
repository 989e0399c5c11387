import { Gpr, Segment, State } from '../state/layout.ts';
import { Activity, InterruptShadow } from './activity.ts';
import { Cr0, Dr6, Dr7 } from './control-bits.ts';
import type { Cpu } from './cpu.ts';
import { ALL_FLAGS, writeEflags } from './eflags.ts';
import { setSegment } from './segments/segment-register.ts';

/** Power-up and RESET (SDM Vol. 3A, Table 9-1 "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT"). */
export function resetState(cpu: Cpu): void {
  const { registers } = cpu;
  registers.set32(State.cr0, Cr0.CD | Cr0.NW | Cr0.ET);
  registers.set32(State.fcw, 0x0040);
  registers.set32(State.fsw, 0);
  // Tag word 5555H: every register holds zero.
  registers.set32(State.ftw, 0xff);
  registers.set32(State.fop, 0);
  for (const field of [State.fip, State.fdp]) registers.set64(field, 0n);
  for (const field of [State.fcs, State.fds]) registers.set32(field, 0);
  registers.set32(State.mxcsr, 0x1f80);
  for (let i = 0; i < 8; i++) {
    registers.set64(State.fpr + i * 16, 0n);
    registers.set64(State.fpr + i * 16 + 8, 0n);
  }
  for (let i = 0; i < 16 * 4; i++) registers.set64(State.ymm + i * 8, 0n);
  registers.set64(State.xcr0, 1n);
  cpu.msrs.reset();
  cpu.apic?.reset();
  resetShared(cpu);
}

/** INIT (same table): the caches' bits of CR0, the x87, SSE, the MSRs and the time-stamp counter keep their values; the CPU then waits for a SIPI unless it is the bootstrap processor. */
export function initState(cpu: Cpu): void {
  const { registers } = cpu;
  registers.set32(State.cr0, (registers.get32(State.cr0) & (Cr0.CD | Cr0.NW)) | Cr0.ET);
  cpu.apic?.init();
  resetShared(cpu);
  cpu.activity = cpu.msrs.isBootstrap ? Activity.ACTIVE : Activity.WAIT_FOR_SIPI;
}

function resetShared(cpu: Cpu): void {
  const { registers } = cpu;
  writeEflags(registers, 2, ALL_FLAGS);
  for (let i = 0; i < 16; i++) registers.setGprHalves(i, 0, 0);
  registers.setGprHalves(Gpr.RDX, cpu.model.signature, 0);
  registers.set64(State.rip, 0xfff0n);
  registers.set32(State.cpl, 0);
  for (const segment of [Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS]) setSegment(registers, segment, 0, 0x93, 0xffff, 0);
  setSegment(registers, Segment.CS, 0xf000, 0x93, 0xffff, 0xffff0000 | 0);
  setSegment(registers, Segment.LDTR, 0, 0x82, 0xffff, 0);
  setSegment(registers, Segment.TR, 0, 0x8b, 0xffff, 0);
  for (const field of [State.gdtrBase, State.idtrBase, State.cr2, State.cr3, State.efer]) registers.set64(field, 0n);
  registers.set32(State.gdtrLimit, 0xffff);
  registers.set32(State.idtrLimit, 0xffff);
  registers.set32(State.cr4, 0);
  registers.set32(State.cr8, 0);
  for (let i = 0; i < 4; i++) {
    registers.set64(State.dr + i * 8, 0n);
    registers.set64(State.pdptes + i * 8, 0n);
  }
  registers.set32(State.dr6, Dr6.INITIAL);
  registers.set32(State.dr7, Dr7.FIXED);
  cpu.debug.changed();
  cpu.activity = Activity.ACTIVE;
  cpu.interruptShadow = InterruptShadow.NONE;
  cpu.nmiBlocked = false;
  cpu.pendingDebug = 0;
  cpu.updatePaging();
  cpu.engine.flushAll();
  cpu.updateMode();
}

/** Start-up IPI (SDM Vol. 3A, 8.4.3): real-address mode at vector * 4096. */
export function startUp(cpu: Cpu, vector: number): void {
  setSegment(cpu.registers, Segment.CS, vector << 8, 0x93, 0xffff, vector << 12);
  cpu.jumpTo(0, 0);
  cpu.activity = Activity.ACTIVE;
  cpu.updateMode();
}
