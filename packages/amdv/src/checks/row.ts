import type { SvmPresetName, SvmProcessor } from '../capabilities/capabilities.ts';
import type { SoundVmcb } from '../states/sound-states.ts';
import type { VmcbFieldName } from '../vmcb/fields.ts';
import type { VmcbValues } from '../vmcb/vmcb.ts';
import type { VmrunEnvironment } from './environment.ts';
import type { VmrunView } from './view.ts';

/** How to break a rule and no other: the start for its test. */
export interface Breaking {
  /** The sound guest to start from; '64-bit' by default. */
  readonly state?: SoundVmcb;
  /** The processor; 'svm:max' by default. */
  readonly capabilities?: SvmPresetName;
  /** What the processor has otherwise. */
  readonly processor?: Partial<SvmProcessor>;
  readonly environment?: Partial<VmrunEnvironment>;
  /** What to write over the sound guest's values. */
  readonly change: (view: VmrunView) => VmcbValues;
}

/** The titles of the sections of APM Vol. 2 that rows cite: numbers move between editions, titles hardly. */
export const SECTION_TITLES: Readonly<Record<string, string>> = {
  '15.5.1': 'Basic Operation, "Canonicalization and Consistency Checks"',
  '15.16': 'TLB Control',
  '15.20': 'Event Injection',
  '15.25.3': 'Enabling Nested Paging',
  '15.25.4': 'Nested Paging and VMRUN/#VMEXIT',
};

/** One rule of VMRUN. Where it does not hold, the guest is not entered: #VMEXIT(INVALID). */
export interface VmrunCheck {
  /** Stable and dotted: `guest.efer.svme`. */
  readonly id: string;
  /** The section of APM Vol. 2 that states it. */
  readonly section: string;
  /** All fields that it depends on. */
  readonly fields: readonly VmcbFieldName[];
  /** It depends on the host's state too. */
  readonly usesEnvironment?: boolean;
  readonly holds: (view: VmrunView) => boolean;
  /** Why it does not hold, with the values. */
  readonly says: (view: VmrunView) => string;
  /** Fields to write so that it holds. */
  readonly suggest: (view: VmrunView) => VmcbValues;
  readonly breakIt: Breaking;
}
