// HTTP delivery with the ledger at full durability, against the same sink called in the same loop without a ledger.
//   npm run build && node bench/http.js [--small]
// Both send the same frozen batches of 100 records (28.8 KB) with the same connector; the peer counts what arrives.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realPorts } from '../build/app/ports.js';
import { http } from '../build/connectors/http/config.js';
import { runJob } from '../build/engine/run.js';
import { fileJournal } from '../build/ledger/journal-file.js';
import { openSqliteLedger } from '../build/ledger/sqlite/open.js';
import { folderStaging } from '../build/ledger/staging-folder.js';
import { strategies } from '../build/strategies/all.js';
import { testPermit } from '../build/testing/permit.js';
import { median, report, small, startProcess } from './parts/measure.js';

const RECORDS = 100;
const record = (id) => ({ id, name: `member number ${id}`, fill: 'x'.repeat(288 - 46 - String(id).length * 2) });
const never = new AbortController().signal;
const ports = realPorts();

const scenarios = [
  {
    name: 'null sink, 64 lanes',
    delayMs: 0,
    inFlight: 64,
    batches: small ? 4_000 : 20_000,
    goal: { perSecond: 20_000 },
  },
  { name: '5 ms sink, 8 lanes', delayMs: 5, inFlight: 8, batches: small ? 1_000 : 4_000, goal: { ratio: 0.85 } },
  { name: '5 ms sink, 64 lanes', delayMs: 5, inFlight: 64, batches: small ? 4_000 : 15_000, goal: { ratio: 0.85 } },
  { name: '20 ms sink, 8 lanes', delayMs: 20, inFlight: 8, batches: small ? 300 : 1_500, goal: { ratio: 0.95 } },
  { name: '20 ms sink, 64 lanes', delayMs: 20, inFlight: 64, batches: small ? 2_000 : 10_000, goal: { ratio: 0.95 } },
];

function sinkFor(port, inFlight) {
  const connection = http.connection.parse({ url: `http://127.0.0.1:${port}/` });
  const settings = http.sink.settings.parse({ batch: { maxRecords: RECORDS }, inFlight, receipt: { shape: 'none' } });
  return http.sink.open(connection, settings, {
    ports,
    folder: '/',
    secret: () => '',
    stdin: process.stdin,
    stdout: process.stdout,
  });
}

/** Makes its rows as it goes, so that nothing but the engine's own memory is used. */
function rowSource(count) {
  const read = async function* () {
    for (let from = 0; from < count; from += 1_000) {
      const rows = Array.from({ length: Math.min(1_000, count - from) }, (_, n) => JSON.stringify(record(from + n)));
      const spans = new Uint32Array(rows.length * 2);
      let end = 0;
      rows.forEach((row, n) => {
        spans.set([end, end + row.length], n * 2);
        end += row.length + 1;
      });
      yield { format: 'ndjson', bytes: Buffer.from(rows.join('\n')), spans, count: rows.length, firstRow: from + 1 };
    }
  };
  return { emits: ['ndjson'], resumable: false, read };
}

/** The loop without a ledger: as many sends under way as lanes, nothing written anywhere. */
async function raw(port, { inFlight, batches }) {
  const sink = sinkFor(port, inFlight);
  const records = Array.from({ length: RECORDS }, (_, id) => record(id));
  let left = batches;
  const started = performance.now();
  const lane = async () => {
    const permit = testPermit({ records, framing: sink.accepts[0] });
    while (left-- > 0) await sink.can.append(permit);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - started) / 1000;
  await sink.close?.();
  return batches / seconds;
}

