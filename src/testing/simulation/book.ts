import type { Command } from '../../ledger/books/verbs/all.ts';
import type { Outcome } from '../../ledger/books/waiting.ts';
import { type RunRow, type SettleDecision, SHARD_BATCHES } from '../../ledger/ledger.ts';
import type { SimProcess } from './process.ts';
import type { SinkRequest } from './sink-server.ts';
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
}

export interface Settled {
  readonly batch: number;
  readonly decision: SettleDecision['kind'];
  readonly who: string;
  readonly evidence: string;
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
  /** Orders and starts that were given by then: only they may open a run again. */
  readonly orders: number;
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
  /** Told when a process closes a generation: its latest reading. */
  readingOf: (process: string) => Reading | undefined = () => undefined;
  /** Everything that was said to a person, and every error. */
  readonly said: string[] = [];
  readonly violations: Violation[] = [];
  /** How often each invariant was really checked. */
  readonly checks = new Map<string, number>();
  /** Orders of operators that change what a run is to do. */
  orders = 0;
  cancelled = false;
  resends = 0;
  takeovers = 0;
  /** Records that came again with other content after they had been refused: they may be sent in any flow. */
  changedAfterRefusal = 0;
  readonly #claims = new Map<string, Claim>();
  readonly #intents = new Map<string, string>();
  #jumped = false;

  /** Something was checked; `broken` says what was wrong, if anything was. */
  check(invariant: string, holds: boolean, what: () => string): void {
    this.checks.set(invariant, (this.checks.get(invariant) ?? 0) + 1);
    if (!holds) this.violations.push({ invariant, what: what() });
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
        return;
      case 'closeGeneration':
        this.closed.push({ run: ask.run!, reading: this.readingOf(process.name) });
        return;
      case 'abandonGeneration':
        process.world.mark('a generation was abandoned');
        return;
      case 'cancel':
        this.cancelled = true;
        return;
      default:
    }
  }

  #claimed(process: SimProcess, shard: { run: number; lane: string; shard: number; fence: number } | undefined): void {
    if (shard === undefined) return;
    const place = `${shard.run}/${shard.lane}/${shard.shard}`;
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

  #sealed(process: SimProcess, ask: Readonly<Record<string, never>>): void {
    const position = (ask.position as { value: string } | undefined)?.value;
    const { run, generation, rows } = ask as unknown as { run: number; generation: number; rows: number };
    this.seals.push({ run, generation, rows, position, process: process.name });
  }
}
