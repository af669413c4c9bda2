// How fast records are framed and identified, against reading the same file and against JSON.parse.
//   npm run build && node bench/formats.js [rows] [rounds] [--small]
// Each round runs all variants in turn; the figures are medians. Results are held against JSON.parse outside the clock.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convert } from '../build/formats/convert.js';
import { csvFramer } from '../build/formats/csv.js';
import { digestSpans } from '../build/formats/digest.js';
import { identify } from '../build/formats/identify.js';
import { jsonFramer } from '../build/formats/json.js';
import { packKey } from '../build/formats/keys.js';
import { compileMapping } from '../build/formats/mapping.js';
import { ndjsonFramer } from '../build/formats/ndjson.js';
import { copyFramer } from '../build/formats/pgcopy/binary-framer.js';
import { copyTextFramer } from '../build/formats/pgcopy/text-framer.js';
import { rows as rowsOf } from '../build/formats/rows.js';
import { COLUMNS, readParquet, typedRow, writeCopyFiles, writeParquet } from './parts/typed-rows.js';

const small = process.argv.includes('--small');
const numbers = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const rows = Number(numbers[0] ?? (small ? 30_000 : 300_000));
const rounds = Number(numbers[1] ?? (small ? 3 : 7));
const READ_BYTES = 1024 * 1024;
const seed = Uint8Array.from({ length: 16 }, (_, i) => i * 7 + 1);

const folder = mkdtempSync(join(tmpdir(), 'waybill-bench-'));
const files = { ndjson: join(folder, 'rows.ndjson'), csv: join(folder, 'rows.csv'), json: join(folder, 'rows.json') };
const copies = { binary: join(folder, 'rows.copy'), text: join(folder, 'rows.txt') };
const parquet = join(folder, 'rows.parquet');

function record(i) {
  return {
    id: 1_000_000 + i,
    uuid: `3f2b8c1e-${String(i % 10_000).padStart(4, '0')}-4d5a-9b7e-${String(i).padStart(12, '0')}`,
    name: `Person ${i}`,
    city: i % 3 === 0 ? 'São Paulo' : 'Amsterdam',
    amount: Math.round(i * 137.31) / 100,
    active: i % 2 === 0,
    created: '2026-11-19T08:30:00Z',
    tags: { level: i % 7 },
    note: i % 50 === 0 ? 'a "b"' : 'none',
  };
}

function writeFiles() {
  const records = Array.from({ length: rows }, (_, i) => record(i));
  const quote = (value) => (/[",]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  const csvLine = (r) => [r.id, r.uuid, r.name, r.city, r.amount, r.active, r.created, r.tags.level, r.note].map(quote);
  writeFileSync(files.ndjson, records.map((r) => `${JSON.stringify(r)}\n`).join(''));
  writeFileSync(files.json, JSON.stringify(records));
  const head = 'id,uuid,name,city,amount,active,created,level,note\n';
  writeFileSync(files.csv, head + records.map((r) => `${csvLine(r).join(',')}\n`).join(''));
}

function eachBlock(path, take) {
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const block = Buffer.allocUnsafe(READ_BYTES);
      const length = readSync(fd, block, 0, READ_BYTES, null);
      if (length === 0) return;
      take(block.subarray(0, length));
    }
  } finally {
    closeSync(fd);
  }
}

/** Reads a file through a framer and hands each chunk on. Returns how many records came. */
function through(path, framer, use = () => {}) {
  let count = 0;
  const take = (chunks) => {
    for (const chunk of chunks) {
      count += chunk.count;
      use(chunk);
    }
  };
  eachBlock(path, (block) => take(framer.push(block)));
  take(framer.end());
  return count;
}

const declared = compileMapping({ drop: ['note'], rename: { name: 'full_name' }, set: { origin: 'bench' } });
const variants = {
  'read ndjson': () => eachBlock(files.ndjson, () => {}),
  'ndjson frame (with full check)': () => through(files.ndjson, ndjsonFramer()),
  'ndjson frame + key + digest': () =>
    through(files.ndjson, ndjsonFramer(), (chunk) => identify(chunk, { key: ['id'], seed })),
  'ndjson frame + 2 key columns + digest': () =>
    through(files.ndjson, ndjsonFramer(), (chunk) => identify(chunk, { key: ['city', 'id'], seed })),
  'ndjson frame + digest alone': () =>
    through(files.ndjson, ndjsonFramer(), (chunk) => digestSpans(chunk.bytes, chunk.spans, seed)),
  'ndjson frame + key + digest by column': () =>
    through(files.ndjson, ndjsonFramer(), (chunk) => identify(chunk, { key: ['id'], seed, exclude: ['created'] })),
  'ndjson frame + declared mapping (text)': () =>
    through(files.ndjson, ndjsonFramer(), (chunk) => convert(chunk, 'ndjson', declared)),
  'ndjson frame + objects': () =>
    through(files.ndjson, ndjsonFramer(), (chunk) => {
      for (const row of rowsOf(chunk)) if (row.id === undefined) throw new Error('a row without id');
    }),
  'ndjson JSON.parse of each line': () => parseLines(),
  'read csv': () => eachBlock(files.csv, () => {}),
  'csv frame': () => through(files.csv, csvFramer()),
  'csv frame + key + digest': () => through(files.csv, csvFramer(), (chunk) => identify(chunk, { key: ['id'], seed })),
  'csv frame + to ndjson': () => through(files.csv, csvFramer(), (chunk) => convert(chunk, 'ndjson')),
  'csv typed frame (to ndjson)': () => through(files.csv, csvFramer({ types: { id: 'integer', amount: 'number' } })),
  'json document frame': () => through(files.json, jsonFramer()),
  'read pgcopy': () => eachBlock(copies.binary, () => {}),
  'pgcopy frame': () => through(copies.binary, copyFramer(COLUMNS)),
  'pgcopy frame + key + digest': () =>
    through(copies.binary, copyFramer(COLUMNS), (chunk) => identify(chunk, { key: ['id'], seed })),
  'pgcopy frame + key of a uuid + digest': () =>
    through(copies.binary, copyFramer(COLUMNS), (chunk) => identify(chunk, { key: ['uuid'], seed })),
  'pgcopy frame + to ndjson': () => through(copies.binary, copyFramer(COLUMNS), (chunk) => convert(chunk, 'ndjson')),
  'pgcopy-text frame + key + digest': () =>
    through(copies.text, copyTextFramer(COLUMNS), (chunk) => identify(chunk, { key: ['id'], seed })),
  'pgcopy-text frame + to pgcopy': () =>
    through(copies.text, copyTextFramer(COLUMNS), (chunk) => convert(chunk, 'pgcopy')),
  'parquet write': () => writeParquet(parquet, rows),
  'parquet read (to ndjson)': () => readParquet(parquet),
};

