import { controlChecks } from './controls.ts';
import { guestChecks } from './guest.ts';
import type { VmrunCheck } from './row.ts';

/** Every consistency check of VMRUN (APM Vol. 2, 15.5.1, 15.20, 15.25). The manual gives them no order: any that fails gives VMEXIT_INVALID. At most 32: see `VmrunChecker`. */
export const VMRUN_CHECKS: readonly VmrunCheck[] = [...controlChecks, ...guestChecks];
