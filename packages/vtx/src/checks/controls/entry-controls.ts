import { encodeInterruptionInfo, hasErrorCode, InterruptionType as Type } from '../../controls/interruption.ts';
import { fieldValue, needsRow, turn } from '../families.ts';
import { controlChecks, type EntryCheck } from '../row.ts';
import type { EntryView } from '../view.ts';
import { settingsRow } from './execution-controls.ts';
import { msrAreaRows } from './msr-areas.ts';

const SECTION = '27.2.1.3';
const RESERVED = 0x7fff_f000;

const info = (view: EntryView): string => fieldValue(view, 'VM_ENTRY_INTR_INFO_FIELD');
const inject = (vector: number, type: Type, errorCodeValid = false): { VM_ENTRY_INTR_INFO_FIELD: bigint } => ({
  VM_ENTRY_INTR_INFO_FIELD: BigInt(encodeInterruptionInfo({ vector, type, errorCodeValid })),
});

/** Whether an instruction is what the event comes from: software interrupts and exceptions. */
function comesFromInstruction(type: Type): boolean {
  return type === Type.SOFTWARE_INTERRUPT || type === Type.PRIVILEGED_SOFTWARE_EXCEPTION || type === Type.SOFTWARE_EXCEPTION;
}

function vectorFits(type: Type, vector: number): boolean {
  if (type === Type.NMI) return vector === 2;
  if (type === Type.HARDWARE_EXCEPTION) return vector <= 31;
  return type !== Type.OTHER_EVENT || vector === 0;
}

/** Whether bit 11 must be 1: protected mode (or no unrestricted guest), a hardware exception, a vector that has an error code. */
function mustDeliverErrorCode(view: EntryView): boolean {
  const { type, vector } = view.injection;
  const isProtected = !view.unrestrictedGuest || view.cr0.pe;
  return isProtected && type === Type.HARDWARE_EXCEPTION && hasErrorCode(vector, view.capabilities.offers('entry', 'loadCetState'));
}

/** Whether bit 11 is as it may be. With IA32_VMX_BASIC[56] a hardware exception in protected mode may have an error code or none. */
function errorCodeFits(view: EntryView): boolean {
  const { type, errorCodeValid } = view.injection;
  const isProtected = !view.unrestrictedGuest || view.cr0.pe;
  if (view.capabilities.errorCodeForAnyVector && isProtected && type === Type.HARDWARE_EXCEPTION) return true;
  return errorCodeValid === mustDeliverErrorCode(view);
}

