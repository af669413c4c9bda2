// A window that is read again and whose records have all changed, with a key, against the first time that it was
// loaded: from a file to a file, so what the engine and the ledger do about each record is most of it. Windows of two
// sizes: what a record costs may not depend on how many others there are.
//   npm run build && node bench/again.js [--small]
// Figures are of CPU, since nothing here waits. After each run the file must hold the newest version of each record,
// outside of the clock.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { report, small } from './parts/measure.js';
import { waybill } from './parts/timed.js';

const SIZES = small ? [500, 2_000] : [2_000, 20_000];
const WINDOW = '2026-11-19';
const root = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'waybill-bench-again-'));
process.once('exit', () => rmSync(root, { recursive: true, force: true }));

const perRecord = [];
for (const records of SIZES) perRecord.push(await loads(records));
const [few, many] = perRecord;
report('CPU of a record read again, in a large window / in a small one', {
  again: many.again / few.again,
  onceMore: many.onceMore / few.onceMore,
});

/** Three times the same window. Answers the microseconds of CPU that each of them took for a record. */
async function loads(records) {
  const folder = join(root, String(records));
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `version: 1
connections:
  here: { type: files }
flows:
  load:
    window: day
    source: { connection: here, path: rows.ndjson, key: [id] }
    sink: { connection: here, path: "out/{{ window }}.ndjson" }
    strategy: data-overwrite
`,
  );
  // What a process takes that has next to nothing to do.
  const base = await version(folder, '2026-11-18', 1, 1);
  const first = await version(folder, WINDOW, 1, records);
  const second = await version(folder, WINDOW, 2, records);
  const third = await version(folder, WINDOW, 3, records);
  const cost = (cpu) => Math.max(0, (cpu - base) * 1e6) / records;
  const figures = { first: cost(first), again: cost(second), onceMore: cost(third), timesTheFirst: second / first };
  report(`CPU microseconds a record, a window of ${records} loaded again`, figures);
  return figures;
}

async function version(folder, day, number, records) {
  const line = (id) => `${JSON.stringify({ id, page: `page number ${id}`, version: number })}\n`;
  const text = Array.from({ length: records }, (_, id) => line(id)).join('');
  writeFileSync(join(folder, 'rows.ndjson'), text);
  const words = ['run', 'load', '--for', day, ...(number > 1 ? ['--refresh'] : []), '--quiet'];
  const { cpuSeconds } = await waybill(words, { cwd: folder, env: process.env });
  if (readFileSync(join(folder, 'out', `${day}.ndjson`), 'utf8') !== text)
    throw new Error(`${day} holds something else`);
  return cpuSeconds;
}
