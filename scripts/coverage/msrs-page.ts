import { type CpuModel, cpuModels, type MsrRow, msrTable } from '../../packages/x86/src/index.ts';
import { generatedFrom, hex, table } from './markdown.ts';
import { sdmMsrs } from './sdm-msrs.ts';

function isThere(row: MsrRow, model: CpuModel): boolean {
  return (row.vendor === undefined || row.vendor === model.vendor) && (row.feature === undefined || model.has(row.feature));
}

function indexOf({ index, count = 1 }: MsrRow): string {
  return count === 1 ? hex(index) : `${hex(index)} ... ${hex(index + count - 1)}`;
}

/** docs/coverage/msrs.md */
export function msrsPage(): string {
  const models = Object.values(cpuModels);
  const sorted = [...msrTable].sort((a, b) => (a.index >>> 0) - (b.index >>> 0));
  const rows = sorted.map((row) => [
    indexOf(row),
    row.name,
    row.section,
    row.write === undefined ? 'read' : 'read, write',
    row.reset === undefined ? '' : `${row.reset.toString(16).toUpperCase()}H`,
    row.feature ?? '',
    ...models.map((model) => (isThere(row, model) ? 'yes' : '')),
  ]);
  const has = (index: number): boolean => msrTable.some((row) => index >= row.index && index < row.index + (row.count ?? 1));
  const absent = sdmMsrs.filter(({ first }) => !has(first));
  const parts = [
    generatedFrom('packages/x86/src'),
    '# Model-specific registers',
    `${msrTable.reduce((sum, { count = 1 }) => sum + count, 0)} registers in ${msrTable.length} rows (\`packages/x86/src/cpu/msr/msr-table.ts\`). Every other index raises #GP(0), as does a write to what can only be read, and a value that the section named refuses. An extension brings its own rows.`,
    table(['index', 'name', 'section', 'access', 'after reset', 'needs', ...models.map(({ name }) => name)], rows),
    '## MISSING',
    'Registers of SDM Vol. 4 and of the APM that software may look for and that are not there: #GP(0).',
    table(
      ['index', 'name', 'why'],
      absent.map(({ first, last, name, why }) => [last === undefined ? hex(first) : `${hex(first)} ... ${hex(last)}`, name, why]),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}
