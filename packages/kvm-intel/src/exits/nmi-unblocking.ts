import { ExitReason, FIELD } from '@minusone/vtx';
import { Vector } from '@minusone/x86';
import { Interruption } from '../events/event-injection.ts';
import type { ControlStructure } from '../vmcs/control-structure.ts';

/**
 * Whether the exit interrupts an IRET that had ended the blocking of NMIs already (SDM Vol. 3C, 28.2.3, 28.2.1 "NMI unblocking due to IRET"). Where an event was being
 * delivered, and for #DF, the bit says nothing.
 */
export function unblockedByIret(structure: ControlStructure): boolean {
  const reason = structure.low(FIELD.VM_EXIT_REASON);
  if (reason !== ExitReason.EPT_VIOLATION && reason !== ExitReason.EXCEPTION_NMI && reason !== ExitReason.PML_FULL) return false;
  if (structure.low(FIELD.IDT_VECTORING_INFO_FIELD) < 0) return false;
  if (reason !== ExitReason.EXCEPTION_NMI) return (structure.low(FIELD.EXIT_QUALIFICATION) & Interruption.NMI_UNBLOCKED) !== 0;
  const information = structure.low(FIELD.VM_EXIT_INTR_INFO);
  return (information & Interruption.NMI_UNBLOCKED) !== 0 && (information & Interruption.VECTOR) !== Vector.DF;
}
