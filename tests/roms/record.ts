// Records what the peers show into expected/, and shows where they and our machine differ: `npx tsx --conditions=@minusone/source tests/roms/record.ts [--write] [name ...]`.
import { writeFileSync } from 'node:fs';
import { roms } from './catalogue/index.ts';
import { attemptsOf, differences, differencesFromPeer, reconcile, textOf } from './compare.ts';
import { expectedFile } from './expected.ts';
import { runOnOurs } from './ours.ts';
import { type RomRun, runOnBochs, runOnQemu } from './peers.ts';
import { buildRom, lacks, type Rom } from './rom.ts';

const options = process.argv.slice(2);
const names = options.filter((option) => !option.startsWith('--'));
const log = (text: string): void => {
  for (const line of text.split('\n')) process.stdout.write(`${line.slice(0, 240)}\n`);
};

async function one(rom: Rom): Promise<void> {
  const image = buildRom(rom);
  const able = { bochs: !lacks(rom, 'bochs'), qemu: !lacks(rom, 'qemu') };
  const runs = await Promise.all([able.bochs ? runOnBochs(image, rom) : undefined, able.qemu ? runOnQemu(image, rom) : undefined]);
  const bochs = (runs[0] ?? runs[1]) as RomRun;
  const qemu = (runs[1] ?? runs[0]) as RomRun;
  const { expected, undecided } = reconcile(rom, { bochs, qemu });
  const [b, q] = [attemptsOf(bochs), attemptsOf(qemu)];
  for (const label of undecided) log(`${rom.name}: ${label}: PEERS DIFFER\n    bochs ${b.get(label)}\n    qemu  ${q.get(label)}`);
  for (const [peer, run] of Object.entries({ bochs, qemu } as const)) {
    if (!able[peer as 'bochs' | 'qemu']) continue;
    for (const text of differencesFromPeer(rom, peer as 'bochs' | 'qemu', run, expected))
      if (/no departure/.test(text)) log(`${rom.name}: ${peer} ${text}`);
  }
  if (options.includes('--show')) log(textOf(expected));
  if (options.includes('--write')) writeFileSync(expectedFile(rom.name), textOf(expected));
  for (const jit of options.includes('--jit') ? [false, true] : [false]) {
    try {
      const ours = attemptsOf(await runOnOurs(image, { ...rom, jit }));
      for (const { text } of differences(ours, expected)) log(`${rom.name}${jit ? ' (jit)' : ''} OURS ${text}`);
    } catch (error) {
      log(`${rom.name}${jit ? ' (jit)' : ''} OURS ${(error as Error).stack}`);
    }
  }
}

for (const rom of roms) if (names.length === 0 || names.some((name) => rom.name.includes(name))) await one(rom);
