// Kills real processes and holds their books against what the sinks got:
// `npm run kills -- --kills 500 --records 1000000 --seed 7`, with as many worlds side by side as `--width` says, of the
// sorts that `--sorts none,rows` names. Adds a line to docs/tally.json, unless `--no-tally` is given.
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '500' },
    records: { type: 'string' },
    seed: { type: 'string', default: '1' },
    width: { type: 'string', default: '3' },
    sorts: { type: 'string' },
    'no-tally': { type: 'boolean', default: false },
  },
});
for (const name of ['kills', 'records', 'seed', 'width']) {
  if (values[name] === undefined) continue;
  if (!/^\d+$/.test(values[name])) {
    console.error(`--${name} takes a whole number, not ${values[name]}`);
    process.exit(2);
  }
}
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
const env = {
  ...process.env,
  WAYBILL_KILLS: values.kills,
  WAYBILL_KILLS_WIDTH: values.width,
  WAYBILL_SEED: values.seed,
  ...(values.records === undefined ? {} : { WAYBILL_KILLS_RECORDS: values.records }),
  ...(values.sorts === undefined ? {} : { WAYBILL_KILLS_SORTS: values.sorts }),
  ...(values['no-tally'] ? {} : { WAYBILL_TALLY: join(root, 'docs', 'tally.json'), WAYBILL_COMMIT: commit }),
};
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const words = ['run', '--config', 'vitest-real.config.ts', 'test/real/kills.test.ts', '-t', 'G10'];
const { status } = spawnSync(process.execPath, [vitest, ...words], { stdio: 'inherit', cwd: root, env });
process.exit(status ?? 1);
