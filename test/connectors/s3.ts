import { ALL } from '../../src/model/window.ts';
import type { Cut } from '../../src/testing/faults/cut.ts';
import type { LoadFixture, LoadSubject } from '../../src/testing/suites/load-subject.ts';
import type { Losing, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';
import type { S3Place, S3Places } from '../s3-place.ts';
import { COLUMNS as LOAD_COLUMNS, LOAD_PATHS, recordsIn } from './files-loads.ts';

/** Asked when a case begins: the gateway is started by then. */
export type Gateway = () => S3Places;

// ---- sinks ----

/** What the sink does while one of its requests is cut; the line is whole again afterwards. */
const losing =
  (place: S3Place, cut: Omit<Cut, 'times'>): Losing =>
  async (send) => {
    place.proxy.set([{ ...cut, times: 1 }]);
    try {
      return await send();
    } finally {
      place.proxy.set([]);
    }
  };

const PUT = { holds: 'PUT /' };

async function objectsFixture(gateway: Gateway, path: string): Promise<SinkFixture> {
  const place = await gateway().place();
  const open = () => place.sink({ path });
  const csv = path.endsWith('.csv');
  const line = (text: string): string => {
    const [n, version] = csv ? text.split(',') : Object.values(JSON.parse(text) as Record<string, number>).map(String);
    return version === '0' ? `${n}` : `${n}v${version}`;
  };
  return {
    sink: open(),
    another: open,
    ...(csv ? { columns: ['n', 'version'] } : {}),
    record: (n, version = 0) => (csv ? `${n},${version}` : { n, version }),
    refused: { never: 'whatever is one line can be written' },
    held: async () => {
      const names = (await place.names()).filter((name) => !name.includes('.waybill-'));
      const texts = await Promise.all(names.map((name) => place.text(name)));
      return texts
        .flatMap((text) => text.split('\n').slice(0, -1))
        .filter((one) => one !== 'n,version')
        .map(line);
    },
    settle: async () => {
      place.proxy.release();
    },
    lose: {
      'lost-request': losing(place, { when: PUT, side: 'request', at: 0, act: 'reset' }),
      'lost-reply': losing(place, { when: PUT, side: 'answer', at: 0, act: 'reset' }),
      'half-applied': losing(place, { when: PUT, side: 'request', at: { after: '\r\n\r\n{' }, act: 'close' }),
      'applied-late': losing(place, { when: PUT, side: 'request', at: 0, act: 'late' }),
    },
    close: () => place.close(),
  };
}

export const s3Sinks = (gateway: Gateway): readonly SinkSubject[] => [
  {
    name: 'NDJSON objects in a bucket',
    abilities: ['commitOnce'],
    loads: ['load', 'replace'],
    open: () => objectsFixture(gateway, 'out/{{ window }}/{{ batch }}.ndjson'),
  },
];

// ---- loads ----

async function loadFixture(gateway: Gateway, settings: { path: string; manifest?: string }): Promise<LoadFixture> {
  const place = await gateway().place();
  const csv = settings.path.endsWith('.csv');
  const open = () => place.sink(settings);
  const sink = open();
  return {
    sink,
    another: open,
    scopes: ['all'],
    ...(csv ? { columns: LOAD_COLUMNS } : {}),
    record: (record) => (csv ? LOAD_COLUMNS.map((name) => String(record[name])).join(',') : record),
    seen: async () => {
      const names = await shownIn(place, settings.manifest);
      const texts = await Promise.all(names.map((name) => place.text(name).catch(gone)));
      return texts.flatMap((text) => recordsIn(text, csv));
    },
    places: async () => [
      ...new Set((await place.names()).flatMap((name) => /\.waybill-loads\/(wb_[^/]*)\//.exec(name)?.[1] ?? [])),
    ],
    refused: { never: 'whatever is one line can be written' },
    breakOff: async (call) => {
      place.dies(2);
      try {
        return await call();
      } finally {
        place.proxy.set([]);
      }
    },
    tamper: async (load) => {
      const { testPermit } = await import('../../src/testing/permit.ts');
      return await sink.can.load!.add(testPermit({ records: [{ n: 99 }], load }));
    },
    close: () => place.close(),
  };
}

/** Whoever lists a prefix may find an object gone that was listed. */
export const gone = (): string => '';

export async function shownIn(place: S3Place, manifest: string | undefined): Promise<readonly string[]> {
  const names = await place.names();
  if (manifest === undefined) return names.filter((name) => !name.includes('.waybill-'));
  const start = `s3://${place.bucket}/${place.folder}/`;
  const manifests = names.filter((name) => name.endsWith('_manifest.json'));
  const books = await Promise.all(manifests.map((name) => place.manifest(name)));
  return books.flatMap(({ loads }) =>
    loads.flatMap(({ objects }) => objects.map(({ object }) => object.slice(start.length))),
  );
}

export const s3Loads = (gateway: Gateway): readonly LoadSubject[] =>
  LOAD_PATHS.map(({ name, abilities, ...settings }) => ({
    name: name.replace('$', 'object'),
    abilities,
    open: () => loadFixture(gateway, settings),
  }));

// ---- sources ----

const wide = 'ü'.repeat(800);
const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({ id: `${from + at}`, text: `${wide} "q", ${at}\n.` }));
const ndjson = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

interface Objects {
  readonly name: string;
  readonly abilities: SourceSubject['abilities'];
  readonly contents: Readonly<Record<string, string>>;
  readonly settings: { readonly path: string } & Readonly<Record<string, unknown>>;
  readonly expected: readonly Readonly<Record<string, unknown>>[];
  /** What is put there later, and what a pull then brings. */
  readonly grown: { readonly contents: Objects['contents']; readonly brings: Objects['expected'] };
  /** The kind of its positions. */
  readonly kind: string;
}

const objects = (gateway: Gateway, { name, abilities, contents, settings, ...about }: Objects): SourceSubject => ({
  name,
  abilities,
  open: async () => {
    const place = await gateway().place();
    const put = async (some: Objects['contents']): Promise<void> => {
      for (const [key, content] of Object.entries(some)) await place.put(key, content);
    };
    await put(contents);
    const open = () => place.source(settings);
    return {
      source: open(),
      another: open,
      range: { window: ALL, parameters: {} },
      expected: about.expected,
      pull: {
        unreadable: [{ sourceName: settings.path, kind: about.kind, value: '' }],
        grow: async () => {
          await put(about.grown.contents);
          return about.grown.brings;
        },
        called: (part) => part.slice(0, part.lastIndexOf('@')),
      },
      close: () => place.close(),
    };
  },
});

export const s3Sources = (gateway: Gateway): readonly SourceSubject[] => [
  objects(gateway, {
    name: 'NDJSON objects of a bucket',
    abilities: ['resume', 'remaining', 'reread', 'pull', 'parts'],
    contents: {
      'b.ndjson': ndjson(records(1000, 900)),
      'a.ndjson': ndjson(records(0, 900)).trimEnd(),
      '.hidden.ndjson': '{"id":"hidden"}\n',
      'deeper/a.ndjson': '{"id":"deeper"}\n',
    },
    settings: { path: '*.ndjson' },
    expected: [...records(0, 900), ...records(1000, 900)],
    grown: {
      contents: { 'c.ndjson': ndjson(records(7, 7)), 'd.ndjson': ndjson(records(9, 2)) },
      brings: [...records(7, 7), ...records(9, 2)],
    },
    kind: 'waybill/file-name',
  }),
  objects(gateway, {
    name: 'an object that is replaced',
    abilities: ['resume', 'remaining', 'reread', 'pull'],
    contents: { 'a.ndjson': ndjson(records(0, 1800)) },
    settings: { path: 'a.ndjson' },
    expected: records(0, 1800),
    grown: { contents: { 'a.ndjson': ndjson(records(5, 5)) }, brings: records(5, 5) },
    kind: 'odf/etag',
  }),
  objects(gateway, {
    name: 'an object that grows',
    abilities: ['resume', 'remaining', 'pull'],
    contents: { 'a.ndjson': ndjson(records(0, 1800)) },
    settings: { path: 'a.ndjson', pullBy: 'offset' },
    expected: records(0, 1800),
    grown: { contents: { 'a.ndjson': ndjson(records(0, 1900)) }, brings: records(0, 1900).slice(1800) },
    kind: 'waybill/offset',
  }),
];
