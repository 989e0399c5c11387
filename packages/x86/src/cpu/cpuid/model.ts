import { InvalidArgumentError } from '@minusone/core';
import { baseFeatures, cpuidBits } from './features.ts';

export interface CpuModelFields {
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  /** CPUID.1:EAX. */
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** At most 47 characters. */
  readonly brand: string;
  readonly features: readonly string[];
  /** MAXPHYADDR, 36 to 52. */
  readonly physicalBits: number;
  /** Frequency of the time-stamp counter in Hz; a multiple of 1,000,000. */
  readonly tscHz: number;
  /** Signature of leaf 40000000H, 12 characters, where the model has HYPERVISOR. */
  readonly hypervisor?: string;
}

/** What a CPU is: vendor, numbers, and the final list of its features. What is not in the list is not advertised and not there. */
export class CpuModel implements CpuModelFields {
  readonly name: string;
  readonly vendor: 'intel' | 'amd';
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly brand: string;
  readonly features: readonly string[];
  readonly physicalBits: number;
  readonly tscHz: number;
  readonly hypervisor: string | undefined;
  readonly #set: ReadonlySet<string>;

  constructor(fields: CpuModelFields) {
    this.name = fields.name;
    this.vendor = fields.vendor;
    this.family = fields.family;
    this.model = fields.model;
    this.stepping = fields.stepping;
    this.brand = fields.brand;
    this.features = [...new Set(fields.features)];
    this.physicalBits = fields.physicalBits;
    this.tscHz = fields.tscHz;
    this.hypervisor = fields.hypervisor;
    this.#set = new Set(this.features);
  }

  has(feature: string): boolean {
    return this.#set.has(feature);
  }

  /** A model with more features. Names that CPUID has no bit for are an extension's own. */
  with(...features: string[]): CpuModel {
    return features.length === 0 ? this : new CpuModel({ ...this.#fields(), features: [...this.features, ...features] });
  }

  /**
   * A model with fewer features.
   * @throws {InvalidArgumentError} a name is not a feature
   * @example
   * const old = intel.without('SSE3', 'SMAP');
   */
  without(...features: string[]): CpuModel {
    for (const feature of features) {
      if (!cpuidBits.has(feature) && !this.has(feature)) {
        throw new InvalidArgumentError(
          `There is no CPU feature "${feature}".`,
          `Features are named as in ${[...cpuidBits.keys()].slice(0, 5).join(', ')} ...`,
          { feature },
        );
      }
    }
    return new CpuModel({ ...this.#fields(), features: this.features.filter((feature) => !features.includes(feature)) });
  }

  /** A model with other numbers. */
  override(fields: Partial<CpuModelFields>): CpuModel {
    return new CpuModel({ ...this.#fields(), ...fields });
  }

  /** CPUID.1:EAX: what RDX holds after reset, too. */
  get signature(): number {
    const family = Math.min(this.family, 15);
    const extendedFamily = this.family - family;
    return (extendedFamily << 20) | ((this.model >>> 4) << 16) | (family << 8) | ((this.model & 15) << 4) | this.stepping;
  }

  #fields(): CpuModelFields {
    const { name, vendor, family, model, stepping, brand, features, physicalBits, tscHz, hypervisor } = this;
    return {
      name,
      vendor,
      family,
      model,
      stepping,
      brand,
      features,
      physicalBits,
      tscHz,
      ...(hypervisor === undefined ? {} : { hypervisor }),
    };
  }
}

/** An Intel processor with what we have. */
export const intel: CpuModel = new CpuModel({
  name: 'intel',
  vendor: 'intel',
  family: 6,
  model: 0x55,
  stepping: 4,
  brand: 'Ring Minus One Virtual CPU (Intel)',
  features: [...baseFeatures, 'ARCH_CAPABILITIES'],
  physicalBits: 40,
  tscHz: 1_000_000_000,
});

/** The same with AMD's manners. */
export const amd: CpuModel = new CpuModel({
  name: 'amd',
  vendor: 'amd',
  family: 0x17,
  model: 0x31,
  stepping: 0,
  brand: 'Ring Minus One Virtual CPU (AMD)',
  features: baseFeatures,
  physicalBits: 40,
  tscHz: 1_000_000_000,
});

/** The models by name. */
export const cpuModels: Readonly<Record<string, CpuModel>> = { intel, amd };
