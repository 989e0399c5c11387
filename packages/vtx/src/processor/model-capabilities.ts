import { type Cpu, cr4Allowed } from '@minusone/x86';
import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { VMX_PRESETS, type VmxPresetName, vmxCapabilities } from '../capabilities/presets.ts';
import { CONTROL_WORDS, type ControlWord } from '../controls/tables.ts';
import { UnsupportedCapabilityError } from '../errors.ts';

const CR4_VMXE = 0x2000;
const MODELS_DEBUGCTL = 3n;

/** A preset on a CPU of some model: address widths, the bits of CR4 and IA32_EFER, and the controls of instructions that the model lacks follow it. */
export function capabilitiesFor(cpu: Cpu, preset: VmxPresetName): VmxCapabilities {
  const { model } = cpu;
  const { declaration } = VMX_PRESETS[preset];
  const lacks = [...(model.has('RDTSCP') ? [] : ['enableRdtscp']), ...(model.has('INVPCID') ? [] : ['enableInvpcid'])];
  let efer = 0n;
  if (model.has('SYSCALL')) efer |= 1n;
  if (model.has('LM')) efer |= 0x500n;
  if (model.has('NX')) efer |= 0x800n;
  return vmxCapabilities(preset, {
    declaration: {
      secondary: declaration.secondary.filter((control) => !lacks.includes(control)),
      eptVpid: declaration.eptVpid.filter((capability) => capability !== 'pages1G' || model.has('PDPE1GB')),
      cr4Fixed1: cr4Allowed(cpu) | CR4_VMXE,
    },
    processor: {
      physicalAddressWidth: model.physicalBits,
      linearAddressWidth: model.has('LA57') ? 57 : 48,
      eferMask: efer,
      debugctlMask: MODELS_DEBUGCTL,
    },
  });
}

/**
 * Refuses capabilities that promise what this package does not do.
 * @throws {UnsupportedCapabilityError} names the first control
 */
export function requireSupported(capabilities: VmxCapabilities): void {
  const max = vmxCapabilities('vmx:max');
  for (const word of Object.keys(CONTROL_WORDS) as ControlWord[]) {
    const excess = capabilities.allowed1(word) & ~max.allowed1(word);
    if (excess === 0) continue;
    const table: Readonly<Record<string, { bit: number; name: string }>> = CONTROL_WORDS[word];
    const first = Object.values(table).find(({ bit }) => ((excess >>> bit) & 1) === 1);
    throw new UnsupportedCapabilityError(first?.name ?? `bit mask 0x${(excess >>> 0).toString(16)}`, word);
  }
}
