// Figures of whole processes: how long `waybill --help` takes, how much memory a run needs whatever its size, how
// large its ledger becomes, and how fast one record of a million is found.
//   npm run build && node bench/process.js [--small]
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, report, small, startProcess } from './parts/measure.js';

const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-process-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

const times = [];
for (let round = 0; round < 12; round++) {
  const started = performance.now();
  spawnSync(process.execPath, [cli, '--help'], { stdio: 'ignore' });
  times.push(performance.now() - started);
}
const helpMs = median(times.slice(2));
report('waybill --help (ms)', { median: helpMs, min: Math.min(...times) }, { text: '< 150 ms', met: helpMs < 150 });

const server = await startProcess('null-server.js', [0]);
for (const records of small ? [20_000, 200_000] : [100_000, 1_000_000]) await runOf(records);
server.stop();

async function runOf(records) {
  const at = join(folder, String(records));
  spawnSync('mkdir', ['-p', at]);
  writeRows(join(at, 'rows.ndjson'), records);
  writeFileSync(
    join(at, 'waybill.yaml'),
    `version: 1
connections:
  api: { type: http, url: "http://127.0.0.1:${server.line}/" }
flows:
  big:
    source: { connection: files, path: rows.ndjson, format: ndjson, key: [id] }
    sink: { connection: api, batch: { maxRecords: 100 }, inFlight: 16, receipt: { shape: none } }
    strategy: ledgered-append
`,
  );
  const started = performance.now();
  const { peakMb, code } = await watch(['run', 'big', '--quiet'], at);
  const seconds = (performance.now() - started) / 1000;
  const status = JSON.parse(call(['runs', '--output', 'json'], at)).runs[0];
  if (code !== 0 || status.state !== 'complete')
    throw new Error(`the run of ${records} ended with ${code}, ${status.state}`);
  report(
    `run of ${records} records (whole process)`,
    { seconds, recordsPerSecond: records / seconds, peakRssMb: peakMb },
    { text: '<= 150 MB', met: peakMb <= 150 },
  );
  const bytes = statSync(join(at, '.waybill/ledger.db')).size / records;
  report(
    `ledger of ${records} records (bytes a record, index included)`,
    { bytes },
    { text: '<= 28', met: bytes <= 28 },
  );
  const found = [];
  for (let round = 0; round < 7; round++) {
    const id = 1_000_000 + Math.floor((records * (round + 0.5)) / 7);
    const before = performance.now();
    const trace = JSON.parse(call(['trace', String(id), '--output', 'json'], at));
    found.push(performance.now() - before);
    if (trace.traces[0].record.state !== 'delivered') throw new Error(`${id} is not delivered`);
  }
  report(
    `trace of one of ${records} (ms, process start included)`,
    { median: median(found) },
    { text: '< 1000 ms', met: median(found) < 1000 },
  );
}

function writeRows(path, records) {
  const fd = openSync(path, 'w');
  for (let from = 0; from < records; from += 10_000) {
    const lines = [];
    for (let id = from; id < Math.min(records, from + 10_000); id++) {
      lines.push(JSON.stringify({ id: 1_000_000 + id, name: `member number ${id}`, fill: 'x'.repeat(220) }));
    }
    writeSync(fd, `${lines.join('\n')}\n`);
  }
  closeSync(fd);
}

function call(args, cwd) {
  const result = spawnSync(process.execPath, [cli, ...args], { cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.status !== 0) throw new Error(`${args.join(' ')} ended with ${result.status}: ${result.stderr}`);
  return result.stdout;
}

/** Runs a command and reads the kernel's own high-water mark of its memory. */
async function watch(args, cwd) {
  const child = spawn(process.execPath, [cli, ...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  let peakKb = 0;
  const look = setInterval(() => {
    try {
      const found = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
      if (found !== null) peakKb = Math.max(peakKb, Number(found[1]));
    } catch (error) {
      if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
    }
  }, 50);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(look);
  return { peakMb: peakKb / 1024, code };
}
