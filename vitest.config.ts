import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['@minusone/source'] },
  ssr: { resolve: { conditions: ['@minusone/source', 'node', 'import', 'default'] } },
  test: { include: ['packages/*/src/**/*.test.ts', 'tests/**/*.test.ts'], testTimeout: 60_000 },
});
