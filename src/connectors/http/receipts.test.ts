import { afterEach, describe, expect, it } from 'vitest';
import { RefusedError } from '../../model/errors.ts';
import { OUTCOME, tally, type Verdict } from '../../model/verdict.ts';
import { type ApiPeer, openApiPeer } from '../../testing/peer/api-peer.ts';
import type { Behaviour } from '../../testing/peer/behaviour.ts';
import { openContext } from '../../testing/peer/open-context.ts';
import { testPermit } from '../../testing/permit.ts';
import type { Sink } from '../connector.ts';
import { http } from './config.ts';
import { readReceipt } from './receipt.ts';

let peer: ApiPeer;
let sink: Sink;
afterEach(async () => {
  await sink.close?.();
  await peer.close();
});

async function open(behaviour: Partial<Behaviour>, settings: Record<string, unknown>): Promise<void> {
  peer = await openApiPeer(behaviour);
  const config = http.sink!.settings.parse({ path: '/v1/records', ...settings });
  sink = http.sink!.open(http.connection.parse({ url: peer.url }), config, openContext());
}

const sinkReceipt = (receipt: Record<string, unknown>) =>
  (http.sink!.settings.parse({ path: '/', receipt }) as { readonly receipt: Parameters<typeof readReceipt>[0] })
    .receipt;

async function send(records: readonly object[], batch = 1): Promise<Verdict> {
  const permit = testPermit({ records, framing: sink.accepts[0]!, batch });
  const verdict = await sink.can.append!(permit);
  tally(verdict, records.length);
  return verdict;
}

const LETTERS: Record<number, string> = { 1: 'A', 2: 'R', 3: '?' };
/** One letter a record: applied, refused, or unclear. */
const told = (verdict: Verdict): string => [...verdict.outcomes].map((one) => LETTERS[one]).join('');
const events = (count: number): { id: string; kind: string }[] =>
  Array.from({ length: count }, (_, at) => ({ id: `e-${at}`, kind: 'x' }));
const bad = (...ids: string[]) => [{ path: 'id', values: ids, code: 'ValidationError', message: 'Invalid content' }];

const ROKT = { shape: 'echoed-record', path: 'data.unprocessedRecords', error: 'error.message', code: 'error.code' };
const SALESFORCE = {
  shape: 'position',
  success: 'success',
  id: 'id',
  error: 'errors.0.message',
  code: 'errors.0.statusCode',
};
const HUBSPOT = {
  shape: 'client-id',
  recordId: 'objectWriteTraceId',
  results: 'results',
  errors: 'errors',
  errorId: 'context.objectWriteTraceId',
  error: 'message',
  code: 'category',
  id: 'id',
  check: { refused: 'numErrors' },
};
const BRAZE = {
  shape: 'index-in-array',
  errors: 'errors',
  array: 'input_array',
  arrayName: 'events',
  index: 'index',
  error: 'type',
  optional: true,
  ok: { path: 'message', is: 'success' },
};
const COUNTS = { shape: 'counts', applied: 'data.accepted', refused: 'data.rejected' };
const traced = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ objectWriteTraceId: `w-${at}`, properties: { n: at } }));

