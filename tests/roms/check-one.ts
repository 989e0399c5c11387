// Exits with 0 where one ROM shows on our machine what is expected, with 3 where it does not (and with 1 where it cannot run): `check-one.ts NAME`.
import { readFileSync } from 'node:fs';
import { roms } from './catalogue/index.ts';
import { attemptsFrom, attemptsOf, differences } from './compare.ts';
import { expectedFile } from './expected.ts';
import { runOnOurs } from './ours.ts';
import { buildRom } from './rom.ts';

const rom = roms.find(({ name }) => name === process.argv[2]);
if (rom === undefined) throw new RangeError(`There is no ROM '${process.argv[2]}'.`);
const run = await runOnOurs(buildRom(rom), { ...rom, jit: false });
process.exitCode = differences(attemptsOf(run), attemptsFrom(readFileSync(expectedFile(rom.name), 'latin1'))).length === 0 ? 0 : 3;
