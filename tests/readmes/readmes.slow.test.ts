import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { ROOT, readmeExample, workspacePackages } from '../../scripts/workspace.mjs';

const run = promisify(execFile);

// The packed package is tried in tests/packaging; this is the quick one, on the sources.
describe.concurrent("every package's README example runs as it stands, with nothing but what the package declares", () => {
  for (const { folder, path, manifest } of workspacePackages()) {
    test(`${manifest.name}`, async () => {
      const readme = join(path, 'README.md');
      expect(existsSync(readme), `packages/${folder}/README.md is missing`).toBe(true);
      const example = readmeExample(readFileSync(readme, 'utf8'));
      expect(example, `packages/${folder}/README.md has no \`\`\`ts block`).toBeDefined();
      expect(example, 'the example imports the package by its name').toContain(`'${manifest.name}'`);

      // Inside the package's folder, so that names resolve as they do for the package itself.
      const file = join(path, '.cache', 'readme-example.ts');
      mkdirSync(join(path, '.cache'), { recursive: true });
      writeFileSync(file, example ?? '');
      const tsx = join(ROOT, 'node_modules/tsx/dist/loader.mjs');
      const { stdout } = await run(process.execPath, ['--import', tsx, '--conditions=@minusone/source', file], {
        cwd: path,
        timeout: 50_000,
      });
      expect(stdout !== '' || /\bassert\b/.test(example ?? ''), 'the example prints or asserts something').toBe(true);
    });
  }
});
