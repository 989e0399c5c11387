import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultCache, kernelAndInitrd } from './guests.ts';
import { median } from './statistics.ts';
import { type Boot, untilPrompt } from './until-prompt.ts';

/**
 * Debian's cloud kernel to the shell's prompt under KVM on VT-x and on AMD-V, against the bare CPU, taken in turns; then it powers off, and its exits are counted. AMD's processors
 * are shown to Linux with other flaws than Intel's, around which it works, so AMD-V stands beside the bare CPU of AMD's model, too.
 *
 *     npx tsx --conditions=@minusone/source bench/kvm-boot.ts [runs]
 */
const CLI = fileURLToPath(new URL('../packages/minusone/dist/main.js', import.meta.url));
const BARE = 'the bare CPU';
const BARE_AMD = "the bare CPU, AMD's model";
const CONTENDERS: Readonly<Record<string, readonly string[]>> = {
  [BARE]: ['--accel', 'none'],
  'VT-x': ['--accel', 'vtx'],
  [BARE_AMD]: ['--accel', 'none', '--model', 'amd'],
  'AMD-V': ['--accel', 'amdv'],
};
/** What a guest's own paging would exit for without a second stage, by the names of both manuals. */
const PAGING = {
  'loads of CR3': ['WRITE_CR3', 'CR3_WRITE'],
  'page faults': ['EXCEPTION_NMI', 'EXCP14'],
  INVLPG: ['INVLPG', 'INVPCID'],
} as const;

interface Statistics {
  readonly instructions: number;
  readonly exits: Readonly<Record<string, number>>;
}
function statistics({ errors }: Boot): Statistics {
  return JSON.parse(errors.trimEnd().split('\n').at(-1) ?? '') as Statistics;
}

const guests = await kernelAndInitrd(defaultCache());
if (guests === undefined) {
  console.log('linux under KVM: skipped, the guests are not there (run ./minusone guests)');
} else {
  const runs = Number(process.argv[2] ?? 3);
  const input = join(mkdtempSync(join(tmpdir(), 'minusone-bench-')), 'input');
  writeFileSync(input, 'poweroff -f\n');
  const results = new Map<string, Boot[]>();
  for (let run = 0; run < runs; run++) {
    for (const [name, options] of Object.entries(CONTENDERS)) {
      const args = [CLI, 'linux', '--clock', 'virtual', '--stats', '--input', input, ...options];
      results.set(name, [...(results.get(name) ?? []), await untilPrompt(process.execPath, args, true)]);
    }
  }
  const middle = (name: string): number => median((results.get(name) ?? []).map(({ seconds }) => seconds));
  for (const [name, boots] of results) {
    const seconds = boots.map((boot) => boot.seconds);
    const { instructions, exits } = statistics(boots[0] as Boot);
    const baselines = name === 'VT-x' ? [BARE] : name === 'AMD-V' ? [BARE, BARE_AMD] : [];
    const ratios = baselines.map((baseline) => `, ${(middle(name) / middle(baseline)).toFixed(2)} times ${baseline}`).join('');
    console.log(
      `linux boot on ${name}: ${middle(name).toFixed(1)} s (${Math.min(...seconds).toFixed(1)} to ${Math.max(...seconds).toFixed(1)})${ratios}; ` +
        `${(instructions / 1e6).toFixed(0)} million instructions to power-off`,
    );
    if (Object.keys(exits).length === 0) continue;
    const total = Object.values(exits).reduce((sum, count) => sum + count, 0);
    const rows = Object.entries(exits).sort(([, a], [, b]) => b - a);
    console.log(`  ${total} exits: ${rows.map(([reason, count]) => `${reason} ${count}`).join(', ')}`);
    const own = Object.entries(PAGING).map(([what, names]) => `${names.reduce((sum, each) => sum + (exits[each] ?? 0), 0)} by ${what}`);
    console.log(`  of them ${own.join(', ')}`);
  }
}
