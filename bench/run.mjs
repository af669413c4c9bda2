// Runs every benchmark in this folder, one after the other, each in a process of its own. Words given here go to each
// of them: `npm run bench -- --small`. A benchmark prints its figures and ends with 0, or with 1 when what it timed
// did not move the right data.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(folder)
  .filter((name) => /\.m?js$/.test(name) && name !== 'run.mjs')
  .sort();
const failed = names.filter((name) => {
  console.log(`\n# ${name}`);
  return spawnSync(process.execPath, [join(folder, name), ...process.argv.slice(2)], { stdio: 'inherit' }).status !== 0;
});
const list = failed.map((name) => `; failed: ${name}`).join('');
console.log(`\n${names.length - failed.length} of ${names.length} benchmarks ran${list}`);
process.exit(failed.length > 0 ? 1 : 0);
