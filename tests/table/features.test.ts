import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuidBits, cpuModels, instructionTable, msrTable } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { mnemonicsBySdmFeature } from '../../scripts/coverage/sdm-instructions.ts';
import { ROOT } from '../../scripts/workspace.mjs';

/**
 * Features that bring neither an instruction nor an MSR of their own: the file that holds what they promise, and the words in it that do. What is advertised and stands nowhere fails.
 */
const IN_CODE: Readonly<Record<string, readonly [file: string, words: string]>> = {
  VME: ['instructions/system/flags.ts', 'Cr4.VME'],
  DE: ['cpu/debug.ts', 'Cr4.DE'],
  PSE: ['cpu/control-registers.ts', 'Cr4.PSE'],
  PAE: ['cpu/control-registers.ts', 'Cr4.PAE'],
  MCE: ['cpu/control-registers.ts', 'Cr4.MCE'],
  PGE: ['cpu/control-registers.ts', 'Cr4.PGE'],
  PSE36: ['cpu/control-registers.ts', "model.has('PSE36')"],
  PCID: ['cpu/control-registers.ts', 'Cr4.PCIDE'],
  SMEP: ['cpu/control-registers.ts', 'Cr4.SMEP'],
  UMIP: ['instructions/system/control-registers.ts', 'Cr4.UMIP'],
  NX: ['cpu/control-registers.ts', "model.has('NX')"],
  PDPE1GB: ['cpu/control-registers.ts', "model.has('PDPE1GB')"],
  CX8: ['instructions/integer/arithmetic.ts', 'CMPXCHG8B'],
  CX16: ['instructions/integer/arithmetic.ts', 'CMPXCHG16B'],
  // REP MOVSB and STOSB copy whole stretches at once.
  ERMS: ['semantics/string-bulk.ts', 'bulkMove'],
  // LAHF and SAHF have no `i64` among their attributes.
  LAHF64: ['instructions/integer/data-transfer.ts', 'LAHF'],
  // The TSC follows the machine's clock, halted or not.
  INVARIANT_TSC: ['cpu/time/time-stamp.ts', 'clock.nowNs()'],
};

const sources = (file: string): string => readFileSync(join(ROOT, 'packages/x86/src', file), 'utf8');

describe.each(Object.values(cpuModels).map((model) => [model.name, model] as const))('model %s', (_name, model) => {
  test('names only features that CPUID has a bit for', () => {
    expect(model.features.filter((name) => !cpuidBits.has(name))).toEqual([]);
  });

  test('advertises nothing that is not there: every feature has rows, MSRs or code', () => {
    const byRows = new Set(instructionTable.rows.flatMap(({ options }) => options.features ?? []));
    const byMsrs = new Set(msrTable.flatMap(({ feature }) => (feature === undefined ? [] : [feature])));
    const empty = model.features.filter((name) => {
      if (byRows.has(name) || byMsrs.has(name)) return false;
      const place = IN_CODE[name];
      return place === undefined || !sources(place[0]).includes(place[1]);
    });
    expect(empty).toEqual([]);
  });

  test('offers whole features: no instruction of an advertised one is missing from the table', () => {
    const known = new Set(
      instructionTable.rows.flatMap(({ mnemonic }) =>
        mnemonic.split('/').flatMap((name) => ['B', 'W', 'D', 'Q'].map((size) => name.replace('{size}', size))),
      ),
    );
    const missing = mnemonicsBySdmFeature
      .filter(({ feature }) => feature === 'base' || model.has(feature))
      .flatMap(({ feature, mnemonics }) => mnemonics.filter((name) => !known.has(name)).map((name) => `${feature}: ${name}`));
    expect(missing).toEqual([]);
  });
});
