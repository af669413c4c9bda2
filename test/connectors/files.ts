import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { OpenContext } from '../../src/connectors/connector.ts';
import { files } from '../../src/connectors/files/config.ts';
import type { Position } from '../../src/model/position.ts';
import { ALL } from '../../src/model/window.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';
import type { Losing, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';
import { newFolder } from './place.ts';

const wide = 'ü'.repeat(800);
const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({ id: `${from + at}`, text: `${wide} "q", ${at}\n.` }));
const ndjson = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const csv = (rows: readonly { id: string; text: string }[]): string =>
  `\ufeffid,text\r\n${rows.map(({ id, text }) => `${id},"${text.replaceAll('"', '""')}"\r\n`).join('')}`;

const foreign = (rows: readonly { id: string; text: string }[]): string =>
  rows.map(({ id, text }) => `${id};"${text.replaceAll('"', '""')}"\n`).join('');

const contextOf = (folder: string): OpenContext => openContext({}, folder);

interface Written {
  readonly name: string;
  readonly abilities: SourceSubject['abilities'];
  readonly contents: Readonly<Record<string, string | Uint8Array>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly expected: readonly Readonly<Record<string, unknown>>[];
  /** What a file holds after something was added to the place, or a file that joins it; and what a pull then brings. */
  readonly grown: { readonly contents: Written['contents']; readonly brings: Written['expected'] };
}

/** Positions that are refused: another kind's, and of the source's own kind what says nothing. */
export const unreadableOf = (path: string, own = 'odf/etag'): readonly Position[] => {
  const kind = path.includes('*') ? 'waybill/file-name' : own;
  return [{ sourceName: path, kind, value: '' }];
};

const written = ({ name, abilities, contents, settings, expected, grown }: Written): SourceSubject => ({
  name,
  abilities,
  open: () => {
    const root = newFolder('files');
    const write = (some: Written['contents']): void => {
      for (const [file, content] of Object.entries(some)) writeFileSync(join(root, file), content);
    };
    write(contents);
    // They were written just now, and whole.
    const parsed = files.source!.settings.parse({ settleSeconds: 0, ...settings });
    const open = () => files.source!.open({ root: '.' }, parsed, contextOf(root));
    return {
      source: open(),
      another: open,
      range: { window: ALL, parameters: {} },
      expected,
      pull: {
        unreadable: unreadableOf(String(settings.path), settings.pullBy === 'offset' ? 'waybill/offset' : 'odf/etag'),
        grow: async () => {
          write(grown.contents);
          return grown.brings;
        },
        called: (part) => part.slice(0, part.lastIndexOf('@')),
      },
      close: () => rmSync(root, { recursive: true, force: true }),
    };
  },
});

const typed = Array.from({ length: 1500 }, (_, n) => ({ n, on: true, text: wide }));

const PULLED = ['resume', 'remaining', 'pull'] as const;
const PARTS = [...PULLED, 'parts'] as const;
const REREAD = ['resume', 'remaining', 'reread', 'pull'] as const;
const typedCsv = (rows: readonly { n: number }[]): string =>
  `n,on,text\n${rows.map(({ n }) => `${n},true,"${wide}"\n`).join('')}`;
const document = (rows: readonly object[]): string => JSON.stringify({ data: { items: rows } }, null, 2);

