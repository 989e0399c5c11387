import { type Cpu, Segment, State, setSegment } from '@minusone/x86';
import { FeatureControl } from './feature-control.ts';
import type { VmxOperation } from './operation.ts';

const CR0_PE_NE_PG = 0x8000_0021 | 0;
const CR4_PAE_VMXE = 0x2020;
const EFER_LME_LMA = 0x500;

/**
 * Puts a processor that has run nothing yet into the mode that a 64-bit hypervisor would have brought it to before VMXON: long mode, CR4.VMXE, IA32_FEATURE_CONTROL locked with
 * VMX enabled. No page tables: a hypervisor in TypeScript executes no instruction here, and host state comes from the VMCS at each exit.
 */
export function prepareHost(op: VmxOperation): void {
  const { cpu } = op;
  const { registers } = cpu;
  op.featureControl |= FeatureControl.LOCK | FeatureControl.VMX_OUTSIDE_SMX;
  registers.set32(State.cr0, registers.get32(State.cr0) | CR0_PE_NE_PG);
  registers.set32(State.cr4, registers.get32(State.cr4) | CR4_PAE_VMXE);
  registers.set32(State.efer, registers.get32(State.efer) | EFER_LME_LMA);
  setSegment(registers, Segment.CS, 8, 0xa09b, -1, 0);
  for (const segment of [Segment.SS, Segment.DS, Segment.ES, Segment.FS, Segment.GS]) setSegment(registers, segment, 0x10, 0xc093, -1, 0);
  cpu.updatePaging();
  cpu.engine.flushAll();
  cpu.updateMode();
}

/** Neither protected mode nor CR4.VMXE: no hypervisor's code has run. */
export function isUntouched(cpu: Cpu): boolean {
  return (cpu.registers.get32(State.cr0) & 1) === 0 && (cpu.registers.get32(State.cr4) & 0x2000) === 0;
}
