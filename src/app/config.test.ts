import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Connector } from '../connectors/connector.ts';
import { WaybillError } from '../model/errors.ts';
import { strategies } from '../strategies/all.ts';
import { findConfig, loadConfig } from './config.ts';
import type { Config, ConnectorList } from './flow-config.ts';

/** Two connectors that have settings of every kind and never open anything: only the flow file is under test. */
const never = (): never => {
  throw new WaybillError('UNEXPECTED', 'the flow file is read without opening anything');
};
const warehouse: Connector = {
  type: 'postgres',
  summary: 'rows',
  connection: z.strictObject({ url: z.string().meta({ secret: true }) }),
  source: { settings: z.strictObject({ query: z.string(), fetchSize: z.int().optional() }), open: never },
};
const api: Connector = {
  type: 'http',
  summary: 'an API',
  connection: z.strictObject({
    url: z.url(),
    auth: z
      .union([
        z.strictObject({ bearer: z.string().meta({ secret: true }) }),
        z.strictObject({ basic: z.strictObject({ user: z.string(), password: z.string().meta({ secret: true }) }) }),
      ])
      .optional(),
    headers: z.record(z.string(), z.string()).optional(),
    signedWith: z
      .string()
      .regex(/^(env|file):./)
      .optional(),
  }),
  sink: {
    settings: z.strictObject({
      batch: z
        .strictObject({
          maxRecords: z.int().positive().optional(),
          maxBytes: z.union([z.int(), z.string()]).optional(),
        })
        .optional(),
      receipt: z
        .discriminatedUnion('shape', [
          z.strictObject({ shape: z.literal('echoed-record'), path: z.string(), key: z.string(), error: z.string() }),
          z.strictObject({ shape: z.literal('status'), path: z.string() }),
        ])
        .optional(),
      atomic: z.boolean().optional(),
    }),
    open: never,
  },
};
const files: Connector = {
  type: 'files',
  summary: 'files',
  connection: z.strictObject({ root: z.string().optional() }),
  source: { settings: z.strictObject({ path: z.string() }), open: never },
  sink: { settings: z.strictObject({ path: z.string() }), open: never },
};
const all = [warehouse, api, files];
const connectors: ConnectorList = {
  types: all.map((one) => one.type),
  load: async (type) => all.find((one) => one.type === type),
};

const EXAMPLE = `version: 1
connections:
  warehouse: { type: postgres, url: \${WAREHOUSE_URL} }
  roket:     { type: http, url: https://api.example.com/v1/events, auth: { bearer: \${ROKET_TOKEN} } }
flows:
  roket-daily:
    source: { connection: warehouse, query: "select * from members where updated_on = :date", key: [member_id] }
    sink:   { connection: roket, batch: { maxRecords: 100, maxBytes: 1MB }, \
receipt: { shape: echoed-record, path: data.unprocessedRecords, key: record.member_id, error: error.message } }
    strategy: ledgered-append
    window: day
    schedule: "0 6 * * *"
    onDoubt: hold
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waybill-config-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function load(text: string, env: Record<string, string> = {}, name = 'waybill.yaml'): Promise<Config> {
  await writeFile(join(folder, name), text);
  return loadConfig(join(folder, name), { cwd: folder, env, connectors, strategies });
}
const lines = (config: Config): string[] => config.findings.map(({ place, message }) => `${place} ${message}`);
const flowOf = (sinkAndMore: string, source = '{ connection: files, path: a.csv }'): string =>
  'version: 1\nconnections:\n  api: { type: http, url: https://api.example.com }\nflows:\n  f:\n' +
  `    source: ${source}\n${sinkAndMore}`;

describe('the flow file', () => {
  it('A03: reads the flow of the first use exactly as it is written, variables in braces included', async () => {
    const config = await load(EXAMPLE);
    expect(config.findings).toEqual([]);
    const flow = config.flows.get('roket-daily')!;
    expect(flow.source.connection.settings).toEqual({ url: 'env:WAREHOUSE_URL' });
    expect(flow.source).toMatchObject({ key: ['member_id'], onReject: 'stop', onDuplicate: 'report', exclude: [] });
    expect(flow.source.settings).toEqual({ query: 'select * from members where updated_on = :date' });
    expect(flow.lanes).toHaveLength(1);
    expect(flow.lanes[0]).toMatchObject({
      name: 'roket',
      strategy: 'ledgered-append',
      onDoubt: 'hold',
      onChanged: 'hold',
    });
    expect(flow.lanes[0]!.connection.settings).toEqual({
      url: 'https://api.example.com/v1/events',
      auth: { bearer: 'env:ROKET_TOKEN' },
    });
    expect(flow.lanes[0]!.settings).toMatchObject({
      batch: { maxRecords: 100, maxBytes: '1MB' },
      receipt: { key: 'record.member_id' },
    });
    expect(flow).toMatchObject({
      window: 'day',
      timezone: 'UTC',
      schedule: '0 6 * * *',
      deliver: 'after-read',
      leaseMs: 60_000,
    });
    expect(config.ledger).toBe(join(folder, '.waybill/ledger.db'));
  });

  it('names an unknown key with its place, its path and the nearest key', async () => {
    const config = await load(
      EXAMPLE.replace('maxRecords', 'maxRecord').replace('schedule:', 'shedule:').replace('key: [', 'kye: ['),
    );
    expect(lines(config)).toEqual([
      'waybill.yaml:7:95 flows.roket-daily.source.kye: unknown key "kye"; did you mean `key`?',
      'waybill.yaml:8:43 flows.roket-daily.sink.batch.maxRecord: unknown key "maxRecord"; did you mean `maxRecords`?',
      'waybill.yaml:11:5 flows.roket-daily.shedule: unknown key "shedule"; did you mean `schedule`?',
    ]);
    expect(config.findings[1]!.hint).toBe('Keys that are allowed here: maxBytes, maxRecords.');
    expect(config.flows.size).toBe(0);
    expect(config.flowNames).toEqual(['roket-daily']);
  });

  it('reports every fault at once: types, missing keys, unknown names, bad values', async () => {
    const config = await load(`version: 2
