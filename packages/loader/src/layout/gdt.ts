import { CODE32, CODE64, DATA32, type DescriptorTable } from '../boot-state.ts';
import { writeUint } from '../structure.ts';
import type { RamPlan } from './ram-plan.ts';

/** __BOOT_CS of the Linux boot protocol; __BOOT_DS is 8 above. All our protected-mode starts use this GDT. */
export const BOOT_CS = 0x10;
export const BOOT_DS = 0x18;

/** A segment descriptor (SDM Vol. 3A, "Segment Descriptors") with base 0 and limit 4 GiB; `attributes` as in `SegmentState`. */
function flatDescriptor(attributes: number): Uint8Array {
  const descriptor = new Uint8Array(8);
  writeUint(descriptor, 0, 2, 0xffff); // limit 15:0
  descriptor[5] = attributes & 0xff; // type, S, DPL, P
  descriptor[6] = ((attributes >>> 8) & 0xf0) | 0xf; // AVL, L, D/B, G, limit 19:16
  return descriptor;
}

/** Writes a GDT with flat code at 0x10 (64-bit or 32-bit) and flat data at 0x18. */
export function putGdt(plan: RamPlan, code: 'code32' | 'code64'): DescriptorTable {
  const gdt = new Uint8Array(0x20);
  gdt.set(flatDescriptor(code === 'code64' ? CODE64 : CODE32), BOOT_CS);
  gdt.set(flatDescriptor(DATA32), BOOT_DS);
  return { base: plan.putLow('GDT', gdt), limit: gdt.length - 1 };
}
