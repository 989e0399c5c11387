import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { ENTRY_CHECKS } from '../checks/all-checks.ts';
import { DEFAULT_ENVIRONMENT, type EntryEnvironment } from '../checks/environment.ts';
import type { EntryFailure } from '../checks/row.ts';
import { EntryView } from '../checks/view.ts';
import { VM_INSTRUCTION_ERRORS } from '../vmcs/instruction-errors.ts';
import type { Vmcs, VmcsValues } from '../vmcs/vmcs.ts';

/** How VM entry fails, in one phrase. */
export type FailureText = 'VMfailValid 7' | 'VMfailValid 8' | `exit reason ${33 | 34}, qualification ${number}`;

/** A check that does not hold. */
export interface FailedCheck {
  readonly id: string;
  /** Section of SDM Vol. 3C. */
  readonly section: string;
  /** Why, with the values. */
  readonly says: string;
  /** The fields that the check looks at, as they are. */
  readonly values: VmcsValues;
  /** What to write so that it holds. */
  readonly suggestion: VmcsValues;
  /** What this check alone would lead to. */
  readonly failure: FailureText;
}

/** What VM entry would say to a VMCS. */
export interface EntryExplanation {
  readonly ok: boolean;
  /** What the guest's hypervisor would see: the failure of the first check that fails. */
  readonly failure?: FailureText;
  /** Every check that fails, in the order in which they are made. */
  readonly failed: readonly FailedCheck[];
}

/** `VMfailValid 7`, `exit reason 33, qualification 0`. */
export function failureText(failure: EntryFailure): FailureText {
  if (failure.kind === 'VMfailValid') return `VMfailValid ${failure.error}`;
  return `exit reason ${failure.reason}, qualification ${failure.qualification}`;
}

/** A failure in the manual's words. */
export function failureWords(failure: FailureText): string {
  if (failure === 'VMfailValid 7') return VM_INSTRUCTION_ERRORS[7];
  if (failure === 'VMfailValid 8') return VM_INSTRUCTION_ERRORS[8];
  return failure.startsWith('exit reason 33') ? 'VM-entry failure due to invalid guest state' : 'VM-entry failure due to MSR loading';
}

/**
 * Asks every check of VM entry, and says of each that fails which values made it fail and what would mend it.
 *
 * @param vmcs the VMCS to be entered; it is not changed
 * @param capabilities the processor that would enter it
 * @param environment what is known of the processor's state and memory; a 64-bit host outside SMM and nothing of memory by default
 * @example
 * const vmcs = soundVmcs('64-bit', capabilities);
 * vmcs.write(FIELD.GUEST_RFLAGS, 0n);
 * explainEntry(vmcs, capabilities).failed[0].id; // 'guest.rflags.bit-1'
 */
export function explainEntry(vmcs: Vmcs, capabilities: VmxCapabilities, environment: Partial<EntryEnvironment> = {}): EntryExplanation {
  const view = new EntryView(vmcs, capabilities, { ...DEFAULT_ENVIRONMENT, ...environment });
  const failed = ENTRY_CHECKS.filter((check) => !check.holds(view)).map(
    (check): FailedCheck => ({
      id: check.id,
      section: check.section,
      says: check.says(view),
      values: Object.fromEntries(check.fields.map((name) => [name, view.value(name)])),
      suggestion: check.suggest(view),
      failure: failureText(check.failure(view)),
    }),
  );
  const first = failed[0];
  return first === undefined ? { ok: true, failed } : { ok: false, failure: first.failure, failed };
}
