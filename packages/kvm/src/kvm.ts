import { checkExtension } from './capabilities/capabilities.ts';
import type { CpuidEntry } from './cpuid/cpuid-entry.ts';
import { supportedCpuid } from './cpuid/supported-cpuid.ts';
import { Host, type HostOptions } from './host/host.ts';
import { HostMemory } from './host/host-memory.ts';
import { msrIndexList } from './msrs/msr-index-list.ts';
import type { KvmVendor } from './vendor/vendor.ts';
import { Vm, type VmOptions } from './vm/vm.ts';

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
  /** KVM_GET_API_VERSION (4.1). */
  readonly apiVersion = 12;

  /** @throws {MemoryLimitError} more memory than a host can have; {InvalidArgumentError} a size that is none */
  constructor(vendor: KvmVendor, options: HostOptions = {}) {
    this.vendor = vendor;
    this.host = new Host(vendor, options);
  }

  /** KVM_CHECK_EXTENSION (4.4): 0 where it is not there. Names with or without `KVM_CAP_`. */
  checkExtension(name: string): number {
    return checkExtension(name);
  }
  /** KVM_GET_SUPPORTED_CPUID (4.46): what `setCpuid2` may be given. */
  getSupportedCpuid(): CpuidEntry[] {
    return supportedCpuid(this.vendor.model);
  }
  /** KVM_GET_MSR_INDEX_LIST (4.3). */
  getMsrIndexList(): number[] {
    return msrIndexList(this.vendor.model.vendor);
  }
  /** Memory of the host for slots, zeroed. @throws {HostMemoryExhaustedError} */
  allocateMemory(size: number | string): HostMemory {
    return this.host.allocateMemory(size);
  }
  /** Memory that stands already in the host's linear memory, as what slots can show. */
  hostMemory(hostOffset: number, bytes: number): HostMemory {
    return new HostMemory(this.host.memory, hostOffset, bytes);
  }
  /** KVM_CREATE_VM (4.2). */
  createVm(options: VmOptions = {}): Vm {
    return new Vm(this.host, options);
  }
}
