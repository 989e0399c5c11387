import { defineConfig } from 'vitest/config';

// Three sizes of test: `x.test.ts` always; `x.slow.test.ts` in `npm test` but not in `npm run test:quick`; `x.long.test.ts` (many minutes) only with MINUSONE_LONG=1.
const exclude = ['**/node_modules/**', '**/dist/**', '**/.cache/**'];
if (process.env.MINUSONE_QUICK === '1') exclude.push('**/*.slow.test.ts');
if (process.env.MINUSONE_LONG !== '1') exclude.push('**/*.long.test.ts');

// Every core works: vitest leaves one idle, which is half of a small machine.
export default defineConfig({
  resolve: { conditions: ['@minusone/source'] },
  ssr: { resolve: { conditions: ['@minusone/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'],
    exclude,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: '100%',
  },
});
