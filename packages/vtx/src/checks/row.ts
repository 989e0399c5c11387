import type { EptVpidCapability } from '../capabilities/msrs.ts';
import type { VmxPresetName } from '../capabilities/presets.ts';
import type { SoundState } from '../states/sound-states.ts';
import type { VmcsFieldName } from '../vmcs/fields.ts';
import type { VmcsValues } from '../vmcs/vmcs.ts';
import type { EntryEnvironment } from './environment.ts';
import type { EntryView } from './view.ts';

/**
 * How VM entry fails (SDM Vol. 3C, 27.8, "VM-Entry Failures During or After Loading Guest State", and 27.2): the instruction fails, or the entry has begun and a VM
 * exit follows whose reason has bit 31 set.
 */
export type EntryFailure =
  | { readonly kind: 'VMfailValid'; readonly error: 7 | 8 }
  | { readonly kind: 'VM exit'; readonly reason: 33 | 34; readonly qualification: number };

/** Values to write: what a suggestion asks for. */
export type VmcsChanges = { [Name in VmcsFieldName]?: bigint };

/** How to break a rule and no other: the start for its test. */
export interface Breaking {
  /** The sound guest to start from; '64-bit' by default. */
  readonly state?: SoundState;
  /** The processor; 'vmx:max' by default. */
  readonly capabilities?: VmxPresetName;
  /** Bits of IA32_VMX_EPT_VPID_CAP that the processor must lack. */
  readonly without?: readonly EptVpidCapability[];
  readonly environment?: Partial<EntryEnvironment>;
  /** What to write over the sound guest's values. */
  readonly change: (view: EntryView) => VmcsValues;
}

/** The titles of the sections of SDM Vol. 3C that rows cite: numbers move between editions (27 was 26 before December 2022), titles hardly. */
export const SECTION_TITLES: Readonly<Record<string, string>> = {
  '27.2.1.1': 'VM-Execution Control Fields',
  '27.2.1.2': 'VM-Exit Control Fields',
  '27.2.1.3': 'VM-Entry Control Fields',
  '27.2.2': 'Checks on Host Control Registers, MSRs, and SSP',
  '27.2.3': 'Checks on Host Segment and Descriptor-Table Registers',
  '27.2.4': 'Checks Related to Address-Space Size',
  '27.3.1.1': 'Checks on Guest Control Registers, Debug Registers, and MSRs',
  '27.3.1.2': 'Checks on Guest Segment Registers',
  '27.3.1.3': 'Checks on Guest Descriptor-Table Registers',
  '27.3.1.4': 'Checks on Guest RIP, RFLAGS, and SSP',
  '27.3.1.5': 'Checks on Guest Non-Register State',
  '27.3.1.6': 'Checks on Guest Page-Directory-Pointer-Table Entries',
  '27.4': 'Loading MSRs',
};

/** One rule of VM entry. */
export interface EntryCheck {
  /** Stable and dotted: `guest.cr4.pcide-needs-ia32e`. */
  readonly id: string;
  /** The section of SDM Vol. 3C that states it (chapter 27, "VM Entries"; chapter 26 in editions before 2022). */
  readonly section: string;
  /** All fields that it depends on. A control word that is gated by another one brings that one along: see `dependencies`. */
  readonly fields: readonly VmcsFieldName[];
  /** Of a field, the only bits (of 31:0) that it depends on; all bits of the others. */
  readonly onlyBits?: { readonly [Name in VmcsFieldName]?: number };
  /** It depends on more than fields: on the processor's state, or on memory (and perhaps on the state too). */
  readonly usesEnvironment?: 'processor' | 'memory';
  readonly holds: (view: EntryView) => boolean;
  /** Why it does not hold, with the values. */
  readonly says: (view: EntryView) => string;
  /** Fields to write so that it holds. */
  readonly suggest: (view: EntryView) => VmcsValues;
  readonly failure: (view: EntryView) => EntryFailure;
  readonly breakIt: Breaking;
}

/** A row as it is written: `breakIt` may be the change alone, `says` a fixed text. */
export interface EntryCheckRow extends Omit<EntryCheck, 'failure' | 'breakIt' | 'says'> {
  readonly says: string | ((view: EntryView) => string);
  readonly breakIt: Breaking | Breaking['change'];
  /** Of rows on the guest state: the exit qualification, 0 by default (SDM Vol. 3C, 27.8). */
  readonly qualification?: 0 | 2 | 4;
}

function complete(row: EntryCheckRow, failure: EntryFailure): EntryCheck {
  const { qualification: _, says, breakIt, ...rest } = row;
  return {
    ...rest,
    says: typeof says === 'string' ? () => says : says,
    breakIt: typeof breakIt === 'function' ? { change: breakIt } : breakIt,
    failure: () => failure,
  };
}

/** Rows of 27.2.1: "VM entry with invalid control field(s)". */
export function controlChecks(rows: readonly EntryCheckRow[]): readonly EntryCheck[] {
  return rows.map((row) => complete(row, { kind: 'VMfailValid', error: 7 }));
}

/** Rows of 27.2.2 to 27.2.4: "VM entry with invalid host-state field(s)". */
export function hostStateChecks(rows: readonly EntryCheckRow[]): readonly EntryCheck[] {
  return rows.map((row) => complete(row, { kind: 'VMfailValid', error: 8 }));
}

/** Rows of 27.3.1: exit reason 33, "VM-entry failure due to invalid guest state". */
export function guestStateChecks(rows: readonly EntryCheckRow[]): readonly EntryCheck[] {
  return rows.map((row) => complete(row, { kind: 'VM exit', reason: 33, qualification: row.qualification ?? 0 }));
}

const GATES: { readonly [Name in VmcsFieldName]?: readonly VmcsFieldName[] } = {
  SECONDARY_VM_EXEC_CONTROL: ['CPU_BASED_VM_EXEC_CONTROL'],
  TERTIARY_VM_EXEC_CONTROL: ['CPU_BASED_VM_EXEC_CONTROL'],
  VM_FUNCTION_CONTROL: ['SECONDARY_VM_EXEC_CONTROL', 'CPU_BASED_VM_EXEC_CONTROL'],
};

/** The fields whose change may change what a row says: its `fields`, and the control words that gate them. */
export function dependencies(check: EntryCheck): ReadonlySet<VmcsFieldName> {
  return new Set(check.fields.flatMap((field) => [field, ...(GATES[field] ?? [])]));
}
