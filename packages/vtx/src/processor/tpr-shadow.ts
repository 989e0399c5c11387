import type { VmxOperation } from './operation.ts';

/** Offset of the TPR in the virtual-APIC page (SDM Vol. 3C, 30.1 "Virtual APIC State"). */
const VTPR = 0x80;

/** Bits 7:0 of the virtual task-priority register. */
export function readVirtualTpr(op: VmxOperation): number {
  return op.cpu.physical.read8(op.controls.virtualApicPage + VTPR);
}

/** SDM Vol. 3C, 30.3 "Virtualizing CR8-Based TPR Accesses": the other bits of VTPR are cleared; then TPR virtualization (30.1.2) may call for an exit after the instruction. */
export function writeVirtualTpr(op: VmxOperation, value: number): void {
  op.cpu.physical.write32(op.controls.virtualApicPage + VTPR, value);
  if (op.controls.tprThreshold > value >>> 4) op.tprBelowThreshold = true;
}
