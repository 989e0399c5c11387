import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { roms } from './catalogue/index.ts';
import { expectedFile } from './expected.ts';
import { mutations } from './mutations/index.ts';
import { testRoms } from './test-roms.ts';

const repositoryFile = (path: string): URL => new URL(`../../${path}`, import.meta.url);

test('at least 60 ROMs, each with a name of its own, an expectation and a mutation that it notices', () => {
  const names = roms.map(({ name }) => name);
  expect(names.length).toBeGreaterThanOrEqual(60);
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => !existsSync(expectedFile(name)))).toEqual([]);
  expect(names.filter((name) => mutations[name] === undefined)).toEqual([]);
});

test('every mutation still has its place in the code', () => {
  const stale = Object.entries(mutations).filter(
    ([, { file, find }]) => readFileSync(repositoryFile(file), 'utf8').split(find).length !== 2,
  );
  expect(stale.map(([name]) => name)).toEqual([]);
});

// Those about virtualization, and all of them compiled, take longer: roms.slow.test.ts.
testRoms(
  roms.filter(({ extension }) => extension === undefined),
  'interpreted',
);
