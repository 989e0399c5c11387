import { type CpuModel, cpuidBits, cpuModels, modelLeaf } from '../../packages/x86/src/index.ts';
import { code, generatedFrom, hex, table } from './markdown.ts';

/** Leaves shown, with the sub-leaves of those that have any. */
const LEAVES: readonly (readonly [leaf: number, subleaves: readonly number[]])[] = [
  ...Array.from({ length: 0x17 }, (_, leaf) => [leaf, leaf === 4 ? [0, 1, 2, 3] : leaf === 0xb || leaf === 0xd ? [0, 1] : [0]] as const),
  ...Array.from({ length: 9 }, (_, n) => [0x80000000 + n, [0]] as const),
];
/** One processor, x87 state enabled: as after reset. */
const TOPOLOGY = { apicId: 0, cpus: 1 };
const XCR0_AFTER_RESET = 1;

function leaves(model: CpuModel): string {
  const rows = LEAVES.flatMap(([leaf, subleaves]) =>
    subleaves.flatMap((subleaf) => {
      const { eax, ebx, ecx, edx } = modelLeaf(model, leaf, subleaf, TOPOLOGY, XCR0_AFTER_RESET);
      if ((eax | ebx | ecx | edx) === 0) return [];
      return [[hex(leaf), subleaves.length > 1 ? String(subleaf) : '', ...[eax, ebx, ecx, edx].map((value) => hex(value, 8))]];
    }),
  );
  return table(['leaf', 'sub-leaf', 'EAX', 'EBX', 'ECX', 'EDX'], rows);
}

function modelPart(model: CpuModel): string {
  const { name, vendor, brand, family, physicalBits, tscHz, features } = model;
  return [
    `## Model \`${name}\``,
    `${vendor === 'intel' ? 'GenuineIntel' : 'AuthenticAMD'}, "${brand}", family ${hex(family)}, model ${hex(model.model)}, stepping ${model.stepping}; ${physicalBits} physical address bits; TSC ${tscHz / 1e6} MHz. ${features.length} features:`,
    code(features),
    'Leaves of a machine with one processor, after reset (those that are all zero left out):',
    leaves(model),
  ].join('\n\n');
}

/** docs/coverage/cpuid.md */
export function cpuidPage(): string {
  const models = Object.values(cpuModels);
  const named = [...cpuidBits].map(([name, { leaf, subleaf, register, bit }]) => [
    name,
    `CPUID.${hex(leaf)}${subleaf === 0 ? '' : `.${subleaf}`}:${register.toUpperCase()}[${bit}]`,
    ...models.map((model) => (model.has(name) ? 'yes' : '')),
  ]);
  const none = [...cpuidBits.keys()].filter((name) => !models.some((model) => model.has(name)));
  const parts = [
    generatedFrom('packages/x86/src'),
    '# CPUID',
    'What each model announces (`packages/x86/src/cpu/cpuid`). A model is a list of feature names; bits, control-register bits, MSRs and instructions follow from it. `model.with(...)` and `model.without(...)` make others. A bit without a name here is always 0, but for those that depend on the state: leaf 1 ECX.OSXSAVE follows CR4, EDX.APIC follows IA32_APIC_BASE, leaf 0DH follows XCR0; HTT and the topology leaves follow the number of processors.',
    '## NOT ANNOUNCED',
    `Named, but offered by no model: ${code(none)}. What has no name (AVX-512, AMX, CET, protection keys, SGX, performance monitoring, thermal and power management, resource director ...) is not there at all.`,
    '## Features',
    table(['feature', 'where', ...models.map(({ name }) => name)], named),
    ...models.map(modelPart),
  ];
  return `${parts.join('\n\n')}\n`;
}
