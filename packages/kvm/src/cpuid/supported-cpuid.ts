import { type CpuidResult, type CpuModel, modelLeaf, supportedXcr0, type Topology } from '@minusone/x86';
import { CPUID_FLAG_SIGNIFICANT_INDEX, type CpuidEntry, INDEXED_LEAVES, KvmFeature } from './cpuid-entry.ts';

/** Leaves of a hypervisor, and what KVM's says: "KVMKVMKVM", three zeros. */
const SIGNATURE = { function: 0x40000000, eax: 0x40000001, ebx: 0x4b4d564b, ecx: 0x564b4d56, edx: 0x4d } as const;
const FEATURES = 0x40000001;
/** What is there. Steal time, asynchronous page faults, PV EOI, PV unhalt, yield, TLB flush and IPIs are not. */
const OFFERED: readonly number[] = [
  KvmFeature.CLOCKSOURCE,
  KvmFeature.NOP_IO_DELAY,
  KvmFeature.CLOCKSOURCE2,
  KvmFeature.CLOCKSOURCE_STABLE_BIT,
];

/**
 * Features of a processor that its guests are not shown: MONITOR unless its exits are disabled; TSC_DEADLINE, which hangs on the irqchip
 * (api.rst, KVM_GET_SUPPORTED_CPUID: "always returned as false": see KVM_CAP_TSC_DEADLINE_TIMER); the extension itself, of which a model does not know.
 */
const WITHHELD: readonly string[] = ['MONITOR', 'TSC_DEADLINE'];
/** What KVM emulates, or says, whatever the processor has. */
const ADDED: readonly string[] = ['X2APIC', 'HYPERVISOR', 'TSC_ADJUST'];

const ONE_CPU: Topology = { apicId: 0, cpus: 1 };
/** Leaves that KVM leaves empty: power, performance monitoring, topology and frequencies are the VMM's to say. */
const EMPTY: ReadonlySet<number> = new Set([3, 5, 9, 0xa, 0xb, 0xc, 0x15, 0x16]);
/** Leaf 6: ARAT, the local APIC's timer runs always. */
const ARAT = 4;
const MAX_SUBLEAVES = 64;

/** The model as a guest may see it. */
function guestModel(model: CpuModel): CpuModel {
  const withheld = WITHHELD.filter((feature) => model.has(feature));
  return model.with(...ADDED).without(...withheld);
}

/**
 * KVM_GET_SUPPORTED_CPUID (api.rst): what a guest on processors of this model may be shown. The virtualization extension is not among it; the topology is for the VMM to fill in.
 * @param model the processor without the extension
 */
export function supportedCpuid(model: CpuModel): CpuidEntry[] {
  return entriesOf(guestModel(model), ONE_CPU, EMPTY);
}

/** What a VMM makes of `supportedCpuid` for one virtual CPU. */
export interface GuestCpuidOptions extends Topology {
  /** The local APIC is in KVM, and so is its TSC-deadline mode (KVM_CAP_TSC_DEADLINE_TIMER). Default true. */
  readonly tscDeadline?: boolean;
}

/**
 * `supportedCpuid` with what a VMM has to add: APIC id and topology (leaves 1, 4, BH, 80000008H), the TSC-deadline timer, the TSC's frequency (leaves 15H, 16H).
 * @example
 * vcpu.setCpuid2(guestCpuid(intel, { apicId: 1, cpus: 2 }));
 */
export function guestCpuid(model: CpuModel, options: GuestCpuidOptions): CpuidEntry[] {
  const shown = guestModel(model);
  const isOffered = options.tscDeadline !== false && model.has('TSC_DEADLINE');
  const empty = new Set([...EMPTY].filter((leaf) => ![0xb, 0x15, 0x16].includes(leaf)));
  return entriesOf(isOffered ? shown.with('TSC_DEADLINE') : shown, options, empty);
}

function entriesOf(model: CpuModel, topology: Topology, empty: ReadonlySet<number>): CpuidEntry[] {
  const entries: CpuidEntry[] = [];
  const xcr0 = supportedXcr0(model);
  const add = (leaf: number, index: number): CpuidResult => {
    const isEmpty = empty.has(leaf);
    const result = isEmpty ? { eax: 0, ebx: 0, ecx: 0, edx: 0 } : modelLeaf(model, leaf, index, topology, xcr0);
    if (leaf === 6) result.eax = ARAT;
    entries.push(entry(leaf, index, result));
    return result;
  };
  const lastBasic = modelLeaf(model, 0, 0, topology, xcr0).eax;
  for (let leaf = 0; leaf <= lastBasic; leaf++) {
    const first = add(leaf, 0);
    for (let index = 1; index < subleaves(model, leaf, first, empty, topology); index++) {
      // Leaf DH has holes: a component that is not there has no entry.
      if (leaf !== 0xd || index === 1 || modelLeaf(model, leaf, index, topology, xcr0).eax !== 0) add(leaf, index);
    }
  }
  entries.push({ ...SIGNATURE, index: 0, flags: 0 });
  const features = OFFERED.reduce((bits, bit) => (bits | (1 << bit)) >>> 0, 0);
  entries.push({ function: FEATURES, index: 0, flags: 0, eax: features, ebx: 0, ecx: 0, edx: 0 });
  const lastExtended = modelLeaf(model, 0x80000000, 0, topology, xcr0).eax >>> 0;
  for (let leaf = 0x80000000; leaf <= lastExtended; leaf++) add(leaf, 0);
  return entries;
}

/** How many sub-leaves a leaf has. */
function subleaves(model: CpuModel, leaf: number, first: CpuidResult, empty: ReadonlySet<number>, topology: Topology): number {
  if (!INDEXED_LEAVES.has(leaf) || empty.has(leaf)) return 1;
  switch (leaf) {
    case 4: {
      // Up to and with the one whose cache type is "no more caches".
      let index = 0;
      while (index < MAX_SUBLEAVES && (modelLeaf(model, 4, index, topology, 0).eax & 0x1f) !== 0) index++;
      return index + 1;
    }
    case 7:
      return first.eax + 1;
    case 0xb:
      return 2;
    case 0xd:
      return MAX_SUBLEAVES;
    default:
      return 1;
  }
}

function entry(leaf: number, index: number, { eax, ebx, ecx, edx }: CpuidResult): CpuidEntry {
  const flags = INDEXED_LEAVES.has(leaf) ? CPUID_FLAG_SIGNIFICANT_INDEX : 0;
  return { function: leaf, index, flags, eax: eax >>> 0, ebx: ebx >>> 0, ecx: ecx >>> 0, edx: edx >>> 0 };
}
