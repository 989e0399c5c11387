import { defineConfig } from 'vitest/config';

// Three sizes of test: `x.test.ts` always; `x.slow.test.ts` in `npm test` but not in `npm run test:quick`; `x.long.test.ts` (many minutes) only with MINUSONE_LONG=1.
const exclude = ['**/node_modules/**', '**/dist/**', '**/.cache/**'];
const slow = '**/*.slow.test.ts';
const long = '**/*.long.test.ts';
const test = { testTimeout: 60_000, hookTimeout: 120_000 };
const resolve = { conditions: ['@minusone/source'] };
const ssr = { resolve: { conditions: ['@minusone/source', 'node', 'import', 'default'] } };

const quickProject = {
  resolve,
  ssr,
  test: {
    ...test,
    name: 'quick',
    include: ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'],
    exclude: [...exclude, slow, long],
    // Files share a worker's modules: half of the time is loading them. No test changes what a module holds.
    isolate: false,
  },
};
const slowProject = {
  resolve,
  ssr,
  test: {
    ...test,
    name: 'slow',
    include: [
      `packages/*/src/${slow}`,
      `tests/${slow}`,
      ...(process.env.MINUSONE_LONG === '1' ? [`packages/*/src/${long}`, `tests/${long}`] : []),
    ],
    exclude,
  },
};

// Every core works: vitest leaves one idle, which is half of a small machine.
export default defineConfig({
  test: { maxWorkers: '100%', projects: process.env.MINUSONE_QUICK === '1' ? [quickProject] : [quickProject, slowProject] },
});
