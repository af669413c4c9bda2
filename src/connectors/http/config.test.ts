import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { openContext } from '../../testing/peer/open-context.ts';
import { testPermit } from '../../testing/permit.ts';
import { framingOf } from './body.ts';
import { http } from './config.ts';
import { connectionSchema, sinkSchema } from './settings.ts';

const settings = http.sink!.settings;
const problems = (schema: z.ZodType, value: unknown): string =>
  (schema.safeParse(value).error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n');
const plain = { receipt: { shape: 'none' } };
const text = (records: object[], body: unknown): string => {
  const framing = framingOf(settings.parse({ ...plain, body }).body);
  return Buffer.from(testPermit({ records, framing }) ? encode(records, framing) : '').toString();
};
const encode = (records: object[], framing: ReturnType<typeof framingOf>): string =>
  framing.head + records.map((one) => JSON.stringify(one)).join(framing.separator) + framing.tail;

describe('the body', () => {
  it.each([
    ['array', '[{"a":1},{"a":2}]'],
    ['ndjson', '{"a":1}\n{"a":2}\n'],
    [{ wrap: 'events' }, '{"events":[{"a":1},{"a":2}]}'],
    [
      { wrap: 'data.items', constants: { v: 2, data: { kind: 'x' } } },
      '{"v":2,"data":{"kind":"x","items":[{"a":1},{"a":2}]}}',
    ],
    [
      { each: { wrap: 'attributes', constants: { type: 't' } } },
      '[{"type":"t","attributes":{"a":1}},{"type":"t","attributes":{"a":2}}]',
    ],
    [{ wrap: 'data', each: { wrap: 'x.y' } }, '{"data":[{"x":{"y":{"a":1}}},{"x":{"y":{"a":2}}}]}'],
    [{ wrap: '__proto__.polluted' }, '{"__proto__":{"polluted":[{"a":1},{"a":2}]}}'],
  ])('%j frames two records', (body, wanted) => {
    expect(text([{ a: 1 }, { a: 2 }], body)).toBe(wanted);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('of one record is the record itself, one a request', () => {
    expect(text([{ a: 1 }], 'single')).toBe('{"a":1}');
    expect(problems(settings, { ...plain, body: 'single', batch: { maxRecords: 2 } })).toContain('one record');
  });

  it('refuses a constant that would differ from batch to batch', () => {
    const body = { wrap: 'events', constants: { id: '{{ batch.id }}' } };
    expect(problems(settings, { ...plain, body })).not.toBe('');
  });

  it('refuses a constant where the records belong', () => {
    const body = settings.parse({ ...plain, body: { wrap: 'a.b', constants: { a: { b: 1 } } } }).body;
    expect(() => framingOf(body)).toThrow('also the name of a constant');
  });
});

describe('the settings', () => {
  it('fill in the defaults that the docs name', () => {
    const sink = http.sink!.open(
      http.connection.parse({ url: 'http://localhost' }),
      settings.parse(plain),
      openContext(),
    );
    expect(sink.limits).toEqual({ recordsPerBatch: 100, bytesPerBatch: 1_000_000, inFlight: 4 });
    expect(sink.requestTimeoutMs).toBe(30_000);
    expect(Object.keys(sink.can)).toEqual(['append']);
    expect(sink.facts).toEqual({ rejectsAtomically: false });
    expect(sink.rate).toBeUndefined();
  });

  it('read sizes and times in words', () => {
    const parsed = settings.parse({
      ...plain,
      batch: { maxBytes: '1.5MiB' },
      requestTimeout: '2m',
      rate: { bytes: '1MB', requests: 5 },
    });
    expect(parsed).toMatchObject({ batch: { maxBytes: 1_572_864 }, requestTimeout: 120_000, rate: { bytes: 1e6 } });
    expect(problems(settings, { ...plain, requestTimeout: 'soon' })).toContain('expected a time');
    expect(problems(settings, { ...plain, batch: { maxBytes: '0MB' } })).toContain('expected a size');
  });

  it.each([
    [{ ...plain, retries: 3 }, 'retries'],
    [{ ...plain, batch: { max: 3 } }, 'max'],
    [{ receipt: { shape: 'none', path: 'x' } }, 'path'],
    [{ receipt: { shape: 'position' } }, 'success'],
  ])('refuse %j by the name of the key', (value, name) => {
    expect(problems(settings, value)).toContain(name);
  });

  it('want to be told how the reply accounts for records', () => {
    expect(problems(settings, {})).toContain('receipt');
  });

  it.each(['/x?api_key=1', '/x?access_token=1', 'x', '/a b', '/x/{{ key }}'])('refuse the path %s', (path) => {
    expect(problems(settings, { ...plain, path })).not.toBe('');
  });

  it.each(['http://u:p@host', 'http://u@host', 'http://host?key=1', 'ftp://host', 'host'])(
    'refuse the URL %s',
    (url) => {
      expect(problems(http.connection, { url })).not.toBe('');
    },
  );

  it.each([
    { bearer: 'plain-token' },
    { bearer: 'env:A', basic: { username: 'a', password: 'env:B' } },
    { header: { name: 'bad name', value: 'env:A' } },
  ])('refuse the credentials %j', (auth) => {
    expect(problems(http.connection, { url: 'http://host', auth })).not.toBe('');
  });

  it.each([
    { Authorization: 'Bearer x' },
    { cookie: 'x' },
    { 'X-Waybill-Batch': 'x' },
    { Host: 'x' },
    { 'x-a': 'a\r\nb: c' },
  ])('refuse the header %j', (headers) => {
    expect(problems(http.connection, { url: 'http://host', headers })).not.toBe('');
  });

  it('describe every field, for the reference pages', () => {
    const bare: string[] = [];
    const walk = (json: unknown, path: string): void => {
      if (typeof json !== 'object' || json === null) return;
      const node = json as Record<string, unknown>;
      const properties = (node.properties ?? {}) as Record<string, Record<string, unknown>>;
      for (const [name, field] of Object.entries(properties)) {
        if (field.description === undefined) bare.push(`${path}.${name}`);
        walk(field, `${path}.${name}`);
      }
      for (const key of ['anyOf', 'oneOf', 'items']) {
        const inner = node[key];
        for (const one of Array.isArray(inner) ? inner : [inner]) walk(one, path);
      }
    };
    for (const schema of [connectionSchema, sinkSchema]) walk(toJson(schema), '');
    expect([...new Set(bare)]).toEqual([]);
  });
});

const toJson = (schema: z.ZodType): unknown => schema.toJSONSchema({ io: 'input', unrepresentable: 'any' });
