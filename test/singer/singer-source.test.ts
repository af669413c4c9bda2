import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ALL } from '../../src/model/window.ts';
import type { PullFacts } from '../../src/testing/suites/source-subject.ts';
import { sourceSuite } from '../../src/testing/suites/source-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { looked, pulled, pullRange } from '../pulling.ts';
import { missingProgram } from '../server.ts';
import { rowOf, TestTap } from './tap.ts';

vi.setConfig({ testTimeout: 120_000 });

const missing = missingProgram('python3');
beforeEach(({ skip }) => skip(missing !== undefined, missing));

const opened: TestTap[] = [];
afterEach(() => {
  for (const tap of opened.splice(0)) tap.remove();
});

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
const ids = (records: readonly Record<string, unknown>[]) => records.map(({ id }) => id);
const bookmark = (last: number) => ({ sourceName: 'items', kind: 'singer/state', value: JSON.stringify({ last }) });

function tapOf(count: number, bytes = 0): TestTap {
  const tap = new TestTap(upTo(count).map((id) => rowOf(id, bytes)));
  opened.push(tap);
  return tap;
}

/** Whether a process is there; one that has ended and was not waited for is not. */
function lives(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

register(
  { describe, it },
  sourceSuite({
    name: 'a tap of Singer',
    abilities: ['pull'],
    open: () => {
      const tap = tapOf(160, 5000);
      const another = () => tap.source({ every: 20 });
      const expected = upTo(160).map((id) => ({ ...rowOf(id, 5000) }));
      const pull: PullFacts = {
        unreadable: ['', '{', '3'].map((value) => ({ ...bookmark(0), value })),
        // Only the tap can tell, and only by reading.
        atEnd: 'new',
        grow: async () => {
          tap.grow([rowOf(161), rowOf(162)]);
          return [{ ...rowOf(161) }, { ...rowOf(162) }];
        },
      };
      return { source: another(), another, range: { window: ALL, parameters: {} }, expected, pull };
    },
  }),
);

describe('a pull from a tap', () => {
  it('F06: gives the tap its last bookmark, as the tap has spelled it, and keeps the next one', async () => {
    const tap = tapOf(250);
    const source = tap.source();
    expect(await looked(source)).toEqual({ kind: 'new' });
    const first = await pulled(source);
    expect(ids(first.records)).toEqual(upTo(250));
    expect(first.end).toEqual({ sourceName: 'tap.py', kind: 'singer/state', value: '{"last": 250}' });
    tap.grow([rowOf(251), rowOf(252)]);
    const second = await pulled(tap.source(), first.end);
    expect([ids(second.records), second.end?.value]).toEqual([[251, 252], '{"last": 252}']);
    // Nothing new: the bookmark is the same.
    expect(await pulled(source, second.end)).toMatchObject({ records: [], end: second.end });
  });

  it('keeps the digits of a bookmark, whatever is in it', async () => {
    const tap = tapOf(1);
    const value = '{"at": 12345678901234567890.10, "text": "\\u00e4\\n", "last": 1}';
    const acts = [{ at: 'end', say: `{"type": "STATE", "value": ${value}}\n` }];
    const { end } = await pulled(tap.source({ acts, final: false }, { stream: 'items' }));
    expect(end).toEqual({ sourceName: 'items', kind: 'singer/state', value });
    expect(await pulled(tap.source({ acts, final: false }, { stream: 'items' }), end)).toMatchObject({ records: [] });
  });

  it('commits what a bookmark has followed when the tap dies, and nothing behind it', async () => {
    const tap = tapOf(3000, 500);
    for (const act of [{ exit: 3 }, { exit: 0, say: '{"type":"REC' }, { kill: 9 }, { say: 'Traceback: oh no\n' }]) {
      const cut = await pulled(tap.source({ acts: [{ at: 1750, log: 'gone wrong\n', ...act }], every: 300 }));
      expect(cut.error, JSON.stringify(act)).toMatchObject({ code: /^SOURCE_/ });
      expect(ids(cut.records)).toEqual(upTo(cut.records.length));
      expect(JSON.parse(cut.end!.value)).toEqual({ last: cut.records.length });
      expect([300, 600, 900, 1200, 1500]).toContain(cut.records.length);
      const rest = await pulled(tap.source({ every: 300 }), cut.end);
      expect(ids([...cut.records, ...rest.records])).toEqual(upTo(3000));
    }
  });

  it('leaves nothing behind of a tap that dies before its first bookmark', async () => {
    const tap = tapOf(2000, 1000);
    const cut = await pulled(tap.source({ acts: [{ at: 1999, exit: 1 }], every: 0 }));
    expect(cut).toMatchObject({ records: [], end: undefined, error: { code: 'SOURCE_FAILED' } });
  });

  it('takes the tail behind the last bookmark of a tap that ends with success', async () => {
    const tap = tapOf(25);
    const { records, end } = await pulled(tap.source({ every: 10, final: false }));
    expect([ids(records), end?.value]).toEqual([upTo(25), '{"last": 20}']);
    // What the tap has not confirmed it brings again: that is what a key is for.
    expect(ids((await pulled(tap.source({ every: 10, final: false }), end)).records)).toEqual([21, 22, 23, 24, 25]);
  });

  it('F13: is uncacheable where the tap gives no bookmark at all', async () => {
    const tap = tapOf(5);
    const source = tap.source({ every: 0, final: false });
    const { records, end } = await pulled(source);
    expect([ids(records), end?.kind]).toEqual([upTo(5), 'waybill/uncacheable']);
    expect(await looked(source, end)).toMatchObject({ kind: 'uncacheable' });
    expect(ids((await pulled(source, end)).records)).toEqual(upTo(5));
    // A bookmark of an earlier time still stands.
    expect((await pulled(source, bookmark(3))).end).toEqual(bookmark(3));
  });

  it('F08: refuses what is no bookmark', () => {
    const { pulls } = tapOf(0).source();
    const refused = (kind: string, value: string) => pulls!.refuses({ sourceName: 'x', kind, value });
    expect(refused('odf/etag', '{}')).toMatch(/odf\/etag/);
    for (const bad of ['', '{', 'null', '3']) expect(refused('singer/state', bad), bad).toBeTypeOf('string');
    expect([refused('singer/state', '{"a":1}'), refused('waybill/uncacheable', 'x')]).toEqual([undefined, undefined]);
  });

  it('reads messages in any spelling, whatever stands around the record', async () => {
    const tap = tapOf(0);
    const lines = [
      '{"type": "RECORD", "stream": "items", "record": {"id": 1, "nested": {"a": [1, {"b": "}"}]}}}',
      '{"type": "RECORD", "stream": "items", "record": {"id": 2}, "time_extracted": "2026-11-19T05:00:00Z"}',
      '{"type": "RECORD", "stream": "items", "record": {"id": 3}, "version": 17, "time_extracted": null }',
      '{"type": "RECORD", "stream": "items", "record": {"id": 4, "version": 3, "o": {}}, "version": 1}  ',
      '{"type": "RECORD", "stream": "items", "record": {"id": 5}, "extra": {"record": {"id": 99}}}',
      '{"type": "RECORD", "stream": "items", "record": {"id": 6}, "time_extracted": "with \\" quotes"}',
      '{"stream":"items","type":"RECORD","record":{"id":7,"big":12345678901234567890}}',
      '{"time_extracted":"x","record":{"id":8},"type":"RECORD","stream":"items"}',
      '  { "type" : "RECORD" , "stream" : "items" , "\\u0072ecord" : { "id" : 9 } }\r',
      '',
      '{"type": "LOG", "message": "of another kind"}',
      '{"type": "RECORD", "stream": "items", "record": {"id": 10}}',
    ];
    const acts = [{ at: 'end', say: `${lines.join('\n')}\n` }];
    const { records, rejects } = await pulled(tap.source({ acts }));
    expect([ids(records), rejects]).toEqual([upTo(10), []]);
    expect(records[0]).toEqual({ id: 1, nested: { a: [1, { b: '}' }] } });
    expect(records[3]).toEqual({ id: 4, version: 3, o: {} });
  });

  it('lists records that are none, or have no key, by their lines, and goes on', async () => {
    const tap = tapOf(1);
    const lines = [
      '{"type": "RECORD", "stream": "items", "record": {"id": NaN}}',
      '{"type": "RECORD", "stream": "items", "record": {"text": "no key"}}',
      '{"type": "RECORD", "stream": "items", "record": {"id": null}}',
      '{"type": "RECORD", "stream": "items", "record": [7]}',
      '{"type": "RECORD", "stream": "items"}',
      '{"type": "RECORD", "stream": "items", "record": {"id": 2}}',
    ];
    const { records, rejects, end } = await pulled(tap.source({ acts: [{ at: 'end', say: `${lines.join('\n')}\n` }] }));
    expect(ids(records)).toEqual([1, 2]);
    expect(rejects.map((message) => message.split(':')[0])).toEqual([3, 4, 5, 6, 7].map((n) => `line ${n} of the tap`));
    expect(end?.value).toBe('{"last": 1}');
  });

  it('ends at what makes no sense: rubbish, records before their schema, lines without an end, batches', async () => {
    const tap = tapOf(3);
    const cases: readonly (readonly [string, RegExp])[] = [
      ['hello\n', /line 4 of the tap tap\.py is no message/],
      ['[1]\n', /no message/],
      ['{"no":"type"}\n', /has no type/],
      ['{"type":"RECORD","stream":"others","record":{}}\n', /others, whose schema has not come/],
      ['{"type":"RECORD","record":{}}\n', /without a stream/],
      ['{"type":"STATE"}\n', /without a value/],
      ['{"type":"SCHEMA","stream":"items","schema":3}\n', /SCHEMA/],
      ['{"type":"SCHEMA","stream":"others","schema":{},"key_properties":[]}\n', /second stream: items, others/],
      ['{"type":"BATCH","stream":"items"}\n', /BATCH/],
      [`{"type":"STATE","value":"${'x'.repeat(3000)}`, /longer than 2048 bytes/],
      [`{"type":"STATE","value":"${'x'.repeat(3000)}"}\n`, /line 4 .* longer than 2048 bytes/],
    ];
    for (const [say, message] of cases) {
      const acts = [{ at: 3, say }];
      const { error, records } = await pulled(tap.source({ acts, every: 0 }, { lineBytesMax: 2048 }));
      expect(error, say.slice(0, 60)).toMatchObject({
        code: 'SOURCE_INVALID',
        message: expect.stringMatching(message),
      });
      expect(records).toEqual([]);
    }
  });

  it('holds no line in memory that has no end', async () => {
    const tap = tapOf(0);
    const command = ['python3', '-c', 'import sys\nwhile True: sys.stdout.write("x" * 1000000)'];
    const before = process.memoryUsage().rss;
    const { error } = await pulled(tap.source({}, { lineBytesMax: 4_000_000 }, { command }));
    expect(error).toMatchObject({ code: 'SOURCE_INVALID' });
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  it('passes over that earlier versions are void, or ends there, as is asked', async () => {
    const tap = tapOf(2);
    const acts = [{ at: 2, say: '{"type":"ACTIVATE_VERSION","stream":"items","version":7}\n' }];
    expect(ids((await pulled(tap.source({ acts }))).records)).toEqual([1, 2]);
    const { error } = await pulled(tap.source({ acts }, { activateVersion: 'fail' }));
    expect(error).toMatchObject({ code: 'SOURCE_INVALID', message: expect.stringContaining('ACTIVATE_VERSION') });
  });

  it('reads one stream of many, and knows one that is not there', async () => {
    const tap = tapOf(2);
    const other = ['{"type":"SCHEMA","stream":"o","schema":{}}', '{"type":"RECORD","stream":"o","record":{"id":9}}'];
    const acts = [{ at: 2, say: `${other.join('\n')}\n` }];
    expect(ids((await pulled(tap.source({ acts }, { stream: 'items' }))).records)).toEqual([1, 2]);
    expect(ids((await pulled(tap.source({ acts }, { stream: 'o' }))).records)).toEqual([9]);
    const { error, end } = await pulled(tap.source({ acts }, { stream: 'item' }));
    expect([error, end]).toMatchObject([
      { code: 'SOURCE_INVALID', message: expect.stringContaining('items, o') },
      undefined,
    ]);
  });

  it('asks the tap for its catalog and chooses the stream there, or takes one from a file', async () => {
    const tap = tapOf(2);
    const config = { streams: ['things', 'items'], acts: [{ at: 'end', exit: 4 }] };
    const settings = { stream: 'public-items', replicationMethod: 'INCREMENTAL', replicationKey: 'id' };
    const { error } = await pulled(tap.source(config, { ...settings, catalog: 'discover' }));
    expect(error).toMatchObject({ message: expect.stringContaining('method INCREMENTAL key id') });
    const found = execFileSync('python3', [TAP_PATH, '--config', configOf(tap), '--discover']);
    writeFileSync(join(tap.folder, 'catalog.json'), found);
    const chosen = tap.source({ streams: ['items'] }, { stream: 'items', catalog: 'catalog.json' });
    expect(ids((await pulled(chosen)).records)).toEqual([1, 2]);
    for (const catalog of ['discover', 'catalog.json']) {
      const none = await pulled(tap.source({}, { stream: 'nothing', catalog }));
      expect(none.error).toMatchObject({ code: 'SOURCE_INVALID', hint: expect.stringContaining('items') });
    }
    writeFileSync(join(tap.folder, 'catalog.json'), '[]');
    const broken = await pulled(tap.source({}, { stream: 'items', catalog: 'catalog.json' }));
    expect(broken.error).toMatchObject({ code: 'SOURCE_INVALID' });
  });
});

const TAP_PATH = join(import.meta.dirname, 'tap.py');

function configOf(tap: TestTap): string {
  const path = join(tap.folder, 'config.json');
  writeFileSync(path, JSON.stringify({ rows: tap.rows }));
  return path;
}

/** What a process that was killed before its tap ran would have left. */
function leftBy(pid: number, machine: string): string {
  const folder = mkdtempSync(join(tmpdir(), `waybill-tap-${pid}-${machine}-`));
  writeFileSync(join(folder, 'config.json'), '{"token":"hush"}');
  return folder;
}

describe('the process of a tap', () => {
  it('removes what one that was killed before its tap ran has left, and nothing of others', async () => {
    const { pid: gone } = spawnSync('true');
    const own = hostname().replaceAll(/[^A-Za-z0-9]/g, '');
    const left = leftBy(gone, own);
    const others = [leftBy(process.ppid, own), leftBy(gone, 'elsewhere')];
    try {
      await pulled(tapOf(1).source({}));
      expect([left, ...others].map((folder) => existsSync(folder))).toEqual([false, true, true]);
    } finally {
      for (const folder of others) rmSync(folder, { recursive: true });
    }
  });

  it('is given secrets in a file that only we may read, and none is told when it fails', async () => {
    const tap = tapOf(1);
    const secret = 'hush-hush-4711';
    const log = `${'noise '.repeat(30_000)}\nusing ${secret} and ${Buffer.from(secret).toString('base64')}\u001b[31m\n`;
    const config = { auth: { user: 'u' }, acts: [{ at: 1, note: tap.noted, hang: true, log }] };
    const secrets = { secrets: { 'auth.token': 'env:TOKEN', 'deep.er.key': 'env:TOKEN' }, graceSeconds: 1 };
    const stop = new AbortController();
    const reading = pulled(tap.source(config, {}, secrets, { 'env:TOKEN': secret }), undefined, stop.signal);
    await expect.poll(() => existsSync(tap.noted) && tap.note().config, { timeout: 20_000 }).toBeTruthy();
    const { config: path } = tap.note();
    const written = JSON.parse(readFileSync(path, 'utf8'));
    expect(written).toMatchObject({ auth: { user: 'u', token: secret }, deep: { er: { key: secret } } });
    expect([statSync(path).mode & 0o777, statSync(dirname(path)).mode & 0o777]).toEqual([0o600, 0o700]);
    stop.abort();
    expect((await reading).error).toBe(stop.signal.reason);
    expect(existsSync(dirname(path))).toBe(false);
    const died = await pulled(tap.source({ acts: [{ at: 1, log, exit: 7 }] }, {}, secrets, { 'env:TOKEN': secret }));
    const { message } = died.error as Error;
    expect(message).toContain('ended with the exit code 7');
    expect(message).toContain('using *** and ***');
    expect(message.length).toBeLessThan(2000);
    expect(message).not.toContain('\u001b');
  });

  it('is ended with all that it has started when the reading is stopped, killed when it does not listen', async () => {
    for (const deaf of [false, true]) {
      const tap = tapOf(10);
      const config = { acts: [{ at: 5, note: tap.noted, child: true, hang: true, deaf }] };
      const stop = new AbortController();
      const source = tap.source(config, {}, { graceSeconds: 1 });
      const reading = pulled(source, undefined, stop.signal);
      await expect.poll(() => existsSync(tap.noted) && tap.note().config, { timeout: 20_000 }).toBeTruthy();
      const { pid } = tap.note();
      const group = groupOf(pid);
      expect(membersOf(group).length).toBeGreaterThan(2);
      stop.abort();
      expect((await reading).error).toBe(stop.signal.reason);
      await expect.poll(() => membersOf(group)).toEqual([]);
    }
  });

  it('is ended when the reading is left, and what it leaves running when it ends is ended, too', async () => {
    const tap = tapOf(2000, 1000);
    const left = tap.source({ acts: [{ at: 1900, note: tap.noted, hang: true }] }, {}, { graceSeconds: 1 });
    for await (const _ of left.read(pullRange(), new AbortController().signal)) break;
    const other = tapOf(3);
    const leaves = other.source({ acts: [{ at: 2, child: true, note: other.noted }] });
    expect((await pulled(leaves)).records).toHaveLength(3);
    await expect.poll(() => lives(other.note().pid)).toBe(false);
    expect(sleepers()).toEqual([]);
  });

  it('is ended and its files are removed when this process is killed', async () => {
    const tap = tapOf(10);
    const config = { rows: tap.rows, acts: [{ at: 5, note: tap.noted, child: true, hang: true, deaf: true }] };
    const script = join(tap.folder, 'read.ts');
    const root = join(import.meta.dirname, '..', '..');
    writeFileSync(
      script,
      `import { singer } from '${root}/src/connectors/singer/config.ts';
import { openContext } from '${root}/src/testing/peer/open-context.ts';
import { ALL } from '${root}/src/model/window.ts';
const connection = singer.connection.parse({ command: ['python3', '${TAP_PATH}'], config: ${JSON.stringify(config)} });
const source = singer.source!.open(connection, singer.source!.settings.parse({}), openContext({}, '${tap.folder}'));
for await (const _ of source.read({ window: ALL, parameters: {} }, new AbortController().signal)) continue;
`,
    );
    const jiti = join(root, 'node_modules', 'jiti', 'lib', 'jiti-cli.mjs');
    const child = spawn(process.execPath, [jiti, script], { stdio: ['ignore', 'ignore', 'inherit'] });
    await expect.poll(() => existsSync(tap.noted) && tap.note().config, { timeout: 30_000 }).toBeTruthy();
    const { pid, config: path } = tap.note();
    const group = groupOf(pid);
    expect([existsSync(path), membersOf(group).length > 2]).toEqual([true, true]);
    child.kill('SIGKILL');
    await expect.poll(() => [membersOf(group), existsSync(dirname(path))], { timeout: 10_000 }).toEqual([[], false]);
  });

  it('says what could not be started, and what falls silent', async () => {
    const tap = tapOf(3);
    const absent = await pulled(tap.source({}, {}, { command: ['no-such-tap-here'] }));
    expect(absent.error).toMatchObject({ code: 'SOURCE_FAILED', hint: expect.stringContaining('Install the tap') });
    const silent = { acts: [{ at: 2, log: 'waiting for the moon', hang: true }] };
    const { error } = await pulled(tap.source(silent, { silenceSeconds: 1 }, { graceSeconds: 1 }));
    expect(error).toMatchObject({ code: 'SOURCE_FAILED', message: expect.stringContaining('waiting for the moon') });
  });
});

/** The group that a process belongs to. */
const groupOf = (pid: number): number => Number(execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)]).toString());

/** Processes of a group that have not ended. */
function membersOf(group: number): readonly string[] {
  const all = execFileSync('ps', ['-e', '-o', 'pgid=,stat=,args=']).toString().split('\n');
  return all.filter((line) => Number(line.trim().split(/\s+/)[0]) === group && !/^\s*\d+\s+Z/.test(line));
}

const sleepers = (): readonly string[] =>
  execFileSync('ps', ['-e', '-o', 'args='])
    .toString()
    .split('\n')
    .filter((line) => line === 'sleep 1000');
