import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pinnedPnpm, ROOT, workspacePackages } from '../../scripts/workspace.mjs';

export const run: typeof execFile.__promisify__ = promisify(execFile);

/** A package as it would be published. */
export interface PackedPackage {
  readonly name: string;
  readonly folder: string;
  /** The package's folder in this checkout. */
  readonly path: string;
  // biome-ignore lint/suspicious/noExplicitAny: package.json is free-form
  readonly manifest: Record<string, any>;
  /** Absolute path of the packed `.tgz`. */
  readonly tarball: string;
}

/** An empty temporary folder. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'minusone-packaging-'));
}

/** Packs every package by `pnpm pack`, which turns `workspace:*` into versions. Packages have to be built before. */
export async function packAll(destination: string): Promise<PackedPackage[]> {
  const npx = ['--yes', pinnedPnpm(), '-r', '--filter', './packages/*', 'pack', '--pack-destination', destination];
  await run('npx', npx, { cwd: ROOT, env: { ...process.env, npm_config_loglevel: 'error' } });
  const tarballs = readdirSync(destination);
  return workspacePackages().map(({ folder, path, manifest }) => {
    const file = `${manifest.name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;
    if (!tarballs.includes(file)) throw new Error(`pnpm pack made no ${file} (made: ${tarballs.join(', ')})`);
    return { name: manifest.name, folder, path, manifest, tarball: join(destination, file) };
  });
}

/** A package and all of ours that it depends on, directly or not: what a registry would have to hold for it to be installed. */
export function withDependencies(root: PackedPackage, all: readonly PackedPackage[]): PackedPackage[] {
  const closure = [root];
  for (const member of closure)
    for (const name of Object.keys(member.manifest.dependencies ?? {})) {
      const dependency = all.find((candidate) => candidate.name === name);
      if (dependency && !closure.includes(dependency)) closure.push(dependency);
    }
  return closure;
}
