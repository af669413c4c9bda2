import {
  type BatchRow,
  type ClaimShard,
  type DoubtRow,
  type Ledger,
  SHARD_BATCHES,
  type Shard,
  type ShardClaim,
} from '../ledger/ledger.ts';
import { WaybillError } from '../model/errors.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import type { Ports } from '../model/ports.ts';
import { LeaseKeeper } from './lease.ts';
import { OVER } from './over.ts';

/** Something to do with one batch, under a claim. `tries`: attempts of it, or of what it came from, in this start. */
export interface Work {
  readonly todo: 'send' | 'settle';
  readonly batch: BatchRow;
  readonly doubt?: DoubtRow;
  readonly claim: ShardClaim;
  readonly lease: LeaseKeeper;
  readonly tries: number;
  /** Monotonic time before which it must not begin. */
  readonly notBeforeMs: number;
}

interface HeldShard {
  readonly claim: ShardClaim;
  readonly lease: LeaseKeeper;
  /** Works that were handed out or are queued; at 0 it is being given back. */
  open: number;
  /** The newest batch that the claim, or a look after it, has brought. */
  upTo: BatchId | 0;
  /** Takes in nothing more, so that it is given back soon: what is left of it needs a claim anew. */
  closing: boolean;
}

export interface FeedOptions {
  readonly run: RunId;
  readonly lane: string;
  readonly owner: string;
  readonly leaseMs: number;
  readonly only?: readonly BatchId[];
  /** Hand out nothing while something before it waits. */
  readonly ordered: boolean;
  readonly place?: ClaimShard['place'];
  /** What is ready is left to somebody else. */
  readonly settlesOnly: boolean;
}

/**
 * Finds the work of one lane: claims shards, keeps their leases, queues what is in them and what comes of it, and
 * gives shards back when nothing of them is left to do. One caller takes from it.
 */
export class LaneFeed {
  readonly #ledger: Ledger;
  readonly #ports: Ports;
  readonly #options: FeedOptions;
  readonly #held = new Map<number, HeldShard>();
  /** Shards in which only what cannot be done now is left. */
  readonly #exhausted = new Set<number>();
  /** What children bring along until their shard is claimed. */
  readonly #awaited = new Map<BatchId, { tries: number; notBeforeMs: number }>();
  #queue: Work[] = [];
  /** Those that were asked for, and what has to be decided before them. */
  #only: readonly BatchId[] | undefined;
  #reading: boolean;
  #mayClaim = true;
  /** Sealed since the last look, and to be taken into the shards that are held. */
  #fresh: BatchId[] = [];
  #wake: (() => void) | undefined;

  constructor(ledger: Ledger, ports: Ports, options: FeedOptions, reading: boolean) {
    this.#ledger = ledger;
    this.#ports = ports;
    this.#options = options;
    this.#only = options.only;
    this.#reading = reading;
  }

