import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { counts, DAY, DailyJob, type DailyJobOptions, members } from '../daily/daily-job.ts';
import { expectError } from './processes.ts';

let job: DailyJob;
afterEach(() => job.close());
const open = async (options: DailyJobOptions = {}): Promise<DailyJob> => {
  job = await DailyJob.open(options);
  return job;
};
const run = () => job.cli(['run', 'roket-daily', '--for', DAY]);
const onceEach = (wanted: number): void => {
  const held = counts(job.held());
  expect(held.size).toBe(wanted);
  expect([...held.values()].filter((count) => count !== 1)).toEqual([]);
};

interface Listed {
  readonly records: readonly { readonly row?: number; readonly code?: string; readonly reason?: string }[];
}
const refused = async () => (await job.json<Listed>(['records', 'r1', '--state', 'refused'])).records;

/** Reading the members fails at one of them, after thousands were read. */
const FAILING = '"select member_id, json(name) as name from members where updated_on = :date"';

describe('a query that fails half-way', () => {
  const broken = () =>
    members(2_500).map((one) => ({ ...one, name: one.member_id === 2_200 ? '{ no json' : `{"n":${one.member_id}}` }));

  it('sends nothing, says why the run failed, and the next start goes on once the data is mended', async () => {
    await open({ members: broken(), source: { query: FAILING } });
    const said = expectError(await run(), 'SOURCE_FAILED', 5);
    expect(said).toMatch(/members\.db/);
    expect(said).toMatch(/malformed JSON/);
    expect(job.peer.received).toHaveLength(0);
    const { runs } = await job.json<{ runs: Record<string, unknown>[] }>(['runs']);
    expect(runs).toMatchObject([{ id: 'r1', state: 'failed' }]);
    expect(JSON.stringify(runs)).toMatch(/malformed JSON/);
    expect((await job.cli(['status'])).stdout).toMatch(/malformed JSON/);
    job.change(`update members set name = '{"n":0}' where member_id = 2200`);
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(0);
    onceEach(2_500);
  });

  it('keeps what was sent while reading, and sends only the rest once the data is mended', async () => {
    await open({ members: broken(), source: { query: FAILING }, flow: { deliver: 'while-reading' } });
    expectError(await run(), 'SOURCE_FAILED', 5);
    expect(job.held().length).toBeLessThan(2_200);
    job.change(`update members set name = '{"n":0}' where member_id = 2200`);
    const mended = await run();
    expect(mended.status, mended.stderr).toBe(0);
    onceEach(2_500);
  });

  it.each([
    ['has no such table', 'select * from member', /no such table/],
    ['is no SQL', 'selec * from members', /syntax error/],
    ['asks for a parameter that the flow does not have', 'select * from members where name = :dat', /:dat\b.*date/],
    ['would change the database', 'delete from members returning *', /change the database/],
    ['gives one name to two columns', 'select member_id, name as member_id from members', /member_id/],
  ])('says what is wrong with a query that %s', async (_, query, wanted) => {
    await open({ source: { query: JSON.stringify(query) } });
    const said = expectError(await run(), 'SOURCE_INVALID', 2);
    expect(said).toMatch(wanted);
    expect(job.peer.received).toHaveLength(0);
  });

  it('says that the database is not there', async () => {
    await open();
    job.configure({ source: { connection: 'warehouse' }, top: '' });
    const text = job.read('waybill.yaml').replace('file: members.db', 'file: nowhere.db');
    writeFileSync(join(job.folder, 'waybill.yaml'), text);
    const ended = await run();
    expect([2, 5]).toContain(ended.status);
    expect(ended.stderr).toMatch(/^error: .*nowhere\.db/m);
    expect(ended.stderr).toMatch(/^ {2}do {4}.{10,}/m);
    expect(job.peer.received).toHaveLength(0);
  });
});

const CSV = (broken: string) =>
  ['member_id,name', ...Array.from({ length: 300 }, (_, n) => (n === 149 ? broken : `${n + 1},m${n + 1}`)), ''].join(
    '\n',
  );
const NDJSON = (broken: string) =>
  [...Array.from({ length: 300 }, (_, n) => (n === 149 ? broken : `{"member_id":${n + 1}}`)), ''].join('\n');

