// The ledger at full durability: commits, group commits, size and look-ups.
//   npm run build && node bench/ledger.js [--small]
// Every timed stretch is checked afterwards: the books must say exactly what was done, and verify must find nothing.

import { randomUUID } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteLedger } from '../build/ledger/sqlite/open.js';
import { check, deliver, RECORDS, sealed, seconds } from './parts/ledger-run.js';
import { median, report, small } from './parts/measure.js';

const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'waybill-bench-ledger-'));
const ports = { wallMs: () => Date.now(), monotonicMs: () => performance.now(), id: () => randomUUID() };
let ledgers = 0;

const openLedger = async (thread) => {
  const path = join(folder, `${++ledgers}.db`);
  return { path, ledger: await openSqliteLedger({ path, ports, thread, create: true }) };
};

/** How often a disk that only has to write 4 KiB over and over can make them durable. */
function rawSyncs(count) {
  const fd = openSync(join(folder, 'raw'), 'w');
  const page = Buffer.alloc(4_096, 1);
  for (let n = 0; n < 64; n++) writeSync(fd, page, 0, 4_096, n * 4_096);
  fdatasyncSync(fd);
  const from = performance.now();
  for (let n = 0; n < count; n++) {
    writeSync(fd, page, 0, 4_096, (n % 64) * 4_096);
    fdatasyncSync(fd);
  }
  closeSync(fd);
  return count / ((performance.now() - from) / 1_000);
}

async function throughput(thread, lanes, batches) {
  const { ledger, path } = await openLedger(thread);
  const run = await sealed(ledger, batches);
  const cpu = process.cpuUsage();
  const from = performance.now();
  const idle = performance.eventLoopUtilization();
  const perSecond = await deliver(ledger, run, lanes);
  const busy = performance.eventLoopUtilization(idle).utilization;
  const used = process.cpuUsage(cpu);
  const cpuUs = (used.user + used.system) / batches;
  await check(ledger, run.run, batches);
  await ledger.close();
  rmSync(path);
  return { perSecond, busy, cpuUs, seconds: (performance.now() - from) / 1_000 };
}

async function commits() {
  const scale = small ? 1 : 4;
  const rounds = small ? 1 : 3;
  const found = { raw: [], single: [], eight: [], many: [], worker8: [], worker64: [] };
  let [busy, cpuUs] = [0, 0];
  for (let round = 0; round < rounds; round++) {
    found.raw.push(rawSyncs(1_000 * scale));
    found.single.push((await throughput('main', 1, 500 * scale)).perSecond);
    found.eight.push((await throughput('main', 8, 2_500 * scale)).perSecond);
    found.many.push((await throughput('main', 64, 5_000 * scale)).perSecond);
    found.worker8.push((await throughput('worker', 8, 2_500 * scale)).perSecond);
    const worker = await throughput('worker', 64, 5_000 * scale);
    found.worker64.push(worker.perSecond);
    ({ busy, cpuUs } = worker);
  }
  const [raw, single, eight, many, worker8, worker64] = Object.values(found).map(median);
  // One batch is two durable commits when nothing shares them.
  const ratio = (single * 2) / raw;
  report('ledger single commits', { perSecond: single * 2, raw, ratio }, { text: '>= 0.8 of raw', met: ratio >= 0.8 });
  report(
    'ledger 8 lanes',
    { batchesPerSecond: eight, gain: eight / single },
    { text: '>= 5x one lane', met: eight / single >= 5 },
  );
  report(
    'ledger 64 lanes',
    { batchesPerSecond: many, gain: many / single },
    { text: '>= 15x one lane', met: many / single >= 15 },
  );
  report('ledger 8 lanes, worker', { batchesPerSecond: worker8, gain: worker8 / single });
  report(
    'ledger 64 lanes, worker',
    { batchesPerSecond: worker64, gain: worker64 / single, mainThreadBusy: busy, cpuUsPerBatch: cpuUs },
    { text: '>= 25,000 a second', met: worker64 >= 25_000 },
  );
}

async function size() {
  const batches = small ? 2_000 : 10_000;
  const records = batches * RECORDS;
  const { ledger, path } = await openLedger('main');
  const run = await sealed(ledger, batches);
  await deliver(ledger, run, 64);
  await ledger.concludeRun(run.claim);
  await check(ledger, run.run, batches);
  const [{ keys }] = await ledger.read.laneKeys({
    run: run.run,
    lane: 'api',
    after: run.ids[batches >> 1] - 1,
    limit: 1,
  });
  const key = keys.subarray(160, 176);
  const scanMs = await lookUp(ledger, key);
  await ledger.close();
  const bare = statSync(path).size / records;
  const again = await openSqliteLedger({ path, ports, thread: 'main', create: false });
  let [steps, longestMs] = [0, 0];
  const took = await seconds(async () => {
    for (let done = false; !done; steps++) {
      const step = (await seconds(async () => ({ done } = await again.indexKeys({})))) * 1_000;
      longestMs = Math.max(longestMs, step);
    }
  });
  await check(again, run.run, batches);
  const indexMs = await lookUp(again, key);
  await again.close();
  const indexed = statSync(path).size / records;
  report('ledger size', { records, bytesPerRecord: bare }, { text: '<= 20 B a record', met: bare <= 20 });
  report('ledger size with index', { bytesPerRecord: indexed }, { text: '<= 28 B a record', met: indexed <= 28 });
  report('ledger index', { nsPerRecord: (took * 1e9) / records, steps, longestStepMs: longestMs });
  report('ledger trace', { scanMs, indexMs }, { text: '< 100 ms', met: scanMs < 100 && indexMs < 100 });
}

async function lookUp(ledger, key) {
  const times = [];
  for (let n = 0; n < 7; n++) {
    const took = await seconds(async () => {
      const found = await ledger.read.trace({ key });
      if (found.length !== 1 || found[0].record.state !== 'delivered') throw new Error('the record was not found');
    });
    times.push(took * 1_000);
  }
  return median(times);
}

try {
  await commits();
  await size();
} finally {
  rmSync(folder, { recursive: true });
}
