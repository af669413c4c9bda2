import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ApiPeer, openApiPeer } from '../testing/peer/api-peer.ts';
import type { Behaviour } from '../testing/peer/behaviour.ts';
import { run } from './cli.ts';
import { OUTPUTS, type OutputName, type OutputOf } from './output-schemas.ts';
import { type RecordedOptions, RecordedProcess } from './recorded-process.ts';

const DAY = '2026-11-19';
let folder: string;
let peer: ApiPeer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-cli-'));
  peer = await openApiPeer({ shape: 'rokt' });
  const source = new Database(join(folder, 'in.db'));
  source.exec('create table members (id integer primary key, name text, day text)');
  const insert = source.prepare('insert into members values (?, ?, ?)');
  for (let id = 1; id <= 25; id++) insert.run(id, `member ${id}`, DAY);
  insert.run(99, 'of another day', '2026-11-18');
  source.close();
  writeFileSync(join(folder, 'waybill.yaml'), flowFile());
});
afterEach(async () => {
  await peer.close();
  rmSync(folder, { recursive: true, force: true });
});

const flowFile = (): string => `version: 1
connections:
  warehouse: { type: sqlite, file: in.db }
  api: { type: http, url: "${peer.url}", auth: { bearer: "\${API_TOKEN}" } }
flows:
  daily:
    source: { connection: warehouse, query: "select * from members where day = :date order by id", key: [id] }
    sink:
      connection: api
      path: /v1/members
      batch: { maxRecords: 10 }
      inFlight: 1
      receipt: { shape: echoed-record, path: data.unprocessedRecords, error: error.message, code: error.code }
    strategy: ledgered-append
    window: day
`;

const TOKEN = 'canary-7d0f3c1e9b';

async function waybill(words: readonly string[], options: RecordedOptions = {}) {
  const io = new RecordedProcess({ cwd: folder, env: { API_TOKEN: TOKEN }, ...options });
  const code = await run(words, io);
  const [out, err] = [io.stdout.text, io.stderr.text];
  expect(out + err).not.toContain(TOKEN);
  return { code, out, err, io };
}

/** Runs a command in JSON mode and holds its output to the schema that is published for it. */
async function json<N extends OutputName>(name: N, words: readonly string[]) {
  const result = await waybill([...words, '--output', 'json']);
  expect(result.out, result.err).not.toBe('');
  expect(result.out.trimEnd()).not.toContain('\n');
  const document = OUTPUTS[name].parse(JSON.parse(result.out)) as OutputOf<N>;
  return { ...result, document };
}

const runDay = ['run', 'daily', '--for', DAY] as const;
/** What is not said is as at first: the peer keeps what it was told before. */
const behave = (part: Partial<Behaviour>) => peer.set({ shape: 'rokt', reject: [], faults: [], delayMs: 0, ...part });
/** The nth request from now is applied, and its answer never comes. */
const loseAnswer = (nth: number) =>
  behave({ faults: [{ when: { nth: [peer.received.length + nth] }, answer: 'close', apply: 'all' }] });
const refuse = (...values: number[]) =>
  behave({ reject: [{ path: 'id', values, code: 'ValidationError', message: 'the e-mail is missing' }] });

