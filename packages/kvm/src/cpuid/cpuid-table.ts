import { InvalidArgumentError } from '@minusone/core';
import { type CpuidResult, cpuidBits, xsaveAreaBytes } from '@minusone/x86';
import { CPUID_FLAG_SIGNIFICANT_INDEX, type CpuidEntry } from './cpuid-entry.ts';

/** State of the virtual CPU that CPUID shows. */
export interface CpuidRuntime {
  readonly cr4: number;
  readonly xcr0: number;
  /** IA32_APIC_BASE's enable bit. */
  readonly apicEnabled: boolean;
}

/** KVM_MAX_CPUID_ENTRIES. */
export const MAX_CPUID_ENTRIES = 256;
const CR4_OSXSAVE = 1 << 18;
const CR4_PKE = 1 << 22;
const AMD_VENDORS: readonly string[] = ['AuthenticAMD', 'HygonGenuine'];
const DEFAULT_PHYSICAL_BITS = 36;

/** The CPUID of one virtual CPU: KVM_SET_CPUID2, KVM_GET_CPUID2, and what the instruction answers (api.rst, KVM_SET_CPUID2). */
export class CpuidTable {
  #entries: readonly CpuidEntry[] = [];
  readonly #byLeaf = new Map<number, CpuidEntry[]>();
  #features: ReadonlySet<string> = new Set();
  #isAmd = false;
  #physicalBits = DEFAULT_PHYSICAL_BITS;
  #kvmFeatures = 0;

  /**
   * KVM_SET_CPUID2 (api.rst).
   * @throws {InvalidArgumentError} more than 256 entries, or linear addresses of another width than 48 or 57 bits
   */
  set(entries: readonly CpuidEntry[]): void {
    if (entries.length > MAX_CPUID_ENTRIES) {
      throw new InvalidArgumentError(`${entries.length} CPUID entries are too many.`, `There may be ${MAX_CPUID_ENTRIES}.`, {
        entries: entries.length,
      });
    }
    const widths = entries.find((one) => one.function >>> 0 === 0x80000008)?.eax ?? 0;
    const linear = (widths >>> 8) & 0xff;
    if (![0, 48, 57].includes(linear)) {
      throw new InvalidArgumentError(`Linear addresses of ${linear} bits.`, 'CPUID.80000008H:EAX[15:8] is 48 or 57.', { linear });
    }
    this.#entries = entries.map((one) => ({ ...one }));
    this.#byLeaf.clear();
    for (const one of this.#entries) {
      const leaf = one.function >>> 0;
      this.#byLeaf.set(leaf, [...(this.#byLeaf.get(leaf) ?? []), one]);
    }
    this.#features = new Set(
      [...cpuidBits].filter(([, bit]) => this.#bit(bit.leaf, bit.subleaf, bit.register, bit.bit)).map(([name]) => name),
    );
    this.#isAmd = AMD_VENDORS.includes(this.#vendor());
    this.#physicalBits = (widths & 0xff) === 0 ? DEFAULT_PHYSICAL_BITS : widths & 0xff;
    this.#kvmFeatures = this.find(0x40000001, 0)?.eax ?? 0;
  }

  /** KVM_GET_CPUID2. */
  get(): CpuidEntry[] {
    return this.#entries.map((one) => ({ ...one }));
  }

  /** The entry of a leaf; the sub-leaf counts where its flag says so. */
  find(leaf: number, subleaf: number): CpuidEntry | undefined {
    const entries = this.#byLeaf.get(leaf >>> 0);
    if (entries === undefined) return undefined;
    for (const one of entries) {
      if ((one.flags & CPUID_FLAG_SIGNIFICANT_INDEX) === 0 || one.index >>> 0 === subleaf >>> 0) return one;
    }
    return undefined;
  }

  /** What the instruction answers now; fills and returns `into`. Registers signed or unsigned. */
  query(leaf: number, subleaf: number, runtime: CpuidRuntime, into: CpuidResult): CpuidResult {
    let at = leaf >>> 0;
    let found = this.find(at, subleaf);
    if (found === undefined && this.#isBeyond(at)) {
      // SDM Vol. 2A, CPUID: beyond the maximum, the data of the highest basic leaf, for this ECX.
      at = this.find(0, 0)?.eax ?? 0;
      found = this.find(at, subleaf);
    }
    into.eax = found?.eax ?? 0;
    into.ebx = found?.ebx ?? 0;
    into.ecx = found?.ecx ?? 0;
    into.edx = found?.edx ?? 0;
    if (found !== undefined) this.#addState(at, subleaf, runtime, into);
    else if (at === 0xb || at === 0x1f) {
      // Of an invalid sub-leaf, ECX[7:0] and EDX still answer: the x2APIC id is the same in all.
      const first = this.find(at, 1);
      if (first !== undefined) {
        into.ecx = subleaf & 0xff;
        into.edx = first.edx;
      }
    }
    return into;
  }

  /** No leaf that its class has: of Intel's processors only; AMD's answer with zeros. */
  #isBeyond(leaf: number): boolean {
    if (this.#isAmd) return false;
    const isHypervisor = leaf >= 0x40000000 && leaf <= 0x4fffffff;
    const first = isHypervisor ? leaf & 0xffffff00 : leaf >= 0xc0000000 ? 0xc0000000 : leaf & 0x80000000;
    const highest = this.find(first, 0)?.eax;
    return highest === undefined || leaf > highest >>> 0;
  }

  #addState(leaf: number, subleaf: number, { cr4, xcr0, apicEnabled }: CpuidRuntime, r: CpuidResult): void {
    if (leaf === 1) {
      r.ecx = (cr4 & CR4_OSXSAVE) !== 0 && this.has('XSAVE') ? r.ecx | (1 << 27) : r.ecx & ~(1 << 27);
      r.edx = apicEnabled ? r.edx | (1 << 9) : r.edx & ~(1 << 9);
    } else if (leaf === 7 && subleaf === 0) {
      // OSPKE, of a guest that has PKU (bit 3).
      r.ecx = (cr4 & CR4_PKE) !== 0 && (r.ecx & 8) !== 0 ? r.ecx | 0x10 : r.ecx & ~0x10;
    } else if (leaf === 0xd && (subleaf === 0 || (subleaf === 1 && (r.eax & 0xa) !== 0))) {
      // SDM Vol. 1, 13.2: what XCR0 enables now; sub-leaf 1 with XSAVEC or XSAVES.
      r.ebx = xsaveAreaBytes(xcr0);
    }
  }

  #bit(leaf: number, subleaf: number, register: 'eax' | 'ebx' | 'ecx' | 'edx', bit: number): boolean {
    const found = this.find(leaf, subleaf);
    return found !== undefined && ((found[register] >>> bit) & 1) === 1;
  }

  #vendor(): string {
    const zero = this.find(0, 0);
    if (zero === undefined) return '';
    const words = [zero.ebx, zero.edx, zero.ecx];
    return words.map((word) => String.fromCharCode(...[0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff))).join('');
  }

  /** The guest is shown this feature (names of `cpuidBits` of @minusone/x86). */
  has(feature: string): boolean {
    return this.#features.has(feature);
  }
  /** The guest is shown this bit of leaf 40000001H (`KvmFeature`). */
  hasKvmFeature(bit: number): boolean {
    return ((this.#kvmFeatures >>> bit) & 1) === 1;
  }
  /** The guest is shown an AMD processor (or Hygon's). */
  get isAmd(): boolean {
    return this.#isAmd;
  }
  /** MAXPHYADDR, bits. */
  get physicalBits(): number {
    return this.#physicalBits;
  }
}
