import { defineConfig } from 'vitest/config';

/**
 * Take seconds each: whole documents made anew, every byte of a file changed, processes killed. They stand with
 * what they test, and `npm test` runs them.
 */
const SLOW = [
  'src/app/flow-file-schema.test.ts',
  'src/app/open.test.ts',
  'src/cli/backfill-loads.test.ts',
  'src/cli/backfill.test.ts',
  'src/cli/commands.test.ts',
  'src/connectors/http/bad-documents.test.ts',
  'src/connectors/http/connections.test.ts',
  'src/connectors/http/pages.test.ts',
  'src/formats/identify.test.ts',
  'src/formats/kernel.test.ts',
  'src/formats/parquet/csv-file.test.ts',
  'src/formats/parquet/snappy.test.ts',
  'src/ledger/sqlite/damage.test.ts',
  'src/ledger/sqlite/key-search.test.ts',
  'src/ledger/sqlite/ledger.test.ts',
  'src/ledger/sqlite/process.test.ts',
  'src/ledger/sqlite/same-answers.test.ts',
  'src/objects/read-rooms.test.ts',
  'test/tidy/documents.test.ts',
];

/** `npm run check`: under a minute on two cores. */
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/tidy/**/*.test.ts', 'test/tidy.test.ts'],
    exclude: SLOW,
    pool: 'threads',
    maxWorkers: 2,
  },
});
