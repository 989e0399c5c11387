import type { SvmCapabilities } from '../capabilities/capabilities.ts';
import { VMRUN_CHECKS } from '../checks/all-checks.ts';
import { DEFAULT_ENVIRONMENT, type VmrunEnvironment } from '../checks/environment.ts';
import { VmrunView } from '../checks/view.ts';
import type { Vmcb, VmcbValues } from '../vmcb/vmcb.ts';

/** How VMRUN fails: there is one way (APM Vol. 2, 15.5.1). */
export type VmrunFailure = 'VMEXIT_INVALID';

/** A check that fails. */
export interface FailedVmrunCheck {
  readonly id: string;
  /** Section of APM Vol. 2. */
  readonly section: string;
  /** Why, with the values. */
  readonly says: string;
  /** The fields concerned. */
  readonly values: VmcbValues;
  /** What would mend it. */
  readonly suggestion: VmcbValues;
  readonly failure: VmrunFailure;
}

/** What VMRUN would say to a VMCB. */
export interface Explanation {
  readonly ok: boolean;
  readonly failure?: VmrunFailure;
  /** Every check that fails, in the order of the table. */
  readonly failed: readonly FailedVmrunCheck[];
}

/**
 * Asks every check of VMRUN, and says of each that fails which values made it fail and what would mend it.
 *
 * @param vmcb it is not changed
 * @param capabilities the processor that would enter it
 * @param environment the host; one with paging by default
 * @example
 * const vmcb = soundVmcb('64-bit', capabilities);
 * vmcb.write(VMCB_FIELD.GUEST_ASID, 0n);
 * explainVmcb(vmcb, capabilities).failed[0].id; // 'control.asid'
 */
export function explainVmcb(vmcb: Vmcb, capabilities: SvmCapabilities, environment: Partial<VmrunEnvironment> = {}): Explanation {
  const view = new VmrunView(vmcb, capabilities, { ...DEFAULT_ENVIRONMENT, ...environment });
  const failed = VMRUN_CHECKS.filter((check) => !check.holds(view)).map(
    (check): FailedVmrunCheck => ({
      id: check.id,
      section: check.section,
      says: check.says(view),
      values: Object.fromEntries(check.fields.map((name) => [name, view.value(name)])),
      suggestion: check.suggest(view),
      failure: 'VMEXIT_INVALID',
    }),
  );
  return failed.length === 0 ? { ok: true, failed } : { ok: false, failure: 'VMEXIT_INVALID', failed };
}
