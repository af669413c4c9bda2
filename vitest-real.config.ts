import { defineConfig } from 'vitest/config';
import { SkipReporter } from './test/real/skip-reporter.ts';

const report = process.env.WAYBILL_TEST_REPORT;

const EVERY = { testTimeout: 120_000, hookTimeout: 240_000, pool: 'forks' } as const;
/** Those that keep every core busy by themselves, with several processes at once. */
const WIDE = ['kills', 'failing-calls'].map((name) => `test/real/${name}.test.ts`);

/**
 * Real processes, disks and connections. What waits for its server more than it computes goes two files at a time; each
 * has servers, ports and folders of its own.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { ...EVERY, name: 'wide', include: WIDE, fileParallelism: false, sequence: { groupOrder: 1 } } },
      {
        test: {
          ...EVERY,
          name: 'narrow',
          include: ['test/real/**/*.test.ts'],
          exclude: WIDE,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
    reporters: [
      'default',
      ...(report === undefined ? [] : [['json', { outputFile: report }] as ['json', { outputFile: string }]]),
      new SkipReporter(),
    ],
  },
});
