import { afterEach, describe, expect, it } from 'vitest';
import type { ReadRange, Source } from '../../connectors/connector.ts';
import { encodeRecord } from '../../formats/encode.ts';
import { rows } from '../../formats/rows.ts';
import type { Chunk } from '../../model/chunk.ts';

export interface SourceFixture {
  readonly source: Source;
  readonly range: ReadRange;
  /** What the source holds for this range, in order. Enough for two chunks, so that resuming means something. */
  readonly expected: readonly Readonly<Record<string, unknown>>[];
  /** Frees what the fixture needed; the suite closes the source itself. */
  close?(): Promise<void> | void;
}

/**
 * What every source has to do, whatever it reads. `open` is called once a test and gives a source that holds the same
 * records each time.
 */
export function sourceSuite(name: string, open: () => SourceFixture | Promise<SourceFixture>): void {
  describe(`${name} is a source`, () => {
    const fixtures: SourceFixture[] = [];
    const fresh = async (): Promise<SourceFixture> => {
      const fixture = await open();
      fixtures.push(fixture);
      return fixture;
    };
    afterEach(async () => {
      for (const fixture of fixtures.splice(0)) {
        await fixture.source.close?.();
        await fixture.close?.();
      }
    });

    it('reads every record once, in order', async () => {
      const { source, range, expected } = await fresh();
      const chunks = await readAll(source, range);
      expect(chunks.length, 'the fixture should hold enough records for two chunks').toBeGreaterThan(1);
      expect(textsOf(chunks)).toEqual(expected.map(encodeRecord));
    });

    it('hands over chunks that agree with what they say of themselves', async () => {
      const { source, range } = await fresh();
      for (const chunk of await readAll(source, range)) expectWellFormed(chunk, source);
    });

    it('reads the same again, byte for byte', async () => {
      const { source, range } = await fresh();
      const [first, second] = [await readAll(source, range), await readAll(source, range)];
      expect(second.flatMap(recordsOf)).toEqual(first.flatMap(recordsOf));
    });

    it('goes on from each position that it gave, or gives none', async () => {
      const { source, range } = await fresh();
      const chunks = await readAll(source, range);
      if (!source.resumable) {
        expect(chunks.map((chunk) => chunk.end)).toEqual(chunks.map(() => undefined));
        return;
      }
      for (const [at, chunk] of chunks.entries()) {
        expect(chunk.end, `chunk ${at} of a resumable source has no end`).toBeDefined();
        const rest = await readAll(source, { ...range, from: chunk.end! });
        expect(rest.flatMap(recordsOf)).toEqual(chunks.slice(at + 1).flatMap(recordsOf));
      }
    });

    it('reads from the top when it is given a position of a kind that it does not know', async () => {
      const { source, range, expected } = await fresh();
      const from = { sourceName: 'elsewhere', kind: 'test/unknown-kind', value: '7@x' };
      expect(textsOf(await readAll(source, { ...range, from }))).toEqual(expected.map(encodeRecord));
    });

    it('stops when it is told to, and can be read again', async () => {
      const { source, range, expected } = await fresh();
      const stop = new AbortController();
      const seen: Chunk[] = [];
      const reading = async () => {
        for await (const chunk of source.read(range, stop.signal)) {
          seen.push(chunk);
          stop.abort(new DOMException('told to stop', 'AbortError'));
        }
      };
      await expect(reading()).rejects.toThrow();
      expect(textsOf(seen).length).toBeLessThan(expected.length);
      expect(textsOf(await readAll(source, range))).toEqual(expected.map(encodeRecord));
    });

    it('can be left in the middle', async () => {
      const { source, range, expected } = await fresh();
      for await (const chunk of source.read(range, new AbortController().signal)) {
        expect(chunk.count).toBeGreaterThan(0);
        break;
      }
      expect(textsOf(await readAll(source, range))).toEqual(expected.map(encodeRecord));
    });

    it('estimates what is left without contradicting what it then reads', async () => {
      const { source, range, expected } = await fresh();
      const { signal } = new AbortController();
      const whole = await source.remaining?.(range, signal);
      if (whole?.records !== undefined) expect(whole.records).toBe(expected.length);
      const last = (await readAll(source, range)).at(-1)?.end;
      if (whole === undefined || last === undefined) return;
      const left = await source.remaining!({ ...range, from: last }, signal);
      if (whole.records !== undefined) expect(left.records).toBe(0);
      if (whole.bytes !== undefined) expect(left.bytes).toBe(0);
    });
  });
}

/** Every chunk of a reading. */
export async function readAll(source: Source, range: ReadRange): Promise<readonly Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of source.read(range, new AbortController().signal)) chunks.push(chunk);
  return chunks;
}

/** The records of chunks in one spelling, whatever their format. */
export const textsOf = (chunks: readonly Chunk[]): readonly string[] =>
  chunks.flatMap((chunk) => [...rows(chunk)].map(encodeRecord));

/** The records of a chunk as they are encoded. */
function recordsOf({ bytes, spans, count, columns }: Chunk): readonly string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = columns === undefined ? '' : `${columns.join('|')}: `;
  return Array.from({ length: count }, (_, at) => header + buffer.toString('latin1', spans[at * 2], spans[at * 2 + 1]));
}

function expectWellFormed(chunk: Chunk, source: Source): void {
  expect(source.emits).toContain(chunk.format);
  expect(chunk.spans.length).toBe(chunk.count * 2);
  expect(chunk.firstRow).toBeGreaterThanOrEqual(1);
  expect(chunk.columns !== undefined, 'CSV names its columns, NDJSON has none').toBe(chunk.format === 'csv');
  expect(misplaced(chunk), 'records that are empty, out of order or out of bounds').toEqual([]);
  const broken = chunk.format === 'ndjson' ? recordsOf(chunk).filter((text) => /[\r\n]/.test(text)) : [];
  expect(broken, 'a line end within a record').toEqual([]);
}

function misplaced({ spans, bytes, count }: Chunk): readonly number[] {
  return Array.from({ length: count }, (_, at) => at).filter((at) => {
    const [before, start, end] = [at === 0 ? 0 : spans[at * 2 - 1]!, spans[at * 2]!, spans[at * 2 + 1]!];
    return start < before || end <= start || end > bytes.length;
  });
}
