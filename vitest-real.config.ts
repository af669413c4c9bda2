import { defineConfig } from 'vitest/config';
import { SkipReporter } from './test/real/skip-reporter.ts';

const report = process.env.WAYBILL_TEST_REPORT;

/** Real processes, disks and connections, one file after the other: they measure time, and share the machine. */
export default defineConfig({
  test: {
    include: ['test/real/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    fileParallelism: false,
    reporters: [
      'default',
      ...(report === undefined ? [] : [['json', { outputFile: report }] as ['json', { outputFile: string }]]),
      new SkipReporter(),
    ],
  },
});
