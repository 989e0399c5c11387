import { SECTION_TITLES } from '../checks/row.ts';
import type { VmcbValues } from '../vmcb/vmcb.ts';
import type { Explanation } from './explain-vmcb.ts';

const assignments = (values: VmcbValues): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} = 0x${value.toString(16)}`)
    .join(', ');

/**
 * An explanation as lines of text: what happens, then for each failed check its section, its words with the values, and the suggestion.
 *
 * @example formatExplanation(explainVmcb(vmcb, capabilities)) // 'VMRUN succeeds.'
 */
export function formatExplanation(explanation: Explanation): string {
  if (explanation.failure === undefined) return 'VMRUN succeeds.';
  const lines = [`VMRUN fails: ${explanation.failure} (invalid guest state in the VMCB).`];
  for (const { id, section, says, values, suggestion } of explanation.failed) {
    lines.push(
      `  ${id}: APM Vol. 2 ${section}, ${SECTION_TITLES[section]}`,
      `    ${says}`,
      `    values:  ${assignments(values)}`,
      `    suggest: ${assignments(suggestion)}`,
    );
  }
  return lines.join('\n');
}
