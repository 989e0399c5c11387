import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkLayers } from '../../scripts/check-layers.mjs';
import { importsOf } from '../../scripts/imports.mjs';
import { ROOT } from '../../scripts/workspace.mjs';

/** A checkout of packages with the given dependencies and files (`folder/src/...`), checked. */
function check(dependencies: Record<string, string[]>, files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'layers-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [folder, names] of Object.entries(dependencies)) {
    const manifest = {
      name: `@minusone/${folder}`,
      exports: { '.': './src/index.ts' },
      dependencies: Object.fromEntries(names.map((name) => [name, '*'])),
    };
    files[`${folder}/package.json`] = JSON.stringify(manifest);
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, 'packages', path)), { recursive: true });
    writeFileSync(join(root, 'packages', path), text);
  }
  return checkLayers(root);
}

test('the sources of this checkout keep every layer rule (docs/architecture.md)', () => {
  expect(checkLayers(ROOT)).toEqual([]);
});

test('an import from a lower level, declared, by its public face, is right', () => {
  expect(check({ core: [], x86: ['@minusone/core'] }, { 'x86/src/index.ts': "import type { Clock } from '@minusone/core';\n" })).toEqual(
    [],
  );
});

test('an import from a higher level is reported with file and line', () => {
  const source = "// one line before\n\nexport {\n  a,\n} from '@minusone/x86';\n";
  expect(check({ x86: [], mmu: ['@minusone/x86'] }, { 'mmu/src/walk.ts': source })).toEqual([
    "packages/mmu/src/walk.ts:5: '@minusone/x86' (level 1) is not below mmu (level 0)",
  ]);
});

test('within a level only asm may import x86, and kvm-* kvm', () => {
  const dependencies = {
    memory: ['@minusone/mmu'],
    mmu: [],
    asm: ['@minusone/x86'],
    x86: ['@minusone/asm'],
    kvm: [],
    'kvm-intel': ['@minusone/kvm'],
  };
  expect(
    check(dependencies, {
      'memory/src/index.ts': "import '@minusone/mmu';",
      'asm/src/index.ts': "import '@minusone/x86';",
      'x86/src/index.ts': "import '@minusone/asm';",
      'kvm-intel/src/index.ts': "import '@minusone/kvm';",
    }),
  ).toEqual([
    "packages/memory/src/index.ts:1: '@minusone/mmu' (level 0) is not below memory (level 0)",
    "packages/x86/src/index.ts:1: '@minusone/asm' (level 1) is not below x86 (level 1)",
  ]);
});

test('an import that package.json does not declare is reported, of ours and of others', () => {
  expect(check({ core: [], x86: [] }, { 'x86/src/index.ts': "import '@minusone/core';\nimport { z } from 'zod';\n" })).toEqual([
    "packages/x86/src/index.ts:1: '@minusone/core' is not declared in package.json",
    "packages/x86/src/index.ts:2: 'zod' is not declared in package.json",
  ]);
});

test('an import past the public face is reported, by name and by path', () => {
  expect(
    check(
      { core: [], x86: ['@minusone/core'] },
      { 'core/src/clock.ts': '', 'x86/src/a.ts': "import '@minusone/core/src/clock.ts';\nimport '../../core/src/clock.ts';\n" },
    ),
  ).toEqual([
    "packages/x86/src/a.ts:1: '@minusone/core/src/clock.ts' is not among the public faces of @minusone/core",
    "packages/x86/src/a.ts:2: '../../core/src/clock.ts' reaches into another package's files",
  ]);
});

test('what only serves tests may use what tests share, and is not for anyone else', () => {
  const files = {
    'core/src/a.test.ts': "import '../../../tests/harness.ts';",
    'core/src/testing/machine.ts': "import '../../../../tests/harness.ts';",
    'core/src/test-machine.ts': "import 'node:fs';",
    'core/src/a.ts': "import '../../../tests/harness.ts';\nimport './testing/machine.ts';\nimport './test-machine.ts';",
    '../tests/harness.ts': '',
  };
  expect(check({ core: [] }, files)).toEqual([
    "packages/core/src/a.ts:1: '../../../tests/harness.ts' reaches into another package's files",
    "packages/core/src/a.ts:2: './testing/machine.ts' is a test",
    "packages/core/src/a.ts:3: './test-machine.ts' is a test",
  ]);
});

test('node:* is for the CLI and for tests', () => {
  const source = "import { readFileSync } from 'node:fs';";
  expect(
    check({ core: [], minusone: [] }, { 'core/src/a.ts': source, 'core/src/a.test.ts': source, 'minusone/src/main.ts': source }),
  ).toEqual(["packages/core/src/a.ts:1: 'node:fs': a library runs in browsers too and imports nothing of Node's"]);
});

test('a cycle among the files of a package is reported once, whole', () => {
  expect(
    check(
      { core: [] },
      {
        'core/src/a.ts': "import './b.ts';",
        'core/src/b.ts': "\nexport * from './c.ts';",
        'core/src/c.ts': "import { a } from './a.ts';",
      },
    ),
  ).toEqual([
    'packages/core/src/c.ts:1: closes an import cycle: packages/core/src/a.ts -> packages/core/src/b.ts -> packages/core/src/c.ts -> packages/core/src/a.ts',
  ]);
});

test('a cycle of types alone is none: it loads nothing', () => {
  expect(
    check({ core: [] }, { 'core/src/a.ts': "import type { B } from './b.ts';", 'core/src/b.ts': "import { a } from './a.ts';" }),
  ).toEqual([]);
});

test('a package without a level is reported', () => {
  expect(check({ mystery: [] }, {})).toEqual(['packages/mystery/package.json:1: the package stands on no level of scripts/layers.mjs']);
});

test('imports in comments, docstrings and templates are none; type, multi-line and dynamic ones are', () => {
  const source = [
    "// import 'a';",
    '/**',
    " * import { b } from 'b';",
    ' */',
    "const url = 'http://x'; import type { C } from 'c';",
    "import {\n  d, // it's d\n} from 'd';",
    "const e = await import('e');",
    "const text = `\nimport 'f';\n`;",
    "export * from 'g';",
  ].join('\n');
  expect(importsOf(source)).toEqual([
    { specifier: 'd', line: 8, typeOnly: false },
    { specifier: 'e', line: 9, typeOnly: false },
    { specifier: 'g', line: 13, typeOnly: false },
  ]);
  expect(importsOf("import type { C } from 'c';")).toEqual([{ specifier: 'c', line: 1, typeOnly: true }]);
});
