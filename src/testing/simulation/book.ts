import type { Command } from '../../ledger/books/verbs/all.ts';
import type { Outcome } from '../../ledger/books/waiting.ts';
import {
  type OpenedRun,
  type RunClaim,
  type RunRow,
  type SettleDecision,
  SHARD_BATCHES,
  type ShardClaim,
} from '../../ledger/ledger.ts';
import type { LoadMove, LoadRow, LoadStep } from '../../model/load.ts';
import type { Slice } from '../../model/slice.ts';
import type { SimProcess } from './process.ts';
import type { SinkRequest } from './sink-request.ts';
import type { Reading } from './source-model.ts';

/** A broken invariant: which, and what was seen. */
export interface Violation {
  readonly invariant: string;
  readonly what: string;
}

export interface Claim {
  readonly fence: number;
  readonly process: string;
  readonly atMs: number;
}

/** A send, and what was true at the moment at which its bytes left. */
export interface Send {
  readonly request: SinkRequest;
  /** The newest claim of its shard then. */
  readonly claim: Claim | undefined;
  readonly intended: boolean;
  readonly clockJumped: boolean;
}

export interface Seal {
  readonly run: number;
  readonly generation: number;
  readonly rows: number;
  readonly position: string | undefined;
  readonly process: string;
  /** In a pull: what the ledger was told of it. */
  readonly slice: Slice | undefined;
}

export interface Settled {
  readonly batch: number;
  readonly decision: SettleDecision['kind'];
  readonly who: string;
  readonly evidence: string;
}

/** What the ledger had of a lane of one process once an intent was durable: what a crash would have put in doubt. */
export interface Exposure {
  readonly process: string;
  readonly lane: string;
  /** Attempts that have no answer, in the ledger or in the journal. */
  readonly attempts: readonly string[];
}

/** A generation that was closed, and the reading that it was closed with. */
export interface Closed {
  readonly run: number;
  readonly reading: Reading | undefined;
}

/** What somebody who reads the sink saw of one batch. */
export interface Look {
  readonly batch: number;
  readonly seen: number;
  readonly whole: number;
}

/** How a process ended, and what it left open. */
export interface Ending {
  readonly process: string;
  readonly window: string;
  readonly error: unknown;
  readonly left: { readonly timers: number; readonly effects: number; readonly writers: number };
  readonly leases: number;
}

/** What the public answers said of a run at some moment. */
export interface Seen {
  readonly process: string;
  readonly run: RunRow;
  readonly atMs: number;
  /** What it says was so then or later: a process that was stalled may tell what it had read before. */
  readonly sinceMs: number;
  /** Orders and starts that were given by then: only they may open a run again. */
  readonly orders: number;
}

type Intent = ShardClaim & { readonly batch: number };

interface Unanswered {
  readonly process: string;
  readonly lane: string;
  readonly place: string;
  readonly batch: number;
  readonly attempt: number;
}

/**
 * What really happened, written down beside the engine by whoever saw it: the seams. Invariants compare it with what
 * the ledger says at the end. Nothing here is ever read by the engine.
 */
export class Book {
  readonly sends: Send[] = [];
  readonly seals: Seal[] = [];
  readonly settled: Settled[] = [];
  readonly endings: Ending[] = [];
  readonly seen: Seen[] = [];
  readonly closed: Closed[] = [];
  readonly looks: Look[] = [];
  readonly exposures: Exposure[] = [];
  /** Whether the journal has the answer to an attempt. */
  isJournaled: (batch: number, attempt: number) => boolean = () => false;
  /** Told when a process closes a generation: its latest reading. */
  readingOf: (process: string) => Reading | undefined = () => undefined;
  /** Everything that was said to a person, and every error. */
  readonly said: string[] = [];
  readonly violations: Violation[] = [];
  /** How often each invariant was really checked. */
  readonly checks = new Map<string, number>();
  /** Orders of operators that change what a run is to do. */
  orders = 0;
  /** Processes of persons whose orders are being carried out. */
  readonly #ordering = new Set<SimProcess>();
  /** Processes that were told to read or send their window again. */
  readonly #ordered = new Set<string>();
  readonly #cancelled = new Set<number>();
  /** Processes whose run was cancelled when they opened it. */
  readonly #foundCancelled = new Set<string>();
  cancelled = false;
  resends = 0;
  takeovers = 0;
  /** Records that came again with other content after they had been refused: they may be sent in any flow. */
  changedAfterRefusal = 0;
  readonly #claims = new Map<string, Claim>();
  readonly #intents = new Map<string, string>();
  readonly #unanswered = new Map<string, Unanswered>();
  /** Steps of loads that the ledger has as begun: lane, window, generation, step and fence. */
  readonly #begun = new Set<string>();
  #jumped = false;

