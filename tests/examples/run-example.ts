import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { ROOT } from '../../scripts/workspace.mjs';

const execute = promisify(execFile);

/** Bundles an example from the sources, which is quicker than to load them one by one, and runs it. @returns what it prints */
export async function runExample(name: string, ...args: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'minusone-example-'));
  try {
    const outfile = join(folder, 'example.mjs');
    await build({
      entryPoints: [join(ROOT, 'examples', name, 'index.ts')],
      bundle: true,
      outfile,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      conditions: ['@minusone/source'],
      logLevel: 'silent',
    });
    return (await execute(process.execPath, [outfile, ...args])).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs an example as examples/README.md says, on the sources. @returns what it prints */
export async function runExampleAsTold(name: string): Promise<string> {
  const args = ['--import', 'tsx', '--conditions=@minusone/source', `examples/${name}/index.ts`];
  return (await execute(process.execPath, args, { cwd: ROOT })).stdout;
}
