import { apicControlChecks } from './controls/apic-controls.ts';
import { entryControlChecks } from './controls/entry-controls.ts';
import { eptControlChecks } from './controls/ept-controls.ts';
import { executionControlChecks } from './controls/execution-controls.ts';
import { exitControlChecks } from './controls/exit-controls.ts';
import { guestControlRegisterChecks } from './guest/control-registers.ts';
import { guestDescriptorTableChecks } from './guest/descriptor-tables.ts';
import { msrLoadingChecks } from './guest/msr-loading.ts';
import { guestNonRegisterStateChecks } from './guest/non-register-state.ts';
import { guestPdpteChecks } from './guest/pdptes.ts';
import { guestRipRflagsChecks } from './guest/rip-rflags.ts';
import { guestSegmentChecks } from './guest/segments.ts';
import { addressSpaceSizeChecks } from './host/address-space-size.ts';
import { hostRegisterChecks } from './host/host-registers.ts';
import { hostSegmentChecks } from './host/host-segments.ts';
import type { EntryCheck } from './row.ts';

/** Every check of VM entry, in the order in which they decide the failure: controls, host state, guest state, MSR loading (SDM Vol. 3C, chapter 27). */
export const ENTRY_CHECKS: readonly EntryCheck[] = [
  ...executionControlChecks,
  ...apicControlChecks,
  ...eptControlChecks,
  ...exitControlChecks,
  ...entryControlChecks,
  ...hostRegisterChecks,
  ...hostSegmentChecks,
  ...addressSpaceSizeChecks,
  ...guestControlRegisterChecks,
  ...guestSegmentChecks,
  ...guestDescriptorTableChecks,
  ...guestRipRflagsChecks,
  ...guestNonRegisterStateChecks,
  ...guestPdpteChecks,
  ...msrLoadingChecks,
];