connections:
  api: { type: htttp, url: https://api.example.com }
  other: { url: x }
flows:
  a:
    source: { connection: warehose, key: 3 }
    sink: { connection: files, path: 7, strategy: ledgerd-append }
    window: dayly
    timezone: Mars/Olympus
  b:
    source: { connection: files }
  c:
    source: { connection: files, path: x }
    sink: { connection: files, path: y, onDoubt: resned, retry: { firstDelay: soon } }
    schedule: "0 6 * *"
    start: "2026-13-01"
    window: day
colour: red
`);
    expect(lines(config)).toEqual([
      'waybill.yaml:1:10 version: must be 1',
      'waybill.yaml:3:16 connections.api.type: there is no connector of the type "htttp"; did you mean `http`?',
      'waybill.yaml:4:3 connections.other: "type" is missing',
      'waybill.yaml:7:27 flows.a.source.connection: there is no connection "warehose"',
      'waybill.yaml:7:42 flows.a.source.key: must be text or a list, not a number',
      'waybill.yaml:8:38 flows.a.sink.path: must be text, not a number',
      'waybill.yaml:8:51 flows.a.sink.strategy: there is no strategy "ledgerd-append"; did you mean `ledgered-append`?',
      'waybill.yaml:9:13 flows.a.window: must be one of all, hour, day, week, month, year, pull; did you mean `day`?',
      'waybill.yaml:10:15 flows.a.timezone: must be an IANA time zone such as Europe/Berlin',
      'waybill.yaml:11:3 flows.b: "sink" is missing (a map), or "sinks" for several',
      'waybill.yaml:12:5 flows.b.source.path: "path" is missing (text)',
      'waybill.yaml:15:50 flows.c.sink.onDoubt: must be one of hold, resend, skip; did you mean `resend`?',
      'waybill.yaml:15:79 flows.c.sink.retry.firstDelay: must be a duration such as 30s, 5m or 24h',
      'waybill.yaml:19:1 colour: unknown key "colour"',
    ]);
    expect(
      lines(
        await load(
          flowOf(
            '    sink: { connection: files, path: y }\n    schedule: "0 6 * *"\n' +
              '    start: "2026-13-01"\n    window: day\n',
          ),
        ),
      ),
    ).toEqual([
      expect.stringMatching(/^waybill\.yaml:8:15 flows\.f\.schedule: is no schedule of five fields/),
      expect.stringMatching(/^waybill\.yaml:9:12 flows\.f\.start: "2026-13-01" is not a window/),
    ]);
  });

  it('finds the key one level too high or too low', async () => {
    const config = await load(flowOf('    sink: { connection: api, maxRecords: 5 }\n'));
    expect(lines(config)).toEqual([
      'waybill.yaml:7:30 flows.f.sink.maxRecords: unknown key "maxRecords"; did you mean `batch.maxRecords`?',
    ]);
  });

  it('gives each of several sinks its own settings, and the flow’s where it has none', async () => {
    const config = await load(
      flowOf(`    strategy: keyed
    onDoubt: skip
    retry: { attempts: 9 }
    sinks:
      api: { connection: api, batch: { maxRecords: 7 }, limits: { inFlight: 3, maxBytes: 1MiB } }
      archive: { connection: files, path: out, batch: { maxRecords: 1000, maxBytes: 10MB }, \
strategy: ledgered-append, onDoubt: resend, retry: { maxAge: 2h } }
`),
    );
    expect(config.findings).toEqual([]);
    const [apiLane, archive] = config.flows.get('f')!.lanes;
    expect(apiLane).toMatchObject({
      name: 'api',
      strategy: 'keyed',
      onDoubt: 'skip',
      settings: { batch: { maxRecords: 7 } },
      limits: { inFlight: 3, maxBytes: 1 << 20 },
      retry: { attempts: 9, firstDelay: 1000 },
    });
    expect(archive).toMatchObject({
      name: 'archive',
      strategy: 'ledgered-append',
      onDoubt: 'resend',
      settings: { path: 'out' },
      limits: { maxRecords: 1000, maxBytes: 1e7 },
      retry: { attempts: 5, maxAge: 7_200_000 },
    });
  });

  it('refuses numbers that would become others, which nobody would be told', async () => {
    const flow = (set: string) =>
      `version: 1\nflows:\n  x:\n    source: { connection: files, path: a.ndjson, key: id }\n` +
      `    sink: { connection: files, path: b.ndjson }\n    mapping: { set: { a: ${set} } }\n`;
    const numbers = ['9007199254740993', '-12345678901234567890', '0.12345678901234567', '1e400', '0x20000000000001'];
    for (const number of numbers) {
      expect(lines(await load(flow(number)))).toEqual([
        expect.stringContaining(`waybill.yaml:6:26 the number ${number} would become `),
      ]);
    }
    for (const number of ['9007199254740991', '-0.5', '1.10', '+7', '1e21', '0o17', '"9007199254740993"', '5e-324']) {
      expect(lines(await load(flow(number)))).toEqual([]);
    }
  });

  it('refuses YAML that says more than it shows: aliases, anchors, merge keys, tags, repeated keys', async () => {
    const config = await load(
      `version: 1\nconnections: &c { a: { type: files } }\nflows:\n  x: *c\n  <<: { y: 1 }\n  z: !!str 3\n` +
        '  __proto__: { polluted: yes }\n',
    );
    expect(lines(config)).toEqual([
      'waybill.yaml:2:17 anchors (&name) are not allowed',
      'waybill.yaml:4:6 aliases (*name) are not allowed',
      'waybill.yaml:5:3 merge keys (<<) are not allowed',
      'waybill.yaml:6:12 tags (!name) are not allowed',
      'waybill.yaml:7:3 __proto__ is not allowed as a key',
    ]);
    expect(lines(await load('version: 1\nflows: {}\nversion: 1\n'))).toEqual([
      'waybill.yaml:3:1 Map keys must be unique',
    ]);
    expect(lines(await load('version: 1\n---\nversion: 2\n'))).toEqual([expect.stringMatching(/^waybill\.yaml:2:1 /)]);
    expect(lines(await load('version: 1\nflows: [1, 2\n'))).toEqual([expect.stringMatching(/^waybill\.yaml:/)]);
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  });

  it.each([
    ['brackets', '['.repeat(200_000)],
    ['maps', '{a: '.repeat(100_000)],
    ['lists', '- '.repeat(100_000)],
    ['questions', '? '.repeat(100_000)],
    ['indentation', Array.from({ length: 1200 }, (_, at) => `${' '.repeat(at)}a:`).join('\n')],
    ['size', `a: "${'x'.repeat(1 << 20)}"`],
  ])('refuses a file made to break a parser, by %s, quickly', async (_, text) => {
    const begun = performance.now();
    const config = await load(text);
    expect(config.findings).toHaveLength(1);
    expect(config.findings[0]!.message).toMatch(/nested deeper|larger than/);
    expect(performance.now() - begun).toBeLessThan(2000);
  });

  it('finds the flow file upwards, and takes the one that is named', async () => {
    await load(EXAMPLE);
    await mkdir(join(folder, 'a/b'), { recursive: true });
    expect(await findConfig(join(folder, 'a/b'), undefined)).toBe(join(folder, 'waybill.yaml'));
    expect(await findConfig(join(folder, 'a/b'), '../../waybill.yaml')).toBe(join(folder, 'waybill.yaml'));
    await expect(findConfig(folder, 'other.yaml')).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
    await expect(findConfig(tmpdir(), undefined)).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });
});

describe('variables and secrets in the flow file', () => {
  it('puts a variable in anywhere, with a default, escaped, and as the kind of value that is wanted', async () => {
    const config = await load(
      flowOf(
        '    sink: { connection: api, batch: { maxRecords: ${MAX:50} }, atomic: ${ATOMIC} }\n',
        '{ connection: files, path: ${DIR}/in-$${DAY}-${NAME:a,b:c}.csv }',
      ),
      { ATOMIC: 'true', DIR: '/data' },
    );
    expect(config.findings).toEqual([]);
    const flow = config.flows.get('f')!;
    expect(flow.source.settings).toEqual({ path: '/data/in-${DAY}-a,b:c.csv' });
    expect(flow.lanes[0]!.settings).toEqual({ batch: { maxRecords: 50 }, atomic: true });
  });

  it('names the place of a variable that is not set', async () => {
    const config = await load(flowOf('    sink: { connection: files, path: "${OUT}/x-${OUT2}" }\n'));
    expect(lines(config)).toEqual([
      'waybill.yaml:7:38 flows.f.sink.path: the environment variable OUT is not set',
      'waybill.yaml:7:38 flows.f.sink.path: the environment variable OUT2 is not set',
    ]);
    expect(config.findings[0]!.code).toBe('CONFIG_VARIABLE');
  });

  it('reports a wrong key also where a variable beside it is not set', async () => {
    const config = await load(flowOf('    sink: { connection: files, path: "${OUT}", pfad: x }\n'));
    expect(lines(config)).toEqual([
      'waybill.yaml:7:38 flows.f.sink.path: the environment variable OUT is not set',
      expect.stringMatching(/^waybill\.yaml:7:48 flows\.f\.sink\.pfad: unknown key "pfad"/),
    ]);
  });

  it('keeps a secret as a reference whatever the environment holds, and counts it by reference', async () => {
    const first = await load(EXAMPLE, { ROKET_TOKEN: 'canary-1', WAREHOUSE_URL: 'postgres://u:canary-2@h/d' });
    const second = await load(EXAMPLE, { ROKET_TOKEN: 'another' });
    expect(JSON.stringify([...first.flows.values()])).not.toContain('canary');
    expect(second.flows.get('roket-daily')!.digest).toBe(first.flows.get('roket-daily')!.digest);
    expect(first.secrets.map((use) => use.reference)).toEqual(['env:WAREHOUSE_URL', 'env:ROKET_TOKEN']);
  });

  it('changes the digest of a flow with anything that it does, and with nothing else', async () => {
    const digest = async (text: string): Promise<string> => (await load(text)).flows.get('roket-daily')!.digest;
    const base = await digest(EXAMPLE);
    expect(await digest(EXAMPLE.replace('maxRecords: 100', 'maxRecords: 99'))).not.toBe(base);
    expect(await digest(EXAMPLE.replace('ROKET_TOKEN', 'OTHER_TOKEN'))).not.toBe(base);
    expect(await digest(EXAMPLE.replace('v1/events', 'v2/events'))).not.toBe(base);
    expect(await digest(`${EXAMPLE}    description: words\n`)).toBe(base);
    expect(await digest(EXAMPLE.replace('    window: day\n', '').concat('    window: day\n'))).toBe(base);
    expect(await digest(EXAMPLE.replace('connections:\n', 'connections:\n  spare: { type: files }\n'))).toBe(base);
  });

  it.each([
    [
      'bearer: abc123',
      'waybill.yaml:4:82 connections.roket.auth.bearer: a secret must not be written in the flow file',
    ],
    [
      'basic: { user: me, password: hunter2 }',
      'waybill.yaml:4:101 connections.roket.auth.basic.password: a secret must not be written in the flow file',
    ],
  ])('U23: refuses a secret that is written out: %s', async (auth, finding) => {
    const config = await load(
      EXAMPLE.replace('bearer: ${ROKET_TOKEN}', auth).replaceAll('roket:     {', 'roket: {    '),
    );
    expect(lines(config).map((line) => line.replace(/:4:\d+/, ':4'))).toEqual([finding.replace(/:4:\d+/, ':4')]);
    expect(JSON.stringify(config.findings)).not.toMatch(/abc123|hunter2/);
    expect(config.findings[0]!.hint).toContain('file:PATH');
  });

  it('knows a secret field by a schema that takes nothing but references', async () => {
    const config = await load(EXAMPLE.replace('auth: {', 'signedWith: ${KEY}, auth: {'));
    expect(config.findings).toEqual([]);
    expect(config.flows.get('roket-daily')!.lanes[0]!.connection.settings).toMatchObject({ signedWith: 'env:KEY' });
  });

  it('takes a secret from a file or a variable by reference, and an address without a password as it is', async () => {
    const config = await load(
      EXAMPLE.replace('${ROKET_TOKEN}', 'file:token.txt').replace('${WAREHOUSE_URL}', 'postgres://localhost/db'),
    );
    expect(config.findings).toEqual([]);
    const pieces = EXAMPLE.replace('${WAREHOUSE_URL}', 'postgres://app:${PW}@db.local/x');
    const composed = await load(pieces, { PW: 'canary' });
    expect(composed.flows.get('roket-daily')!.source.connection.settings).toEqual({
      url: 'env:postgres://app:${PW}@db.local/x',
    });
    const written = await load(EXAMPLE.replace('${WAREHOUSE_URL}', 'postgres://app:hunter2@db.local/x'));
    expect(lines(written)).toEqual([
      'waybill.yaml:3:37 connections.warehouse.url: a secret must not be written in the flow file',
    ]);
    const address = await load(EXAMPLE.replace('https://api.example.com', 'https://me:hunter2@api.example.com'));
    expect(lines(address)).toEqual([
      'waybill.yaml:4:33 connections.roket.url: an address in the flow file must not hold a password',
    ]);
  });
});

describe('parameters', () => {
  const parametersOf = async (params: string): Promise<Config> =>
    load(
      flowOf(
        '    sink: { connection: files, path: y }\n    window: day\n    timezone: Europe/Berlin\n',
        `{ connection: files, path: x, params: ${params} }`,
      ),
    );

  it('are typed templates of the window, plain values, or values with a type', async () => {
    const config = await parametersOf(
      '{ d: "{{ window.start | date }}", e: "{{window.end}}", n: "{{ flow.name }}", y: "{{ window.start | year }}", ' +
        's: x, i: 3, b: true, t: { type: date, value: 2026-01-02 }, v: { type: integer, value: "${V:12}" }, ' +
        'w: { type: boolean, value: "${W:false}" }, x: { type: number, value: "${X:-1.5}" } }',
    );
    expect(config.findings).toEqual([]);
    const flow = config.flows.get('f')!;
    const window = { name: '2026-01-01', start: '2025-12-31T23:00:00.000Z', end: '2026-01-01T23:00:00.000Z' };
    const made = Object.fromEntries(
      Object.entries(flow.source.params).map(([name, make]) => [
        name,
        make({ window, cut: { kind: 'day', timezone: 'Europe/Berlin' }, flow: 'f' }),
      ]),
    );
    expect(made).toEqual({
      d: { type: 'date', value: '2026-01-01' },
      e: { type: 'timestamp', value: '2026-01-01T23:00:00.000Z' },
      n: { type: 'text', value: 'f' },
      y: { type: 'integer', value: 2026 },
      s: { type: 'text', value: 'x' },
      i: { type: 'integer', value: 3 },
      b: { type: 'boolean', value: true },
      t: { type: 'date', value: '2026-01-02' },
      v: { type: 'integer', value: 12 },
      w: { type: 'boolean', value: false },
      x: { type: 'number', value: -1.5 },
    });
  });

  it.each([
    ['{ p: "{{ env.HOME }}" }', /environment/],
    ['{ p: "x {{ window.start }}" }', /whole value/],
    ['{ p: "{{ window.begin }}" }', /not window\.begin/],
    ['{ p: "{{ window.start | dates }}" }', /not dates/],
    ['{ p: "{{ window.name | date }}" }', /is text/],
    ['{ p: { type: integer, value: x } }', /not of the type integer/],
    ['{ p: { type: integer, value: "9007199254740993" } }', /not of the type integer/],
    ['{ "a b": 1 }', /plain word/],
  ])('are refused with their place: %s', async (params, message) => {
    expect(lines(await parametersOf(params))).toEqual([expect.stringMatching(message)]);
    expect(lines(await parametersOf(params))[0]).toMatch(/^waybill\.yaml:6:\d+ flows\.f\.source\.params/);
  });
});

describe('a flow file in TypeScript', () => {
  const SCRIPT = `// The same flow, with a mapping that is a function.
const sink = {
  connection: 'files',
  path: \`out\`, /* { not: 'a key' } */
  mapping: (record: Record<string, unknown>) => ({ id: record.id, at: /[{]\\//.test(String(record.at)) }),
};
interface Unused { readonly source: string }
export default {
  version: 1,
  connections: { api: { type: 'http', url: 'https://api.example.com', auth: { bearer: '\${TOKEN}' } } },
  flows: {
    'to-files': { source: { connection: 'files', path: 'in.csv' }, sink },
    both: {
      source: { connection: 'files', path: 'in.csv', key: ['id'] },
      sinks: { api: { connection: 'api', batch: { maxRecords: 10 } }, copy: { ...sink, path: 'copy' } },
    },
  },
};
`;

  it('is read like the other, and may hold functions', async () => {
    const config = await load(SCRIPT, {}, 'waybill.config.ts');
    expect(config.findings).toEqual([]);
    const lane = config.flows.get('to-files')!.lanes[0]!;
    expect(lane.mapping?.apply({ id: 7, at: 'x' })).toEqual({ id: 7, at: false });
    expect(config.flows.get('both')!.lanes.map((one) => one.name)).toEqual(['api', 'copy']);
    expect(config.flows.get('both')!.lanes[0]!.connection.settings).toMatchObject({ auth: { bearer: 'env:TOKEN' } });
  });

  it('has its faults named with place and nearest key, in the export and in constants', async () => {
    const wrong = SCRIPT.replace('maxRecords', 'maxRecord')
      .replace('path: `out`', 'paht: `out`')
      .replace("key: ['id']", 'key: 7');
    const config = await load(wrong, {}, 'waybill.config.ts');
    expect(lines(config)).toEqual([
      'waybill.config.ts:4:3 flows.to-files.sink.paht: unknown key "paht"; did you mean `path`?',
      'waybill.config.ts:12:68 flows.to-files.sink.path: "path" is missing (text)',
      'waybill.config.ts:14:59 flows.both.source.key: must be text or a list, not a number',
      'waybill.config.ts:15:51 flows.both.sinks.api.batch.maxRecord: unknown key "maxRecord"' +
        '; did you mean `maxRecords`?',
      // The copy has the key from the constant; the nearest thing in the text is where the copy is made.
      'waybill.config.ts:15:70 flows.both.sinks.copy.paht: unknown key "paht"; did you mean `path`?',
    ]);
  });

  it('says what is wrong with a file that cannot be loaded', async () => {
    const config = await load('export default { version: 1, flows: {', {}, 'waybill.config.ts');
    expect(lines(config)).toEqual([expect.stringMatching(/^waybill\.config\.ts.* the file cannot be loaded/)]);
    const odd = await load('export default { version: 1, flows: new Map() };', {}, 'waybill.config.js');
    expect(lines(odd)[0]).toMatch(/^waybill\.config\.js:1:37 only plain values/);
  });
});
