import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pulls, ReadRange, Source } from '../../src/connectors/connector.ts';
import { MEMORY_POSITION, memorySource } from '../../src/connectors/memory/source.ts';
import { encodeRows } from '../../src/formats/rows.ts';
import { type Chunk, endChunk } from '../../src/model/chunk.ts';
import { WaybillError } from '../../src/model/errors.ts';
import type { Position } from '../../src/model/position.ts';
import { ALL } from '../../src/model/window.ts';
import type { SourceAbility, SourceFixture, SourceSubject } from '../../src/testing/suites/source-subject.ts';

/**
 * Sources that keep what they promise of pulls, as small as they can be: the suite passes them, and each lie about
 * pulls is one of them with one thing changed.
 */
type Row = { readonly n: number };
type Rows = readonly Row[];
export type Shelf = Map<string, Rows>;

const CHUNK = 3;
const numbers = (from: number, count: number): Rows => Array.from({ length: count }, (_, at) => ({ n: from + at }));
const range: ReadRange = { window: ALL, parameters: {} };

function chunksOf(rows: Rows): Omit<Chunk, 'end'>[] {
  const starts = Array.from({ length: Math.ceil(rows.length / CHUNK) }, (_, at) => at * CHUNK);
  return starts.map((at) => encodeRows(rows.slice(at, at + CHUNK), 'ndjson', { firstRow: at + 1 }));
}

// ---- parts: one commit each ----

const PART = 'test/part';
const positionOf = (value: string): Position => ({ sourceName: 'shelf', kind: PART, value });
export const partsIn = (shelf: Shelf): readonly string[] => [...shelf.keys()].sort();
const behind = (shelf: Shelf, from: Position | undefined): readonly string[] =>
  partsIn(shelf).filter((name) => from?.kind !== PART || name > from.value);

export function partSource(shelf: Shelf): Source {
  return {
    emits: ['ndjson'],
    resumable: false,
    async *read({ from, pull }, signal) {
      const wanted = pull?.take ?? [];
      const absent = wanted.find((name) => !shelf.has(name));
      if (absent !== undefined) throw new WaybillError('SOURCE_FAILED', `there is no ${absent}`);
      for (const name of [...wanted, ...behind(shelf, from)]) {
        const end = wanted.includes(name) && from !== undefined ? from : positionOf(name);
        const chunks = chunksOf(shelf.get(name)!);
        for (const [at, chunk] of chunks.entries()) {
          signal.throwIfAborted();
          yield at === chunks.length - 1 ? { ...chunk, end, closes: name } : chunk;
        }
      }
    },
    pulls: {
      refuses: ({ kind }) => (kind === PART ? undefined : `it goes on from the name of a part, and not from ${kind}`),
      async look({ from, pull }) {
        const taken = await pull.taken();
        const late = partsIn(shelf).filter((name) => !behind(shelf, from).includes(name) && !taken.has(name));
        const notices = late.map((name) => ({ kind: 'part-skipped', message: `${name} was never taken` }));
        const some = behind(shelf, from).length + (pull.take ?? []).length > 0;
        return { ...(some ? { kind: 'new' } : { kind: 'unchanged', why: 'there is no other part' }), notices };
      },
    },
  };
}

export interface PullPlace {
  readonly shelf: Shelf;
  grow(): Promise<Rows>;
}

export function partPlace(): PullPlace {
  const shelf: Shelf = new Map([
    ['b', numbers(4, 5)],
    ['a', numbers(0, 4)],
    ['c', numbers(9, 2)],
  ]);
  const more = numbers(11, 4);
  return { shelf, grow: async () => shelf.set('d', more) && more };
}

export const partFixture = (open: (shelf: Shelf) => Source): SourceFixture => {
  const { shelf, grow } = partPlace();
  return {
    source: open(shelf),
    another: () => open(shelf),
    range,
    expected: numbers(0, 11),
    pull: { unreadable: { never: 'every text may be the name of a part' }, grow },
  };
};

// ---- counts: a position a chunk ----

export const countSource = (rows: Row[]): Source => memorySource(() => rows, { chunkRecords: CHUNK });

export const countFixture = (open: (rows: Row[]) => Source): SourceFixture => {
  const rows = [...numbers(0, 10)];
  return {
    source: open(rows),
    another: () => open(rows),
    range,
    expected: numbers(0, 10),
    pull: {
      unreadable: [{ sourceName: 'memory', kind: MEMORY_POSITION, value: 'ten' }],
      async grow() {
        rows.push(...numbers(10, 5));
        return numbers(10, 5);
      },
    },
  };
};

// ---- one document: its version is known at the end, and all of it is read when that changes ----

export interface Document {
  version: number;
  rows: Rows;
}
const VERSION = 'test/version';

/** Keeps what it reads in the folder for downloads, under the position that it was read from. */
export function documentSource(document: Document, cacheable = true): Source {
  const same = (from: Position | undefined): boolean => from?.value === String(document.version);
  const pulls: Pulls = {
    refuses: ({ kind }) => (kind === VERSION ? undefined : `it knows versions, and not ${kind}`),
    async look({ from }) {
      if (from === undefined) return { kind: 'new' };
      if (!cacheable) return { kind: 'uncacheable', why: 'the document has no version' };
      return same(from) ? { kind: 'unchanged', why: 'it has the version that was read' } : { kind: 'new' };
    },
  };
  return {
    emits: ['ndjson'],
    resumable: false,
    async *read({ from, pull }, signal) {
      if (same(from) && pull?.force !== true && cacheable) return;
      const { version, rows } = pull === undefined ? document : downloaded(document, downloadIn(pull.downloads, from));
      for (const chunk of chunksOf(rows)) {
        signal.throwIfAborted();
        yield chunk;
      }
      signal.throwIfAborted();
      const end = { sourceName: 'document', kind: VERSION, value: String(version) };
      if (pull !== undefined) yield endChunk(end, { firstRow: rows.length + 1 });
    },
    pulls,
  };
}

const downloadIn = (folder: string, from: Position | undefined): string => {
  mkdirSync(folder, { recursive: true });
  return join(folder, from?.value ?? 'top');
};

function downloaded(document: Document, path: string): Document {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Document;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    writeFileSync(path, JSON.stringify(document));
    return document;
  }
}

export const documentFixture = (open: (document: Document) => Source, atEnd?: 'uncacheable'): SourceFixture => {
  const document: Document = { version: 1, rows: numbers(0, 7) };
  return {
    source: open(document),
    another: () => open(document),
    range,
    expected: numbers(0, 7),
    pull: {
      unreadable: { never: 'a version is any text' },
      ...(atEnd === undefined ? {} : { atEnd }),
      async grow() {
        Object.assign(document, { version: document.version + 1, rows: numbers(0, 9) });
        return numbers(0, 9);
      },
    },
  };
};

const subject = (name: string, abilities: readonly SourceAbility[], open: () => SourceFixture): SourceSubject => ({
  name,
  abilities,
  open,
});

export const PULLED: readonly SourceSubject[] = [
  subject('parts in order of their names', ['pull', 'parts'], () => partFixture(partSource)),
  subject('rows that are counted', ['resume', 'remaining', 'pull'], () => countFixture(countSource)),
  subject('a document with a version', ['pull'], () => documentFixture(documentSource)),
  subject('a document without a version', ['pull'], () =>
    documentFixture((document) => documentSource(document, false), 'uncacheable'),
  ),
];
