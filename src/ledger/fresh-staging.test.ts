import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunId } from '../model/ids.ts';
import { freshStaging } from './fresh-staging.ts';
import type { StagedAt } from './ledger.ts';
import { isRanges, type StagedDraft, wholeOf } from './staging.ts';
import { folderStaging } from './staging-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-fresh-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const draft = (text: string): StagedDraft => ({
  bytes: new Uint8Array(Buffer.from(text)),
  spans: Uint32Array.of(0, text.length),
  keys: new Uint8Array(16).fill(1),
  sourceDigests: new Uint8Array(8).fill(2),
  payloadDigests: new Uint8Array(8).fill(3),
  columns: ['id'],
  format: 'pgcopy',
  types: [{ name: 'id', type: { kind: 'decimal', precision: 4, scale: 1 }, nullable: true }],
  about: { flow: 'f', window: 'w', lane: 'l', digest: 'd'.repeat(64) },
});
const lane = async (staging: ReturnType<typeof freshStaging>, texts: readonly string[]) => {
  const writer = staging.writer(1 as RunId, 'lane');
  const places = [];
  for (const text of texts) places.push(await writer.append(draft(text)));
  await writer.sync();
  await writer.close();
  return places;
};
/** Arrays of bytes and numbers as texts: one class of them is as good as another. */
const plain = (staged: object): unknown =>
  Object.fromEntries(
    Object.entries(staged).map(([name, value]) => [name, ArrayBuffer.isView(value) ? String(value) : value]),
  );

/** Whoever reads after this gets what is remembered, or an error. */
function spoil(): void {
  const lanes = join(folder, 'r1', 'lane');
  for (const name of readdirSync(lanes)) writeFileSync(join(lanes, name), 'spoilt');
}

it('hands a batch out as the folder does, its columns, format and types included', async () => {
  const staging = freshStaging(folderStaging(folder));
  const [at] = await lane(staging, ['rows']);
  const remembered = await staging.read(at!);
  const read = await staging.read(at!);
  expect(plain(remembered)).toEqual(plain(read));
  expect(read).toMatchObject({ format: 'pgcopy', columns: ['id'], types: draft('').types });
  expect(await staging.digests(at!)).toMatchObject({ format: 'pgcopy' });
});

it('remembers the first ones when many wait, and each of them once', async () => {
  const staging = freshStaging(folderStaging(folder), 100);
  const places = await lane(staging, ['first', 'second', 'third', 'fourth']);
  spoil();
  const texts = await Promise.all(places.slice(0, 2).map(async (at) => wholeOf(await staging.read(at)).bytes));
  expect(texts.map((bytes) => Buffer.from(bytes).toString())).toEqual(['first', 'second']);
  for (const at of places) await expect(staging.read(at)).rejects.toMatchObject({ code: 'STAGING_CORRUPT' });
});

it('remembers one batch however large it is, and tells when there is room for the next', async () => {
  const staging = freshStaging(folderStaging(folder), 10);
  expect(staging.room?.()).toBeUndefined();
  const [at] = await lane(staging, ['far more than there is room for']);
  const room = staging.room?.();
  expect(room).toBeInstanceOf(Promise);
  expect(staging.room?.()).toBe(room);
  spoil();
  await staging.read(at!);
  await room;
  expect(staging.room?.()).toBeUndefined();
});

it('lets nobody wait for room when it is closed', async () => {
  const staging = freshStaging(folderStaging(folder), 10);
  await lane(staging, ['far more than there is room for']);
  const room = staging.room?.();
  await staging.close?.();
  await room;
  expect(staging.room?.()).toBeUndefined();
});

describe('bytes that lie nowhere else', () => {
  const unkept = async (staging: ReturnType<typeof freshStaging>, texts: readonly string[], run = 1) => {
    const writer = staging.writer(run as RunId, 'lane');
    const places = [];
    for (const text of texts) places.push(await writer.append({ ...draft(text), ranges: [] }));
    await writer.sync();
    await writer.close();
    return places;
  };
  const textOf = async (staging: ReturnType<typeof freshStaging>, at: StagedAt | undefined): Promise<string> => {
    const staged = await staging.read(at!);
    return isRanges(staged) ? `ranges ${staged.ranges.length}` : Buffer.from(staged.bytes).toString();
  };

  it('are handed out until they are let go, however many wait; their digests lie in the folder', async () => {
    const staging = freshStaging(folderStaging(folder), 10);
    const [one, two] = await unkept(staging, ['first', 'second']);
    for (let time = 0; time < 2; time++) {
      expect(await textOf(staging, one)).toBe('first');
      expect(await textOf(staging, two)).toBe('second');
    }
    staging.letGo!(one!);
    expect(await textOf(staging, one)).toBe('ranges 0');
    expect(await textOf(staging, two)).toBe('second');
    expect((await staging.digests(one!)).source).toEqual(new Uint8Array(8).fill(2));
    const files = readdirSync(join(folder, 'r1', 'lane')).map((name) => readFileSync(join(folder, 'r1', 'lane', name)));
    expect(Buffer.concat(files).includes('second')).toBe(false);
  });

  it('go with their run, and those of others stay', async () => {
    const staging = freshStaging(folderStaging(folder));
    const [one] = await unkept(staging, ['first'], 1);
    const [other] = await unkept(staging, ['other'], 11);
    staging.letGo!(1 as RunId);
    expect(await textOf(staging, one)).toBe('ranges 0');
    expect(await textOf(staging, other)).toBe('other');
  });

  it('leave no room while too many of them are held, whoever has them', async () => {
    const staging = freshStaging(folderStaging(folder));
    const large = 'x'.repeat(40 * 1024 * 1024);
    const places = await unkept(staging, [large, large]);
    for (const at of places) await staging.read(at);
    let there = false;
    const room = staging.room!()!.then(() => {
      there = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(there).toBe(false);
    staging.letGo!(places[0]!);
    await room;
    expect(staging.room!()).toBeUndefined();
  });
});
