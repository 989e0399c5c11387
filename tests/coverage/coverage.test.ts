import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { coveragePages } from '../../scripts/coverage/pages.ts';
import { ROOT } from '../../scripts/workspace.mjs';

describe('the committed coverage pages are what the tables give (npm run coverage)', () => {
  for (const [path, text] of coveragePages()) {
    test(path, () => {
      const file = join(ROOT, path);
      expect(existsSync(file), `${path} is missing: run npm run coverage`).toBe(true);
      // Line by line, so that a failure shows the rows concerned.
      expect(readFileSync(file, 'utf8').split('\n'), `${path} is out of date: run npm run coverage`).toEqual(text.split('\n'));
    });
  }
});
