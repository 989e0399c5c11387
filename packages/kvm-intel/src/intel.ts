import { InvalidArgumentError } from '@minusone/core';
import { type KvmVendor, type VendorVcpu, type VendorVcpuParts, vendorModel } from '@minusone/kvm';
import { Vmx, type VmxCapabilities, type VmxPresetName } from '@minusone/vtx';
import { type CpuModel, type Extension, intel as intelModel } from '@minusone/x86';
import { eptFormat } from './ept/ept-format.ts';
import { IntelVcpu } from './vcpu/intel-vcpu.ts';

/** What the processors that the hypervisor runs on are like. */
export interface IntelOptions {
  /** A model of `@minusone/x86`, or its name; Intel's by default. Guests are offered at most its features. */
  readonly model?: CpuModel | string;
  /** What VT-x can do there (the capability MSRs), or a preset's name. */
  readonly capabilities?: VmxPresetName | VmxCapabilities;
}

/**
 * KVM's vendor module for VT-x, as Linux's `kvm_intel`: virtual CPUs are VMCSs, their memory extended page tables.
 *
 * @throws {InvalidArgumentError} there is no model of that name, or it is not Intel's
 * @example
 * const kvm = new Kvm(intel());
 */
export function intel(options: IntelOptions = {}): KvmVendor {
  const model = vendorModel('intel', options.model ?? intelModel);
  const { capabilities } = options;
  return {
    name: 'kvm_intel',
    model,
    tables: eptFormat,
    createExtension: (): Extension => new Vmx({ hostExecutes: false, ...(capabilities !== undefined && { capabilities }) }),
    createVcpu(parts: VendorVcpuParts): VendorVcpu {
      if (!(parts.extension instanceof Vmx)) {
        throw new InvalidArgumentError(
          `A virtual CPU of kvm_intel needs a processor with VT-x, not "${parts.extension.name}".`,
          'Give the processor the extension that createExtension() of the same vendor made.',
          { extension: parts.extension.name },
        );
      }
      return new IntelVcpu(parts, parts.extension);
    },
  };
}
