import type { BatchRow, LedgerReader, RecordRef, StagedAt } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import { DIGEST_BYTES, type Identities, KEY_BYTES } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import { everyRow } from '../model/pages.ts';
import type { RecordState } from '../model/states.ts';
import { KeyFilter } from './key-filter.ts';
import { KeyTable } from './key-table.ts';
import { SerialKeys } from './serial-keys.ts';
import { UnsealedKeys } from './unsealed-keys.ts';

/**
 * What a record is, seen from what its lane already has.
 * `new`: nothing like it. `same`: there with this content. `changed`: there with other content, in state `was`.
 * `duplicate`: its key came before in this very extraction.
 */
export type Judgement =
  | { readonly kind: 'new' | 'same' | 'duplicate' }
  | { readonly kind: 'changed'; readonly was: RecordState };

interface KnownBatch {
  readonly root: BatchId;
  readonly picks: readonly number[] | undefined;
  readonly generation: number;
  readonly staged: StagedAt;
  /** Null: its staged bytes are lost, so nobody can say what its records were. */
  readonly digests: Uint8Array | null;
}

interface Hit {
  readonly ref: RecordRef;
  readonly state: RecordState;
  readonly batch: KnownBatch;
  /** Skipped, and called unsent by nobody: it may be in the sink. */
  readonly possiblyThere: boolean;
}

/** What was skipped so is not called unsent: it may be in the sink. */
const UNPROVED: ReadonlySet<BatchRow['possibly']> = new Set(['lost', 'there', 'twice'] as const);

/** What a memory asks of the ledger. */
export type KeyReader = Pick<LedgerReader, 'laneKeys' | 'findKeys' | 'batch' | 'batches' | 'records'>;

/** Records of one batch, by their places in it. */
export interface Picked {
  readonly batch: BatchId;
  readonly picks: readonly number[];
}

const KNOWN_BATCHES_MAX = 2_048;
const NEW: Judgement = { kind: 'new' };
const SAME: Judgement = { kind: 'same' };
const DUPLICATE: Judgement = { kind: 'duplicate' };

/**
 * Compares an extraction with what its lane has, record by record, as a multiset: each record that was delivered
 * answers for one record that is read. A filter in memory keeps nearly all new records from costing a question; every
 * other answer comes from the ledger and is exact.
 */
export class LaneMemory {
  readonly #at: { readonly run: RunId; readonly lane: string; readonly generation: number };
  readonly #reader: KeyReader;
  readonly #staging: Pick<Staging, 'digests'>;
  readonly #compares: boolean;
  readonly #keyed: boolean;
  readonly #bytesKept: boolean;
  /** All keys that were met: exactly as long as they are serial numbers, by a filter as soon as one is not. */
  #met: SerialKeys | KeyFilter = new SerialKeys();
  /** Keys of this extraction that the ledger does not have yet, and how often. */
  readonly #unsealed = new UnsealedKeys();
  readonly #inChunk = new KeyTable();
  readonly #known = new Map<BatchId, Omit<KnownBatch, 'digests'> & Partial<KnownBatch>>();
  /** One bit a record of a root batch: it has answered for a record of this extraction. */
  readonly #matched = new Map<BatchId, Uint8Array>();
  /** Likewise: its key was met, whatever its content. */
  readonly #present = new Map<BatchId, Uint8Array>();
  /** Likewise: it was met with the same content, and stands for the record that was read. */
  readonly #same = new Map<BatchId, Uint8Array>();
  #uncompared = 0;

  constructor(
    at: { run: RunId; lane: string; generation: number },
    stores: { reader: KeyReader; staging: Pick<Staging, 'digests'> },
    how: { compares: boolean; keyed: boolean; bytesKept: boolean },
  ) {
    this.#at = at;
    this.#reader = stores.reader;
    this.#staging = stores.staging;
    this.#compares = how.compares;
    this.#keyed = how.keyed;
    this.#bytesKept = how.bytesKept;
  }

