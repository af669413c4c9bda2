// The demonstration: a daily upload is killed in the middle, started again, and accounted for record by record.
// Run it with `npm run demo`; it needs nothing but this project, and checks every claim that it prints.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const day = '2026-11-19';
const folder = mkdtempSync(join(tmpdir(), 'waybill-demo-'));
const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
const bold = (text) => (colour ? `\u001b[1m${text}\u001b[0m` : text);
const dim = (text) => (colour ? `\u001b[2m${text}\u001b[0m` : text);
const say = (text = '') => console.log(text);
const step = (number, text) => say(`\n${bold(`${number}. ${text}`)}`);
const indent = (text) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => `   ${line}`)
    .join('\n');

copyFileSync(join(here, 'waybill.yaml'), join(folder, 'waybill.yaml'));
const data = createRequire(import.meta.url)
  .resolve('vega-datasets')
  .replace(/vega-datasets.*$/, 'vega-datasets/data/airports.csv');
copyFileSync(data, join(folder, 'airports.csv'));
const airports = readFileSync(data, 'utf8').trim().split('\n').length - 1;

const peer = await startPeer();
const env = { ...process.env, API_URL: peer.url };
try {
  await settleAndFinish(await demonstrate());
} finally {
  peer.process.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function demonstrate() {
  say(`${airports} airports go to an API that takes 100 records a request, keeps whatever it is sent, and`);
  say('recognises no repeats. The only way to send each once is to know, of each, whether it was sent.');

  step(1, 'What can be promised here, before anything is sent');
  show(['plan', 'airports', '--for', day], [0]);

  step(2, 'The upload starts, and is killed with SIGKILL in the middle');
  const killed = spawn(process.execPath, [join(root, 'dist/cli/main.js'), 'run', 'airports', '--for', day], {
    cwd: folder,
    env,
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => killed.once('exit', (code, signal) => resolve(signal ?? code)));
  await until(() => applied().size >= 1200);
  killed.kill('SIGKILL');
  const how = await ended;
  assert.equal(how, 'SIGKILL', 'the upload was still running when it was killed');
  await until(async () => (await ask('/_peer/received')).every((request) => request.status !== undefined));
  say(`   ended by ${how}; the API holds ${applied().size} of ${airports} airports, and nobody heard its last answers`);

  step(3, 'The same command again');
  const second = show(['run', 'airports', '--for', day], [4]);
  const held = applied();
  const doubts = json(['doubts', '--output', 'json'], [0]).doubts;
  const inDoubt = doubts.reduce((sum, doubt) => sum + doubt.records, 0);
  say(dim(`   (exit code ${second}: some batches are in doubt)`));

  step(4, 'The books against the truth: what the API really holds');
  const twice = [...held.values()].filter((count) => count > 1).length;
  assert.equal(twice, 0, 'no airport arrived twice');
  const run = json(['runs', '--output', 'json'], [0]).runs[0];
  say(
    `   arrived once: ${held.size}; arrived twice: ${twice}; listed in doubt: ${inDoubt} in ${doubts.length} batches`,
  );
  assert.ok(inDoubt > 0 && inDoubt <= 400, 'at most what was under way is in doubt');
  assert.ok(held.size + inDoubt >= airports, 'every airport has arrived or is listed in doubt');

  step(5, 'Those in doubt, with the evidence');
  show(['doubts'], [0]);

  step(6, 'Where is one airport, and why?');
  show(['trace', 'SFO'], [0]);
  return { doubts, run };
}

async function settleAndFinish({ doubts, run }) {
  step(7, "The API's owner finds the batches in the access log, so a person settles the doubt");
  for (const doubt of doubts) {
    const there = await ask(`/_peer/received`);
    const found = there.some(
      (request) => request.headers['x-waybill-batch'] === doubt.idempotencyKey && request.applied > 0,
    );
    const as = found ? 'delivered' : 'absent';
    show(
      [
        'settle',
        doubt.id,
        '--as',
        as,
        '--evidence',
        `API access log: ${found ? 'request was applied' : 'no such request'}`,
        '--yes',
      ],
      [0],
    );
  }

  step(8, 'The day once more: what was settled as absent is sent, and nothing else');
  show(['run', 'airports', '--for', day], [0]);
  show(['run', 'airports', '--for', day], [0]);
  const final = applied();
  assert.equal(final.size, airports, 'every airport has arrived');
  assert.ok(
    [...final.values()].every((count) => count === 1),
    'each of them once',
  );
  say(`\n${bold(`All ${airports} airports are there, each once.`)} ${run.id} says of every one how it got there.`);
}

/** The API's own record of what it applied: how often it holds each airport. */
function applied() {
  const counts = new Map();
  for (const line of readFileSync(peer.log, 'utf8').split('\n')) {
    if (line === '') continue;
    const entry = JSON.parse(line);
    if (entry.applied === false) continue;
    counts.set(entry.record.iata, (counts.get(entry.record.iata) ?? 0) + 1);
  }
  return counts;
}

function show(args, codes) {
  say(dim(`   $ waybill ${args.map((arg) => (/[^\w.:@-]/.test(arg) ? JSON.stringify(arg) : arg)).join(' ')}`));
  const result = waybill(args);
  const text = result.stdout + result.stderr;
  say(indent(text));
  assert.ok(codes.includes(result.status), `waybill ${args.join(' ')} ended with ${result.status}\n${text}`);
  return result.status;
}

function json(args, codes) {
  const result = waybill(args);
  assert.ok(codes.includes(result.status), `waybill ${args.join(' ')} ended with ${result.status}\n${result.stderr}`);
  return JSON.parse(result.stdout);
}

function waybill(args) {
  return spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), ...args], { cwd: folder, env, encoding: 'utf8' });
}

async function ask(path) {
  return await (await fetch(`${peer.url}${path}`)).json();
}

async function until(condition) {
  const end = performance.now() + 30_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'waited for 30 s in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The API, in a process of its own: it outlives what is killed here, and its log is the truth. */
async function startPeer() {
  const log = join(folder, 'api-log.ndjson');
  const behaviour = JSON.stringify({ delayMs: 60, shape: 'none' });
  const args = [join(root, 'build/testing/peer/main.js'), '--port', '0', '--log', log, '--config', behaviour];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text);
      if (found !== null) resolve(found[0]);
    });
    child.once('exit', (code) => reject(new Error(`the API ended with ${code} before it was up`)));
  });
  return { process: child, url, log };
}
