import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asRunId } from '../model/ids.ts';
import type { StagedAt } from './ledger.ts';
import { type ScannedBatch, scanSegment } from './segment.ts';
import { isRanges, type Staged, type StagedDraft, wholeOf } from './staging.ts';
import { folderStaging } from './staging-folder.ts';

const run = asRunId(7);
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'waybill-staging-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A batch of `count` lines; `salt` makes it different from any other. */
function draft(count: number, salt: string, more: { columns?: readonly string[]; width?: number } = {}): StagedDraft {
  const spans = new Uint32Array(count * 2);
  const lines: string[] = [];
  for (let at = 0, end = 0; at < count; at++) {
    lines.push(JSON.stringify({ at, salt, fill: 'ü'.repeat(more.width ?? 3) }));
    spans[at * 2] = end;
    end += Buffer.byteLength(lines[at]!);
    spans[at * 2 + 1] = end;
    end += 1;
  }
  const bytes = new Uint8Array(Buffer.from(count === 0 ? '' : `${lines.join('\n')}\n`));
  const digest = createHash('sha256').update(bytes).digest('hex');
  return {
    bytes,
    spans,
    sourceDigests: new Uint8Array(count * 8).map((_, at) => at % 251),
    keys: new Uint8Array(count * 16).map((_, at) => (at * 11) % 239),
    payloadDigests: new Uint8Array(count * 8).map((_, at) => (at * 7) % 241),
    about: { flow: 'members', window: '2026-11-19', lane: 'api', digest },
    ...(more.columns === undefined ? {} : { columns: more.columns }),
  };
}

const contentOf = ({ bytes, spans, sourceDigests, payloadDigests, columns }: StagedDraft | Staged) => ({
  bytes: Buffer.from(bytes).toString('latin1'),
  spans: spans.join(),
  sourceDigests: Buffer.from(sourceDigests).toString('hex'),
  payloadDigests: Buffer.from(payloadDigests).toString('hex'),
  columns,
});

async function scan(path: string): Promise<(Staged & Pick<ScannedBatch, 'header'>)[]> {
  const found: (Staged & Pick<ScannedBatch, 'header'>)[] = [];
  for await (const batch of scanSegment(path)) found.push({ ...wholeOf(batch), header: batch.header });
  return found;
}

async function staged(
  drafts: readonly StagedDraft[],
  options: { segmentBytes?: number; lane?: string } = {},
): Promise<StagedAt[]> {
  const writer = folderStaging(root, options).writer(run, options.lane ?? 'api');
  const places = await Promise.all(drafts.map((one) => writer.append(one)));
  await writer.sync();
  await writer.close();
  return places;
}

