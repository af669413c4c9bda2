// How fast records come out of a tap, against the same tap writing to nowhere, which nothing can be faster than.
//   npm run build && node bench/singer.js [records] [rounds] [--small]
// Each round runs both in turn; the figures are medians. Sums of the keys are checked outside the clock.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { singer } from '../build/connectors/singer/config.js';
import { rows } from '../build/formats/rows.js';

const small = process.argv.includes('--small');
const numbers = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const records = Number(numbers[0] ?? (small ? 100_000 : 600_000));
const rounds = Number(numbers[1] ?? (small ? 3 : 5));
const GOAL = 150_000;

if (spawnSync('python3', ['--version']).error !== undefined) {
  console.log('SKIPPED: python3 is not installed on this machine');
  process.exit(0);
}

const tap = fileURLToPath(new URL('parts/plain-tap.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
const config = join(folder, 'config.json');
writeFileSync(config, JSON.stringify({ records }));
const nowhere = openSync('/dev/null', 'w');

function alone() {
  const { status } = spawnSync('python3', [tap, '--config', config], { stdio: ['ignore', nowhere, 'inherit'] });
  if (status !== 0) throw new Error('the tap failed');
}

const context = { folder, ports: { sleep: (ms, signal) => pause(ms, undefined, { signal }) } };
const connection = singer.connection.parse({ command: ['python3', tap], config: { records } });
const pull = { taken: async () => new Set(), downloads: folder };

/** Reads as a pull does; `use` is given every chunk. */
async function read(use) {
  const source = singer.source.open(connection, singer.source.settings.parse({ stream: 'people' }), context);
  const range = { window: { kind: 'all', name: 'all' }, parameters: {}, pull };
  let [count, end] = [0, undefined];
  for await (const chunk of source.read(range, new AbortController().signal)) {
    count += chunk.count;
    end = chunk.end ?? end;
    use(chunk);
  }
  if (count !== records) throw new Error(`${count} records came instead of ${records}`);
  if (end.value !== `{"last": ${records}}`) throw new Error(`it ended at ${end.value}`);
}

async function timed(work) {
  const [before, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: records / ((performance.now() - before) / 1000), cpuUs: (user + system) / records };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const shown = (perSecond) => Math.round(perSecond).toLocaleString('en');

try {
  let sum = 0;
  await read((chunk) => {
    for (const { id } of rows(chunk)) sum += id;
  });
  if (sum !== (records * (records + 1)) / 2) throw new Error('the records are not those of the tap');
  const found = [];
  for (let round = 0; round < rounds; round++) {
    found.push({ peer: await timed(alone), ours: await timed(() => read(() => {})) });
  }
  const [peer, ours] = ['peer', 'ours'].map((who) => median(found.map((one) => one[who].perSecond)));
  const ratio = median(found.map((one) => one.ours.perSecond / one.peer.perSecond));
  const cpu = median(found.map((one) => one.ours.cpuUs));
  console.log(`${shown(records)} records, ${rounds} rounds`);
  console.log(`the tap alone, to /dev/null   ${shown(peer)} records/s`);
  console.log(
    `read as a source             ${shown(ours)} records/s, ${ratio.toFixed(2)} of that; CPU ${cpu.toFixed(2)} us each`,
  );
  console.log(`goal ${shown(GOAL)} records/s: ${ours >= GOAL ? 'met' : 'missed'}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