/** SDM Vol. 3C, "VM-Entry Control Fields" under "Checks on VMX Controls". */
export const entryControlChecks: readonly EntryCheck[] = controlChecks([
  settingsRow(SECTION, 'control.entry.settings', 'entry', 'VM_ENTRY_CONTROLS', {
    breakIt: (view) => ({ VM_ENTRY_CONTROLS: view.value('VM_ENTRY_CONTROLS') & ~1n }),
  }),
  {
    id: 'control.injection.type',
    section: SECTION,
    fields: ['VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) => {
      const { valid, type } = view.injection;
      return !valid || (type !== 1 && (type !== Type.OTHER_EVENT || view.capabilities.offers('primary', 'monitorTrapFlag')));
    },
    says: (view) => `${info(view)}: its interruption type, ${view.injection.type}, is reserved`,
    suggest: (view) => ({ VM_ENTRY_INTR_INFO_FIELD: view.value('VM_ENTRY_INTR_INFO_FIELD') & ~0x8000_0000n }),
    breakIt: () => ({ VM_ENTRY_INTR_INFO_FIELD: 0x8000_0120n }),
  },
  {
    id: 'control.injection.vector',
    section: SECTION,
    fields: ['VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) => !view.injection.valid || vectorFits(view.injection.type, view.injection.vector),
    says: (view) =>
      `${info(view)}: vector ${view.injection.vector} does not fit interruption type ${view.injection.type} (an NMI has 2, a hardware exception at most 31, other events 0)`,
    suggest: (view) => {
      const old = view.value('VM_ENTRY_INTR_INFO_FIELD');
      if (view.injection.type === Type.HARDWARE_EXCEPTION) return { VM_ENTRY_INTR_INFO_FIELD: old & ~0x8000_0000n };
      return { VM_ENTRY_INTR_INFO_FIELD: (old & ~0xffn) | (view.injection.type === Type.NMI ? 2n : 0n) };
    },
    breakIt: () => inject(3, Type.NMI),
  },
  {
    id: 'control.injection.deliver-error-code',
    section: SECTION,
    fields: ['VM_ENTRY_INTR_INFO_FIELD', 'SECONDARY_VM_EXEC_CONTROL', 'GUEST_CR0'],
    holds: (view) => !view.injection.valid || errorCodeFits(view),
    says: (view) =>
      `${info(view)}: "deliver error code" must be ${mustDeliverErrorCode(view) ? 1 : 0} (1 for #DF, #TS, #NP, #SS, #GP, #PF and #AC in protected mode, else 0)`,
    suggest: (view) => {
      const old = view.value('VM_ENTRY_INTR_INFO_FIELD') & ~0x800n;
      return { VM_ENTRY_INTR_INFO_FIELD: mustDeliverErrorCode(view) ? old | 0x800n : old };
    },
    breakIt: () => inject(13, Type.HARDWARE_EXCEPTION),
  },
  {
    id: 'control.injection.reserved',
    section: SECTION,
    fields: ['VM_ENTRY_INTR_INFO_FIELD'],
    holds: (view) => !view.injection.valid || (view.low('VM_ENTRY_INTR_INFO_FIELD') & RESERVED) === 0,
    says: (view) => `${info(view)}: bits 30:12 must be 0`,
    suggest: (view) => ({ VM_ENTRY_INTR_INFO_FIELD: view.value('VM_ENTRY_INTR_INFO_FIELD') & ~BigInt(RESERVED) }),
    breakIt: () => ({ VM_ENTRY_INTR_INFO_FIELD: inject(2, Type.NMI).VM_ENTRY_INTR_INFO_FIELD | 0x1000n }),
  },
  {
    id: 'control.injection.error-code',
    section: SECTION,
    fields: ['VM_ENTRY_INTR_INFO_FIELD', 'VM_ENTRY_EXCEPTION_ERROR_CODE'],
    holds: (view) => !view.injection.valid || !view.injection.errorCodeValid || view.low('VM_ENTRY_EXCEPTION_ERROR_CODE') >>> 16 === 0,
    says: (view) => `an error code is to be delivered, but ${fieldValue(view, 'VM_ENTRY_EXCEPTION_ERROR_CODE')}: bits 31:16 must be 0`,
    suggest: (view) => ({ VM_ENTRY_EXCEPTION_ERROR_CODE: view.value('VM_ENTRY_EXCEPTION_ERROR_CODE') & 0xffffn }),
    breakIt: () => ({ ...inject(14, Type.HARDWARE_EXCEPTION, true), VM_ENTRY_EXCEPTION_ERROR_CODE: 0x1_0000n }),
  },
  {
    id: 'control.injection.instruction-length',
    section: SECTION,
    fields: ['VM_ENTRY_INTR_INFO_FIELD', 'VM_ENTRY_INSTRUCTION_LEN'],
    holds: (view) => {
      if (!view.injection.valid || !comesFromInstruction(view.injection.type)) return true;
      const length = view.low('VM_ENTRY_INSTRUCTION_LEN');
      return length <= 15 && (length !== 0 || view.capabilities.zeroLengthInjection);
    },
    says: (view) =>
      `a software interrupt or exception is to be injected, but ${fieldValue(view, 'VM_ENTRY_INSTRUCTION_LEN')}: it must be 1 to 15 (0 only where IA32_VMX_MISC[30] is 1)`,
    suggest: () => ({ VM_ENTRY_INSTRUCTION_LEN: 2n }),
    breakIt: () => ({ ...inject(0x80, Type.SOFTWARE_INTERRUPT), VM_ENTRY_INSTRUCTION_LEN: 16n }),
  },
  ...msrAreaRows(SECTION, 'control.entry-msr-load', 'VM_ENTRY_MSR_LOAD_COUNT', 'VM_ENTRY_MSR_LOAD_ADDR'),
  {
    ...needsRow({
      id: 'control.entry-to-smm-only-in-smm',
      section: SECTION,
      fields: ['VM_ENTRY_CONTROLS'],
      isOn: (view) => view.entry.entryToSmm,
      condition: (view) => view.environment.inSmm,
      says: '"entry to SMM" is 1, but the logical processor is not in SMM',
      suggest: (view) => turn(view, { entry: { entryToSmm: false } }),
      breakIt: {
        capabilities: 'vmx:manual',
        // Blocking by SMI belongs to entry to SMM; outside SMM it is wrong as well, so it stays 0 and its own row is not asked.
        change: (view) => turn(view, { entry: { entryToSmm: true } }),
      },
    }),
    usesEnvironment: 'processor',
  },
  {
    ...needsRow({
      id: 'control.deactivate-dual-monitor-only-in-smm',
      section: SECTION,
      fields: ['VM_ENTRY_CONTROLS'],
      isOn: (view) => view.entry.deactivateDualMonitorTreatment,
      condition: (view) => view.environment.inSmm,
      says: '"deactivate dual-monitor treatment" is 1, but the logical processor is not in SMM',
      suggest: (view) => turn(view, { entry: { deactivateDualMonitorTreatment: false } }),
      breakIt: { capabilities: 'vmx:manual', change: (view) => turn(view, { entry: { deactivateDualMonitorTreatment: true } }) },
    }),
    usesEnvironment: 'processor',
  },
  {
    ...needsRow({
      id: 'control.entry-to-smm-excludes-deactivate-dual-monitor',
      section: SECTION,
      fields: ['VM_ENTRY_CONTROLS'],
      isOn: (view) => view.entry.entryToSmm,
      condition: (view) => !view.entry.deactivateDualMonitorTreatment || !view.environment.inSmm,
      says: '"entry to SMM" and "deactivate dual-monitor treatment" are both 1',
      suggest: (view) => turn(view, { entry: { deactivateDualMonitorTreatment: false } }),
      breakIt: {
        capabilities: 'vmx:manual',
        environment: { inSmm: true },
        change: (view) => ({
          ...turn(view, { entry: { entryToSmm: true, deactivateDualMonitorTreatment: true } }),
          GUEST_INTERRUPTIBILITY_INFO: 4n,
        }),
      },
    }),
    usesEnvironment: 'processor',
  },
]);
