import type { BootState } from './boot-state.ts';
import type { PlacedRange } from './layout/ram-plan.ts';

/** What a loader returns: the state to start the first CPU in, and what stands where in the guest's RAM. */
export interface LoadedImage {
  readonly state: BootState;
  readonly placed: readonly PlacedRange[];
}

/** What can be handed to a kernel beside its image. */
export interface KernelOptions {
  /** Initial RAM disk (Multiboot: the first module). */
  readonly initrd?: Uint8Array;
  /** Command line, empty by default. */
  readonly commandLine?: string;
  /** Guest-physical address of the ACPI RSDP, as `putAcpiTables` returns it. */
  readonly acpiRsdp?: number;
}
