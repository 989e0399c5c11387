import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { attemptsFrom, attemptsOf, differences } from './compare.ts';
import { expectedFile } from './expected.ts';
import { runOnOurs } from './ours.ts';
import { buildRom, type Rom } from './rom.ts';

/** A test for each ROM: our machine, interpreted or compiled, shows what the recorded peers and the manual ask for. */
export function testRoms(roms: readonly Rom[], how: 'interpreted' | 'compiled'): void {
  describe(`our machine, ${how}, shows what the recorded peers and the manual ask for`, () => {
    for (const rom of roms) {
      test(`${rom.name}: ${rom.rule}`, async () => {
        const run = await runOnOurs(buildRom(rom), { ...rom, jit: how === 'compiled' });
        const expected = attemptsFrom(readFileSync(expectedFile(rom.name), 'latin1'));
        expect(differences(attemptsOf(run), expected).map(({ text }) => text)).toEqual([]);
      });
    }
  });
}
