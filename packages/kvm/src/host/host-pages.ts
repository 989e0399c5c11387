import { type MachineMemory, PAGE_BYTES } from '@minusone/memory';

/** Pages of the host's memory for tables and control blocks. Host-physical addresses are offsets in the linear memory. */
export interface HostPages {
  readonly memory: MachineMemory;
  /** Host-physical address of a zeroed page of 4096 bytes, or of several that follow each other. */
  allocate(pages?: number): number;
  /** Gives one page back. */
  free(hpa: number): void;
}

/** The bytes of a page: the same memory, not a copy. */
export function pageBytes(memory: MachineMemory, hpa: number): Uint8Array {
  return memory.u8.subarray(hpa, hpa + PAGE_BYTES);
}