describe('folderStaging', () => {
  it('gives back each batch byte for byte, from another instance too', async () => {
    const drafts = [
      draft(0, 'empty'),
      draft(1, 'one'),
      draft(100, 'many'),
      draft(5, 'wide', { width: 700_000 }),
      draft(3, 'csv', { columns: ['a', 'ü,"'] }),
    ];
    const places = await staged(drafts);
    const reader = folderStaging(root);
    for (const [nth, at] of places.entries()) {
      const found = await reader.read(at);
      expect(contentOf(found as never)).toEqual(contentOf(drafts[nth]!));
      const digests = await reader.digests(at);
      expect(Buffer.from(digests.source)).toEqual(Buffer.from(drafts[nth]!.sourceDigests));
      expect(Buffer.from(digests.payload)).toEqual(Buffer.from(drafts[nth]!.payloadDigests));
    }
  });

  it('reads a batch whose header names two thousand columns', async () => {
    const columns = Array.from({ length: 2000 }, (_, at) => `a column with the number ${at}`);
    const [at] = await staged([draft(2, 'columns', { columns })]);
    expect((await folderStaging(root).read(at!)).columns).toEqual(columns);
    expect((await folderStaging(root).digests(at!)).source).toHaveLength(16);
  });

  it('begins a new segment when the last one is full, and when a process starts anew', async () => {
    const drafts = Array.from({ length: 20 }, (_, at) => draft(50, `b${at}`));
    const places = await staged(drafts, { segmentBytes: 5000 });
    expect(new Set(places.map((at) => at.segment)).size).toBeGreaterThan(5);
    const before = places.map((at) => readFileSync(join(root, at.segment)));
    const [later] = await staged([draft(1, 'later')], { segmentBytes: 5000 });
    expect(places.some((at) => at.segment === later!.segment)).toBe(false);
    expect(places.map((at) => readFileSync(join(root, at.segment)))).toEqual(before);
    const reader = folderStaging(root);
    for (const [nth, at] of places.entries())
      expect(contentOf((await reader.read(at)) as never)).toEqual(contentOf(drafts[nth]!));
  });

  it('keeps two writers of one lane apart', async () => {
    const staging = folderStaging(root);
    const [a, b] = [staging.writer(run, 'api'), staging.writer(run, 'api')];
    const [one, other] = await Promise.all([a.append(draft(3, 'a')), b.append(draft(3, 'b'))]);
    await Promise.all([a.sync(), b.sync()]);
    expect(one.segment).not.toBe(other.segment);
    expect(contentOf((await staging.read(other)) as never)).toEqual(contentOf(draft(3, 'b')));
    await Promise.all([a.close(), b.close()]);
  });

  it('lets only the owner read what it writes', async () => {
    const [at] = await staged([draft(1, 'secret')]);
    expect(statSync(join(root, at!.segment)).mode & 0o777).toBe(0o600);
    expect(statSync(join(root, 'r7')).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, 'r7', 'api')).mode & 0o777).toBe(0o700);
  });

  it('keeps any lane name within its own folder, and different names apart', async () => {
    const lanes = [
      '../../etc',
      'a/b',
      'a',
      'A',
      '.',
      '..',
      '',
      'ü',
      'x\0y',
      'n'.repeat(500),
      `${'n'.repeat(499)}m`,
      'con:1',
      '%2e',
    ];
    const places = [];
    for (const lane of lanes) places.push(...(await staged([draft(1, lane)], { lane })));
    expect(new Set(places.map((at) => at.segment)).size).toBe(lanes.length);
    expect(readdirSync(join(root, 'r7'))).toHaveLength(lanes.length);
    expect(readdirSync(root)).toEqual(['r7']);
    const reader = folderStaging(root);
    for (const [nth, at] of places.entries())
      expect(contentOf((await reader.read(at)) as never)).toEqual(contentOf(draft(1, lanes[nth]!)));
  });

  it('refuses a segment name that leads out of its folder', async () => {
    writeFileSync(join(root, 'passwd'), 'x');
    for (const segment of ['../passwd', 'r7/../passwd', '/etc/passwd', 'r7/api/../../passwd', 'r7/api/1.seg\0']) {
      const reading = folderStaging(join(root, 'inner')).read({ segment, offset: 0, bytes: 1, trailerBytes: 24 });
      await expect(reading).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
    }
  });

  it('says STAGING_CORRUPT for bytes that are missing, cut short or not those that were sealed', async () => {
    const [first, second] = await staged([draft(10, 'a'), draft(10, 'b')]);
    const path = join(root, first!.segment);
    const size = statSync(path).size;
    const bad = async (at: StagedAt) =>
      expect(folderStaging(root).read(at)).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
    await bad({ ...first!, segment: 'r7/api/99.seg' });
    await bad({ ...first!, offset: first!.offset + 1 });
    await bad({ ...first!, bytes: first!.bytes - 1 });
    for (const cut of [1, 100, second!.trailerBytes + 1, second!.bytes + second!.trailerBytes + 20]) {
      truncateSync(path, size - cut);
      await bad(second!);
      await expect(folderStaging(root).digests(second!)).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
    }
    expect(contentOf((await folderStaging(root).read(first!)) as never)).toEqual(contentOf(draft(10, 'a')));
  });

  it('says STAGING_WRITE, with what to do, when it cannot write, and stays failed', async () => {
    writeFileSync(join(root, 'r7'), 'a file where the folder should be');
    const writer = folderStaging(root).writer(run, 'api');
    await expect(writer.append(draft(1, 'a'))).rejects.toMatchObject({
      code: 'STAGING_WRITE',
      ids: { path: join(root, 'r7', 'api') },
    });
    rmSync(join(root, 'r7'));
    await expect(writer.sync()).rejects.toMatchObject({ code: 'STAGING_WRITE' });
    await writer.close();
  });

  it('sweeps the segments that the ledger does not know, and spares those that are being written', async () => {
    const [known] = await staged([draft(1, 'known')]);
    const [orphan] = await staged([draft(1, 'orphan')]);
    const staging = folderStaging(root);
    expect(wholeOf(await staging.read(orphan!)).bytes.length).toBeGreaterThan(0);
    const writer = staging.writer(run, 'api');
    const open = await writer.append(draft(1, 'open'));
    expect(await staging.sweep(run, new Set([known!.segment]))).toBe(1);
    await writer.sync();
    await writer.close();
    expect(existsSync(join(root, orphan!.segment))).toBe(false);
    await expect(staging.read(orphan!)).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
    expect(contentOf((await staging.read(open)) as never)).toEqual(contentOf(draft(1, 'open')));
    expect(await staging.sweep(asRunId(8), new Set())).toBe(0);
  });

  it('keeps reading when there are more segments than it holds open', async () => {
    const drafts = Array.from({ length: 150 }, (_, at) => draft(2, `b${at}`));
    const places = await staged(drafts, { segmentBytes: 1 });
    const reader = folderStaging(root);
    for (const round of [0, 1]) {
      for (const [nth, at] of places.entries()) {
        expect(wholeOf(await reader.read(at)).bytes, `${round}`).toEqual(drafts[nth]!.bytes);
      }
    }
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(150);
  });
});

