import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { VMX_PRESETS, vmxCapabilities } from '../capabilities/presets.ts';
import { soundVmcs } from '../states/sound-states.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';
import { DEFAULT_ENVIRONMENT, type EntryEnvironment } from './environment.ts';
import type { EntryCheck } from './row.ts';
import { EntryView } from './view.ts';

/** A sound guest with one rule broken, and where it would be entered. */
export interface BrokenGuest {
  readonly vmcs: Vmcs;
  readonly capabilities: VmxCapabilities;
  readonly environment: EntryEnvironment;
}

/**
 * A sound guest in which one check of VM entry fails, and no other: for tests of whatever makes the checks, and for showing them.
 *
 * @example
 * const { vmcs, capabilities } = breakCheck(ENTRY_CHECKS[0]);
 * explainEntry(vmcs, capabilities).failed.length; // 1
 */
export function breakCheck(check: EntryCheck): BrokenGuest {
  const { capabilities: preset = 'vmx:max', without = [], state = '64-bit', environment, change } = check.breakIt;
  const { declaration } = VMX_PRESETS[preset];
  const capabilities = vmxCapabilities(preset, { declaration: { eptVpid: declaration.eptVpid.filter((key) => !without.includes(key)) } });
  const vmcs = soundVmcs(state, capabilities);
  vmcs.assign(change(new EntryView(vmcs, capabilities)));
  return { vmcs, capabilities, environment: { ...DEFAULT_ENVIRONMENT, ...environment } };
}