  /** Something was checked; `broken` says what was wrong, if anything was. */
  check(invariant: string, holds: boolean, what: () => string): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
    if (!holds) this.violations.push({ invariant, what: what() });
  }

  /** Every start that says so has ordered it, and carries it out when it comes to it: others may be done by then. */
  toldToBeginAgain(process: string): void {
    this.orders++;
    this.#ordered.add(process);
  }

  orderBegan(process: SimProcess): void {
    this.#ordering.add(process);
  }

  orderEnded(process: SimProcess): void {
    this.orders++;
    this.#ordering.delete(process);
  }

  /** What an order does comes bit by bit: of who looks meanwhile nobody can say how much of it he has seen. */
  saw(seen: Omit<Seen, 'orders'>): void {
    for (const process of this.#ordering) {
      this.orders++;
      if (!process.alive) this.#ordering.delete(process);
    }
    this.seen.push({ ...seen, orders: this.orders });
  }

  clockJumped(): void {
    this.#jumped = true;
  }

  intendedBy(batch: number): string | undefined {
    return this.#intents.get(`last ${batch}`);
  }

  sent(process: SimProcess, request: SinkRequest): void {
    const { batch, attempt } = request;
    const claim = this.#claims.get(`${batch.run}/${batch.lane}/${Math.floor((batch.seq - 1) / SHARD_BATCHES)}`);
    const intended = this.#intents.get(`${batch.id}/${attempt}`) === process.name;
    this.sends.push({ request, claim, intended, clockJumped: this.#jumped });
    process.world.tell(process.name, `sends b${batch.id} attempt ${attempt} fence ${request.fence}`);
  }

  /** A step of a load leaves: whether the ledger has it as begun, by the start that asks for it. */
  asked(_: SimProcess, ability: string, { load, fence }: LoadStep): boolean {
    const { lane, window, generation } = load;
    const step = ability === 'load.open' ? 'opening' : 'publishing';
    return this.#begun.has(`${lane}/${window.name}/${generation}/${step}/${fence}`);
  }

  /** What a process had the ledger do. */
  written(process: SimProcess, command: Command, outcome: Outcome): void {
    if (!outcome.ok) {
      const code = (outcome.error as { code?: string }).code;
      if (code === 'LEASE_HELD') process.world.mark('a start was refused: somebody holds the lease');
      if (code === 'FENCED') process.world.mark('a writer was fenced');
      return;
    }
    const ask = command.ask as Readonly<Record<string, never>>;
    switch (command.verb) {
      case 'claimShard':
        this.#claimed(process, outcome.value as { run: number; lane: string; shard: number; fence: number });
        return;
      case 'intend':
        this.#intents.set(`${ask.batch}/${(outcome.value as { attempt: number }).attempt}`, process.name);
        this.#intents.set(`last ${ask.batch}`, process.name);
        this.#intended(process, command.ask as Intent, (outcome.value as { attempt: number }).attempt);
        return;
      case 'answer':
        this.#unanswered.delete(`${ask.batch}/${ask.attempt}`);
        return;
      case 'seal':
        this.#sealed(process, ask);
        return;
      case 'settle': {
        const { kind } = (command.ask as { decision: SettleDecision }).decision;
        process.world.mark(`a doubt was settled: ${kind}`);
        this.settled.push({ batch: ask.batch!, decision: kind, who: ask.who!, evidence: ask.evidence! });
        return;
      }
      case 'startGeneration':
        if (ask.kind === 'resend') this.resends++;
        if (this.#ordered.has(process.name)) this.orders++;
        if (this.#cancelled.delete(ask.run!)) {
          const found = this.#foundCancelled.has(process.name);
          this.check('I12', found, () => `${process.name} has begun anew what was cancelled after it had opened it`);
        }
        return;
      case 'openRun':
        if ((outcome.value as OpenedRun).run.state === 'cancelled') this.#foundCancelled.add(process.name);
        return;
      case 'closeGeneration':
        this.closed.push({ run: ask.run!, reading: this.readingOf(process.name) });
        return;
      case 'abandonGeneration':
        process.world.mark('a generation was abandoned');
        return;
      case 'cancel':
        this.cancelled = true;
        this.#cancelled.add(ask.run!);
        return;
      case 'moveLoad':
        this.#loadMoved(process, command.ask as RunClaim & LoadMove, outcome.value as LoadRow);
        return;
      default:
    }
  }

  #intended({ name }: SimProcess, { run, lane, shard, batch }: Intent, attempt: number): void {
    this.#unanswered.set(`${batch}/${attempt}`, {
      process: name,
      lane,
      place: `${run}/${lane}/${shard}`,
      batch,
      attempt,
    });
    const open = [...this.#unanswered].filter(([, one]) => one.process === name && one.lane === lane);
    const attempts = open.filter(([, one]) => !this.isJournaled(one.batch, one.attempt)).map(([attempt]) => attempt);
    this.exposures.push({ process: name, lane, attempts });
  }

  #claimed(process: SimProcess, shard: { run: number; lane: string; shard: number; fence: number } | undefined): void {
    if (shard === undefined) return;
    const place = `${shard.run}/${shard.lane}/${shard.shard}`;
    // What had no answer by then is in doubt now, and listed.
    for (const [attempt, one] of this.#unanswered) if (one.place === place) this.#unanswered.delete(attempt);
    const before = this.#claims.get(place);
    const { doubts } = shard as unknown as { doubts: readonly { attempt: { reason?: string } }[] };
    // By its words: the commit takes its time, so the claim is heard of later than the attempt was given up.
    if (doubts.some((doubt) => doubt.attempt.reason?.includes('took over') === true)) {
      process.world.mark('an attempt was lost by a takeover');
    }
    if (before !== undefined && before.process !== process.name) {
      this.takeovers++;
      process.world.mark('a shard was taken over');
    }
    this.#claims.set(place, { fence: shard.fence, process: process.name, atMs: process.world.nowMs });
  }

  #loadMoved({ world }: SimProcess, ask: RunClaim & LoadMove, { lane, window, tries }: LoadRow): void {
    this.#begun.add(`${lane}/${window.name}/${ask.generation}/${ask.to}/${ask.fence}`);
    if (ask.to === 'publishing' && tries > 1) world.mark('publishing was begun once more');
    if (ask.to === 'open' && ask.receipt === undefined) world.mark('a load was proved not to be published');
    if (ask.to === 'open' && ask.undone !== undefined)
      world.mark('a load was not published after the sink had gone back for it');
    if ((ask.undone ?? []).length === 0) return;
    world.mark('a load took out what other windows had brought');
    // Their runs are open again, by no order of anybody.
    this.orders++;
  }

  #sealed(process: SimProcess, ask: Readonly<Record<string, never>>): void {
    const position = (ask.position as { value: string } | undefined)?.value;
    const { run, generation, rows, slice } = ask as unknown as Omit<Seal, 'slice'> & { readonly slice?: Slice };
    this.seals.push({ run, generation, rows, position, process: process.name, slice });
  }
}
