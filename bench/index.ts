import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * All benchmarks, of the packages as they are published, one process each so that none warms the next one up. Every figure stands beside a peer or a baseline measured in the same run. `npm run bench`;
 * with names (`npm run bench -- jit`) only those.
 */
const BENCHMARKS = ['jit', 'start-up', 'linux-boot', 'kvm-exits', 'kvm-paging', 'kvm-boot'] as const;
const wanted = process.argv.slice(2);

for (const name of BENCHMARKS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`# ${name}`);
  const script = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', script], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
