import type { JournalEntry } from '../ledger/journal.ts';
import type { Answer, Moved, ShardClaim } from '../ledger/ledger.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import { type BatchId, showBatch } from '../model/ids.ts';
import type { Services } from './engine.ts';
import { withoutSecrets } from './without-secrets.ts';

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;
/** How long a ledger may refuse an answer before the run ends; the journal keeps the answer for the next start. */
const PATIENCE_MS = 30_000;

export interface Recording {
  /** On any of them rejects with the ledger's error, and leaves the answer in the journal. */
  readonly giveUp: readonly AbortSignal[];
  /**
   * Called when no intent that is asked for from now on can become durable before this answer: then the next batch may
   * leave, and a crash leaves no more in doubt than what may be under way at once.
   */
  ahead(): void;
}

/**
 * Carries an answer into the ledger. An answer that was heard is not lost because the ledger is away: it goes into
 * the journal first, or, where the ledger shares the journal's disk, as soon as the ledger refuses it. Undefined: the
 * ledger has given the batch to somebody else since; the answer is kept as evidence and changes nothing.
 */
export async function recordAnswer(
  services: Services,
  ask: { claim: ShardClaim; batch: BatchId; attempt: number; answer: Answer },
  { giveUp, ahead }: Recording,
): Promise<Moved | undefined> {
  const { ledger, journal, ports } = services;
  const answer = withoutSecrets(ask.answer);
  const entry: JournalEntry = {
    ...ask.claim,
    batch: ask.batch,
    attempt: ask.attempt,
    answer,
    ledger: ledger.identity.id,
  };
  const untilMs = ports.monotonicMs() + PATIENCE_MS;
  let journaled = false;
  if (!ledger.identity.local) {
    await journal.write(entry);
    journaled = true;
  }
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      const asked = ledger.answer({ ...ask.claim, batch: ask.batch, attempt: ask.attempt, answer });
      // What a ledger is asked for it makes durable in the order of asking.
      ahead();
      const moved = await asked;
      if (journaled) await journal.strike(entry);
      return moved;
    } catch (error) {
      if (isFenced(error)) return await keptAsEvidence(services, entry, journaled);
      if (!isPassing(error)) throw error;
      if (!journaled) await journal.write(entry);
      journaled = true;
      // Nobody waits for ever: the next start brings in what is in the journal.
      if (giveUp.some((signal) => signal.aborted) || ports.monotonicMs() + waitMs > untilMs) throw error;
      services.notice({
        level: 'warning',
        kind: 'ledger-away',
        message: `the ledger does not take an answer now; it is in the journal: ${describeError(error)}`,
        ids: { batch: showBatch(ask.batch) },
      });
      await ports.sleep(waitMs, AbortSignal.any([...giveUp])).catch(() => {
        throw error;
      });
    }
  }
}

/** Brings in what an earlier process on this machine heard and could not record. */
export async function replayJournal(services: Services): Promise<void> {
  const { ledger, journal } = services;
  for (const entry of await journal.entries()) {
    if (entry.ledger !== ledger.identity.id) continue;
    const { run, lane, shard, fence, batch, attempt, answer } = entry;
    try {
      await ledger.answer({ run, lane, shard, fence, batch, attempt, answer });
    } catch (error) {
      if (!isFenced(error)) throw error;
      await keptAsEvidence(services, entry, false);
    }
    await journal.strike(entry);
  }
}

async function keptAsEvidence(services: Services, entry: JournalEntry, journaled: boolean): Promise<undefined> {
  services.notice({
    level: 'warning',
    kind: 'answer-too-late',
    message: `the answer to attempt ${entry.attempt} of ${showBatch(entry.batch)} came after its lease had passed on`,
    ids: { batch: showBatch(entry.batch), attempt: entry.attempt },
  });
  if (journaled) await services.journal.strike(entry);
  return undefined;
}

const isFenced = (error: unknown): boolean => error instanceof WaybillError && error.code === 'FENCED';

/** The ledger may take it later: its disk is full, its neighbour holds it, its server is being started again. */
const PASSING: ReadonlySet<string> = new Set(['LEDGER_BUSY', 'LEDGER_WRITE', 'LEDGER_AWAY']);
const isPassing = (error: unknown): boolean => error instanceof WaybillError && PASSING.has(error.code);
