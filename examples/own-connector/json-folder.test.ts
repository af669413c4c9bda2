import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyed, openWaybill } from 'waybill';
import {
  cardTable,
  lastOfEachKey,
  register,
  type SinkSubject,
  type SourceSubject,
  sinkCard,
  sinkSuite,
  sourceSuite,
  strategySuite,
} from 'waybill/testing';
import { jsonFolder, jsonFolderSink, jsonFolderSource } from './json-folder.ts';

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'json-folder-'));
const removed = (folder: string) => () => rmSync(folder, { recursive: true, force: true });

/** What a reader finds: half-written files have another name. */
const recordsIn = (folder: string): Record<string, unknown>[] =>
  (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>);

// #region sink
const sink: SinkSubject = {
  name: 'a folder of JSON files',
  abilities: ['put', 'find'],
  open() {
    const folder = newFolder();
    return {
      sink: jsonFolderSink(folder, 'n'),
      another: () => jsonFolderSink(folder, 'n'),
      record: (n, version = 0) => ({ n, version }),
      refused: { record: { version: 1 } },
      held: async () => recordsIn(folder).map(({ n, version }) => (version === 0 ? `${n}` : `${n}v${version}`)),
      close: removed(folder),
    };
  },
};

register({ describe, it }, sinkSuite(sink));
// #endregion

// #region source
const source: SourceSubject = {
  name: 'a folder of JSON files',
  abilities: ['resume', 'remaining', 'pull'],
  open() {
    const folder = newFolder();
    const records = Array.from({ length: 15 }, (_, n) => ({ id: `record-${String(n).padStart(2, '0')}`, n }));
    const write = (some: typeof records) => {
      for (const record of some) writeFileSync(join(folder, `${record.id}.json`), JSON.stringify(record));
      return some;
    };
    const expected = write(records.slice(0, 12));
    return {
      source: jsonFolderSource(folder, 5),
      another: () => jsonFolderSource(folder, 5),
      range: { window: { name: 'all' }, parameters: {} },
      expected,
      pull: {
        unreadable: { never: 'every text may be the name of a file' },
        grow: async () => write(records.slice(12)),
      },
      close: removed(folder),
    };
  },
};

register({ describe, it }, sourceSuite(source));
// #endregion

// #region strategy
register(
  { describe, it },
  strategySuite({
    name: 'a folder of JSON files',
    strategy: keyed,
    model: lastOfEachKey,
    open() {
      const folder = newFolder();
      return { sink: () => jsonFolderSink(folder, 'id'), held: async () => recordsIn(folder), close: removed(folder) };
    },
  }),
);
// #endregion

describe('the card of a folder of JSON files', () => {
  it('says that everything it claims was proven', async () => {
    const table = cardTable(await sinkCard(sink));
    console.log(table.join('\n'));
    expect(table.filter((line) => /^\| (put|find) \| yes, /.test(line))).toHaveLength(2);
  });
});

describe('a flow that uses the connector', () => {
  it('moves every record, and nothing again when it is run again', async () => {
    const folder = newFolder();
    try {
      mkdirSync(join(folder, 'from'));
      for (const id of ['a', 'b', 'c']) writeFileSync(join(folder, 'from', `${id}.json`), JSON.stringify({ id }));
      writeFileSync(join(folder, 'waybill.yaml'), FLOW_FILE);
      const waybill = await openWaybill({ cwd: folder, env: {}, connectors: [jsonFolder] });
      const never = new AbortController().signal;
      const signals = { stop: never, abort: never };
      const first = await waybill.run('copy', 'all', { signals });
      expect(first.lanes[0]?.balance).toMatchObject({ read: 3, delivered: 3 });
      expect((await waybill.run('copy', 'all', { signals })).nothingToDo).toBe(true);
      await waybill.close();
      expect(recordsIn(join(folder, 'to'))).toEqual([{ id: 'a' }, { id: 'b' }, { id: 'c' }]);
    } finally {
      removed(folder)();
    }
  });
});

const FLOW_FILE = `
version: 1
connections:
  here: { type: json-folder, folder: from }
  there: { type: json-folder, folder: to }
flows:
  copy:
    source: { connection: here, key: [id] }
    sink: { connection: there, key: id }
    strategy: keyed
`;
