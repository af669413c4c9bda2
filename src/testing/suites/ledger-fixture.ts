import { createHash } from 'node:crypto';
import type {
  Child,
  ClaimShard,
  LaneSpec,
  Ledger,
  OpenedRun,
  RunClaim,
  SealedBatch,
  Shard,
  ShardClaim,
} from '../../ledger/ledger.ts';
import type { Rung } from '../../model/guarantee.ts';
import type { BatchId } from '../../model/ids.ts';
import type { Receipt } from '../../model/receipt.ts';
import type { BatchState } from '../../model/states.ts';
import { allOf, OUTCOME, type Refusal } from '../../model/verdict.ts';
import type { Grouping } from './case-list.ts';

/** A ledger under test, with a clock that stands still until it is told to move. */
export interface LedgerBench {
  readonly ledger: Ledger;
  /** The same ledger opened anew, as after a crash: the first one is not closed before. */
  reopen(): Promise<Ledger>;
  /** Moves the clock that all of them go by. */
  advance(ms: number): void;
  cleanup(): Promise<void>;
}

/** What a group of cases is given: the ledger of the present case, and where to list it. */
export interface UnderTest extends Grouping {
  readonly bench: () => LedgerBench;
  readonly ledger: () => Ledger;
}

export const LEASE_MS = 60_000;
export const RECEIPT: Receipt = { summary: '200 OK' };

export const laneSpec = (lane: string): LaneSpec => ({
  lane,
  connector: 'memory',
  strategy: 'ledgered-append',
  rung: 'none',
  onDoubt: 'hold',
  mappingDigest: 'none',
});

const digestOf = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());

/** The packed key of a record by a number: the same number is the same key. */
export const keyOf = (number: number): Uint8Array => digestOf(`key ${number}`).subarray(0, 16);

export function keysOf(first: number, count: number): Uint8Array {
  const keys = new Uint8Array(count * 16);
  for (let nth = 0; nth < count; nth++) keys.set(keyOf(first + nth), nth * 16);
  return keys;
}

export const sealedBatch = (lane: string, first: number, records: number): SealedBatch => ({
  lane,
  records,
  bytes: records * 20,
  digest: digestOf(`batch ${lane} ${first} ${records}`),
  keys: keysOf(first, records),
  staged: { segment: `${lane}-1`, offset: first * 20, bytes: records * 20, trailerBytes: records * 16 },
});

export const child = (picks: readonly number[], reason = 'again'): Child => ({
  picks,
  bytes: picks.length * 20,
  digest: digestOf(`child ${picks.join()} ${reason}`),
  reason,
});

export const refusal = (index: number): Refusal => ({
  index,
  code: '422',
  message: 'no such member',
  retryable: false,
});

/** A verdict out of a word for each record: `a`pplied, `r`efused, `u`nknown. */
export function verdict(word: string, children: readonly Child[] = []) {
  const meaning: Record<string, number> = { a: OUTCOME.applied, r: OUTCOME.refused, u: OUTCOME.unknown };
  const outcomes = Uint8Array.from(word, (letter) => meaning[letter] as number);
  const refusals = [...word].flatMap((letter, index) => (letter === 'r' ? [refusal(index)] : []));
  return { kind: 'verdict', outcomes, refusals, receipt: RECEIPT, children } as const;
}

export const delivered = (records: number) =>
  ({
    kind: 'verdict',
    outcomes: allOf(OUTCOME.applied, records),
    refusals: [],
    receipt: RECEIPT,
    children: [],
  }) as const;

/** The code that a promise is refused with; fails when it is not. */
export async function refusedWith(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    // By its name: the ledger under test may have been built apart from this suite.
    if (error instanceof Error && error.name === 'WaybillError' && 'code' in error) return String(error.code);
    throw error;
  }
  return 'not refused';
}

/** A run of one flow, with what a process that holds it would know. */
export class Book {
  readonly ledger: Ledger;
  readonly opened: OpenedRun;
  generation = 0;
  #next = 1;

  constructor(ledger: Ledger, opened: OpenedRun) {
    this.ledger = ledger;
    this.opened = opened;
  }

