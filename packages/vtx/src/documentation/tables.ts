import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { ENTRY_CHECKS } from '../checks/all-checks.ts';
import { breakCheck } from '../checks/break-check.ts';
import { EntryView } from '../checks/view.ts';
import { CONTROL_WORDS, type ControlWord } from '../controls/tables.ts';
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
