import { Svm, type SvmCapabilities, SvmCapabilityError, type SvmFeature, type SvmPresetName, svmCapabilities } from '@minusone/amdv';
import { InvalidArgumentError } from '@minusone/core';
import { type KvmVendor, type VendorVcpu, type VendorVcpuParts, vendorModel } from '@minusone/kvm';
import { amd as amdModel, type CpuModel, type Extension } from '@minusone/x86';
import { nptFormat } from './npt/npt-format.ts';
import { AmdVcpu } from './vcpu/amd-vcpu.ts';

/** What the processors that the hypervisor runs on are like. */
export interface AmdOptions {
  /** A model of `@minusone/x86`, or its name; AMD's by default. Guests are offered at most its features. */
  readonly model?: CpuModel | string;
  /** What AMD-V can do there (CPUID Fn8000_000A), or a preset's name. */
  readonly capabilities?: SvmPresetName | SvmCapabilities;
}

/** Without nested paging there are no guests here (no shadow paging), without NRIP save no end of an instruction that exited. */
const NEEDED: readonly SvmFeature[] = ['NP', 'NRIPS'];

/**
 * KVM's vendor module for AMD-V, as Linux's `kvm_amd`: virtual CPUs are VMCBs, their memory nested page tables.
 *
 * @throws {InvalidArgumentError} there is no model of that name, or it is not AMD's
 * @throws {SvmCapabilityError} the capabilities lack nested paging or NRIP save
 * @example
 * const kvm = new Kvm(amd());
 */
export function amd(options: AmdOptions = {}): KvmVendor {
  const model = vendorModel('amd', options.model ?? amdModel);
  const capabilities = capabilitiesOf(options.capabilities ?? 'svm:max');
  return {
    name: 'kvm_amd',
    model,
    tables: nptFormat,
    createExtension: (): Extension => new Svm({ capabilities }),
    createVcpu(parts: VendorVcpuParts): VendorVcpu {
      if (!(parts.extension instanceof Svm)) {
        throw new InvalidArgumentError(
          `A virtual CPU of kvm_amd needs a processor with AMD-V, not "${parts.extension.name}".`,
          'Give the processor the extension that createExtension() of the same vendor made.',
          { extension: parts.extension.name },
        );
      }
      return new AmdVcpu(parts, parts.extension);
    },
  };
}

function capabilitiesOf(wanted: SvmPresetName | SvmCapabilities): SvmCapabilities {
  const capabilities = typeof wanted === 'string' ? svmCapabilities(wanted) : wanted;
  const missing = NEEDED.filter((feature) => !capabilities.has(feature));
  if (missing.length > 0) {
    throw new SvmCapabilityError(
      `kvm_amd cannot run guests on AMD-V without ${missing.join(' and ')}.`,
      "Use 'svm:max', or capabilities that have NP and NRIPS.",
      { missing },
    );
  }
  return capabilities;
}
