import type { KvmVendor } from '@minusone/kvm';
import type { Accelerator, ProcessorParts } from '../accelerator.ts';
import { KvmProcessors } from './kvm-processors.ts';

const PAGE_BYTES = 4096;
const MIB = 2 ** 20;
/** Control blocks, bitmaps and the tables' upper levels. */
const BYTES_PER_CPU = 64 * 1024;

/**
 * Runs a machine's processors as virtual CPUs of KVM, on an emulated virtualization extension.
 *
 * @param vendor `intel()` of `@minusone/kvm-intel` or `amd()` of `@minusone/kvm-amd`, for the machine's CPU model
 * @example
 * const machine = await boot({ kernel, initrd, accel: kvmAccelerator(intel()) });
 */
export function kvmAccelerator(vendor: KvmVendor): Accelerator {
  return {
    name: vendor.name,
    // A table of 4 KiB for each 2 MiB, if no page could be mapped by a large one; some more for what is not at the start of a table.
    spareBytes: (ramBytes, cpus) => Math.ceil(ramBytes / (2 * MIB)) * PAGE_BYTES + MIB + cpus * BYTES_PER_CPU,
    createProcessors: (parts: ProcessorParts) => new KvmProcessors(vendor, parts),
  };
}
