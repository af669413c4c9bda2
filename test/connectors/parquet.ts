import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OpenContext } from '../../src/connectors/connector.ts';
import { files } from '../../src/connectors/files/config.ts';
import { openParquet } from '../../src/formats/parquet/read.ts';
import { ParquetFile } from '../../src/formats/parquet/write.ts';
import type { Columns } from '../../src/model/columns.ts';
import { ALL } from '../../src/model/window.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';
import type { SinkFixture, SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import { textsOf } from '../../src/testing/suites/source-reading.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';
import { unreadableOf } from './files.ts';
import { newFolder } from './place.ts';

const contextOf = (folder: string): OpenContext => openContext({}, folder);
const COLUMNS: Columns = [
  { name: 'id', type: { kind: 'int64' }, nullable: false },
  { name: 'at', type: { kind: 'timestamptz' }, nullable: true },
];
const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, nth) => ({ id: from + nth, at: '2026-11-19T08:30:00.000001+00:00' }));

async function put(path: string, rows: ReturnType<typeof records>): Promise<void> {
  const file = new ParquetFile(COLUMNS);
  for (const { id, at } of rows) file.add([String(id), at]);
  writeFileSync(path, await file.finish());
}

export const parquetSources: readonly SourceSubject[] = [
  {
    name: 'a folder of Parquet files',
    abilities: ['resume', 'remaining', 'pull', 'parts'],
    open: async () => {
      const root = newFolder('parquet');
      await put(join(root, 'a.parquet'), records(0, 4500));
      await put(join(root, 'b.parquet'), records(4500, 700));
      const settings = files.source!.settings.parse({ path: '*.parquet', settleSeconds: 0 });
      const open = () => files.source!.open({ root: '.' }, settings, contextOf(root));
      return {
        source: open(),
        another: open,
        range: { window: ALL, parameters: {} },
        expected: records(0, 5200),
        pull: {
          unreadable: unreadableOf('*.parquet'),
          grow: async () => {
            await put(join(root, 'c.parquet'), records(5200, 20));
            return records(5200, 20);
          },
          called: (part) => part.slice(0, part.lastIndexOf('@')),
        },
        close: () => rmSync(root, { recursive: true, force: true }),
      };
    },
  },
];

async function heldIn(folder: string): Promise<readonly string[]> {
  const held: string[] = [];
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const bytes = readFileSync(join(folder, name));
    const read = async (start: number, end: number) => Uint8Array.from(bytes.subarray(start, end)).buffer;
    const file = await openParquet({ size: bytes.length, read });
    for await (const chunk of file.chunks(0, new AbortController().signal)) {
      const rows = textsOf([chunk]).map((text) => JSON.parse(text) as { n: number; version: number });
      held.push(...rows.map(({ n, version }) => (version === 0 ? `${n}` : `${n}v${version}`)));
    }
  }
  return held;
}

function parquetFixture(): SinkFixture {
  const root = newFolder('parquet');
  const path = 'out/{{ window }}/{{ batch }}.parquet';
  const settings = files.sink!.settings.parse({ path, columns: { n: 'int64', version: 'int32' } });
  const open = () => files.sink!.open({ root: '.' }, settings, contextOf(root));
  return {
    sink: open(),
    another: open,
    record: (n, version = 0) => ({ n, version }),
    refused: { record: { n: 'seven', version: 0 } },
    held: () => heldIn(join(root, 'out/all')),
    lose: { 'half-applied': { never: 'a file gets its name when all of it is on the disk' } },
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}

export const parquetSinks: readonly SinkSubject[] = [
  { name: 'a folder of Parquet files', abilities: ['commitOnce'], loads: ['load', 'replace'], open: parquetFixture },
];
