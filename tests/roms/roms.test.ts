import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { roms } from './catalogue/index.ts';
import { attemptsFrom, attemptsOf, differences } from './compare.ts';
import { expectedFile } from './expected.ts';
import { mutations } from './mutations/index.ts';
import { runOnOurs } from './ours.ts';
import { buildRom } from './rom.ts';

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

describe.each([
  { how: 'interpreted', jit: false },
  { how: 'compiled', jit: true },
])('our machine, $how, shows what the recorded peers and the manual ask for', ({ jit }) => {
  for (const rom of roms) {
    test(`${rom.name}: ${rom.rule}`, async () => {
      const run = await runOnOurs(buildRom(rom), { ...rom, jit });
      const expected = attemptsFrom(readFileSync(expectedFile(rom.name), 'latin1'));
      expect(differences(attemptsOf(run), expected).map(({ text }) => text)).toEqual([]);
    });
  }
});