export const filesSources: readonly SourceSubject[] = [
  written({
    name: 'a folder of NDJSON files',
    abilities: [...REREAD, 'parts'],
    contents: {
      'b.ndjson': `${ndjson(records(1000, 900))}\n\n`,
      'a.ndjson': ndjson(records(0, 900)).trimEnd(),
      'c.ndjson': '',
    },
    settings: { path: '*.ndjson' },
    expected: [...records(0, 900), ...records(1000, 900)],
    grown: {
      contents: { 'd.ndjson': ndjson(records(2000, 90)), 'e.ndjson': ndjson(records(3000, 9)) },
      brings: [...records(2000, 90), ...records(3000, 9)],
    },
  }),
  written({
    name: 'a CSV file',
    abilities: REREAD,
    contents: { 'a.csv': csv(records(0, 1500)) },
    settings: { path: 'a.csv' },
    expected: records(0, 1500),
    // As many bytes as before, written at once: only what is in it tells.
    grown: { contents: { 'a.csv': csv(records(0, 1500).reverse()) }, brings: records(0, 1500).reverse() },
  }),
  written({
    name: 'a CSV file with types',
    abilities: REREAD,
    contents: { 'a.csv': typedCsv(typed) },
    settings: { path: 'a.csv', types: { n: 'integer', on: 'boolean' } },
    expected: typed,
    grown: { contents: { 'a.csv': typedCsv(typed.slice(0, 7)) }, brings: typed.slice(0, 7) },
  }),
  written({
    name: 'a CSV file of another dialect, without a header',
    abilities: REREAD,
    contents: { 'a.csv': foreign(records(0, 1500)) },
    settings: { path: 'a.csv', delimiter: ';', header: ['id', 'text'], emptyIsNull: false },
    expected: records(0, 1500),
    grown: { contents: { 'a.csv': foreign(records(5, 7)) }, brings: records(5, 7) },
  }),
  written({
    name: 'packed NDJSON files',
    abilities: PARTS,
    contents: {
      'a.ndjson.gz': gzipSync(ndjson(records(0, 900))),
      'b.ndjson.gz': Buffer.concat([gzipSync(ndjson(records(900, 400))), gzipSync(ndjson(records(1300, 200)))]),
    },
    settings: { path: '*.gz' },
    expected: [...records(0, 900), ...records(900, 400), ...records(1300, 200)],
    grown: { contents: { 'c.ndjson.gz': gzipSync(ndjson(records(7, 7))) }, brings: records(7, 7) },
  }),
  written({
    name: 'a JSON document',
    abilities: PULLED,
    contents: { 'a.json': document(records(0, 1500)) },
    settings: { path: 'a.json', recordsAt: 'data.items' },
    expected: records(0, 1500),
    grown: { contents: { 'a.json': document(records(5, 5)) }, brings: records(5, 5) },
  }),
  written({
    name: 'an NDJSON file that grows',
    abilities: PULLED,
    contents: { 'a.ndjson': ndjson(records(0, 1500)) },
    settings: { path: 'a.ndjson', pullBy: 'offset' },
    expected: records(0, 1500),
    grown: {
      contents: { 'a.ndjson': `${ndjson(records(0, 1600))}{"id":"not yet ` },
      brings: records(0, 1600).slice(1500),
    },
  }),
  written({
    name: 'a CSV file that grows',
    abilities: PULLED,
    contents: { 'a.csv': csv(records(0, 1500)) },
    settings: { path: 'a.csv', pullBy: 'offset' },
    expected: records(0, 1500),
    grown: { contents: { 'a.csv': csv(records(0, 1600)) }, brings: records(0, 1600).slice(1500) },
  }),
];

/** What a file holds: a last line that was cut off is no record yet. */
function heldIn(path: string): readonly string[] {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text
    .split('\n')
    .slice(0, -1)
    .filter((line) => line !== '' && line !== 'n,version')
    .map((line) => {
      const [n, version] = line.startsWith('{')
        ? Object.values(JSON.parse(line) as Record<string, number>)
        : line.split(',').map(Number);
      return version === 0 ? `${n}` : `${n}v${version}`;
    });
}

/** The process dies when the first half of the bytes is in the file. */
const cutOff =
  (path: string): Losing =>
  async (send) => {
    const before = existsSync(path) ? statSync(path).size : 0;
    await send();
    truncateSync(path, before + Math.floor((statSync(path).size - before) / 2));
    throw new Error('the process has died');
  };

export function filesFixture(path: string, name: string): SinkFixture {
  const root = newFolder('files');
  const file = join(root, name);
  const open = () => files.sink!.open({ root: '.' }, files.sink!.settings.parse({ path }), contextOf(root));
  const lines = path.endsWith('.csv');
  return {
    // No second process beside it: a file cannot be locked here, so between looking at its size and writing there is a
    // moment in which another process could write, too. That only one does is left to the lease.
    sink: open(),
    record: (n, version = 0) => (lines ? `${n},${version}` : { n, version }),
    ...(lines ? { columns: ['n', 'version'] } : {}),
    refused: { never: 'whatever is one line can be written' },
    held: async () => heldIn(file),
    lose: { 'half-applied': cutOff(file) },
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}

const DEEP = 'deep/{{ window }}/{{ flow }}-{{ lane }}.ndjson';

export const filesSinks: readonly SinkSubject[] = [
  {
    name: 'an NDJSON file',
    abilities: ['appendAt', 'append'],
    loads: ['load', 'replace'],
    open: () => filesFixture('out.ndjson', 'out.ndjson'),
  },
  {
    name: 'an NDJSON file for each window',
    abilities: ['appendAt', 'append'],
    loads: ['load', 'replace'],
    open: () => filesFixture(DEEP, 'deep/all/test-flow-test-lane.ndjson'),
  },
  {
    name: 'a CSV file',
    abilities: ['appendAt', 'append'],
    loads: ['load', 'replace'],
    open: () => filesFixture('out.csv', 'out.csv'),
  },
];
