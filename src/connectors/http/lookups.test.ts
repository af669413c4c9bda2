import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openContext } from '../../testing/peer/open-context.ts';
import { testPayload, testPermit } from '../../testing/permit.ts';
import type { Found } from '../connector.ts';
import { http } from './config.ts';

const closing: (() => Promise<void> | undefined)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** What a look-up finds of the records `a`, `b` and `c` in this answer. */
async function find(lookup: object, answer: object | string, headers = {}): Promise<Found> {
  const api = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  await new Promise<void>((listening) => api.listen(0, '127.0.0.1', listening));
  closing.push(() => new Promise((closed) => void api.close(() => closed())));
  const settings = { path: '/v1', receipt: { shape: 'none' }, lookup: { recordId: 'id', ...lookup } };
  const connection = http.connection.parse({ url: `http://127.0.0.1:${(api.address() as AddressInfo).port}` });
  const sink = http.sink!.open(connection, http.sink!.settings.parse(settings), openContext());
  closing.push(async () => sink.close?.());
  const records = ['a', 'b', 'c'].map((id) => ({ id }));
  const framing = sink.accepts[0]!;
  return await sink.can.find!(testPermit({ records, framing }).batch, testPayload({ records, framing }));
}

const BY_IDS = { path: '/records?ids={{ ids }}', results: 'results' };
const BY_BATCH = { path: '/records?batch={{ batch.idempotencyKey }}', results: 'results' };
const A = { results: [{ id: 'a' }] };

describe('a look-up that may not have been shown everything', () => {
  it.each<[string, object, Record<string, string>]>([
    ['has a cursor of a next page', { ...A, meta: { next_cursor: 'x' } }, {}],
    ['has a header Link to a next page', A, { link: '</records?page=2>; rel="next"' }],
    ['says that there is more', { ...A, has_more: true }, {}],
    ['counts more than it lists', { ...A, total: 3 }, {}],
    ['tells of failures', { ...A, _shards: { total: 1, failed: 1 } }, {}],
    ['holds something without an id', { results: [...A.results, { external_id: 'b' }] }, {}],
    ['holds ids that nobody asked for', { results: [...A.results, { id: 'B' }] }, {}],
  ])('calls nothing absent where the answer %s', async (_what, answer, headers) => {
    for (const lookup of [BY_IDS, BY_BATCH]) {
      expect((await find(lookup, answer, headers)).records).toEqual(['applied', 'unknown', 'unknown']);
    }
  });

  it('calls absent what a whole answer does not name, and believes a `more` that denies it', async () => {
    const whole = { ...A, total: 1, count: 1, next: null, errors: [] };
    expect((await find(BY_IDS, whole)).records).toEqual(['applied', 'absent', 'absent']);
    const told = { ...A, meta: { next_cursor: 'x', more: false } };
    expect((await find({ ...BY_IDS, more: 'meta.more' }, told)).records).toEqual(['applied', 'absent', 'absent']);
  });

  it('counts strangers for nothing where all of the API is listed', async () => {
    const all = { results: [{ id: 'a' }, { id: 'z' }] };
    expect((await find({ path: '/records', results: 'results' }, all)).records).toEqual([
      'applied',
      'absent',
      'absent',
    ]);
  });
});

describe('a look-up of one record a request', () => {
  const ONE = { path: '/records/{{ id }}' };
  it.each(['{"data":null}', '[]', '{"error":"no record a"}', '{"ok":true}', 'null'])(
    'takes %s for no record, though its status is 200',
    async (answer) => {
      await expect(find(ONE, answer)).rejects.toThrow('without the id that was asked for');
    },
  );

  it('finds it wherever its id stands, and by `match` without one', async () => {
    const all = { data: [{ attributes: { ref: 'a' } }, 'b', { x: 'c' }] };
    expect((await find(ONE, all)).records).toEqual(['applied', 'applied', 'applied']);
    expect((await find({ ...ONE, match: 'exists' }, { exists: false })).records).toEqual([
      'absent',
      'absent',
      'absent',
    ]);
  });
});
