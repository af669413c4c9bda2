import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RunId } from '../model/ids.ts';
import { freshStaging } from './fresh-staging.ts';
import { type StagedDraft, wholeOf } from './staging.ts';
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
