// Every script of the root package.json: from a fresh clone, with Node >= 20 and npm alone, installs and builds what is out of date, then runs the job.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runJob } from './job.mjs';
import { prepare, SetupError } from './prepare.mjs';
import { ROOT } from './workspace.mjs';

const node = process.execPath;
const bin = (name) => join(ROOT, 'node_modules/.bin', name);
const CLI = join(ROOT, 'packages/minusone/dist/main.js');
/** vitest's report of the last run, from which `.ci/run` takes its totals. */
const TEST_REPORT = join(ROOT, '.cache/test-report.json');

const LINT = [
  [bin('biome'), 'check', '--error-on-warnings'],
  [bin('tsc'), '--noEmit', '-p', 'tests/tsconfig.json'],
  [node, 'scripts/check-layers.mjs'],
];
const vitest = (args) => [bin('vitest'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${TEST_REPORT}`, ...args];

/** @type {Record<string, (args: string[]) => number | Promise<number>>} */
const VERBS = {
  build: () => 0,
  start: (args) => runJob([node, CLI, 'demo', ...args]),
  cli: (args) => runJob([node, CLI, ...args]),
  bench: (args) => runJob([node, '--import', 'tsx', 'bench/index.ts', ...args], { cwd: ROOT }),
  coverage: () => runJob([node, '--import', 'tsx', '--conditions=@minusone/source', 'scripts/coverage.ts'], { cwd: ROOT }),
  lint: () => all(LINT),
  test: (args) => test([...LINT, vitest(args)], {}),
  'test:quick': (args) => test([vitest(args)], { MINUSONE_QUICK: '1' }),
};

/** Runs every command, whatever becomes of the others, so that one run tells of all that is wrong. The first failure is the status. */
async function all(commands, options = {}) {
  let status = 0;
  for (const command of commands) status = (await runJob(command, { cwd: ROOT, ...options })) || status;
  return status;
}

function test(commands, env) {
  rmSync(TEST_REPORT, { force: true });
  return all(commands, { env, stdin: 'ignore' });
}

async function main([verb, ...args]) {
  if (!Object.hasOwn(VERBS, verb ?? '') && verb !== 'prepare') {
    console.error(`usage: node scripts/bootstrap.mjs ${Object.keys(VERBS).join('|')} [argument ...]`);
    return 2;
  }
  try {
    prepare({ quiet: verb === 'cli' || verb === 'prepare' });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`minusone: ${error.message}`);
    return 1;
  }
  // `prepare` serves ./minusone, which then puts the CLI in its own place.
  return verb === 'prepare' ? 0 : VERBS[verb](args);
}

process.exitCode = await main(process.argv.slice(2));
