import type { HostPages } from '@minusone/kvm';
import { type MachineMemory, PAGE_BYTES } from '@minusone/memory';

/** Pages of the host's memory, one after the other from `first`; nothing is ever given back. */
export function testPages(memory: MachineMemory, first: number = memory.ramOffset): HostPages {
  let next = first;
  return {
    memory,
    allocate(pages = 1): number {
      const hpa = next;
      next += pages * PAGE_BYTES;
      memory.u8.fill(0, hpa, next);
      return hpa;
    },
    free: () => undefined,
  };
}
