// Runs the tests against real processes, disks and connections, and keeps their report. Words after `--` go to the
// runner. What this machine does not allow is printed as SKIPPED with the reason, and counted in the last line.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const report = process.env.WAYBILL_TEST_REPORT ?? join(root, '.cache', 'tests-real.json');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const words = [
  'run',
  '--config',
  'vitest.real.config.ts',
  '--reporter=default',
  '--reporter=./test/real/skip-reporter.ts',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const { status, signal } = spawnSync(process.execPath, [vitest, ...words], { stdio: 'inherit', cwd: root });
if (signal !== null) console.error(`The tests were ended by ${signal}.`);
process.exit(status ?? 1);
