import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { defaultCache, kernelAndInitrd } from './guests.ts';
import { median } from './statistics.ts';
import { type Boot, untilPrompt } from './until-prompt.ts';

/**
 * Debian's cloud kernel to the shell's prompt: our interpreter, our JIT, and, where it is installed, QEMU's TCG, taken in turns. Seconds of wall time from process
 * start to the prompt, and the most memory that the process held.
 *
 *     npx tsx --conditions=@minusone/source bench/linux-boot.ts [runs]
 */
const CLI = fileURLToPath(new URL('../packages/minusone/dist/main.js', import.meta.url));

const guests = await kernelAndInitrd(defaultCache());
if (guests === undefined) {
  console.log('linux boot: skipped, the guests are not there (run ./minusone guests)');
} else {
  const runs = Number(process.argv[2] ?? 3);
  const ours = (...more: string[]): [string, string[]] => [process.execPath, [CLI, 'linux', '--clock', 'virtual', ...more]];
  const contenders: Record<string, [string, string[]]> = { interpreter: ours('--no-jit'), JIT: ours(), 'JIT, 2 CPUs': ours('--cpus', '2') };
  if (spawnSync('qemu-system-x86_64', ['--version']).status === 0) {
    contenders['QEMU TCG'] = [
      'qemu-system-x86_64',
      [
        '-accel',
        'tcg',
        '-m',
        '512M',
        '-display',
        'none',
        '-serial',
        'stdio',
        '-monitor',
        'none',
        '-no-reboot',
        '-kernel',
        guests.kernel,
        '-initrd',
        guests.initrd,
        '-append',
        'console=ttyS0',
      ],
    ];
  }
  const results = new Map<string, Boot[]>();
  for (let run = 0; run < runs; run++) {
    for (const [name, [command, args]] of Object.entries(contenders)) {
      const boot = await untilPrompt(command, args);
      results.set(name, [...(results.get(name) ?? []), boot]);
    }
  }
  const reference = median((results.get('interpreter') ?? []).map(({ seconds }) => seconds));
  for (const [name, boots] of results) {
    const seconds = boots.map((boot) => boot.seconds);
    console.log(
      `linux boot, ${name}: ${median(seconds).toFixed(1)} s (${Math.min(...seconds).toFixed(1)} to ${Math.max(...seconds).toFixed(1)}), ` +
        `${(reference / median(seconds)).toFixed(2)} times the interpreter, peak memory ${median(boots.map(({ memory }) => memory))} MiB for a guest of 512 MiB`,
    );
  }
}
