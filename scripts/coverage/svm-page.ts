import {
  documentExits,
  documentIntercepts,
  documentSvmFeatures,
  documentVmcbFields,
  documentVmrunChecks,
  SECTION_TITLES,
} from '../../packages/amdv/src/index.ts';
import { code, generatedFrom, hex, table } from './markdown.ts';

/** docs/coverage/svm.md: AMD-V as 'svm:max' has it. */
export function svmPage(): string {
  const features = documentSvmFeatures();
  const intercepts = documentIntercepts();
  const exits = documentExits();
  const fields = documentVmcbFields();
  const checks = documentVmrunChecks();
  const yes = (is: boolean): string => (is ? 'yes' : '');
  const count = (rows: readonly unknown[], those: readonly unknown[]): string => `${those.length} of ${rows.length}`;
  const parts = [
    generatedFrom('packages/amdv/src'),
    '# AMD-V',
    `What \`@minusone/amdv\` knows, and what its CPU does: the preset \`svm:max\`. ${count(
      features,
      features.filter(({ isOffered }) => isOffered),
    )} features are offered, ${count(
      intercepts,
      intercepts.filter(({ isMet }) => isMet),
    )} intercepts have something to intercept, ${count(
      exits,
      exits.filter(({ isMade }) => isMade),
    )} exit codes are made, ${count(
      fields,
      fields.filter(({ isUsed }) => isUsed),
    )} VMCB fields are looked at or written, and all ${checks.length} checks of VMRUN. What is not offered is ignored, as the manual says of fields of features that a processor lacks. Sections are those of APM Vol. 2.`,
    '## Features',
    table(
      ['Fn8000_000A_EDX bit', 'name', 'title', 'offered'],
      features.map(({ bit, name, title, isOffered }) => [String(bit), code([name]), title, yes(isOffered)]),
    ),
    '## Intercepts',
    'Those of control registers, debug registers and exceptions count by register or vector: INTERCEPT_CR, INTERCEPT_DR and INTERCEPT_EXCEPTIONS.',
    table(
      ['field', 'bit', 'name', 'what is intercepted', 'section', 'met'],
      intercepts.map(({ field, bit, name, title, section, isMet }) => [field, String(bit), code([name]), title, section, yes(isMet)]),
    ),
    '## Exits',
    table(
      ['code', 'name', 'EXITINFO1', 'EXITINFO2', 'made'],
      exits.map(({ code: number, name, info1, info2, isMade, why }) => [
        number < 0 ? String(number) : hex(number),
        code([`VMEXIT_${name}`]),
        info1,
        info2,
        isMade ? 'yes' : `no: ${why}`,
      ]),
    ),
    '## VMCB fields',
    table(
      ['offset', 'bits', 'name', 'title', 'section', 'used'],
      fields.map(({ offset, bit, bits, name, title, section, isUsed }) => [
        hex(offset, 3),
        bits === 1 ? String(bit) : `${bit + bits - 1}:${bit}`,
        code([name]),
        title,
        section,
        yes(isUsed),
      ]),
    ),
    '## Checks of VMRUN',
    'Each fails with VMEXIT_INVALID.',
    ...Object.entries(SECTION_TITLES).flatMap(([section, title]) => [
      `### ${section} ${title}`,
      table(
        ['check', 'fields', 'example'],
        checks.filter((check) => check.section === section).map(({ id, fields: named, example }) => [code([id]), code(named), example]),
      ),
    ]),
  ];
  return `${parts.join('\n\n')}\n`;
}
