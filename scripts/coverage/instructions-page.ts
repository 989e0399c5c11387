import { cpuidBits, cpuModels, type InstructionRow, instructionTable } from '../../packages/x86/src/index.ts';
import { code, generatedFrom, table } from './markdown.ts';
import { mnemonicsBySdmFeature } from './sdm-instructions.ts';

/** What the table says of a row that is not in its encodings. */
function remarks({ options }: InstructionRow): string {
  const { undefinedFlags, machineDependent, errorBound, undefinedForCountsAbove } = options;
  const said: string[] = [];
  if (undefinedFlags !== undefined && undefinedFlags.length > 0) said.push(`undefined: ${undefinedFlags.join(' ')}`);
  if (undefinedForCountsAbove !== undefined)
    said.push(`result undefined for counts above the ${undefinedForCountsAbove.replace('-', ' ')}`);
  if (machineDependent === true) said.push('result depends on the machine');
  if (errorBound !== undefined) {
    said.push(
      'relative' in errorBound ? `relative error at most 2^${Math.log2(errorBound.relative)}` : `error at most ${errorBound.ulps} ulp`,
    );
  }
  return said.join('; ');
}

function projectionOf({ semantics, execute }: InstructionRow): string {
  if (execute === undefined) return 'emitted';
  return semantics === undefined ? 'system TypeScript' : 'system TypeScript, usual case emitted';
}

function rowCells(row: InstructionRow): string[] {
  const { options, mnemonic, encodings } = row;
  const features = (options.features ?? []).join(' ');
  return [mnemonic, code(encodings, '<br>'), features, projectionOf(row), remarks(row)];
}

const SECTIONS: readonly (readonly [title: string, holds: (row: InstructionRow) => boolean])[] = [
  ['Integer', ({ options, execute }) => (options.unit ?? 'integer') === 'integer' && execute === undefined],
  ['System', ({ execute }) => execute !== undefined],
  ['x87', ({ options, execute }) => options.unit === 'x87' && execute === undefined],
  ['MMX', ({ options, execute }) => options.unit === 'mmx' && execute === undefined],
  ['SSE', ({ options, execute }) => options.unit === 'sse' && execute === undefined],
  ['AVX', ({ options, execute }) => options.unit === 'avx' && execute === undefined],
];

/** Every mnemonic that the table knows, alternatives and conditions spelled out as far as lists of mnemonics go. */
function knownMnemonics(): ReadonlySet<string> {
  const names = instructionTable.rows.flatMap(({ mnemonic }) => mnemonic.split('/'));
  return new Set(
    names.flatMap((name) => (name.includes('{size}') ? ['B', 'W', 'D', 'Q'].map((size) => name.replace('{size}', size)) : [name])),
  );
}

function advertisedBy(feature: string): string {
  const models = Object.values(cpuModels).filter((model) => model.has(feature));
  return models.length === 0 ? 'no model' : models.map(({ name }) => name).join(', ');
}

/** Instructions of the manuals that the table lacks, by feature. */
function missing(): string {
  const known = knownMnemonics();
  const rows = mnemonicsBySdmFeature.flatMap(({ feature, of, mnemonics }) => {
    const absent = mnemonics.filter((mnemonic) => !known.has(mnemonic));
    return absent.length === 0
      ? []
      : [[`**${feature}**`, of, cpuidBits.has(feature) ? advertisedBy(feature) : 'no model', absent.join(' ')]];
  });
  return table(['CPUID feature', 'what', 'advertised by', 'missing'], rows);
}

/** Features whose rows are there, though no model offers them. */
function offeredByNone(): string {
  const names = [...new Set(instructionTable.rows.flatMap(({ options }) => options.features ?? []))].sort();
  const dormant = names.filter((name) => !Object.values(cpuModels).some((model) => model.has(name)));
  const rowsOf = (name: string): string =>
    [...new Set(instructionTable.rows.filter(({ options }) => options.features?.includes(name)).map(({ mnemonic }) => mnemonic))].join(' ');
  return table(
    ['CPUID feature', 'rows'],
    dormant.map((name) => [name, rowsOf(name)]),
  );
}

/** docs/coverage/instructions.md */
export function instructionsPage(): string {
  const { rows, forms } = instructionTable;
  const system = rows.filter(({ execute }) => execute !== undefined).length;
  const parts = [
    generatedFrom('packages/x86/src'),
    '# Instructions',
    `The table has **${rows.length} rows** with ${forms.length} encodings (conditions counted one by one). ${rows.length - system} rows are *emitted*: written once against \`Emit\`, run by the interpreter and the region JIT alike. ${system} are *system TypeScript*: machine control, no arithmetic (a closed list: \`tests/table\`). Encodings are in the notation of \`packages/x86/src/table/row.ts\`. A row exists for a CPU only if its model offers all the features named; otherwise it raises #UD.`,
    '## MISSING',
    'Instructions of the SDM and the APM that no row covers. They raise #UD and are not advertised, unless this table says that a model advertises the feature: that would be a defect.',
    missing(),
    '### Rows that no model offers',
    'They are there, and are tried by tests; a model of your own may offer them (`model.with(...)`) where their feature is whole.',
    offeredByNone(),
  ];
  for (const [title, holds] of SECTIONS) {
    const found = rows.filter(holds);
    if (found.length === 0) continue;
    parts.push(`## ${title}`, `${found.length} rows.`, table(['mnemonic', 'encodings', 'needs', 'effect', 'remarks'], found.map(rowCells)));
  }
  return `${parts.join('\n\n')}\n`;
}
