import { State } from '../../state/layout.ts';
import { Cr4 } from '../control-bits.ts';
import type { Cpu } from '../cpu.ts';
import { AMD_REPEATED_EDX, cpuidBits } from './features.ts';
import type { CpuModel } from './model.ts';
import { xsaveLeaf } from './xsave-leaf.ts';

/** The four registers that CPUID writes. */
export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** How many logical processors the machine has and which this is; every one is a core of one package. */
export interface Topology {
  readonly apicId: number;
  readonly cpus: number;
}

/** Leaves whose answer depends on ECX; the others ignore it. */
const SUBLEAVES: readonly number[] = [4, 7, 0xb, 0xd];
const LAST_BASIC = 0x16;
const LAST_EXTENDED = 0x80000008;

/** CPUID as the guest sees it now: the model's leaves, and what depends on the CPU's state (SDM Vol. 2A, CPUID). */
export function cpuid(cpu: Cpu, leaf: number, subleaf: number): CpuidResult {
  const { model, registers } = cpu;
  const topology = { apicId: cpu.apic?.id ?? cpu.index, cpus: cpu.apic?.count ?? 1 };
  const result = modelLeaf(model, leaf >>> 0, subleaf >>> 0, topology, registers.get32(State.xcr0));
  if (leaf === 1) {
    if ((registers.get32(State.cr4) & Cr4.OSXSAVE) !== 0) result.ecx |= 1 << 27;
    if (!cpu.msrs.apicEnabled) result.edx &= ~(1 << 9);
  }
  for (const extension of cpu.extensions) extension.cpuid?.(cpu, leaf >>> 0, subleaf >>> 0, result);
  return result;
}

/** A leaf of a model. Beyond the last basic leaf Intel answers with the last one, AMD with zeros. */
export function modelLeaf(model: CpuModel, leaf: number, subleaf: number, topology: Topology, xcr0: number): CpuidResult {
  if (leaf >>> 16 === 0x4000 && model.has('HYPERVISOR')) return hypervisorLeaf(model, leaf);
  let at = leaf;
  const inRange = leaf < 0x80000000 ? leaf <= LAST_BASIC : leaf <= LAST_EXTENDED;
  if (!inRange) {
    if (model.vendor === 'amd') return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
    at = LAST_BASIC;
  }
  const result = featureBits(model, at, SUBLEAVES.includes(at) ? subleaf : 0);
  fixedFields(model, at, subleaf, topology, xcr0, result);
  return result;
}

function featureBits(model: CpuModel, leaf: number, subleaf: number): CpuidResult {
  const result = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  for (const feature of model.features) {
    const bit = cpuidBits.get(feature);
    if (bit !== undefined && bit.leaf === leaf && bit.subleaf === subleaf) result[bit.register] |= 1 << bit.bit;
    if (model.vendor === 'amd' && leaf === 0x80000001 && bit?.leaf === 1 && bit.register === 'edx')
      result.edx |= (1 << bit.bit) & AMD_REPEATED_EDX;
  }
  return result;
}

const VENDORS = { intel: 'GenuineIntel', amd: 'AuthenticAMD' } as const;