  static async open(
    ledger: Ledger,
    ask: { flow?: string; window?: string; lanes?: readonly string[]; owner?: string; rung?: Rung } = {},
  ): Promise<Book> {
    const opened = await ledger.openRun({
      flow: ask.flow ?? 'members',
      window: { name: ask.window ?? '2026-11-19', start: '2026-11-19T00:00:00Z', end: '2026-11-20T00:00:00Z' },
      lanes: (ask.lanes ?? ['api']).map((lane) => ({ ...laneSpec(lane), rung: ask.rung ?? 'none' })),
      owner: ask.owner ?? 'first',
      leaseMs: LEASE_MS,
      configDigest: 'config',
    });
    return new Book(ledger, opened);
  }

  /** Opened, with one generation of batches of these sizes, closed. */
  static async sealed(
    ledger: Ledger,
    sizes: readonly number[],
    ask: Parameters<typeof Book.open>[1] = {},
  ): Promise<{ book: Book; ids: readonly BatchId[] }> {
    const book = await Book.open(ledger, ask);
    await book.start();
    const ids = await book.seal(sizes);
    await book.close();
    return { book, ids };
  }

  /** The same claim, used through another opening of the ledger. */
  through(ledger: Ledger): Book {
    const book = new Book(ledger, this.opened);
    book.generation = this.generation;
    return book;
  }

  get claim(): RunClaim {
    return { run: this.opened.run.id, fence: this.opened.fence };
  }

  get run() {
    return this.opened.run.id;
  }

  async start(kind: 'first' | 'refresh' = 'first', more: { readonly reopens?: boolean } = {}): Promise<void> {
    const ask = { ...this.claim, kind, reason: 'the test', ...more };
    this.generation = (await this.ledger.startGeneration(ask)).generation;
  }

  /** `leftOut`: of each batch. */
  async seal(sizes: readonly number[], lane = 'api', leftOut?: SealedBatch['leftOut']): Promise<readonly BatchId[]> {
    const batches = sizes.map((records) => {
      const batch = { ...sealedBatch(lane, this.#next, records), ...(leftOut === undefined ? {} : { leftOut }) };
      this.#next += records;
      return batch;
    });
    const read = sizes.reduce((sum, size) => sum + size, 0);
    const counts = [{ lane, read, same: 0, changed: 0, duplicates: 0 }];
    const asked = { ...this.claim, generation: this.generation, batches, unbatched: [], counts, rows: this.#next - 1 };
    return (await this.ledger.seal(asked)).batches;
  }

  async close(): Promise<void> {
    await this.ledger.closeGeneration({ ...this.claim, generation: this.generation, vanished: [] });
  }

  async claimShard(
    ask: { lane?: string; owner?: string } & Pick<ClaimShard, 'skip' | 'place'> = {},
  ): Promise<Shard | undefined> {
    const { lane = 'api', owner = 'first', ...rest } = ask;
    return await this.ledger.claimShard({
      run: this.run,
      lane,
      owner,
      leaseMs: LEASE_MS,
      ...rest,
    });
  }

  /** Claims the first shard, intends a batch and gives it this answer. */
  async deliver(batch: BatchId, answer: Parameters<Ledger['answer']>[0]['answer'], claim?: ShardClaim) {
    const held = claim ?? (await this.claimShard());
    if (held === undefined) throw new RangeError('there is nothing to claim');
    const at = shardClaim(held);
    const { attempt } = await this.ledger.intend({ ...at, batch, deadlineMs: 5_000 });
    const moved = await this.ledger.answer({ ...at, batch, attempt, answer });
    return { ...moved, claim: at, attempt };
  }

  async states(): Promise<BatchState[]> {
    return (await this.ledger.read.batches({ run: this.run })).map((batch) => batch.state);
  }

  /** `delivered/refused/skipped/in doubt/pending of read` */
  async balance(lane = 'api'): Promise<string> {
    const balance = (await this.ledger.read.balance(this.run)).get(lane);
    if (balance === undefined) return 'none';
    const { delivered, refused, skipped, inDoubt, pending, read } = balance;
    return `${[delivered, refused, skipped, inDoubt, pending].join('/')} of ${read}`;
  }
}

export const shardClaim = ({ run, lane, shard, fence }: ShardClaim): ShardClaim => ({ run, lane, shard, fence });
