import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { OpenContext } from '../../src/connectors/connector.ts';
import { files } from '../../src/connectors/files/config.ts';
import { ALL } from '../../src/model/window.ts';
import type { Losing, SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-suite.ts';
import { newFolder } from './place.ts';

const wide = 'ü'.repeat(800);
const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({ id: `${from + at}`, text: `${wide} "q", ${at}\n.` }));
const ndjson = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const csv = (rows: readonly { id: string; text: string }[]): string =>
  `\ufeffid,text\r\n${rows.map(({ id, text }) => `${id},"${text.replaceAll('"', '""')}"\r\n`).join('')}`;

const contextOf = (folder: string): OpenContext => ({ folder }) as OpenContext;

interface Written {
  readonly name: string;
  readonly abilities: SourceSubject['abilities'];
  readonly contents: Readonly<Record<string, string | Uint8Array>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly expected: readonly Readonly<Record<string, unknown>>[];
}

const written = ({ name, abilities, contents, settings, expected }: Written): SourceSubject => ({
  name,
  abilities,
  open: () => {
    const root = newFolder('files');
    for (const [file, content] of Object.entries(contents)) writeFileSync(join(root, file), content);
    const open = () => files.source!.open({ root: '.' }, files.source!.settings.parse(settings), contextOf(root));
    return {
      source: open(),
      another: open,
      range: { window: ALL, parameters: {} },
      expected,
      close: () => rmSync(root, { recursive: true, force: true }),
    };
  },
});

const typed = Array.from({ length: 1500 }, (_, n) => ({ n, on: true, text: wide }));

export const filesSources: readonly SourceSubject[] = [
  written({
    name: 'a folder of NDJSON files',
    abilities: ['resume', 'remaining'],
    contents: {
      'b.ndjson': `${ndjson(records(1000, 900))}\n\n`,
      'a.ndjson': ndjson(records(0, 900)).trimEnd(),
      'c.ndjson': '',
    },
    settings: { path: '*.ndjson' },
    expected: [...records(0, 900), ...records(1000, 900)],
  }),
  written({
    name: 'a CSV file',
    abilities: ['resume', 'remaining'],
    contents: { 'a.csv': csv(records(0, 1500)) },
    settings: { path: 'a.csv' },
    expected: records(0, 1500),
  }),
  written({
    name: 'a CSV file with types',
    abilities: ['resume', 'remaining'],
    contents: { 'a.csv': `n,on,text\n${typed.map(({ n }) => `${n},true,"${wide}"\n`).join('')}` },
    settings: { path: 'a.csv', types: { n: 'integer', on: 'boolean' } },
    expected: typed,
  }),
  written({
    name: 'packed NDJSON files',
    abilities: ['resume', 'remaining'],
    contents: {
      'a.ndjson.gz': gzipSync(ndjson(records(0, 900))),
      'b.ndjson.gz': Buffer.concat([gzipSync(ndjson(records(900, 400))), gzipSync(ndjson(records(1300, 200)))]),
    },
    settings: { path: '*.gz' },
    expected: [...records(0, 900), ...records(900, 400), ...records(1300, 200)],
  }),
  written({
    name: 'a JSON document',
    abilities: ['resume', 'remaining'],
    contents: { 'a.json': JSON.stringify({ data: { items: records(0, 1500) } }, null, 2) },
    settings: { path: 'a.json', recordsAt: 'data.items' },
    expected: records(0, 1500),
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
