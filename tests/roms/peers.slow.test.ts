import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { roms } from './catalogue/index.ts';
import { attemptsFrom, differencesFromPeer } from './compare.ts';
import { expectedFile } from './expected.ts';
import { peerInstalled, runOnBochs, runOnQemu } from './peers.ts';
import { buildRom, lacks } from './rom.ts';

const runOn = { bochs: runOnBochs, qemu: runOnQemu } as const;

for (const peer of ['bochs', 'qemu'] as const) {
  describe
    .skipIf(!peerInstalled[peer]())
    .concurrent(`live on ${peer}: what was recorded, but for its known departures from the manual`, () => {
      for (const rom of roms) {
        test.skipIf(lacks(rom, peer))(`${rom.name}: ${rom.rule}`, async () => {
          const expected = attemptsFrom(readFileSync(expectedFile(rom.name), 'latin1'));
          expect(differencesFromPeer(rom, peer, await runOn[peer](buildRom(rom), rom), expected)).toEqual([]);
        });
      }
    });
}
