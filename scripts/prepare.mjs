// Makes a checkout ready to run: dependencies installed, packages built. Costs milliseconds when it already is.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { withLock } from './lock.mjs';
import { isTestFile, pinnedPnpm, ROOT, workspacePackages } from './workspace.mjs';

const LOCKFILE = join(ROOT, 'pnpm-lock.yaml');
/** Holds the hash of the lockfile that was installed. `./minusone` compares its time with the lockfile's. */
const INSTALL_STAMP = join(ROOT, 'node_modules/.minusone-installed');
/** Its time is when the last good build began: whatever is newer has not been built. `./minusone` reads it too. */
const BUILD_STAMP = join(ROOT, '.cache/built');

/**
 * Installs and builds what is out of date. Writes nothing to standard output and reads nothing from standard input.
 *
 * @param {{ quiet: boolean }} options quiet: what install and build say is kept back, and shown only when they fail
 * @throws {SetupError} when the installation or the build fails
 */
export function prepare({ quiet }) {
  if (isInstalled() && isBuilt()) return;
  withLock(join(ROOT, '.cache/setup.lock'), () => {
    if (!isInstalled()) install(quiet);
    if (!isBuilt()) build(quiet);
  });
}

/** Set-up failed, and has said why on standard error. */
export class SetupError extends Error {}

function lockfileHash() {
  return createHash('sha256').update(readFileSync(LOCKFILE)).digest('hex');
}

function isInstalled() {
  if (!existsSync(INSTALL_STAMP)) return false;
  if (statSync(INSTALL_STAMP).mtimeMs >= statSync(LOCKFILE).mtimeMs) return true;
  if (readFileSync(INSTALL_STAMP, 'utf8') !== lockfileHash()) return false;
  utimesSync(INSTALL_STAMP, new Date(), new Date()); // touched, not changed
  return true;
}

function install(quiet) {
  run('install', pnpm('install', '--frozen-lockfile'), quiet);
  writeFileSync(INSTALL_STAMP, lockfileHash());
}

function isBuilt() {
  if (!existsSync(BUILD_STAMP)) return false;
  const builtMs = statSync(BUILD_STAMP).mtimeMs;
  if (newestMs(join(ROOT, 'tsconfig.base.json')) > builtMs) return false;
  return workspacePackages().every(
    ({ path }) =>
      existsSync(join(path, 'dist/index.js')) &&
      ['src', 'package.json', 'tsconfig.json'].every((name) => newestMs(join(path, name)) <= builtMs),
  );
}

/** The latest modification under `path`, folders included (a deleted file shows there), tests left out. */
function newestMs(path) {
  const stat = statSync(path);
  if (isTestFile(relative(ROOT, path))) return 0;
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestMs(join(path, name))), stat.mtimeMs);
}

function build(quiet) {
  const beganMs = Date.now();
  // tsc trusts its build information even when the output that it speaks of is gone.
  for (const { path } of workspacePackages())
    if (!existsSync(join(path, 'dist/index.js'))) rmSync(join(path, 'tsconfig.tsbuildinfo'), { force: true });
  run('build', pnpm('exec', 'turbo', 'run', 'build', '--cache=local:rw', '--output-logs=errors-only'), quiet);
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  writeFileSync(BUILD_STAMP, '');
  utimesSync(BUILD_STAMP, beganMs / 1000, beganMs / 1000);
}

/** npx puts the pinned pnpm on the PATH as well, where turbo looks for it. */
function pnpm(...args) {
  return ['npx', '--yes', pinnedPnpm(), ...args];
}

function run(what, [command, ...args], quiet) {
  const hidden = quiet && !process.stderr.isTTY;
  const result = spawnSync(command, args, {
    cwd: ROOT,
    stdio: hidden ? ['ignore', 'pipe', 'pipe'] : ['ignore', 2, 2],
    shell: process.platform === 'win32', // npx is a .cmd there
    maxBuffer: 1 << 28,
    env: { ...process.env, npm_config_loglevel: 'error', TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1' },
  });
  if (result.status === 0) return;
  if (hidden) for (const output of [result.stdout, result.stderr]) if (output) process.stderr.write(output);
  throw new SetupError(
    `${what} failed: ${result.error?.message ?? `${[command, ...args].join(' ')} ended with ${result.status ?? result.signal}`}`,
  );
}
