import { Access } from '../access.ts';
import { PageFaultError } from '../guest/page-fault.ts';
import type { StageTranslation, Translation, TranslationFault, TranslationStep } from './translation.ts';

/**
 * A translation as lines of text: one for each entry, indented by stage, the last saying the result.
 *
 * @example
 * linear 0x401234, supervisor-mode read, 4-level paging
 *   PML4E at 0x1000: 0x0000000000002023  P R/W A
 *   ...
 *   = physical 0x5234, in a page of 4 KBytes; a TLB may cache read, write, execute
 */
export function formatTranslation(translation: Translation): string[] {
  const paging = translation.kind === 'none' ? 'no paging' : `${translation.kind === 'pae' ? 'PAE' : translation.kind} paging`;
  const lines = [`linear ${hex(translation.gva)}, ${who(translation.access)} ${kinds(translation.access)}, ${paging}`];
  for (const step of translation.steps) addStep(lines, step, '  ');
  for (const stage of translation.stages) addStage(lines, stage, '  ');
  if (translation.fault !== undefined) lines.push(`  = ${faultText(translation.fault)}`);
  else {
    const { result } = translation;
    const through = result.gpa === result.pa ? '' : `guest-physical ${hex(result.gpa)}, `;
    const rights = [
      kinds(result.allowed).replaceAll('/', ', ') || 'nothing',
      ...(result.user ? ['user'] : []),
      ...(result.global ? ['global'] : []),
    ];
    lines.push(`  = ${through}physical ${hex(result.pa)}, in a page of ${bytes(result.pageBytes)}; a TLB may cache ${rights.join(', ')}`);
  }
  return lines;
}

function addStep(lines: string[], step: TranslationStep, indent: string): void {
  const [reading, ...setting] = step.stages;
  if (reading !== undefined) addStage(lines, reading, indent);
  const at = step.address === undefined ? 'register' : `at ${hex(step.address)}`;
  const sets = step.sets.length === 0 ? '' : `; sets ${step.sets.join(', ')}`;
  lines.push(
    `${indent}${step.structure} ${at}: 0x${step.entry.toString(16).padStart(16, '0')}  ${step.flags.join(' ') || 'not present'}${sets}`,
  );
  for (const stage of setting) addStage(lines, stage, indent);
}

function addStage(lines: string[], stage: StageTranslation, indent: string): void {
  const what = (stage.access & Access.TABLE) !== 0 ? `${kinds(stage.access)} of a paging-structure entry` : kinds(stage.access);
  lines.push(`${indent}| guest-physical ${hex(stage.gpa)}, ${what}`);
  for (const step of stage.steps) addStep(lines, step, `${indent}|   `);
  for (const below of stage.stages) addStage(lines, below, `${indent}|   `);
  lines.push(stage.fault === undefined ? `${indent}|   = ${hex(stage.pa ?? 0)}` : `${indent}|   = ${stage.fault.kind}`);
}

const CODES = [
  [PageFaultError.P, 'P'],
  [PageFaultError.W, 'W/R'],
  [PageFaultError.U, 'U/S'],
  [PageFaultError.RSVD, 'RSVD'],
  [PageFaultError.I, 'I/D'],
] as const;

function faultText(fault: TranslationFault): string {
  const where =
    fault.gpa === undefined
      ? ''
      : ` at guest-physical ${hex(fault.gpa)}, ${fault.onTable ? 'a guest paging-structure entry' : 'the final address'}`;
  return `${fault.kind}${where}${codeText(fault)}: ${fault.says} (${fault.section})`;
}

function codeText(fault: TranslationFault): string {
  if (fault.kind === 'EPT violation') return `, exit qualification ${hex(fault.code)}`;
  if (fault.kind !== 'page fault' && fault.kind !== 'nested page fault') return '';
  const names = CODES.filter(([bit]) => (Number(fault.code & 31n) & bit) !== 0).map(([, name]) => name);
  return `, error code ${hex(fault.code)} (${names.join(' ') || 'none set'})`;
}

function who(access: number): string {
  if ((access & Access.IMPLICIT) !== 0) return 'implicit supervisor-mode';
  if ((access & Access.USER) !== 0) return 'user-mode';
  return (access & Access.AC) !== 0 ? 'supervisor-mode (AC = 1)' : 'supervisor-mode';
}

function kinds(access: number): string {
  const names: string[] = [];
  if ((access & Access.READ) !== 0) names.push('read');
  if ((access & Access.WRITE) !== 0) names.push('write');
  if ((access & Access.EXECUTE) !== 0) names.push('execute');
  return names.join('/');
}

function bytes(count: number): string {
  if (count >= 2 ** 30) return `${count / 2 ** 30} GByte`;
  return count >= 2 ** 20 ? `${count / 2 ** 20} MBytes` : `${count / 1024} KBytes`;
}

function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