function parseLines() {
  let rest = Buffer.alloc(0);
  let count = 0;
  eachBlock(files.ndjson, (block) => {
    const data = rest.length === 0 ? block : Buffer.concat([rest, block]);
    let start = 0;
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10, start)) {
      if (JSON.parse(data.toString('utf8', start, end)).id !== undefined) count++;
      start = end + 1;
    }
    rest = data.subarray(start);
  });
  return count;
}

/** Every key against that of the parsed record, and every record against the one that was written. */
function verify() {
  const formats = { ndjson: ndjsonFramer(), csv: csvFramer(), json: jsonFramer() };
  for (const [name, framer] of Object.entries(formats)) {
    let i = 0;
    through(files[name], framer, (chunk) => {
      const { keys, missing } = identify(chunk, { key: ['id'], seed });
      if (missing.length > 0 || chunk.rejects !== undefined) throw new Error(`${name}: records were left out`);
      let place = 0;
      for (const row of rowsOf(chunk)) {
        const wanted = record(i++);
        const key = Buffer.from(keys.subarray(place * 16, ++place * 16));
        if (!key.equals(packKey([wanted.id], seed))) throw new Error(`${name}: record ${i} has another key`);
        const same = name === 'csv' ? row.uuid === wanted.uuid : JSON.stringify(row) === JSON.stringify(wanted);
        if (!same) throw new Error(`${name}: record ${i} is another one`);
      }
    });
    if (i !== rows) throw new Error(`${name}: ${i} records instead of ${rows}`);
  }
}

/** Both forms of COPY: the key of each row against that of its plain text. */
function verifyCopies() {
  const formats = { binary: copyFramer(COLUMNS), text: copyTextFramer(COLUMNS) };
  for (const [name, framer] of Object.entries(formats)) {
    let i = 0;
    through(copies[name], framer, (chunk) => {
      const { keys, missing } = identify(chunk, { key: ['id', 'uuid'], seed });
      if (missing.length > 0 || chunk.rejects !== undefined) throw new Error(`${name}: rows were left out`);
      for (let place = 0; place < chunk.count; place++) {
        const [id, uuid] = typedRow(i++);
        const key = Buffer.from(keys.subarray(place * 16, (place + 1) * 16));
        if (!key.equals(packKey([id, uuid], seed))) throw new Error(`${name}: row ${i} has another key`);
      }
    });
    if (i !== rows) throw new Error(`${name}: ${i} rows instead of ${rows}`);
  }
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

async function run() {
  writeFiles();
  verify();
  writeCopyFiles(copies, rows);
  verifyCopies();
  const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, work] of Object.entries(variants)) {
      const cpu = process.cpuUsage();
      const count = await work();
      const { user, system } = process.cpuUsage(cpu);
      if (count !== undefined && count !== rows) throw new Error(`${name}: ${count} records instead of ${rows}`);
      if (round > 0) times[name].push((user + system) / rows);
    }
  }
  const read = {
    ndjson: median(times['read ndjson']),
    csv: median(times['read csv']),
    pgcopy: median(times['read pgcopy']),
  };
  const sizes = { ...files, pgcopy: copies.binary, parquet };
  const bytesPerRow = Object.fromEntries(
    Object.entries(sizes).map(([name, path]) => [name, statSync(path).size / rows]),
  );
  process.stdout.write(`${JSON.stringify({ bench: 'formats', rows, rounds, bytesPerRow })}\n`);
  for (const [name, list] of Object.entries(times)) {
    const us = median(list);
    const base = name.includes('pgcopy') ? read.pgcopy : name.includes('csv') ? read.csv : read.ndjson;
    const result = { bench: 'formats', name, usPerRow: +us.toFixed(3), min: +Math.min(...list).toFixed(3) };
    process.stdout.write(
      `${JSON.stringify({ ...result, timesRead: +(us / base).toFixed(1), rowsPerS: Math.round(1e6 / us) })}\n`,
    );
  }
}

try {
  await run();
} finally {
  rmSync(folder, { recursive: true });
}