  /** The next thing to do, as soon as there is one; undefined when there is and will be nothing, or on `stop`. */
  async next(stop: AbortSignal): Promise<Work | undefined> {
    while (!stop.aborted) {
      const work = this.#takeReady();
      if (work !== undefined) return work;
      if (this.#fresh.length > 0) {
        await this.#takeIn(this.#fresh.splice(0));
        continue;
      }
      if (this.#mayClaim && !(this.#options.ordered && this.#busy())) {
        await this.#claim();
        continue;
      }
      if (!this.#busy() && !this.#reading && this.#awaited.size === 0) return undefined;
      await this.#sleepUntilChange(stop);
    }
    return undefined;
  }

  /** More was sealed, and these batches of it are of this lane. */
  sealed(batches: readonly BatchId[]): void {
    this.#exhausted.clear();
    if (this.#takesIn && this.#busy()) this.#fresh.push(...batches);
    else this.#mayClaim = true;
    this.#wake?.();
  }

  /** Nothing more will be sealed. */
  ended(): void {
    this.#reading = false;
    this.#exhausted.clear();
    this.#changed();
  }

  /** The same batch again, later. */
  again(work: Work, next: Pick<Work, 'todo' | 'batch' | 'tries' | 'notBeforeMs'> & { doubt?: DoubtRow }): void {
    this.#queue.push({ claim: work.claim, lease: work.lease, ...next });
    this.#changed();
  }

  /**
   * Batches that came of this one; they come before what waits. Where all is refused, that is seen after the first
   * records, and not when every batch has been halved down to its own.
   */
  children(children: readonly BatchRow[], tries: number, notBeforeMs: number): void {
    const works: Work[] = [];
    for (const batch of children) {
      const shard = shardOf(batch);
      const held = this.#held.get(shard);
      if (held === undefined) {
        this.#awaited.set(batch.id, { tries, notBeforeMs });
        this.#exhausted.delete(shard);
        continue;
      }
      held.open++;
      works.push({ todo: 'send', batch, claim: held.claim, lease: held.lease, tries, notBeforeMs });
    }
    this.#queue.unshift(...works);
    this.#changed();
  }

  /** Nothing more is to be done with this work now. `left`: its batch still has open records. */
  async done(work: Work, left: boolean): Promise<void> {
    if (left) this.#exhausted.add(work.claim.shard);
    const held = this.#held.get(work.claim.shard);
    if (held === undefined || --held.open > 0) return;
    // Held until it is given back: a claim of the same shard meanwhile would fence this one.
    await this.#giveBack(held);
    this.#held.delete(work.claim.shard);
    this.#changed();
  }

  /** The same, where what is left needs a claim anew: the shard is given back when what is under way is through. */
  async anew(work: Work): Promise<void> {
    const held = this.#held.get(work.claim.shard);
    if (held !== undefined) held.closing = true;
    await this.done(work, false);
  }

  /** Gives back every shard. */
  async close(): Promise<void> {
    for (const held of this.#held.values()) await this.#giveBack(held);
    this.#held.clear();
    this.#queue = [];
  }

  #busy(): boolean {
    return this.#held.size > 0;
  }

  #takeReady(): Work | undefined {
    const nowMs = this.#ports.monotonicMs();
    const ready = (work: Work): boolean => work.notBeforeMs <= nowMs;
    const work = this.#nextInTurn().find(ready);
    if (work === undefined) return undefined;
    this.#queue.splice(this.#queue.indexOf(work), 1);
    return work;
  }

  /** What may be begun as soon as its time has come: in order only the first of all, however long it waits. */
  #nextInTurn(): readonly Work[] {
    if (!this.#options.ordered || this.#queue.length === 0) return this.#queue;
    // A place that may be taken is decided about before anything else is put there.
    const tried = this.#options.place === undefined ? [] : this.#queue.filter((work) => work.batch.attempts > 0);
    const queue = tried.length > 0 ? tried : this.#queue;
    return [queue.reduce((first, work) => (comesBefore(work.batch, first.batch) ? work : first))];
  }

  /** In order, or where others may write to the same place, a claim decides what comes next. */
  get #takesIn(): boolean {
    const { ordered, place, only } = this.#options;
    return !ordered && place === undefined && only === undefined;
  }

