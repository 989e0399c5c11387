import { PAGE_BYTES } from '@minusone/memory';
import { checkExtension } from './capabilities/capabilities.ts';
import type { CpuidEntry } from './cpuid/cpuid-entry.ts';
import { supportedCpuid } from './cpuid/supported-cpuid.ts';
import { Host, type HostOptions } from './host/host.ts';
import { HostMemory } from './host/host-memory.ts';
import { readFeatureMsrs } from './msrs/feature-msrs.ts';
import { MCG_CAP_SUPPORTED } from './msrs/machine-check-msrs.ts';
import { msrFeatureIndexList, msrIndexList } from './msrs/msr-index-list.ts';
import type { KvmMsrEntry } from './vcpu/state/msrs.ts';
import type { KvmVendor } from './vendor/vendor.ts';
import { Vm, type VmOptions } from './vm/vm.ts';

/** KVM_API_VERSION. */
const API_VERSION = 12;
/** `kvm_run`, port I/O data, coalesced MMIO. */
const RUN_PAGES = 3;

/**
 * KVM on emulated hardware: what `/dev/kvm` is under Linux, in the words of the KVM API (Documentation/virt/kvm/api.rst). The vendor module says which
 * hardware: `intel()` of `@minusone/kvm-intel`, `amd()` of `@minusone/kvm-amd`.
 *
 * @example
 * const vm = new Kvm(intel()).createVm({ memory: '64K' });
 */
export class Kvm {
  readonly vendor: KvmVendor;
  readonly host: Host;
  /** @throws {MemoryLimitError} more memory than a host can have; {InvalidArgumentError} a size that is none */
  constructor(vendor: KvmVendor, options: HostOptions = {}) {
    this.vendor = vendor;
    this.host = new Host(vendor, options);
  }

  /** KVM_GET_API_VERSION (api.rst, 4.1): 12, as it has been for ever. */
  getApiVersion(): number {
    return API_VERSION;
  }
  /** KVM_CHECK_EXTENSION (4.4): 0 where it is not there. Names with or without `KVM_CAP_`. */
  checkExtension(name: string): number {
    return checkExtension(name, this.host);
  }
  /** KVM_GET_VCPU_MMAP_SIZE (4.5): bytes that `struct kvm_run` takes under Linux, with the pages of port I/O and coalesced MMIO behind it. Nothing is mapped here: see `Vcpu.run`. */
  getVcpuMmapSize(): number {
    return RUN_PAGES * PAGE_BYTES;
  }
  /** KVM_GET_SUPPORTED_CPUID (4.46): what `setCpuid2` may be given. */
  getSupportedCpuid(): CpuidEntry[] {
    return supportedCpuid(this.vendor.model);
  }
  /** KVM_GET_MSR_INDEX_LIST (4.3): MSRs that are a virtual CPU's state, besides those of `getSregs`; ascending. */
  getMsrIndexList(): number[] {
    return msrIndexList(this.vendor.model.vendor);
  }
  /** KVM_GET_MSR_FEATURE_INDEX_LIST (4.3): MSRs that say what a processor has, which `getMsrs` reads. */
  getMsrFeatureIndexList(): number[] {
    return msrFeatureIndexList(this.vendor.model);
  }
  /** KVM_GET_MSRS on `/dev/kvm` (4.18): what MSRs of `getMsrFeatureIndexList` may say at most. As many as could be read, in order: it stops at the first that is not one of them. */
  getMsrs(indices: readonly number[]): KvmMsrEntry[] {
    return readFeatureMsrs(this.vendor.model, indices);
  }
  /** KVM_X86_GET_MCE_CAP_SUPPORTED (4.104): what IA32_MCG_CAP may be for `Vcpu.setupMce`. The number of banks stands apart, in KVM_CAP_MCE. */
  getMceCapSupported(): bigint {
    return MCG_CAP_SUPPORTED;
  }
  /** Memory of the host for slots, zeroed. @throws {HostMemoryExhaustedError} */
  allocateMemory(size: number | string): HostMemory {
    return this.host.allocateMemory(size);
  }
  /** Memory that stands already in the host's linear memory, as what slots can show. */
  hostMemory(hostOffset: number, bytes: number): HostMemory {
    return new HostMemory(this.host.memory, hostOffset, bytes);
  }
  /** KVM_CREATE_VM (4.2). @throws {HostMemoryExhaustedError} its RAM and tables find no room in the host */
  createVm(options: VmOptions = {}): Vm {
    return new Vm(this.host, options);
  }
}
