import { needsRow, turn } from '../families.ts';
import { controlChecks, type EntryCheck } from '../row.ts';
import { settingsRow } from './execution-controls.ts';
import { msrAreaRows } from './msr-areas.ts';

const SECTION = '27.2.1.2';

/** SDM Vol. 3C, "VM-Exit Control Fields" under "Checks on VMX Controls". */
export const exitControlChecks: readonly EntryCheck[] = controlChecks([
  settingsRow(SECTION, 'control.exit.settings', 'exit', 'VM_EXIT_CONTROLS', {
    breakIt: (view) => ({ VM_EXIT_CONTROLS: view.value('VM_EXIT_CONTROLS') & ~1n }),
  }),
  needsRow({
    id: 'control.save-preemption-timer-needs-preemption-timer',
    section: SECTION,
    fields: ['VM_EXIT_CONTROLS', 'PIN_BASED_VM_EXEC_CONTROL'],
    isOn: (view) => view.exit.saveVmxPreemptionTimerValue,
    condition: (view) => view.pinBased.activateVmxPreemptionTimer,
    says: '"save VMX-preemption timer value" is 1, but "activate VMX-preemption timer" is 0',
    suggest: (view) => turn(view, { exit: { saveVmxPreemptionTimerValue: false } }),
    breakIt: (view) => turn(view, { exit: { saveVmxPreemptionTimerValue: true } }),
  }),
  ...msrAreaRows(SECTION, 'control.exit-msr-store', 'VM_EXIT_MSR_STORE_COUNT', 'VM_EXIT_MSR_STORE_ADDR'),
  ...msrAreaRows(SECTION, 'control.exit-msr-load', 'VM_EXIT_MSR_LOAD_COUNT', 'VM_EXIT_MSR_LOAD_ADDR'),
]);