function fixedFields(model: CpuModel, leaf: number, subleaf: number, topology: Topology, xcr0: number, r: CpuidResult): void {
  const isIntel = model.vendor === 'intel';
  const { apicId, cpus } = topology;
  switch (leaf) {
    case 0:
      r.eax = LAST_BASIC;
      [r.ebx, r.edx, r.ecx] = words(VENDORS[model.vendor]) as [number, number, number];
      return;
    case 1:
      r.eax = model.signature;
      // CLFLUSH line 64 bytes, logical processors, initial APIC ID.
      r.ebx = (8 << 8) | (Math.min(cpus, 255) << 16) | (apicId << 24);
      if (cpus > 1) r.edx |= 1 << 28;
      return;
    case 2:
      // 64-byte prefetch; see leaf 4 for the caches (descriptor FFH).
      if (isIntel) Object.assign(r, { eax: 0x00feff01, ebx: 0xf0 });
      return;
    case 4:
      if (isIntel) cacheLeaf(subleaf, cpus, r);
      return;
    case 5:
      if (model.has('MONITOR')) Object.assign(r, { eax: 64, ebx: 64, ecx: 3 });
      return;
    case 0xb:
      topologyLeaf(subleaf, topology, r);
      return;
    case 0xd:
      if (model.has('XSAVE')) xsaveLeaf(model, subleaf, xcr0, r);
      return;
    case 0x15:
      // TSC = crystal * EBX / EAX; the crystal is 25 MHz.
      if (isIntel) Object.assign(r, { eax: 1, ebx: Math.round(model.tscHz / 25_000_000), ecx: 25_000_000 });
      return;
    case 0x16:
      if (isIntel) Object.assign(r, { eax: model.tscHz / 1e6, ebx: model.tscHz / 1e6, ecx: 100 });
      return;
    case 0x80000000:
      r.eax = LAST_EXTENDED | 0;
      if (!isIntel) [r.ebx, r.edx, r.ecx] = words(VENDORS.amd) as [number, number, number];
      return;
    case 0x80000001:
      if (!isIntel) r.eax = model.signature;
      if (!isIntel && cpus > 1) r.ecx |= 2;
      return;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const start = (leaf - 0x80000002) * 16;
      [r.eax, r.ebx, r.ecx, r.edx] = words(
        model.brand
          .slice(0, 47)
          .padEnd(48, '\0')
          .slice(start, start + 16),
      ) as [number, number, number, number];
      return;
    }
    case 0x80000005:
      // L1 data and instruction: 32 KiB, 8-way, 64-byte lines (APM Vol. 3, E.4.4).
      if (!isIntel) Object.assign(r, { ecx: (32 << 24) | (8 << 16) | (1 << 8) | 64, edx: (32 << 24) | (8 << 16) | (1 << 8) | 64 });
      return;
    case 0x80000006:
      // L2: 512 KiB, 8-way.
      r.ecx = (512 << 16) | (6 << 12) | 64;
      return;
    case 0x80000008:
      r.eax = model.physicalBits | ((model.has('LA57') ? 57 : 48) << 8);
      if (!isIntel) r.ecx = (Math.ceil(Math.log2(cpus)) << 12) | (cpus - 1);
      return;
  }
}

function cacheLeaf(subleaf: number, cpus: number, r: CpuidResult): void {
  // type, level, KiB, ways, sharing processors
  const caches = [
    [1, 1, 32, 8, 1],
    [2, 1, 32, 8, 1],
    [3, 2, 512, 8, 1],
    [3, 3, 8192, 16, cpus],
  ] as const;
  const cache = caches[subleaf];
  if (cache === undefined) return;
  const [type, level, kib, ways, sharing] = cache;
  const cores = 2 ** Math.ceil(Math.log2(cpus));
  r.eax = type | (level << 5) | (1 << 8) | ((2 ** Math.ceil(Math.log2(sharing)) - 1) << 14) | ((cores - 1) << 26);
  r.ebx = 63 | ((ways - 1) << 22);
  r.ecx = (kib * 1024) / 64 / ways - 1;
}

/** SMT level of one thread, core level of all CPUs (SDM Vol. 2A, leaf 0BH). */
function topologyLeaf(subleaf: number, { apicId, cpus }: Topology, r: CpuidResult): void {
  r.ecx = subleaf & 0xff;
  r.edx = apicId;
  if (subleaf === 0) Object.assign(r, { eax: 0, ebx: 1, ecx: 1 << 8 });
  else if (subleaf === 1) Object.assign(r, { eax: Math.ceil(Math.log2(cpus)), ebx: cpus, ecx: 1 | (2 << 8) });
}

function hypervisorLeaf(model: CpuModel, leaf: number): CpuidResult {
  if (leaf !== 0x40000000) return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const [ebx, ecx, edx] = words((model.hypervisor ?? 'RingMinusOne').padEnd(12, '\0')) as [number, number, number];
  return { eax: 0x40000000, ebx, ecx, edx };
}

function words(text: string): number[] {
  const result: number[] = [];
  for (let i = 0; i < text.length; i += 4) {
    result.push(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 8) | (text.charCodeAt(i + 2) << 16) | (text.charCodeAt(i + 3) << 24));
  }
  return result;
}
