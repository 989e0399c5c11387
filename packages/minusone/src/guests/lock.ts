import { open, readFile, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 100;
/** Fetching never takes this long: such a lock was left behind, and its process id may have been given away again. */
const STALE_MS = 30 * 60_000;
/** A lock without a process id in it is being written, unless its writer died there. */
const WRITING_MS = 2000;

const codeOf = (error: unknown): string | undefined => (error as { code?: string }).code;

/** Runs `job` while no other process holds the lock file `path`; waits for it first. A lock whose owner is gone is taken over. */
export async function withLock<T>(path: string, job: () => Promise<T>): Promise<T> {
  while (!(await take(path))) {
    if (await isAbandoned(path)) await rm(path, { force: true });
    else await sleep(POLL_MS);
  }
  try {
    return await job();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const ageMs = Date.now() - (await stat(path)).mtimeMs;
    const owner = Number(await readFile(path, 'utf8'));
    return owner === 0 ? ageMs > WRITING_MS : ageMs > STALE_MS || !isAlive(owner);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false; // released meanwhile
    throw error;
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
