import { type Cpu, Cr0, Cr4, Efer, Segment, State, setSegment } from '@minusone/x86';

/**
 * Puts a processor that has run nothing yet into the mode that a 64-bit hypervisor would have brought it to before VMRUN: long mode, EFER.SVME. No page tables: a hypervisor
 * in TypeScript executes no instruction here.
 */
export function prepareHost(cpu: Cpu): void {
  const { registers } = cpu;
  registers.set32(State.cr0, registers.get32(State.cr0) | Cr0.PE | Cr0.NE | Cr0.PG);
  registers.set32(State.cr4, registers.get32(State.cr4) | Cr4.PAE);
  registers.set32(State.efer, registers.get32(State.efer) | Efer.LME | Efer.LMA | Efer.NXE | Efer.SVME);
  setSegment(registers, Segment.CS, 8, 0xa09b, -1, 0);
  for (const segment of [Segment.SS, Segment.DS, Segment.ES, Segment.FS, Segment.GS]) setSegment(registers, segment, 0x10, 0xc093, -1, 0);
  cpu.updatePaging();
  cpu.engine.flushAll();
  cpu.updateMode();
}

/** Neither protected mode nor EFER.SVME: no hypervisor's code has run. */
export function isUntouched(cpu: Cpu): boolean {
  const { registers } = cpu;
  return (registers.get32(State.cr0) & Cr0.PE) === 0 && (registers.get32(State.efer) & Efer.SVME) === 0;
}
