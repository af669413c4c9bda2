import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Sink, Source } from '../../src/connectors/connector.ts';
import { files } from '../../src/connectors/files/config.ts';
import { memorySink } from '../../src/connectors/memory/sink.ts';
import type { SourceJob } from '../../src/engine/engine.ts';
import { convertedFor } from '../../src/engine/lane-records.ts';
import { Packer } from '../../src/engine/pack.ts';
import { Remaker } from '../../src/engine/remake.ts';
import { digestSpans, sha256Hex } from '../../src/formats/digest.ts';
import type { Mapping } from '../../src/formats/formats.ts';
import { identify } from '../../src/formats/identify.ts';
import { compileMapping } from '../../src/formats/mapping.ts';
import type { StagedRanges } from '../../src/ledger/staging.ts';
import { type Framing, LINES } from '../../src/model/batch.ts';
import { WaybillError } from '../../src/model/errors.ts';
import type { SourceRange } from '../../src/model/range.ts';
import { ALL } from '../../src/model/window.ts';
import { Chance } from '../../src/testing/disk/chance.ts';
import { openContext } from '../../src/testing/peer/open-context.ts';

const SEED = new Uint8Array(16).fill(5);
const signal = new AbortController().signal;
const MANY = { recordsPerBatch: 1_000_000, inFlight: 1 };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-remake-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Lane {
  readonly sink: Sink;
  readonly mapping?: Mapping;
}
const lane = (accepts: readonly Framing[], mapping?: Mapping): Lane => ({
  sink: { ...memorySink(), accepts },
  ...(mapping === undefined ? {} : { mapping }),
});

function jobOf(path: string): SourceJob {
  const settings = files.source!.settings.parse({ path });
  const source = files.source!.open({ root: '.' }, settings, openContext({}, folder));
  return { name: 'rows', source, key: null, exclude: [], onReject: 'skip', onDuplicate: 'report' };
}

/** What staging would have of a batch with those records of the source that `takes` names; and its bytes. */
async function batchOf(
  job: SourceJob,
  to: Lane,
  takes: (nth: number) => boolean,
): Promise<{ staged: StagedRanges; text: string }> {
  const packer = new Packer(MANY, to.sink.accepts);
  const ranges: SourceRange[] = [];
  let nth = 0;
  for await (const chunk of job.source.read({ window: ALL, parameters: {}, ranges: true }, signal)) {
    const { converted } = convertedFor(chunk, to);
    const { keys, digests: sourceDigests } = identify(chunk, { key: null, seed: SEED });
    const payloadDigests = digestSpans(converted.bytes, converted.spans, SEED);
    const { columns, format } = converted;
    packer.turnTo({ ...(columns ? { columns } : {}), ...(format === to.sink.accepts[0]!.format ? {} : { format }) });
    for (let place = 0; place < chunk.count; place++) {
      if (!takes(nth++)) continue;
      packer.add({ records: { ...converted, keys, sourceDigests, payloadDigests }, place, nthKey: place, count: 1 });
      if (ranges.at(-1) !== chunk.range) ranges.push(chunk.range!);
    }
  }
  const { bytes, spans: _, records: __, ...marks } = packer.close()!;
  return { staged: { ...marks, ranges, digest: sha256Hex(bytes) }, text: Buffer.from(bytes).toString() };
}

async function remade(remaker: Remaker, staged: StagedRanges): Promise<string> {
  const { bytes, spans, keys } = await remaker.remake(staged, signal);
  expect(spans.length / 2).toBe(keys.length / 16);
  return Buffer.from(bytes).toString();
}

const ARRAY: Framing = { format: 'ndjson', head: '{"items":[', separator: ',', tail: ']}' };
const CSV: Framing = { format: 'csv', head: '', separator: '\n', tail: '\n' };
const upper = compileMapping({ set: { b: '{{ record.b | upper }}' }, drop: ['a'] });
const LANES: Readonly<Record<string, readonly [string, Lane]>> = {
  'NDJSON as lines': ['rows.ndjson', lane([LINES])],
  'NDJSON in an array, mapped so that many are alike': ['rows.ndjson', lane([ARRAY], upper)],
  'CSV as it is': ['rows.csv', lane([LINES, CSV])],
  'CSV as an array': ['rows.csv', lane([ARRAY])],
};