/**
 * The broken line is line 151 of the CSV file, since its first holds the names, and line 150 of the other.
 */
const BROKEN = [
  ['CSV', 'in.csv', 'too many fields', CSV('150,m150,more'), 151, 'CSV_INVALID'],
  ['CSV', 'in.csv', 'too few fields', CSV('150'), 151, 'CSV_INVALID'],
  ['CSV', 'in.csv', 'a quote in the middle', CSV('150,m"150'), 151, 'CSV_INVALID'],
  ['CSV', 'in.csv', 'bytes that are no UTF-8', CSV('150,\u00ff\u00fe'), 151, 'TEXT_INVALID'],
  ['CSV', 'in.csv', 'no key', CSV(',m150'), 151, 'KEY_MISSING'],
  ['NDJSON', 'in.ndjson', 'a line that is cut', NDJSON('{"member_id":15'), 150, 'JSON_INVALID'],
  ['NDJSON', 'in.ndjson', 'a line that is no object', NDJSON('[150]'), 150, 'JSON_INVALID'],
  ['NDJSON', 'in.ndjson', 'bytes that are no UTF-8', NDJSON('{"member_id":"\u00ff"}'), 150, 'TEXT_INVALID'],
  ['NDJSON', 'in.ndjson', 'no key', NDJSON('{"name":"x"}'), 150, 'KEY_MISSING'],
] as const;

describe.each(BROKEN)('a file of %s (%s) with %s', (_, path, __, text, line, code) => {
  const from = { connection: 'files', query: undefined, path };
  const prepare = async (onReject: string): Promise<void> => {
    await open({ source: { ...from, onReject }, members: [] });
    writeFileSync(join(job.folder, path), Buffer.from(text, 'latin1'));
  };

  it('goes on without that record, lists it with its line, and ends with 3', async () => {
    await prepare('skip');
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(3);
    expect(job.held()).toHaveLength(299);
    const listed = await refused();
    expect(listed).toMatchObject([{ code }]);
    expect(listed[0]?.reason).toMatch(new RegExp(`\\bline ${line}\\b.*${path}`));
    if (code === 'KEY_MISSING') expect(listed[0]?.reason).toContain('the key column "member_id"');
    const again = await run();
    expect(again.status, 'a second start sends nothing, and does not forget').toBe(3);
    expect(job.held()).toHaveLength(299);
  });

  it('stops there when it should, says the line, sends nothing, and goes on once the file is mended', async () => {
    await prepare('stop');
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(3);
    expect(ended.stderr).toMatch(new RegExp(`^error: .*\\b(line|row) ${line}\\b`, 'm'));
    expect(ended.stderr).toContain(path);
    if (code === 'KEY_MISSING') expect(ended.stderr).toContain('the key column "member_id"');
    expect(ended.stderr).toMatch(/^ {2}do {4}.{10,}/m);
    expect(job.peer.received).toHaveLength(0);
    const mended = path === 'in.csv' ? CSV('150,m150') : NDJSON('{"member_id":150}');
    writeFileSync(join(job.folder, path), mended);
    const next = await run();
    expect(next.status, next.stderr).toBe(0);
    onceEach(300);
  });
});

describe('a record above the byte limit', () => {
  it('is refused alone, with its size and the limit; the others arrive, and mended data goes through', async () => {
    const all = members(60).map((one) => (one.member_id === 30 ? { ...one, name: 'x'.repeat(3_000) } : one));
    await open({ members: all, sink: { batch: '{ maxRecords: 100, maxBytes: 1000 }' } });
    const ended = await run();
    expect(ended.status, ended.stderr).toBe(3);
    expect(job.held()).toHaveLength(59);
    expect(await refused()).toMatchObject([{ code: 'RECORD_TOO_LARGE', row: 30 }]);
    const trace = await job.cli(['trace', '30']);
    expect(trace.stdout).toMatch(/refused/);
    expect(trace.stdout).toMatch(/1,?000/);
    expect(trace.stdout, 'what to do next').toMatch(/--refresh/);
    job.change("update members set name = 'short' where member_id = 30");
    const mended = await job.cli(['run', 'roket-daily', '--for', DAY, '--refresh']);
    expect(mended.stderr + mended.stdout).toMatch(/61|60/);
    onceEach(60);
  });
});
