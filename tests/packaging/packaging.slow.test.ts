import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, readmeExample, workspacePackages } from '../../scripts/workspace.mjs';
import { type PackedPackage, packAll, run, temporaryFolder, withDependencies } from './tarballs.ts';

const root = temporaryFolder();
let packed: PackedPackage[];

beforeAll(async () => {
  const tarballs = join(root, 'tarballs');
  mkdirSync(tarballs);
  packed = await packAll(tarballs);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Makes an empty project, has npm install the package there with nothing but its declared dependencies, and returns the project's folder. */
async function install(subject: PackedPackage): Promise<string> {
  const project = join(root, subject.folder);
  mkdirSync(project);
  const dependencies = Object.fromEntries(withDependencies(subject, packed).map(({ name, tarball }) => [name, `file:${tarball}`]));
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'empty', private: true, type: 'module', dependencies }));
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock', '--loglevel=error'];
  await run('npm', ['install', ...flags], { cwd: project });
  return project;
}

describe.each(workspacePackages())('$manifest.name, packed', { timeout: 240_000 }, ({ folder, manifest }) => {
  const subject = () => packed.find((candidate) => candidate.folder === folder) as PackedPackage;

  test('declares what a package must: no side effects, faces with types, a licence', () => {
    expect(manifest).toMatchObject({ sideEffects: false, type: 'module', license: 'MIT', engines: { node: '>=20' } });
    expect(manifest.description).toBeTruthy();
    for (const [face, target] of Object.entries<Record<string, string>>(manifest.exports)) {
      if (face === './package.json') continue;
      expect(Object.keys(target), `exports['${face}']: the sources, then types, then the default`).toEqual([
        '@minusone/source',
        'types',
        'default',
      ]);
    }
  });

  test('publint finds nothing to say', async () => {
    const tarball = readFileSync(subject().tarball);
    const bytes = tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength) as ArrayBuffer;
    const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg ?? {}, { color: false }))).toEqual([]);
  });

  test("installed alone by npm in an empty project: complete, and its README's example type-checks and runs", async () => {
    const project = await install(subject());
    const installed = join(project, 'node_modules', manifest.name);
    for (const file of ['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts'])
      expect(existsSync(join(installed, file)), file).toBe(true);
    const { dependencies = {} } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    for (const range of Object.values(dependencies)) expect(range, 'workspace:* is replaced by a version').toMatch(/^\d/);

    const example = readmeExample(readFileSync(join(installed, 'README.md'), 'utf8'));
    expect(example, "the README's ```ts block").toBeDefined();
    writeFileSync(join(project, 'example.ts'), example ?? '');
    const compilerOptions = {
      target: 'ES2023',
      lib: ['ES2023', 'DOM', 'DOM.AsyncIterable'],
      module: 'NodeNext',
      strict: true,
      noEmit: true,
      types: [],
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['example.ts'] }));
    const checked = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', project]).catch((error: { stdout: string }) => error);
    expect(checked.stdout).toBe('');

    const { code } = await transform(example ?? '', { loader: 'ts', target: 'es2023' });
    writeFileSync(join(project, 'example.mjs'), code);
    await run(process.execPath, ['example.mjs'], { cwd: project, timeout: 120_000 });
  });
});
