import {
  documentChecks,
  documentControls,
  documentExits,
  documentFields,
  SECTION_TITLES,
  VM_INSTRUCTION_ERRORS,
  vmxCapabilities,
} from '../../packages/vtx/src/index.ts';
import { code, generatedFrom, hex, table } from './markdown.ts';

/** docs/coverage/vmx.md: VT-x as 'vmx:max' has it. */
export function vmxPage(): string {
  const capabilities = vmxCapabilities('vmx:max');
  const fields = documentFields(capabilities);
  const controls = documentControls(capabilities);
  const exits = documentExits();
  const checks = documentChecks();
  const yes = (is: boolean): string => (is ? 'yes' : '');
  const parts = [
    generatedFrom('packages/vtx/src'),
    '# Intel VT-x',
    `What \`@minusone/vtx\` knows, and what its CPU does: the preset \`vmx:max\`. ${fields.filter(({ exists }) => exists).length} of ${fields.length} VMCS fields exist, ${controls.filter(({ settings }) => settings !== '0').length} of ${controls.length} controls may be 1, ${exits.filter(({ isMade }) => isMade).length} of ${exits.length} exit reasons are made, and all ${checks.length} checks of VM entry. A control that is not offered is refused at entry, with its check. Sections are those of SDM Vol. 3C in the editions in which "VM Entries" is chapter 27.`,
    '## Controls',
    table(
      ['word', 'bit', 'control', 'may be'],
      controls.map(({ word, bit, name, settings }) => [word, String(bit), name, settings]),
    ),
    '## Exits',
    table(
      ['reason', 'name', 'title', 'qualification', 'instruction length', 'made'],
      exits.map(({ reason, name, title, qualification, hasInstructionLength, isMade, why }) => [
        String(reason),
        code([name]),
        title,
        qualification,
        yes(hasInstructionLength),
        isMade ? 'yes' : `no: ${why}`,
      ]),
    ),
    '## VM-instruction errors',
    table(
      ['number', 'says'],
      Object.entries(VM_INSTRUCTION_ERRORS).map(([number, says]) => [number, says]),
    ),
    '## VMCS fields',
    table(
      ['encoding', 'name', 'title', 'section', 'width', 'type', 'exists'],
      fields.map(({ encoding, name, title, section, width, type, exists }) => [
        hex(encoding, 4),
        code([name]),
        title,
        section,
        width,
        type,
        yes(exists),
      ]),
    ),
    '## Checks of VM entry',
    ...Object.entries(SECTION_TITLES).flatMap(([section, title]) => [
      `### ${section} ${title}`,
      table(
        ['check', 'failure', 'example'],
        checks.filter((check) => check.section === section).map(({ id, failure, example }) => [code([id]), failure, example]),
      ),
    ]),
  ];
  return `${parts.join('\n\n')}\n`;
}
