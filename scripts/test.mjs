// Runs every test and keeps the report where `npm run acceptance` finds it. Words after `--` go to the runner.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const report = process.env.WAYBILL_TEST_REPORT ?? join(root, '.cache', 'tests.json');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const words = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)];
const { status, signal } = spawnSync(process.execPath, [vitest, ...words], { stdio: 'inherit', cwd: root });
if (signal !== null) console.error(`The tests were ended by ${signal}.`);
process.exit(status ?? 1);
