import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    // Real processes, disks and connections take their time: `npm run real`.
    exclude: ['test/real/**', 'node_modules/**'],
    // A worker for each of two cores. Every test has servers, ports and folders of its own, so files do not meet; but
    // they wait for one another's processes, and so may take longer than they would alone.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
