import { SECTION_TITLES } from '../checks/row.ts';
import type { VmcsValues } from '../vmcs/vmcs.ts';
import { type EntryExplanation, failureWords } from './explain-entry.ts';

const assignments = (values: VmcsValues): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} = 0x${value.toString(16)}`)
    .join(', ');

/**
 * An explanation as lines of text: what happens, then for each failed check its section, its words with the values, and the suggestion.
 *
 * @example formatExplanation(explainEntry(vmcs, capabilities)) // 'VM entry succeeds.'
 */
export function formatExplanation(explanation: EntryExplanation): string {
  if (explanation.failure === undefined) return 'VM entry succeeds.';
  const lines = [`VM entry fails: ${explanation.failure} (${failureWords(explanation.failure)}).`];
  for (const { id, section, says, values, suggestion } of explanation.failed) {
    lines.push(
      `  ${id}: SDM Vol. 3C ${section}, "${SECTION_TITLES[section]}"`,
      `    ${says}`,
      `    values:  ${assignments(values)}`,
      `    suggest: ${assignments(suggestion)}`,
    );
  }
  return lines.join('\n');
}