describe('run', () => {
  it('U01: sends exactly the rows of its day and ends with 0', async () => {
    const { code, document } = await json('run', runDay);
    expect(code).toBe(0);
    expect(document).toMatchObject({
      exitCode: 0,
      results: [{ flow: 'daily', window: DAY, nothingToDo: false, next: [] }],
    });
    expect(document.results[0]!.lanes[0]!.balance).toMatchObject({ read: 25, delivered: 25 });
    expect(peer.records()).toHaveLength(25);
  });

  it('shows what became of the records of each lane, and what was promised', async () => {
    const { code, out } = await waybill(runDay);
    expect(code).toBe(0);
    expect(out).toMatch(/^daily 2026-11-19 r1: complete, in /);
    expect(out).toMatch(/lane +read +delivered +refused +skipped +in doubt +pending +batches +attempts/);
    expect(out).toMatch(/25 +25 +0 +0 +0 +0 +3 +3/);
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('U08: a second start sends nothing, says since when, and may end with another code', async () => {
    await waybill(runDay);
    const again = await waybill([...runDay, '--empty-exit-code', '99']);
    expect(again.code).toBe(99);
    expect(again.out).toMatch(/nothing to send: daily 2026-11-19 was complete since 20\d\d-/);
    expect(peer.received).toHaveLength(3);
  });

  it('U10: a lost answer ends with 4, blocks no other batch, and says what to do', async () => {
    loseAnswer(2);
    const { code, out } = await waybill(runDay);
    expect(code).toBe(4);
    expect(out).toContain('waybill doubts r1');
    expect(out).toMatch(/25 +15 +0 +0 +10 +0/);
    expect(peer.received).toHaveLength(3);
    expect((await waybill(runDay)).code).toBe(4);
    expect(peer.received).toHaveLength(3);
  });

  it('U13: refused records end with 3, and doubt wins over refused', async () => {
    refuse(3);
    const { code, out } = await waybill(runDay);
    expect(code).toBe(3);
    expect(out).toContain('waybill records r1 --state refused');
    const reject = [{ path: 'id', values: [3], code: 'ValidationError', message: 'no' }];
    peer.set({
      shape: 'rokt',
      reject,
      faults: [{ when: { nth: [peer.received.length + 2] }, answer: 'close', apply: 'all' }],
    });
    const both = await waybill([...runDay, '--resend-all', '--reason', 'trying out', '--yes']);
    expect(both.code).toBe(4);
  });

  it('runs several windows, oldest first; the last is not run itself', async () => {
    const { code, document } = await json('run', ['run', 'daily', '--from', '2026-11-17', '--to', '2026-11-20']);
    expect(code).toBe(0);
    expect(document.results.map((result) => result.window)).toEqual(['2026-11-17', '2026-11-18', DAY]);
    expect(peer.records()).toHaveLength(26);
  });

  it('U17: Ctrl-C finishes what is in flight, says how to resume and ends with 130; a rerun goes on', async () => {
    behave({ delayMs: 150 });
    const io = new RecordedProcess({ cwd: folder, env: { API_TOKEN: TOKEN } });
    const running = run(runDay, io);
    await expect.poll(() => peer.received.length, { timeout: 10_000, interval: 5 }).toBe(1);
    io.interrupt('SIGINT');
    expect(await running).toBe(130);
    expect(io.stderr.text).toContain(`waybill run daily --for ${DAY}`);
    expect(io.exits).toEqual([]);
    const before = peer.records().length;
    expect(before).toBeLessThan(25);
    expect((await waybill(runDay)).code).toBe(0);
    expect(peer.records()).toHaveLength(25);
  });

  it.each([
    [['run', 'daily', '--for', DAY, '--due'], 'three ways'],
    [['run', 'daily', '--from', DAY], 'come together'],
    [['run', 'dialy'], 'did you mean'],
    [['run', 'daily', '--for', '2026-13-01'], 'is not a window'],
    [['run', 'daily', '--resend-all'], 'needs a reason'],
    [['run', 'daily', '--resend-all', '--reason', 'x'], 'Give --yes'],
    [['run', 'daily', '--lease', 'soon'], 'is not a duration'],
    [['run', 'daily', '--empty-exit-code', '256'], 'whole number'],
    [['run', 'daily', '--batches', 'x1'], 'is not a batch'],
  ])('refuses %j with 2', async (words, message) => {
    const { code, err } = await waybill(words);
    expect(code).toBe(2);
    expect(err.replace(/\s+/g, ' ')).toContain(message);
    expect(peer.received).toHaveLength(0);
  });

  it('U18: runs what a schedule says is due, and nothing when nothing is', async () => {
    const file = join(folder, 'waybill.yaml');
    writeFileSync(file, `${flowFile()}    schedule: "0 6 * * *"\n`);
    const due = await json('run', ['run', '--due']);
    expect(due.document.results).toHaveLength(1);
    const again = await waybill(['run', '--due', '--empty-exit-code', '99']);
    expect(again).toMatchObject({ code: 99, out: 'nothing to send: no window is due\n' });
  });
});

describe('a flow to stdout', () => {
  it('keeps stdout for its records: the summary goes to stderr', async () => {
    const start = flowFile().indexOf('    sink:');
    writeFileSync(
      join(folder, 'waybill.yaml'),
      `${flowFile().slice(0, start)}    sink: { connection: stdout }\n    window: day\n`,
    );
    const { code, out, err } = await waybill(['run', 'daily', '--for', '2026-11-17']);
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toContain('daily 2026-11-17 r1: complete');
  });
});

describe('plan and check', () => {
  it('show the guarantee, what it rests on and what a crash leaves; nothing is sent', async () => {
    const { code, document } = await json('plan', ['plan', 'daily', '--for', DAY]);
    expect(code).toBe(0);
    expect(document.lanes[0]).toMatchObject({ guarantee: { rung: 'none' }, fresh: { batches: 3, records: 25 } });
    const { out } = await waybill(['plan', 'daily', '--for', DAY]);
    expect(out).toMatch(/would seal and send 3 batches with 25 records \([\d.]+ (B|KiB)\)/);
    expect(out).toContain('a crash:');
    expect(peer.received).toHaveLength(0);
  });

  it('check says ok for each flow, with its guarantee', async () => {
    const { code, document } = await json('check', ['check']);
    expect(code).toBe(0);
    expect(document).toMatchObject({ ok: true, flows: [{ flow: 'daily', ok: true }] });
    expect((await waybill(['check'])).out).toMatch(/^ok +daily$/m);
  });

  it('check names the place of a wrong key and the key that was meant', async () => {
    writeFileSync(join(folder, 'waybill.yaml'), flowFile().replace('maxRecords', 'maxRecrods'));
    const { code, out } = await waybill(['check']);
    expect(code).toBe(2);
    expect(out).toMatch(/^waybill\.yaml:11:\d+ error .*maxRecrods/m);
    expect(out).toContain('maxRecords');
    expect((await json('check', ['check'])).document.ok).toBe(false);
  });

  it('a missing flow file ends with 2 and says how to make one', async () => {
    rmSync(join(folder, 'waybill.yaml'));
    const { code, err } = await waybill(['check']);
    expect(code).toBe(2);
    expect(err).toContain('try   waybill init');
  });

  it('init writes a file that passes check, and does not touch one that is there', async () => {
    expect((await waybill(['init'])).code).toBe(2);
    expect(readFileSync(join(folder, 'waybill.yaml'), 'utf8')).toBe(flowFile());
    const { code, document } = await json('init', ['init', '--config', 'other.yaml']);
    expect(code).toBe(0);
    expect(document.file).toBe(join(folder, 'other.yaml'));
    const checked = await waybill(['check', '--config', 'other.yaml']);
    expect(checked.code, checked.out + checked.err).toBe(0);
  });
});

describe('looking', () => {
  it('status shows runs with problems first, each with the commands that come next', async () => {
    await waybill(['run', 'daily', '--for', '2026-11-18']);
    loseAnswer(1);
    await waybill(runDay);
    await waybill(['run', 'daily', '--for', '2026-11-17']);
    const { document } = await json('status', ['status']);
    expect(document.attention).toBe(1);
    expect(document.runs.map((each) => each.condition)).toEqual(['in-doubt', 'complete', 'complete']);
    expect(document.runs[0]!.next[0]).toBe('waybill doubts r2');
    const { out } = await waybill(['status', 'daily']);
    expect(out).toContain('1 run needs attention');
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('a table is cut to the width of a terminal, and nowhere in a pipe', async () => {
    const message = `the e-mail is missing ${'and so is much else '.repeat(8)}to the end`;
    behave({ reject: [{ path: 'id', values: [3], code: 'ValidationError', message }] });
    await waybill(runDay);
    const words = ['records', '--state', 'refused'];
    expect((await waybill(words)).out).toContain(message);
    const { out } = await waybill([...words, '--no-color'], { columns: 100 });
    expect(out).toContain('the e-mail is missing');
    expect(out.split('\n').filter((line) => line.length > 100)).toEqual([]);
  });

  it('runs, batches and records are listed by state and page by page', async () => {
    refuse(3, 14);
    await waybill(runDay);
    expect((await json('runs', ['runs', '--state', 'complete-with-refusals'])).document.runs).toHaveLength(1);
    const first = await json('batches', ['batches', 'r1', '--limit', '2']);
    expect(first.document.batches.map((batch) => batch.state)).toEqual(['partial', 'partial']);
    const second = await json('batches', ['batches', 'r1', '--limit', '2', '--after', first.document.after!]);
    expect(second.document.batches.map((batch) => batch.state)).toEqual(['delivered']);
    expect(second.document.after).toBeUndefined();
    const refused = await json('records', ['records', 'r1', '--state', 'refused']);
    expect(refused.document.records).toMatchObject([
      { key: '3', state: 'refused', code: 'ValidationError', position: 2 },
      { key: '14', state: 'refused', reason: 'the e-mail is missing', position: 3 },
    ]);
    expect((await waybill(['records', '--batch', 'b1'])).out).toMatch(/^3 +refused +b1 +3 /m);
    expect((await waybill(['batches', '--state', 'delivered'])).out).toMatch(/^b3 +r1 /m);
  });

  it('U05: batches show tells the attempts and receipts of one batch', async () => {
    await waybill(runDay);
    const { document } = await json('batches-show', ['batches', 'show', 'b1']);
    expect(document).toMatchObject({
      batch: { id: 'b1', state: 'delivered', records: 10 },
      attempts: [{ attempt: 1, applied: 10 }],
    });
    expect((await waybill(['batches', 'show', 'b1'])).out).toMatch(
      /attempt 1, .*: 10 applied, 0 refused, 0 unknown after /,
    );
  });

  it('U15: the bytes of a batch can be downloaded, exactly as they were sent', async () => {
    await waybill(runDay);
    const sent = Buffer.from(peer.received[1]!.body);
    const { io } = await waybill(['batches', 'show', 'b2', '--payload']);
    expect(Buffer.compare(io.stdout.bytes, sent)).toBe(0);
    expect((await waybill(['batches', 'show', 'b2', '--payload-to', 'b2.json'])).code).toBe(0);
    expect(Buffer.compare(readFileSync(join(folder, 'b2.json')), sent)).toBe(0);
    const again = await waybill(['batches', 'show', 'b2', '--payload-to', 'b2.json']);
    expect(again.code).toBe(2);
  });

  it('U04: trace tells of one record its run, batch, place, attempts, state, reason and next step', async () => {
    refuse(14);
    await waybill(runDay);
    const { code, document } = await json('trace', ['trace', '14']);
    expect(code).toBe(0);
    expect(document.traces).toHaveLength(1);
    expect(document.traces[0]).toMatchObject({
      record: { key: '14', run: 'r1', flow: 'daily', state: 'refused', reason: 'the e-mail is missing' },
      steps: [{ batch: { id: 'b2' }, position: 3, attempts: [{ attempt: 1 }] }],
    });
    const { out } = await waybill(['trace', '14']);
    expect(out).toContain('14: refused since');
    expect(out).toContain('b2 partial: record 4 of 10');
    expect(out).toContain('waybill retry b2');
    const unknown = await waybill(['trace', 'nobody']);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain('no record has the key "nobody"');
  });

  it('a ledger that is not there ends with 2', async () => {
    for (const words of [['status'], ['runs'], ['batches'], ['records'], ['trace', '1'], ['doubts'], ['verify']]) {
      const { code, err } = await waybill(words);
      expect(code, words[0]).toBe(2);
      expect(err).toContain('LEDGER_MISSING');
    }
  });
});

describe('deciding', () => {
  it('U10: doubts are listed with their evidence and settled by a person, which is recorded', async () => {
    loseAnswer(2);
    await waybill(runDay);
    const { document } = await json('doubts', ['doubts', 'r1']);
    expect(document.doubts).toMatchObject([{ id: 'b2', balance: { inDoubt: 10 }, lastAttempt: { answer: 'lost' } }]);
    const { out } = await waybill(['doubts']);
    expect(out).toContain('1 batch in doubt, 10 records');
    expect(out).toContain('evidence:');
    expect(out).toContain('waybill settle b2 --as delivered --evidence TEXT ');
    expect(out.split('\n').filter((line) => line.length > 80 && !line.includes('evidence:'))).toEqual([]);
    const settled = await json('settle', ['settle', 'b2', '--as', 'delivered', '--evidence', 'seen', '--yes']);
    expect(settled).toMatchObject({ code: 0, document: { settled: [{ batch: 'b2', state: 'delivered' }] } });
    expect((await waybill(runDay)).code).toBe(0);
    expect((await waybill(['doubts'])).out).toBe('no batch is in doubt\n');
    expect(peer.received).toHaveLength(3);
  });

  it('settle asks a person for all that is missing, and does nothing without a yes', async () => {
    loseAnswer(2);
    await waybill(runDay);
    const no = await waybill(['settle', 'b2'], { answers: ['absent', 'looked it up', 'n'] });
    expect(no.code).toBe(2);
    expect(no.io.questions.at(-1)).toContain('1 batch with 10 records in doubt');
    expect((await json('batches', ['batches', '--state', 'in-doubt'])).document.batches).toHaveLength(1);
    const yes = await waybill(['settle', '--run', 'r1'], { answers: ['absent', 'looked it up', 'yes'] });
    expect(yes.code).toBe(0);
    expect(yes.out).toContain(`waybill run daily --for ${DAY}`);
    expect((await waybill(runDay)).code).toBe(0);
    expect(peer.received).toHaveLength(4);
  });

  it('settle without a terminal wants --yes instead of an answer that cannot come', async () => {
    loseAnswer(1);
    await waybill(runDay);
    const { code, err } = await waybill(['settle', 'b1', '--as', 'skip', '--evidence', 'x']);
    expect(code).toBe(2);
    expect(err).toContain('--yes');
  });

  it('U12: retry sends only the refused records, in a batch that points to the first', async () => {
    refuse(3, 14);
    await waybill(runDay);
    behave({});
    const { code, document } = await json('retry', ['retry', 'r1', '--reason', 'mended']);
    expect(code, JSON.stringify(document.results)).toBe(0);
    expect(document.retried.map((each) => each.batch)).toEqual(['b1', 'b2']);
    expect(peer.records()).toHaveLength(25);
    const { out } = await waybill(['trace', '14']);
    expect(out).toContain('made from b2');
    expect((await waybill(['retry', 'r1', '--reason', 'again'])).out).toBe('no record of these is refused\n');
  });

  it('a paused run sends nothing until it is resumed; a cancelled one skips what is left', async () => {
    loseAnswer(1);
    await waybill(runDay);
    await waybill(['settle', 'b1', '--as', 'absent', '--evidence', 'x', '--yes']);
    expect((await json('pause', ['pause', 'r1'])).document.run.paused).toBe(true);
    expect((await waybill(runDay)).code).toBe(5);
    expect(peer.received).toHaveLength(3);
    expect((await json('resume', ['resume', 'r1'])).document.run.paused).toBe(false);
    const cancelled = await json('cancel', ['cancel', 'r1', '--yes', '--reason', 'wrong day']);
    expect(cancelled.document).toMatchObject({ run: { state: 'cancelled' }, lanes: [{ balance: { skipped: 10 } }] });
  });

  it('state shows, sets and forgets a position, and keeps the history', async () => {
    await waybill(runDay);
    expect((await json('state', ['state', 'daily'])).code).toBe(0);
    const set = await json('state', ['state', 'daily', 'set', '--kind', 'odf/etag', '--value', 'abc', '--yes']);
    expect(set.document.positions).toMatchObject([{ position: { kind: 'odf/etag', value: 'abc' } }]);
    const reset = await json('state', ['state', 'daily', 'reset', '--yes']);
    expect(reset.document.positions).toEqual([]);
    const { code, document } = await json('state', ['state', 'daily', 'history']);
    expect(code).toBe(0);
    expect(document.history?.slice(-2)).toMatchObject([
      { what: expect.stringMatching(/^set by ./), position: { kind: 'odf/etag', value: 'abc' } },
      { what: expect.stringMatching(/^reset by ./), detail: { before: { kind: 'odf/etag', value: 'abc' } } },
    ]);
  });

  it('state keeps for a flow that never ran who has set a position, when, and what was before', async () => {
    for (const value of ['abc', 'def']) {
      await json('state', ['state', 'daily', 'set', '--kind', 'odf/etag', '--value', value, '--yes']);
    }
    await json('state', ['state', 'daily', 'reset', '--yes']);
    const { document } = await json('state', ['state', 'daily', 'history']);
    const etag = (value: string) => ({ kind: 'odf/etag', value });
    const who = expect.stringMatching(/./);
    expect(document.history).toMatchObject([
      { position: etag('abc'), detail: { who } },
      { position: etag('def'), detail: { who, before: etag('abc') } },
      { detail: { who, before: etag('def') } },
    ]);
    expect(document.history?.every(({ run }) => run === undefined)).toBe(true);
    const shown = (await waybill(['state', 'daily', 'history'])).out;
    expect(shown).toMatch(/set by .*odf\/etag def +odf\/etag abc/);
    expect(shown).toMatch(/reset by .*none +odf\/etag def/);
    expect((await waybill(['verify'])).code).toBe(0);
    await waybill(runDay);
    expect((await json('state', ['state', 'daily', 'history'])).document.history?.slice(0, 3)).toEqual(
      document.history,
    );
  });
});

describe('everything else', () => {
  it('verify finds nothing in a sound ledger, and ends with 7 at staged bytes that were changed', async () => {
    await waybill(runDay);
    expect((await json('verify', ['verify'])).document.differences).toEqual([]);
    const { readdirSync } = await import('node:fs');
    const files = readdirSync(join(folder, '.waybill'), { recursive: true, withFileTypes: true });
    const staged = files.find((file) => file.isFile() && file.name.endsWith('.seg'))!;
    const path = join(staged.parentPath, staged.name);
    const bytes = readFileSync(path);
    bytes.write('nember', bytes.indexOf('member'));
    writeFileSync(path, bytes);
    const { code, document } = await json('verify', ['verify']);
    expect(code).toBe(7);
    expect(document.differences.length).toBeGreaterThan(0);
  });

  it('doctor, connectors and schema write what their schemas say', async () => {
    expect((await json('doctor', ['doctor'])).document.checks.length).toBeGreaterThan(0);
    const { document } = await json('connectors', ['connectors']);
    expect(document.connectors.map((each) => each.type)).toContain('http');
    expect(document.strategies.map((each) => each.name)).toContain('ledgered-append');
    const schema = await json('schema', ['schema']);
    expect(schema.document.jsonSchema).toHaveProperty('properties.flows');
  });

  it('schedule runs what was missed, says when it comes next, and stops at a signal', async () => {
    writeFileSync(join(folder, 'waybill.yaml'), `${flowFile()}    schedule: "0 6 * * *"\n    start: "${DAY}"\n`);
    const io = new RecordedProcess({ cwd: folder, env: { API_TOKEN: TOKEN } });
    const running = run(['schedule', '-o', 'json'], io);
    await expect.poll(() => io.stderr.text, { timeout: 10_000 }).toContain('next at ');
    io.interrupt('SIGTERM');
    expect(await running).toBe(143);
    const [line] = io.stdout.text.split('\n');
    expect(OUTPUTS.schedule.parse(JSON.parse(line!))).toMatchObject({ flow: 'daily', window: DAY });
    expect(peer.records()).toHaveLength(25);
  });
});
