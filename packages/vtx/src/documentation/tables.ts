import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { ENTRY_CHECKS } from '../checks/all-checks.ts';
import { breakCheck } from '../checks/break-check.ts';
import { EntryView } from '../checks/view.ts';
import { CONTROL_WORDS, type ControlWord } from '../controls/tables.ts';
import { VM_EXIT_REASONS } from '../exit/reasons.ts';
import { type FailureText, failureText } from '../explain/explain-entry.ts';
import { decodeEncoding, type VmcsEncoding } from '../vmcs/encoding.ts';
import { FIELD, VMCS_FIELD_NAMES, type VmcsFieldName, vmcsField } from '../vmcs/fields.ts';

// What coverage pages are made from: the tables as plain rows, seen from one processor.

/** A VMCS field and whether a processor has it. */
export interface FieldDocumentation extends VmcsEncoding {
  readonly name: VmcsFieldName;
  readonly encoding: number;
  readonly title: string;
  readonly section: string;
  readonly exists: boolean;
}

/** Every field, in the order of the encodings. */
export function documentFields(capabilities: VmxCapabilities): readonly FieldDocumentation[] {
  return VMCS_FIELD_NAMES.map((name) => {
    const { title, section } = vmcsField(name);
    const encoding = FIELD[name];
    return { name, encoding, title, section, ...decodeEncoding(encoding), exists: capabilities.hasField(encoding) };
  });
}

/** A control and what a processor lets it be. */
export interface ControlDocumentation {
  readonly word: ControlWord;
  readonly key: string;
  readonly bit: number;
  readonly name: string;
  readonly settings: '0' | '1' | '0 or 1';
}

/** Every control that has a name, word by word. */
export function documentControls(capabilities: VmxCapabilities): readonly ControlDocumentation[] {
  return (Object.keys(CONTROL_WORDS) as ControlWord[]).flatMap((word) =>
    Object.entries(CONTROL_WORDS[word]).map(([key, { bit, name }]): ControlDocumentation => {
      const [must, may] = [capabilities.allowed0(word), capabilities.allowed1(word)].map((settings) => ((settings >>> bit) & 1) === 1);
      return { word, key, bit, name, settings: must ? '1' : may ? '0 or 1' : '0' };
    }),
  );
}

/** A check of VM entry, with its words on a guest that breaks it. */
export interface CheckDocumentation {
  readonly id: string;
  readonly section: string;
  readonly fields: readonly VmcsFieldName[];
  readonly failure: FailureText;
  readonly example: string;
}

/** Every check of VM entry, in their order. */
export function documentChecks(): readonly CheckDocumentation[] {
  return ENTRY_CHECKS.map((check) => {
    const { vmcs, capabilities, environment } = breakCheck(check);
    const view = new EntryView(vmcs, capabilities, environment);
    return {
      id: check.id,
      section: check.section,
      fields: check.fields,
      failure: failureText(check.failure(view)),
      example: check.says(view),
    };
  });
}

const NO_SMM = 'there is no system-management mode';
const NO_APIC = 'APIC accesses are not virtualized';
const NO_INSTRUCTION = 'no model has the instruction';
const NOT_OFFERED = 'the control is not offered';

/** Why a basic exit reason never comes from the CPU of this package. All others are made. */
const NEVER_MADE: Readonly<Record<number, string>> = {
  5: NO_SMM,
  6: NO_SMM,
  11: NO_INSTRUCTION,
  17: NO_SMM,
  41: 'there are no machine checks',
  44: NO_APIC,
  45: NO_APIC,
  56: NO_APIC,
  57: NO_INSTRUCTION,
  59: NOT_OFFERED,
  60: NO_INSTRUCTION,
  61: NO_INSTRUCTION,
  63: NO_INSTRUCTION,
  64: NO_INSTRUCTION,
  65: NO_INSTRUCTION,
  66: NOT_OFFERED,
  67: NO_INSTRUCTION,
  68: NO_INSTRUCTION,
  69: NO_INSTRUCTION,
  70: NO_INSTRUCTION,
  72: NO_INSTRUCTION,
  73: NO_INSTRUCTION,
  74: NOT_OFFERED,
  75: NOT_OFFERED,
};

/** A basic exit reason, and whether the CPU ever makes it. */
export interface ExitDocumentation {
  readonly reason: number;
  readonly name: string;
  readonly title: string;
  /** What the exit qualification holds; empty: 0. */
  readonly qualification: string;
  readonly hasInstructionLength: boolean;
  readonly isMade: boolean;
  /** Why not. */
  readonly why: string;
}

/** Every basic exit reason, by number. */
export function documentExits(): readonly ExitDocumentation[] {
  return Object.entries(VM_EXIT_REASONS).map(([number, row]) => ({
    reason: Number(number),
    name: row.name,
    title: row.title,
    qualification: 'qualification' in row ? row.qualification : '',
    hasInstructionLength: 'hasInstructionLength' in row,
    isMade: NEVER_MADE[Number(number)] === undefined,
    why: NEVER_MADE[Number(number)] ?? '',
  }));
}