describe('a batch that is made again', () => {
  it.each(Object.entries(LANES))(
    'is the same, whichever records of its ranges are in it: %s',
    async (_, [path, to]) => {
      const chance = new Chance(20_261_122);
      const row = (): { a: number; b: string } => ({
        a: chance.below(3),
        b: 'xy'[chance.below(2)]!.repeat(chance.below(4)),
      });
      const rows = Array.from({ length: 4_000 }, row);
      const wide = 'w'.repeat(300);
      writeFileSync(join(folder, 'rows.ndjson'), rows.map((one) => `${JSON.stringify({ ...one, wide })}\n`).join(''));
      writeFileSync(join(folder, 'rows.csv'), `a,b,wide\n${rows.map(({ a, b }) => `${a},"${b}",${wide}\n`).join('')}`);
      const job = jobOf(path);
      const remaker = new Remaker(job, to, SEED);
      for (const share of [1, 2, 7, 900]) {
        const { staged, text } = await batchOf(job, to, (nth) => nth === 2_500 || chance.below(share) === 0);
        expect(await remade(remaker, staged), `one of ${share}`).toBe(text);
        expect(await remade(new Remaker(job, to, SEED), staged)).toBe(text);
      }
    },
  );

  it('shares what was read with its neighbours, also with those that ask meanwhile', async () => {
    writeFileSync(join(folder, 'rows.ndjson'), Array.from({ length: 600 }, (_, n) => `{"n":${n}}\n`).join(''));
    const job = jobOf('rows.ndjson');
    let reads = 0;
    const counted: Source = {
      ...job.source,
      reread: (range, stop) => {
        reads++;
        return job.source.reread!(range, stop);
      },
    };
    const to = lane([LINES]);
    const remaker = new Remaker({ ...job, source: counted }, to, SEED);
    const batches = await Promise.all(
      [0, 1, 2].map((third) => batchOf(job, to, (nth) => Math.floor(nth / 200) === third)),
    );
    const texts = await Promise.all(batches.map(({ staged }) => remade(remaker, staged)));
    expect(texts).toEqual(batches.map(({ text }) => text));
    expect(await remade(remaker, batches[1]!.staged)).toBe(batches[1]!.text);
    expect(reads).toBe(1);
  });

  const lostIn = async (job: SourceJob, to: Lane, staged: StagedRanges): Promise<WaybillError> =>
    await new Remaker(job, to, SEED).remake(staged, signal).then(
      () => expect.fail('it was made again'),
      (error: WaybillError) => error,
    );

  it('is lost, with the object and the reason, when anything about it is another', async () => {
    const text = Array.from({ length: 50 }, (_, n) => `{"n":${n}}\n`).join('');
    const path = join(folder, 'rows.ndjson');
    writeFileSync(path, text);
    const job = jobOf('rows.ndjson');
    const { staged } = await batchOf(job, lane([LINES]), (nth) => nth > 9 && nth < 20);
    const why = async (to = lane([LINES])): Promise<string> => {
      const { code, message, ids } = await lostIn(job, to, staged);
      expect([code, ids.object]).toEqual(['RANGE_LOST', 'rows.ndjson']);
      return message.replace(/^rows\.ndjson, 0 to \d+ \(version .* bytes\): /, '');
    };
    expect(await why(lane([LINES], compileMapping({ set: { more: 1 } })))).toContain('the lane makes something else');
    expect(await why(lane([ARRAY]))).toContain('the lane frames them in another way now');
    writeFileSync(path, text.replace('{"n":15}', '{"n":75}'));
    expect(await why()).toBe('what stands there is not what was read');
    writeFileSync(path, text.split('\n').reverse().join('\n').trimStart());
    expect(await why()).toMatch(/is not what was read|holds no more than/);
    writeFileSync(path, text.slice(0, 30));
    expect(await why()).toBe('the file holds no more than 30 bytes now');
    rmSync(path);
    expect(await why()).toBe('the file is gone');
    // What nobody has touched otherwise may change as well: before, between and behind.
    writeFileSync(path, text.replace('{"n":3}', '{"n":8}').replace('{"n":45}', '{"n":99}'));
    expect(Buffer.from((await new Remaker(job, lane([LINES]), SEED).remake(staged, signal)).bytes).toString()).toBe(
      Array.from({ length: 10 }, (_, n) => `{"n":${n + 10}}\n`).join(''),
    );
  });

  it('is asked for again after an answer that did not come, which says nothing of it', async () => {
    writeFileSync(join(folder, 'rows.ndjson'), '{"n":1}\n{"n":2}\n');
    const job = jobOf('rows.ndjson');
    const { staged, text } = await batchOf(job, lane([LINES]), () => true);
    let away = true;
    const source: Source = {
      ...job.source,
      async *reread(range, stop) {
        if (away) throw new WaybillError('SOURCE_FAILED', 'no connection');
        yield* job.source.reread!(range, stop);
      },
    };
    const remaker = new Remaker({ ...job, source }, lane([LINES]), SEED);
    await expect(remaker.remake(staged, signal)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    away = false;
    expect(await remade(remaker, staged)).toBe(text);
    const { reread: _, ...plain } = job.source;
    expect((await lostIn({ ...job, source: plain }, lane([LINES]), staged)).message).toContain(
      'has no such ranges now',
    );
  });
});