  /** Into shards that are held: a claim would find nothing of them, and they need not be given back for it. */
  async #takeIn(batches: readonly BatchId[]): Promise<void> {
    const { run, lane } = this.#options;
    const found = { run, lane, states: ['sealed' as const], after: Math.min(...batches) - 1, limit: batches.length };
    const wanted = new Set(batches);
    let taken = 0;
    for (const batch of await this.#ledger.read.batches(found)) {
      const held = this.#held.get(shardOf(batch));
      if (held === undefined || held.open === 0 || held.closing || !wanted.has(batch.id)) continue;
      taken++;
      if (batch.id <= held.upTo) continue;
      held.upTo = batch.id;
      held.open++;
      this.#queue.push({ todo: 'send', batch, claim: held.claim, lease: held.lease, tries: 0, notBeforeMs: 0 });
    }
    if (taken < wanted.size) this.#mayClaim = true;
  }

  async #claim(): Promise<void> {
    const grantedAtMs = this.#ports.monotonicMs();
    const { run, lane, leaseMs } = this.#options;
    this.#mayClaim = false;
    const shard = await this.#askForShard();
    if (shard === undefined) {
      this.#awaited.clear();
      return;
    }
    this.#mayClaim = true;
    const claim: ShardClaim = { run, lane, shard: shard.shard, fence: shard.fence };
    const lease = new LeaseKeeper(this.#ports, { grantedAtMs, leaseMs }, () =>
      this.#ledger.renewShard({ ...claim, leaseMs }),
    );
    await this.#hold(shard, claim, lease);
  }

  async #askForShard(): Promise<Shard | undefined> {
    const { run, lane, owner, leaseMs, place } = this.#options;
    const only = this.#only;
    try {
      return await this.#ledger.claimShard({
        run,
        lane,
        owner,
        leaseMs,
        skip: [...this.#held.keys(), ...this.#exhausted],
        ...(only === undefined ? {} : { only }),
        ...(place === undefined ? {} : { place }),
      });
    } catch (error) {
      this.#mayClaim = true;
      const own = error instanceof WaybillError && error.code === 'PLACE_IN_DOUBT' && error.ids.run === run;
      // Whoever hears of it may ask for the next work again.
      const batch = error instanceof WaybillError ? (error.ids.batch as BatchId) : undefined;
      if (!own || only?.includes(batch!) !== false) throw error;
      this.#only = [...only, batch!];
      return await this.#askForShard();
    }
  }

  async #hold(shard: Shard, claim: ShardClaim, lease: LeaseKeeper): Promise<void> {
    const { place } = this.#options;
    const only = this.#only;
    // What may stand where the next batch goes comes first, whether it was asked for or not.
    const wanted = (batch: BatchRow): boolean =>
      only === undefined || only.includes(batch.id) || (place !== undefined && batch.attempts > 0);
    const works: Work[] = [];
    for (const doubt of shard.doubts.filter(wanted)) {
      works.push({ todo: 'settle', batch: doubt, doubt, claim, lease, tries: 0, notBeforeMs: 0 });
    }
    for (const batch of this.#options.settlesOnly ? [] : shard.ready.filter(wanted)) {
      const brought = this.#awaited.get(batch.id) ?? { tries: 0, notBeforeMs: 0 };
      this.#awaited.delete(batch.id);
      works.push({ todo: 'send', batch, claim, lease, ...brought });
    }
    const upTo = works.reduce<BatchId | 0>((last, { batch }) => (batch.id > last ? batch.id : last), 0);
    const held: HeldShard = { claim, lease, open: works.length, upTo, closing: false };
    if (works.length === 0) {
      this.#exhausted.add(shard.shard);
      await this.#giveBack(held);
      return;
    }
    this.#held.set(shard.shard, held);
    this.#queue.push(...works);
  }

  async #giveBack(held: HeldShard): Promise<void> {
    await held.lease.close();
    if (!held.lease.lost.aborted) await this.#ledger.releaseShard(held.claim);
  }

  #changed(): void {
    this.#mayClaim = true;
    this.#wake?.();
  }

  async #sleepUntilChange(stop: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort(OVER);
    const nowMs = this.#ports.monotonicMs();
    const nextMs = Math.min(...this.#nextInTurn().map((work) => work.notBeforeMs), nowMs + 60_000) - nowMs;
    try {
      await this.#ports.sleep(Math.max(1, nextMs), AbortSignal.any([stop, woken.signal]));
    } catch (error) {
      if (!stop.aborted && !woken.signal.aborted) throw error;
    } finally {
      this.#wake = undefined;
    }
  }
}

const shardOf = ({ seq }: BatchRow): number => Math.floor((seq - 1) / SHARD_BATCHES);

/**
 * Children stand at the end of their lane, but their records belong where they were sealed: before what came later, and
 * halves of a half before the other half.
 */
function comesBefore(a: BatchRow, b: BatchRow): boolean {
  const [rootOfA, rootOfB] = [a.root ?? a.id, b.root ?? b.id];
  if (rootOfA !== rootOfB) return rootOfA < rootOfB;
  const [firstOfA, firstOfB] = [a.picks?.[0] ?? 0, b.picks?.[0] ?? 0];
  return firstOfA === firstOfB ? a.id < b.id : firstOfA < firstOfB;
}
