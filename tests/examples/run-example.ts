import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../scripts/workspace.mjs';

const execute = promisify(execFile);

/** Runs an example as its README says, on the sources. @returns what it prints */
export async function runExample(name: string, ...args: string[]): Promise<string> {
  const tsx = join(ROOT, 'node_modules/tsx/dist/loader.mjs');
  const program = join(ROOT, 'examples', name, 'index.ts');
  const { stdout } = await execute(process.execPath, ['--import', tsx, '--conditions=@minusone/source', program, ...args]);
  return stdout;
}