describe('scanSegment', () => {
  it('U16: reads every batch of staged files in another folder, from the files alone', async () => {
    const configured = { staging: { folder: join(root, 'elsewhere', 'batches') } };
    const drafts = Array.from({ length: 12 }, (_, at) =>
      draft(at * 3, `b${at}`, at % 2 === 0 ? { columns: ['id', 'name'] } : {}),
    );
    const writer = folderStaging(configured.staging.folder, { segmentBytes: 4000 }).writer(run, 'api');
    for (const one of drafts) await writer.append(one);
    await writer.sync();
    await writer.close();
    const copy = join(root, 'copied-to-a-bucket-and-back');
    cpSync(configured.staging.folder, copy, { recursive: true });
    rmSync(configured.staging.folder, { recursive: true });
    const files = readdirSync(join(copy, 'r7', 'api')).sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
    expect(files.length).toBeGreaterThan(1);
    const found: Awaited<ReturnType<typeof scan>> = [];
    for (const file of files) found.push(...(await scan(join(copy, 'r7', 'api', file))));
    expect(found.map(contentOf)).toEqual(drafts.map(contentOf));
    expect(found.map(({ header }) => header.flow)).toEqual(drafts.map(() => 'members'));
  });

  it('keeps ranges instead of bytes, with keys and digests, among batches that are copies', async () => {
    const ranges = [{ object: 'a.csv', version: '"9a"', keptAs: 'v1', from: 7, to: 99, row: 3, columns: ['id'] }];
    const drafts = [draft(3, 'a'), { ...draft(900, 'b'), ranges }, draft(2, 'c')];
    const places = await staged(drafts);
    const staging = folderStaging(root);
    const [, ranged] = drafts;
    const { bytes, spans: _, about, ...marks } = ranged!;
    expect(await staging.read(places[1]!)).toEqual({ ...marks, digest: about.digest });
    expect(contentOf(wholeOf(await staging.read(places[2]!)))).toEqual(contentOf(drafts[2]!));
    expect(await staging.digests(places[1]!)).toEqual({ source: marks.sourceDigests, payload: marks.payloadDigests });
    const file = readFileSync(join(root, places[1]!.segment));
    expect(file.includes(Buffer.from(bytes.slice(0, 20))), 'the bytes of the batch are in no file').toBe(false);
    const found: ScannedBatch[] = [];
    for await (const batch of scanSegment(join(root, places[0]!.segment))) found.push(batch);
    expect(found.map(isRanges)).toEqual([false, true, false]);
    expect(found[1]!.header).toMatchObject({ bytes: 0, size: bytes.length, records: 900, trailer: 900 * 32, ranges });
  });

  it('notices when a range is altered', async () => {
    const range = { object: 'a.csv', version: '1', from: 7, to: 99, row: 3 };
    const [at] = await staged([{ ...draft(3, 'a'), ranges: [range] }]);
    const path = join(root, at!.segment);
    const whole = readFileSync(path);
    for (const word of ['a.csv', '"from":7', '"to":99']) {
      const copy = Buffer.from(whole);
      const place = copy.indexOf(word) + word.length - 1;
      copy[place] = copy[place]! ^ 1;
      writeFileSync(path, copy);
      await expect(folderStaging(root).read(at!), word).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
    }
    writeFileSync(path, whole);
    expect(isRanges(await folderStaging(root).read(at!))).toBe(true);
  });

  it('leaves out a batch that a crash cut short, wherever it was cut', async () => {
    const [first, second] = await staged([draft(4, 'a'), draft(4, 'b')]);
    const path = join(root, first!.segment);
    const whole = readFileSync(path);
    for (let cut = second!.offset; cut < whole.length; cut += 5) {
      writeFileSync(path, whole.subarray(0, cut));
      expect((await scan(path)).map(contentOf)).toEqual([contentOf(draft(4, 'a'))]);
    }
  });

  it('says where the file stops agreeing with itself', async () => {
    const [first] = await staged([draft(4, 'a'), draft(4, 'b')]);
    const path = join(root, first!.segment);
    const whole = readFileSync(path);
    const payload = whole.indexOf(10) + 1;
    whole[payload + 3] = whole[payload + 3]! ^ 1;
    writeFileSync(path, whole);
    await expect(scan(path)).rejects.toMatchObject({ code: 'STAGING_CORRUPT', ids: { offset: 0 } });
    mkdirSync(join(root, 'other'));
    writeFileSync(join(root, 'other', 'x.seg'), '{"not":"a header"}\n');
    appendFileSync(join(root, 'other', 'x.seg'), 'more');
    await expect(scan(join(root, 'other', 'x.seg'))).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
  });
});