/** The same through the engine: sealed first, then timed from the first claim to the conclusion of the run. */
async function ledgered(port, { inFlight, batches }, intendAhead) {
  const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-http-'));
  const thread = inFlight >= 8 ? 'worker' : 'main';
  const path = join(folder, 'ledger.db');
  const ledger = await openSqliteLedger({ path, ports, thread, create: true });
  const sink = sinkFor(port, inFlight);
  let firstClaim = 0;
  let concluded = 0;
  const timed = new Proxy(ledger, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args) => {
        if (name === 'claimShard') firstClaim ||= performance.now();
        if (name === 'concludeRun') concluded = performance.now();
        return value.apply(target, args);
      };
    },
  });
  const services = {
    ports,
    ledger: timed,
    staging: folderStaging(join(folder, 'staging')),
    journal: fileJournal(join(folder, 'journal')),
    notice: (notice) => console.log(notice.message),
  };
  const lane = {
    name: 'api',
    connector: 'http',
    sink,
    strategy: strategies['ledgered-append'],
    limits: sink.limits,
    intendAhead,
    onDoubt: 'hold',
    onChanged: 'hold',
    retry: { attempts: 5, firstDelayMs: 100, maxDelayMs: 1_000, maxAgeMs: 60_000 },
  };
  const job = {
    flow: 'bench',
    window: { name: 'all' },
    parameters: {},
    source: {
      name: 'rows',
      source: rowSource(batches * RECORDS),
      key: ['id'],
      exclude: [],
      onReject: 'stop',
      onDuplicate: 'report',
    },
    lanes: [lane],
    deliver: 'after-read',
    configDigest: 'bench',
  };
  const summary = await runJob(job, { owner: 'bench', leaseMs: 30_000 }, services, { stop: never, abort: never });
  const { delivered } = summary.lanes[0].balance;
  if (delivered !== batches * RECORDS) throw new Error(`delivered ${delivered} of ${batches * RECORDS}`);
  await sink.close?.();
  await ledger.close();
  const bytesPerRecord = statSync(path).size / (batches * RECORDS);
  rmSync(folder, { recursive: true, force: true });
  return { perSecond: batches / ((concluded - firstClaim) / 1000), bytesPerRecord };
}

const rounds = small ? 1 : 3;
for (const scenario of scenarios) {
  const server = await startProcess('null-server.js', [scenario.delayMs]);
  const port = Number(server.line);
  // What a lane does by itself on a sink that cannot be asked, and what one does that can be, or that was told to.
  const kinds = { 'as it is for a sink of this kind': 0, 'with intents ahead': scenario.inFlight };
  const results = Object.keys(kinds).map(() => []);
  await raw(port, { ...scenario, batches: Math.min(scenario.batches, 1_000) });
  const before = (await counted(port)).requests;
  for (let round = 0; round < rounds; round++) {
    const without = await raw(port, scenario);
    for (const [kind, intendAhead] of Object.values(kinds).entries()) {
      const { perSecond, bytesPerRecord } = await ledgered(port, scenario, intendAhead);
      results[kind].push({ without, perSecond, ratio: perSecond / without, bytesPerRecord });
    }
  }
  const arrived = (await counted(port)).requests - before;
  if (arrived !== rounds * 3 * scenario.batches) throw new Error(`${arrived} requests arrived`);
  server.stop();
  for (const [kind, name] of Object.keys(kinds).entries()) tell(scenario, name, results[kind]);
}

function tell(scenario, kind, results) {
  const figures = {
    raw: median(results.map((one) => one.without)),
    ledgered: median(results.map((one) => one.perSecond)),
    ratio: median(results.map((one) => one.ratio)),
    best: Math.max(...results.map((one) => one.ratio)),
    ledgerBytesPerRecord: median(results.map((one) => one.bytesPerRecord)),
  };
  const { ratio, perSecond } = scenario.goal;
  const goal =
    ratio === undefined
      ? { text: `>= ${perSecond} batches/s`, met: figures.ledgered >= perSecond }
      : { text: `ratio >= ${ratio}`, met: figures.ratio >= ratio };
  report(`http delivery, ${scenario.name}, ${kind} (batches/s)`, figures, goal);
}

/** Asked over a socket of its own, so that no second HTTP client shares the process. */
async function counted(port) {
  const { connect } = await import('node:net');
  const text = await new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /count HTTP/1.1\r\n\r\n'));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once('error', reject);
  });
  return JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
}
