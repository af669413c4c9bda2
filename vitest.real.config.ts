import { defineConfig } from 'vitest/config';

/** Real processes, disks and connections, one file after the other: they measure time, and share the machine. */
export default defineConfig({
  test: {
    include: ['test/real/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    fileParallelism: false,
  },
});
