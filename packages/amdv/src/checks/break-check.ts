import { type SvmCapabilities, svmCapabilities } from '../capabilities/capabilities.ts';
import { soundVmcb } from '../states/sound-states.ts';
import type { Vmcb } from '../vmcb/vmcb.ts';
import { DEFAULT_ENVIRONMENT, type VmrunEnvironment } from './environment.ts';
import type { VmrunCheck } from './row.ts';
import { VmrunView } from './view.ts';

/** A sound guest with one rule broken, and where it would be entered. */
export interface BrokenGuest {
  readonly vmcb: Vmcb;
  readonly capabilities: SvmCapabilities;
  readonly environment: VmrunEnvironment;
}

/**
 * A sound guest in which one check of VMRUN fails, and no other: for tests of whatever makes the checks, and for showing them.
 *
 * @example
 * const { vmcb, capabilities } = breakCheck(VMRUN_CHECKS[0]);
 * explainVmcb(vmcb, capabilities).failed.length; // 1
 */
export function breakCheck(check: VmrunCheck): BrokenGuest {
  const { capabilities: preset = 'svm:max', processor, state = '64-bit', environment, change } = check.breakIt;
  const named = svmCapabilities(preset);
  const capabilities = processor === undefined ? named : named.on({ ...named.processor, ...processor });
  const vmcb = soundVmcb(state, capabilities);
  vmcb.assign(change(new VmrunView(vmcb, capabilities)));
  return { vmcb, capabilities, environment: { ...DEFAULT_ENVIRONMENT, ...environment } };
}