  /** Finds out about the keys that the lane has already. */
  async load(): Promise<void> {
    if (!this.#keyed && !this.#compares) return;
    for await (const keys of this.#laneKeys()) {
      if (this.#met.meet(keys, keys.length / KEY_BYTES) === undefined) return void (await this.#filtered());
    }
  }

  /** From now on by a filter, with every key of the lane: those in the ledger and those on their way there. */
  async #filtered(): Promise<KeyFilter> {
    const filter = new KeyFilter();
    addAll(filter, this.#unsealed.keys);
    for await (const keys of this.#laneKeys()) addAll(filter, keys);
    this.#met = filter;
    return filter;
  }

  async *#laneKeys(): AsyncGenerator<Uint8Array> {
    const at = { run: this.#at.run, lane: this.#at.lane };
    for await (const { keys } of everyRow(
      (page) => this.#reader.laneKeys({ ...at, ...page }),
      (row) => row.batch,
    )) {
      yield keys;
    }
  }

  /** Judges the named records of a chunk, in order: one judgement for each of them. Each is remembered as met. */
  async judge(identities: Identities, nths: readonly number[]): Promise<readonly Judgement[]> {
    return nths.map(await this.judging(identities, nths));
  }

  /**
   * Looks up the named records of a chunk. What comes of it judges them, one after the other in their order; records
   * between them may be remembered meanwhile.
   */
  async judging(identities: Identities, nths: readonly number[]): Promise<(nth: number) => Judgement> {
    const hits = await this.#hits(identities, nths);
    this.#inChunk.clear();
    return (nth) => {
      const judgement = this.#judgeOne(identities, nth, hits.get(nth) ?? NO_HITS);
      if (this.#keyed) this.#inChunk.add(identities.keys, nth);
      return judgement;
    };
  }

  /**
   * Takes note of all records of a chunk, which go into batches unless they are judged otherwise; answers which of them
   * have to be judged, in order. Nothing like any other was met before, neither in the lane nor in this extraction nor
   * earlier in the chunk.
   */
  async meet({ keys }: Identities, count: number): Promise<readonly number[]> {
    if (!this.#keyed && !this.#compares) return [];
    return this.#met.meet(keys, count) ?? (await this.#filtered()).meet(keys, count);
  }

  /** A record goes into a batch. */
  remember(keys: Uint8Array, nth: number): void {
    this.rememberMet(keys, nth, nth + 1);
    if (this.#keyed || this.#compares) this.#met.add(keys, nth);
  }

  /** Records from `from` up to `to` that `meet` took note of go into batches. */
  rememberMet(keys: Uint8Array, from: number, to: number): void {
    if (this.#keyed) this.#unsealed.add(keys, from, to);
  }

  /** The ledger has these now: those that were remembered first. */
  sealed(keys: Uint8Array): void {
    this.#unsealed.drop(keys.length / KEY_BYTES);
  }

  /** Records that count as unchanged only because the bytes that they were sent with are lost. */
  get uncompared(): number {
    return this.#uncompared;
  }

  /** How many records of earlier generations there are whose key this extraction did not bring. */
  async vanished(): Promise<number> {
    let records = 0;
    if (!this.#compares) return records;
    const at = { run: this.#at.run, lane: this.#at.lane };
    // What a later reading took the place of has been told of already.
    for await (const record of this.#recordsOf(['superseded'])) await this.#see(record);
    for await (const batch of everyRow(
      (page) => this.#reader.batches({ ...at, ...page }),
      (row) => row.id,
    )) {
      if (batch.generation < this.#at.generation && batch.parent === undefined) records += this.#absentOf(batch);
    }
    return records;
  }

  /**
   * Refused and skipped records of earlier generations that this extraction did not meet again as they were: what it
   * read instead, or that it found nothing, is what counts now. One that was given up as possibly lost stays.
   */
  async superseded(): Promise<readonly Picked[]> {
    const picked = new Map<BatchId, number[]>();
    for await (const { batch, index, generation, state } of this.#recordsOf(['refused', 'skipped'])) {
      if (generation >= this.#at.generation) continue;
      const known = await this.#about(batch);
      if (await this.#possiblyThere(state, batch)) continue;
      if (isSet(this.#same.get(known.root), known.picks?.[index] ?? index)) continue;
      const list = picked.get(batch);
      if (list === undefined) picked.set(batch, [index]);
      else list.push(index);
    }
    return [...picked].map(([batch, picks]) => ({ batch, picks: picks.sort((a, b) => a - b) }));
  }

  async *#recordsOf(
    states: readonly RecordState[],
  ): AsyncGenerator<{ batch: BatchId; index: number; generation: number; state: RecordState }> {
    const at = { run: this.#at.run, lane: this.#at.lane, states, batched: true as const };
    for (let after: string | undefined; ; ) {
      const page = await this.#reader.records(after === undefined ? at : { ...at, after });
      for (const { batch, index, generation, state } of page.records) {
        if (batch !== undefined && index !== undefined) yield { batch, index, generation, state };
      }
      after = page.cursor;
      if (after === undefined) return;
    }
  }

  async #see({ batch, index }: RecordRef): Promise<void> {
    const { root, picks } = await this.#about(batch);
    setBit(this.#present, root, picks?.[index] ?? index);
  }

  #absentOf(batch: BatchRow): number {
    const bits = this.#present.get(batch.id);
    let absent = 0;
    for (let index = 0; index < batch.records; index++) if (!isSet(bits, index)) absent++;
    return absent;
  }

  #judgeOne(identities: Identities, nth: number, hits: readonly Hit[]): Judgement {
    const { keys } = identities;
    if (hits.length === 0) {
      return this.#cameBefore(keys, nth) ? DUPLICATE : NEW;
    }
    const current = hits.filter((hit) => hit.state !== 'superseded');
    const again = this.#cameBefore(keys, nth) || current.some((hit) => hit.batch.generation === this.#at.generation);
    const earlier = this.#compares ? current.filter((hit) => hit.batch.generation < this.#at.generation) : [];
    if (this.#keyed) for (const hit of earlier) mark(this.#present, hit);
    const free = earlier.filter((hit) => !isMarked(this.#matched, hit));
    const digest = identities.digests.subarray(nth * DIGEST_BYTES, (nth + 1) * DIGEST_BYTES);
    const equal = free.find((hit) => isEqual(hit, digest)) ?? free.find(isAccountedFor);
    const match = equal ?? (this.#keyed ? free[0] : undefined);
    if (match !== undefined) {
      mark(this.#matched, match);
      mark(this.#present, match);
      // What a cancelled run left out was never sent; what a person gave up as possibly lost stays given up.
      if (match.state === 'skipped' && !match.possiblyThere) return again && this.#keyed ? DUPLICATE : NEW;
      // Nothing is left of it that could be sent once more, so it is as if it had changed.
      const isGone = match.state === 'refused' && !this.#bytesKept;
      if (equal === undefined || isGone) return { kind: 'changed', was: match.state };
      mark(this.#same, match);
      if (this.#keyed && match.batch.digests === null) this.#uncompared++;
      return SAME;
    }
    if (!this.#keyed) return NEW;
    return earlier.length > 0 || again ? DUPLICATE : NEW;
  }

  /** In this extraction, as far as it is not sealed yet. */
  #cameBefore(keys: Uint8Array, nth: number): boolean {
    return this.#keyed && (this.#inChunk.has(keys, nth) || this.#unsealed.has(keys, nth));
  }

  async #hits(identities: Identities, nths: readonly number[]): Promise<Map<number, Hit[]>> {
    const hits = new Map<number, Hit[]>();
    if (nths.length === 0 || (!this.#keyed && !this.#compares)) return hits;
    const met = await this.#metFor(identities.keys, nths);
    const asked = nths.filter((nth) => met.perhaps(identities.keys, nth));
    if (asked.length === 0) return hits;
    const keys = Buffer.concat(asked.map((nth) => identities.keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES)));
    const found = await this.#reader.findKeys({ run: this.#at.run, lane: this.#at.lane, keys });
    for (const { nth: place, ref, state } of found) {
      const nth = asked[place]!;
      const possiblyThere = await this.#possiblyThere(state, ref.batch);
      const hit: Hit = { ref, state, batch: await this.#batch(ref.batch), possiblyThere };
      const list = hits.get(nth);
      if (list === undefined) hits.set(nth, [hit]);
      else list.push(hit);
    }
    return hits;
  }

  /** What these can be looked up in, and added to. */
  async #metFor(keys: Uint8Array, nths: readonly number[]): Promise<SerialKeys | KeyFilter> {
    const met = this.#met;
    if (met instanceof KeyFilter || nths.every((nth) => met.takes(keys, nth))) return met;
    return await this.#filtered();
  }

  /** Asked anew each time: a doubt may be given up while the window is read. */
  async #possiblyThere(state: RecordState, id: BatchId): Promise<boolean> {
    return state === 'skipped' && UNPROVED.has((await this.#reader.batch(id)).possibly);
  }

  async #batch(id: BatchId): Promise<KnownBatch> {
    const known = this.#known.get(id);
    if (known?.digests !== undefined) return known as KnownBatch;
    const about = await this.#about(id);
    const { generation, staged } = about;
    const digests = generation < this.#at.generation ? await this.#digests(staged) : NO_DIGESTS;
    const batch = { ...about, digests };
    this.#keep(id, batch);
    return batch;
  }

  /** What the ledger says of a batch, without what lies in staging. */
  async #about(id: BatchId): Promise<Omit<KnownBatch, 'digests'>> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const { root, picks, generation, staged } = await this.#reader.batch(id);
    const about = { root: root ?? id, picks, generation, staged };
    this.#keep(id, about);
    return about;
  }

  #keep(id: BatchId, batch: Omit<KnownBatch, 'digests'> & Partial<KnownBatch>): void {
    if (this.#known.size >= KNOWN_BATCHES_MAX) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(id, batch);
  }

  async #digests(staged: StagedAt): Promise<Uint8Array | null> {
    try {
      return (await this.#staging.digests(staged)).source;
    } catch (error) {
      if (error instanceof WaybillError && error.code === 'STAGING_CORRUPT') return null;
      throw error;
    }
  }
}

function addAll(filter: KeyFilter, keys: Uint8Array): void {
  for (let nth = 0; nth < keys.length / KEY_BYTES; nth++) filter.add(keys, nth);
}

const NO_DIGESTS = new Uint8Array(0);
const NO_HITS: readonly Hit[] = [];

const rootIndex = (hit: Hit): number => hit.batch.picks?.[hit.ref.index] ?? hit.ref.index;

function isEqual(hit: Hit, digest: Uint8Array): boolean {
  const { digests } = hit.batch;
  if (digests === null) return false;
  const at = rootIndex(hit) * DIGEST_BYTES;
  return Buffer.compare(digests.subarray(at, at + DIGEST_BYTES), digest) === 0;
}

/**
 * Its bytes are lost, so nobody can say whether it has changed; but it is in the sink, or may be, and sending it once
 * more would be the worse mistake. What was refused is proved to be nowhere, and may go out again.
 */
const isAccountedFor = (hit: Hit): boolean =>
  hit.batch.digests === null && hit.state !== 'refused' && (hit.state !== 'skipped' || hit.possiblyThere);

const isSet = (bits: Uint8Array | undefined, index: number): boolean =>
  bits !== undefined && ((bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;

const isMarked = (marks: Map<BatchId, Uint8Array>, hit: Hit): boolean =>
  isSet(marks.get(hit.batch.root), rootIndex(hit));

const mark = (marks: Map<BatchId, Uint8Array>, hit: Hit): void => setBit(marks, hit.batch.root, rootIndex(hit));

function setBit(marks: Map<BatchId, Uint8Array>, root: BatchId, index: number): void {
  let bits = marks.get(root);
  if (bits === undefined || bits.length <= index >>> 3) {
    const larger = new Uint8Array(Math.max((index >>> 3) + 1, (bits?.length ?? 8) * 2));
    if (bits !== undefined) larger.set(bits);
    marks.set(root, larger);
    bits = larger;
  }
  bits[index >>> 3] = bits[index >>> 3]! | (1 << (index & 7));
}
