// Runs the tests against real processes, disks and connections, and keeps their report. Words after `--` go to the
// runner. What this machine does not allow is printed as SKIPPED with the reason, and counted in the last line.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const words = ['run', '--config', 'vitest-real.config.ts', ...process.argv.slice(2)];
const env = { WAYBILL_TEST_REPORT: join(root, '.cache', 'tests-real.json'), ...process.env };
const { status, signal } = spawnSync(process.execPath, [vitest, ...words], { stdio: 'inherit', cwd: root, env });
if (signal !== null) console.error(`The tests were ended by ${signal}.`);
process.exit(status ?? 1);