describe('a reply that refuses some of the records', () => {
  it('U11: an echoed record (Rokt) marks exactly that record refused and the others applied', async () => {
    await open({ shape: 'rokt', reject: bad('e-1', 'e-3') }, { receipt: ROKT });
    const verdict = await send(events(5));
    expect(told(verdict)).toBe('ARARA');
    expect(verdict.refusals[0]).toEqual({
      index: 1,
      code: 'ValidationError',
      message: 'Invalid content',
      retryable: false,
    });
    expect(verdict.receipt.summary).toBe('200, 3 of 5 applied, 2 refused');
    expect(verdict.receipt.excerpt).toContain('unprocessedRecords');
    expect(peer.records()).toHaveLength(3);
  });

  it('U11: a natural key in the echo (Mailchimp, Rokt) marks exactly those records refused', async () => {
    await open({ shape: 'rokt', reject: bad('e-0') }, { receipt: { ...ROKT, recordKey: 'id' } });
    expect(told(await send(events(3)))).toBe('RAA');
  });

  it('U11: results by position (Salesforce) are taken one by one, with the ids that the sink gave', async () => {
    await open({ shape: 'salesforce', reject: bad('e-2') }, { receipt: SALESFORCE });
    const verdict = await send(events(4));
    expect(told(verdict)).toBe('AARA');
    expect(verdict.refusals[0]?.code).toBe('ValidationError');
    expect(verdict.receipt.reference).toBe('ids 0011-0,0011-1,0011-3');
  });

  it('U11: a client id (HubSpot, 207) ties each result and each error to its record', async () => {
    const body = { wrap: 'inputs' };
    const reject = [{ path: 'objectWriteTraceId', values: ['w-1'], code: 'VALIDATION_ERROR', message: 'm' }];
    await open({ shape: 'hubspot', recordsAt: 'inputs', reject }, { receipt: HUBSPOT, body });
    expect(told(await send(traced(3)))).toBe('ARA');
    peer.set({ reject: [] });
    expect(told(await send(traced(3), 2))).toBe('AAA');
  });

  it('U11: an index in a named input array (Braze) marks exactly that record refused', async () => {
    const settings = { receipt: BRAZE, body: { wrap: 'events' } };
    await open({ shape: 'braze', recordsAt: 'events', reject: bad('e-2') }, settings);
    expect(told(await send(events(3)))).toBe('AAR');
    peer.set({ reject: [] });
    expect(told(await send(events(3), 2))).toBe('AAA');
  });

  it('U11: an all-or-nothing API (Meta) refuses the whole batch for one bad record', async () => {
    const receipt = { shape: 'all-or-nothing', applied: 'events_received' };
    await open({ shape: 'meta', recordsAt: 'data', reject: bad('e-1') }, { receipt, body: { wrap: 'data' } });
    await expect(send(events(3))).rejects.toSatisfy((error) => error instanceof RefusedError && error.reason === '400');
    expect(peer.records()).toHaveLength(0);
    peer.set({ reject: [] });
    expect(told(await send(events(3), 2))).toBe('AAA');
    expect(sink.facts.rejectsAtomically).toBe(true);
  });

  it('U11: an all-or-nothing API that refuses a batch for now may get all of it later', async () => {
    const receipt = { shape: 'all-or-nothing', ok: 'ok', code: 'error', retryable: { codes: ['quota'] } };
    const body = (error: string) => ({ status: 200, body: { ok: false, error } });
    await open({ faults: [{ answer: body('quota') }] }, { receipt });
    const verdict = await send(events(2));
    expect(told(verdict)).toBe('RR');
    expect(verdict.refusals).toMatchObject([0, 1].map((index) => ({ index, code: 'quota', retryable: true })));
    peer.set({ faults: [{ answer: body('malformed') }] });
    await expect(send(events(2), 2)).rejects.toMatchObject({ reason: 'malformed' });
  });

  it('U11: counts alone decide a batch only when all or none were applied', async () => {
    await open({ shape: 'counts', reject: bad('e-1') }, { receipt: COUNTS });
    expect(told(await send(events(3)))).toBe('???');
    expect(told(await send(events(1)))).toBe('A');
    expect(told(await send([{ id: 'e-1' }], 2))).toBe('R');
  });

  it('U11: an API that says nothing (mParticle, 202) is believed only because the flow declares it', async () => {
    await open({ shape: 'mparticle', recordsAt: 'events' }, { receipt: { shape: 'none' }, body: { wrap: 'events' } });
    const verdict = await send(events(3));
    expect(told(verdict)).toBe('AAA');
    expect(verdict.receipt.summary).toBe('202, all 3 applied');
    expect(verdict.receipt.excerpt).toBeUndefined();
  });
});

