import type { Accelerator } from '@minusone/vmm';
import type { CpuModel } from '@minusone/x86';

/** What may run the processors of a guest. */
export const ACCELERATORS = ['none', 'vtx', 'amdv'] as const;
export type AcceleratorName = (typeof ACCELERATORS)[number];

/** As people call it. */
export const ACCELERATOR_TITLES: Readonly<Record<AcceleratorName, string>> = { none: 'bare CPU', vtx: 'VT-x', amdv: 'AMD-V' };

/** The CPU model that has the extension; the bare CPU may be either. */
export const ACCELERATOR_MODELS: Readonly<Record<AcceleratorName, string>> = { none: 'intel', vtx: 'intel', amdv: 'amd' };

/** What runs a guest where nothing is said: the extension that the CPU model has. */
export function defaultAccelerator(model: CpuModel | undefined): AcceleratorName {
  return ACCELERATORS.find((name) => name !== 'none' && ACCELERATOR_MODELS[name] === model?.vendor) ?? 'vtx';
}

/** The accelerator of that name: KVM on an emulated extension, or the bare emulated CPU. */
export async function acceleratorOf(name: AcceleratorName, model: CpuModel): Promise<'none' | Accelerator> {
  if (name === 'none') return name;
  const { kvmAccelerator } = await import('@minusone/vmm');
  if (name === 'vtx') return kvmAccelerator((await import('@minusone/kvm-intel')).intel({ model }));
  return kvmAccelerator((await import('@minusone/kvm-amd')).amd({ model }));
}
