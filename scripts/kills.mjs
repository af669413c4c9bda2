// Kills real processes and holds their books against what the sink got:
// `npm run kills -- --kills 200 --seed 7`. Adds a line to docs/tally.json, unless `--no-tally` is given.
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    'no-tally': { type: 'boolean', default: false },
  },
});
for (const name of ['kills', 'seed']) {
  if (!/^\d+$/.test(values[name])) {
    console.error(`--${name} takes a whole number, not ${values[name]}`);
    process.exit(2);
  }
}
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
const env = {
  ...process.env,
  WAYBILL_KILLS: values.kills,
  WAYBILL_SEED: values.seed,
  ...(values['no-tally'] ? {} : { WAYBILL_TALLY: join(root, 'docs', 'tally.json'), WAYBILL_COMMIT: commit }),
};
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const words = ['run', '--config', 'vitest-real.config.ts', 'test/real/kills.test.ts'];
const { status } = spawnSync(process.execPath, [vitest, ...words], { stdio: 'inherit', cwd: root, env });
process.exit(status ?? 1);
