// Writes the coverage pages in docs/coverage from the CPU's tables: `npm run coverage`. tests/coverage holds the committed pages to them.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { coveragePages } from './coverage/pages.ts';
import { ROOT } from './workspace.mjs';

for (const [path, text] of coveragePages()) {
  mkdirSync(dirname(join(ROOT, path)), { recursive: true });
  writeFileSync(join(ROOT, path), text);
  console.log(`${path}: ${text.split('\n').length} lines`);
}
