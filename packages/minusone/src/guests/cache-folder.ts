import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout that this code runs from, or undefined where it was installed from a registry. */
function checkout(): string | undefined {
  // packages/minusone/{src,dist}/guests/: four folders up
  const root = fileURLToPath(new URL('../../../../', import.meta.url));
  return existsSync(join(root, 'pnpm-workspace.yaml')) && existsSync(join(root, 'packages/minusone')) ? root : undefined;
}

/** Where fetched guests are kept: `.cache/guests` in a checkout, otherwise `minusone` in the user's cache folder (XDG Base Directory Specification). */
export function defaultCacheFolder(env: Readonly<Record<string, string | undefined>>): string {
  const root = checkout();
  if (root !== undefined) return join(root, '.cache/guests');
  // The specification: a relative path is invalid and is to be ignored.
  const base = env.XDG_CACHE_HOME;
  return join(base !== undefined && base === resolve(base) ? base : join(homedir(), '.cache'), 'minusone');
}
