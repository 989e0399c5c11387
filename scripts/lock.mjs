// A lock between processes of one machine: a file that holds the owner's process id.
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const POLL_MS = 100;
/** Set-up never takes this long: such a lock was left behind and its process id may have been given to another process. */
const STALE_MS = 30 * 60_000;

/**
 * Runs `job` while no other process holds the lock `path`; waits for it first. A lock whose owner is gone is taken over.
 *
 * @template T
 * @param {string} path
 * @param {() => T} job
 * @returns {T}
 */
export function withLock(path, job) {
  mkdirSync(dirname(path), { recursive: true });
  while (!take(path)) {
    if (isAbandoned(path)) rmSync(path, { force: true });
    else sleep(POLL_MS);
  }
  try {
    return job();
  } finally {
    rmSync(path, { force: true });
  }
}

function take(path) {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isAbandoned(path) {
  try {
    const ageMs = Date.now() - statSync(path).mtimeMs;
    const owner = Number(readFileSync(path, 'utf8'));
    if (owner === 0) return ageMs > 2000; // between its owner's open and write, unless the owner died there
    return ageMs > STALE_MS || !isAlive(owner);
  } catch (error) {
    if (error.code === 'ENOENT') return false; // released meanwhile
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
