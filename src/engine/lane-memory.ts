import type { BatchRow, LedgerReader, RecordRef } from '../ledger/ledger.ts';
import type { Staging } from '../ledger/staging.ts';
import { DIGEST_BYTES, type Identities, KEY_BYTES } from '../model/chunk.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import { everyRow } from '../model/pages.ts';
import type { RecordState } from '../model/states.ts';
import { KeyFilter } from './key-filter.ts';
import { KeyTable } from './key-table.ts';

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
  readonly possiblyLost: boolean;
  readonly digests: Uint8Array;
}

interface Hit {
  readonly ref: RecordRef;
  readonly state: RecordState;
  readonly batch: KnownBatch;
}

/** What a memory asks of the ledger. */
export type KeyReader = Pick<LedgerReader, 'laneKeys' | 'findKeys' | 'batch' | 'batches'>;

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
  readonly #filter = new KeyFilter();
  /** Keys of this extraction that the ledger does not have yet, and how often. */
  readonly #unsealed = new KeyTable();
  readonly #inChunk = new KeyTable();
  readonly #known = new Map<BatchId, KnownBatch>();
  /** One bit a record of a root batch: it has answered for a record of this extraction. */
  readonly #matched = new Map<BatchId, Uint8Array>();
  /** Likewise: its key was met, whatever its content. */
  readonly #present = new Map<BatchId, Uint8Array>();

  constructor(
    at: { run: RunId; lane: string; generation: number },
    stores: { reader: KeyReader; staging: Pick<Staging, 'digests'> },
    how: { compares: boolean; keyed: boolean },
  ) {
    this.#at = at;
    this.#reader = stores.reader;
    this.#staging = stores.staging;
    this.#compares = how.compares;
    this.#keyed = how.keyed;
  }

  /** Fills the filter with the keys that the lane has already. */
  async load(): Promise<void> {
    const at = { run: this.#at.run, lane: this.#at.lane };
    for await (const { keys } of everyRow(
      (page) => this.#reader.laneKeys({ ...at, ...page }),
      (row) => row.batch,
    )) {
      for (let nth = 0; nth < keys.length / KEY_BYTES; nth++) this.#filter.add(keys, nth);
    }
  }

  /** Judges the named records of a chunk, in order: one judgement for each of them. Each is remembered as met. */
  async judge(identities: Identities, nths: readonly number[]): Promise<readonly Judgement[]> {
    const hits = await this.#hits(identities, nths);
    this.#inChunk.clear();
    return nths.map((nth) => {
      const judgement = this.#judgeOne(identities, nth, hits.get(nth) ?? NO_HITS);
      if (this.#keyed) this.#inChunk.add(identities.keys, nth);
      return judgement;
    });
  }

  /** A record goes into a batch. */
  remember(keys: Uint8Array, nth: number): void {
    if (this.#keyed) this.#unsealed.add(keys, nth);
    this.#filter.add(keys, nth);
  }

  /** The ledger has these now. */
  sealed(keys: Uint8Array): void {
    for (let nth = 0; nth < keys.length / KEY_BYTES; nth++) this.#unsealed.remove(keys, nth);
  }

  /** Records of earlier generations whose key this extraction did not bring. */
  async vanished(): Promise<RecordRef[]> {
    const gone: RecordRef[] = [];
    if (!this.#compares) return gone;
    const at = { run: this.#at.run, lane: this.#at.lane };
    for await (const batch of everyRow(
      (page) => this.#reader.batches({ ...at, ...page }),
      (row) => row.id,
    )) {
      if (batch.generation < this.#at.generation && batch.parent === undefined) gone.push(...this.#absentOf(batch));
    }
    return gone;
  }

  #absentOf(batch: BatchRow): RecordRef[] {
    const bits = this.#present.get(batch.id);
    const absent: RecordRef[] = [];
    for (let index = 0; index < batch.records; index++) {
      if (!isSet(bits, index)) absent.push({ batch: batch.id, index });
    }
    return absent;
  }

  #judgeOne(identities: Identities, nth: number, hits: readonly Hit[]): Judgement {
    const { keys } = identities;
    if (hits.length === 0) {
      if (!this.#keyed) return NEW;
      return this.#inChunk.has(keys, nth) || this.#unsealed.has(keys, nth) ? DUPLICATE : NEW;
    }
    const earlier = this.#compares ? hits.filter((hit) => hit.batch.generation < this.#at.generation) : [];
    if (this.#keyed) for (const hit of earlier) mark(this.#present, hit);
    const free = earlier.filter((hit) => !isMarked(this.#matched, hit));
    const digest = identities.digests.subarray(nth * DIGEST_BYTES, (nth + 1) * DIGEST_BYTES);
    const equal = free.find((hit) => Buffer.compare(digestOf(hit), digest) === 0);
    const match = equal ?? (this.#keyed ? free[0] : undefined);
    if (match !== undefined) {
      mark(this.#matched, match);
      mark(this.#present, match);
      // What a cancelled run left out was never sent; what a person gave up as possibly lost stays given up.
      if (match.state === 'skipped' && !match.batch.possiblyLost) return NEW;
      return equal === undefined ? { kind: 'changed', was: match.state } : SAME;
    }
    if (!this.#keyed) return NEW;
    const before = earlier.length > 0 || this.#inChunk.has(keys, nth) || this.#unsealed.has(keys, nth);
    return before || hits.some((hit) => hit.batch.generation === this.#at.generation) ? DUPLICATE : NEW;
  }

  async #hits(identities: Identities, nths: readonly number[]): Promise<Map<number, Hit[]>> {
    const asked = nths.filter((nth) => this.#filter.perhaps(identities.keys, nth));
    const hits = new Map<number, Hit[]>();
    if (asked.length === 0 || (!this.#keyed && !this.#compares)) return hits;
    const keys = Buffer.concat(asked.map((nth) => identities.keys.subarray(nth * KEY_BYTES, (nth + 1) * KEY_BYTES)));
    const found = await this.#reader.findKeys({ run: this.#at.run, lane: this.#at.lane, keys });
    for (const { nth: place, ref, state } of found) {
      const nth = asked[place]!;
      const hit: Hit = { ref, state, batch: await this.#batch(ref.batch) };
      const list = hits.get(nth);
      if (list === undefined) hits.set(nth, [hit]);
      else list.push(hit);
    }
    return hits;
  }

  async #batch(id: BatchId): Promise<KnownBatch> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const row = await this.#reader.batch(id);
    const digests =
      row.generation < this.#at.generation ? (await this.#staging.digests(row.staged)).source : NO_DIGESTS;
    const batch: KnownBatch = {
      root: row.root ?? row.id,
      picks: row.picks,
      generation: row.generation,
      possiblyLost: row.possibly === 'lost',
      digests,
    };
    if (this.#known.size >= KNOWN_BATCHES_MAX) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(id, batch);
    return batch;
  }
}

const NO_DIGESTS = new Uint8Array(0);
const NO_HITS: readonly Hit[] = [];

const rootIndex = (hit: Hit): number => hit.batch.picks?.[hit.ref.index] ?? hit.ref.index;

const digestOf = (hit: Hit): Uint8Array =>
  hit.batch.digests.subarray(rootIndex(hit) * DIGEST_BYTES, (rootIndex(hit) + 1) * DIGEST_BYTES);

const isSet = (bits: Uint8Array | undefined, index: number): boolean =>
  bits !== undefined && ((bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;

const isMarked = (marks: Map<BatchId, Uint8Array>, hit: Hit): boolean =>
  isSet(marks.get(hit.batch.root), rootIndex(hit));

function mark(marks: Map<BatchId, Uint8Array>, hit: Hit): void {
  const index = rootIndex(hit);
  let bits = marks.get(hit.batch.root);
  if (bits === undefined || bits.length <= index >>> 3) {
    const larger = new Uint8Array(Math.max((index >>> 3) + 1, hit.batch.digests.length / DIGEST_BYTES / 8 + 1));
    if (bits !== undefined) larger.set(bits);
    marks.set(hit.batch.root, larger);
    bits = larger;
  }
  bits[index >>> 3] = bits[index >>> 3]! | (1 << (index & 7));
}