describe('a reply that does not add up', () => {
  it.each([
    ['rokt', ROKT, '???'],
    ['salesforce', SALESFORCE, '???'],
    ['hubspot', { ...HUBSPOT, recordId: 'id', resultId: 'objectWriteTraceId', check: undefined }, '???'],
    ['braze', BRAZE, '???'],
    ['meta', { shape: 'all-or-nothing', applied: 'events_received' }, '???'],
    ['counts', COUNTS, '???'],
  ] as const)('U11: a lie of the shape %s leaves its records unclear', async (shape, receipt, wanted) => {
    await open({ shape, faults: [{ answer: 'lie', apply: 'all' }] }, { receipt });
    const verdict = await send(events(3));
    expect(told(verdict)).toBe(wanted);
    expect(verdict.receipt.excerpt).toBeDefined();
    expect(verdict.receipt.summary).not.toContain('e-1');
  });

  it.each(['not-json', 'cut-json', 'lie'] as const)('U11: a success that is %s proves nothing', async (answer) => {
    await open({ shape: 'salesforce', faults: [{ answer, apply: 'all' }] }, { receipt: SALESFORCE });
    expect(told(await send(events(2)))).toBe('??');
  });

  it('U11: a success that is packed although nothing packed was asked for is read', async () => {
    await open({ shape: 'salesforce', faults: [{ answer: 'packed', apply: 'all' }] }, { receipt: SALESFORCE });
    expect(told(await send(events(2)))).toBe('AA');
    expect(peer.received[0]?.headers['accept-encoding']).toBe('identity');
  });

  it('U11: a 200 without the list that its shape needs proves nothing', async () => {
    const answer = { status: 200, body: { ok: true } };
    await open({ faults: [{ answer, apply: 'all' }] }, { receipt: ROKT });
    expect(told(await send(events(2)))).toBe('??');
  });

  it.each<[string, object, number, string]>([
    ['a list under another name than the flow says', { errorz: [], failedRecords: [{ id: 'e-1' }] }, 200, '??'],
    ['a count', { result: { failure_count: 1 } }, 200, '??'],
    ['a yes', { hasErrors: true }, 200, '??'],
    ['nothing of the kind', { ok: true, errorCount: 0, rejected: [], error: '' }, 200, 'AA'],
    ['nothing, but its status', {}, 207, '??'],
  ])('U11: silence is no success where the reply holds %s', async (_what, body, status, wanted) => {
    await open({ faults: [{ answer: { status, body } }] }, { receipt: { shape: 'all-or-nothing' } });
    expect(told(await send(events(2)))).toBe(wanted);
    if (status === 207) return;
    for (const receipt of [
      { shape: 'client-id', recordId: 'id', errors: 'errs', optional: true },
      { shape: 'index-in-array', errors: 'errs', optional: true },
    ]) {
      peer.set({ faults: [{ answer: { status, body } }] });
      await sink.close?.();
      const config = http.sink!.settings.parse({ path: '/v1/records', receipt });
      sink = http.sink!.open(http.connection.parse({ url: peer.url }), config, openContext());
      expect(told(await send(events(2), 2))).toBe(wanted);
    }
  });

  it('U11: a reply that repeats the record it was sent says nothing by that', async () => {
    const build = { id: 'e-1', steps: { failed: 3, errors: ['a', 'b'] } };
    const receipt = { shape: 'all-or-nothing' };
    const answered = (body: object) => ({ faults: [{ answer: { status: 201, body } }] });
    await open(answered(build), { receipt });
    expect(told(await send([build]))).toBe('A');
    peer.set(answered({ ...build, steps: { failed: 4 } }));
    expect(told(await send([build], 2))).toBe('?');
  });

  it('U11: a 207 is believed without its body only where the flow says so', async () => {
    const faults = () => [{ answer: { status: 207, body: {} } }];
    await open({ faults: faults() }, { receipt: { shape: 'none' } });
    expect(told(await send(events(1)))).toBe('?');
    await sink.close?.();
    await peer.close();
    await open({ faults: faults() }, { receipt: { shape: 'none' }, statuses: { applied: [207] } });
    expect(told(await send(events(1)))).toBe('A');
  });

  it.each(['none', 'all-or-nothing'])(
    'U11: a page to look at is believed by %s only where the flow says so',
    async (shape) => {
      const faults = () => [{ answer: 'not-json' as const }];
      await open({ faults: faults() }, { receipt: { shape } });
      const verdict = await send(events(2));
      expect([told(verdict), verdict.receipt.summary]).toEqual([
        '??',
        '200: a page of HTML, which is no answer of an API',
      ]);
      await sink.close?.();
      await peer.close();
      await open({ faults: faults() }, { receipt: { shape }, statuses: { applied: [200] } });
      expect(told(await send(events(2)))).toBe('AA');
    },
  );

  it('U11: an error that names no record may be about any of them', () => {
    const config = sinkReceipt({ shape: 'client-id', recordId: 'id', errors: 'errors', errorId: 'ids' });
    const sent = { count: 2, record: (index: number) => ({ id: `e-${index}` }) };
    const outcomes = (text: string) => readReceipt(config, { text }, sent).outcomes;
    expect([...outcomes('{"errors":[{"ids":["e-1"]}]}')]).toEqual([OUTCOME.applied, OUTCOME.refused]);
    for (const ids of ['[]', 'null', '{}', '[null]']) {
      expect([...outcomes(`{"errors":[{"ids":${ids}}]}`)]).toEqual([OUTCOME.unknown, OUTCOME.unknown]);
    }
  });

  it.each<[string, string | undefined]>([
    ['the reply is empty', ' \n'],
    ['the reply is not JSON', 'OK'],
    ['the reply is no text, or packed in a way that cannot be unpacked', undefined],
    ['1 records are not named', '{"done":[{"id":"e-1"}]}'],
  ])('U11: says why nothing can be told: %s', (note, text) => {
    const config = sinkReceipt({ shape: 'client-id', recordId: 'id', results: 'done' });
    const sent = { count: 2, record: (index: number) => ({ id: `e-${index}` }) };
    expect(readReceipt(config, { text }, sent).notes).toEqual([note]);
  });

  it('U11: names records by all digits of their ids, and of what comes back of them', () => {
    const record = (index: number) => ({ id: [9007199254740992n, 9007199254740993n][index], at: 1e21 });
    const text = '{"errors":[{"id":9007199254740993,"error":{"limit":12345678901234567890}}]}';
    const config = sinkReceipt({ shape: 'client-id', recordId: 'id', errors: 'errors', error: 'error' });
    const account = readReceipt(config, { text }, { count: 2, record });
    expect([...account.outcomes]).toEqual([OUTCOME.applied, OUTCOME.refused]);
    expect(account.refusals).toMatchObject([{ index: 1, message: '{"limit":12345678901234567890}' }]);
    const echo = '{"failed":[{"at":1000000000000000000000,"id":9007199254740993.0}]}';
    const whole = sinkReceipt({ shape: 'echoed-record', path: 'failed', record: '' });
    expect([...readReceipt(whole, { text: echo }, { count: 2, record }).outcomes]).toEqual([1, 2]);
  });

  it('U11: records of one id are decided only when the reply names them all one way', async () => {
    await open({ shape: 'rokt' }, { receipt: { ...ROKT, recordKey: 'id' } });
    const echo = (id: string) => ({ error: { code: 'c', message: 'm' }, record: { id } });
    const twins = [{ id: 'a' }, { id: 'a' }, { id: 'b' }];
    const reply = (...ids: string[]) => ({ status: 200, body: { data: { unprocessedRecords: ids.map(echo) } } });
    peer.set({ faults: [{ answer: reply('a') }] });
    expect(told(await send(twins))).toBe('???');
    peer.set({ faults: [{ answer: reply('a', 'a') }] });
    expect(told(await send(twins, 2))).toBe('RRA');
    peer.set({ faults: [{ answer: reply('b', 'stranger') }] });
    expect(told(await send(twins, 3))).toBe('??R');
  });
});
