import type { Sink } from '../connectors/connector.ts';
import type { CrashPoint, Guarantee, Rung } from '../model/guarantee.ts';

/**
 * What each rung of the settle ladder promises, and what it rests on. The sentences are what `plan`, the page and the
 * docs show, so they claim no more than the protocol proves. `promise`: of a strategy that does more with its batches.
 */
export function guarantee(rung: Rung, sink: Sink, promise?: string): Guarantee {
  const text = TEXTS[rung];
  return {
    rung,
    promise: promise ?? fill(rung === 'put' && sink.facts.keepsReplaced ? PUT_INTO_LOG : text.promise, sink),
    assumptions: [
      ...[...text.assumptions, ...lookAssumptions(rung, sink)].map((assumption) => fill(assumption, sink)),
      ...(sink.facts.assumes ?? []),
    ],
    crash: crashPoints(fill(text.lostAnswer, sink)),
  };
}

/** A look that finds records and not their batch takes those of others for ours. What the lane itself sent is known. */
function lookAssumptions(rung: Rung, sink: Sink): readonly string[] {
  const looks = rung === 'look' || rung === 'fence-then-look';
  return looks && sink.facts.findsOthers
    ? ['Only this lane sends records with these ids: what is found there was sent by it.']
    : [];
}

/** A log replaces nothing when it is written to: what is older goes when the log is compacted. */
const PUT_INTO_LOG =
  'Who asks by key gets the content that was sent last. Who reads all of the log sees duplicates: what was ' +
  'replaced, and each repeat, until they are removed by compaction.';

interface RungText {
  readonly promise: string;
  readonly assumptions: readonly string[];
  /** What follows when the answer to a send is lost. */
  readonly lostAnswer: string;
}

const TIMELY = 'The sink applies a request within {timeout} of its start, or not at all.';

const TEXTS: Record<Rung, RungText> = {
  marker: {
    promise: "Each record is in the sink once: the sink's own transaction holds a marker of the batch.",
    assumptions: ['Nobody removes the markers.'],
    lostAnswer: 'The batch is sent again; the sink finds the marker and changes nothing if it had been applied.',
  },
  position: {
    promise: 'Each record is in the sink once: the sink takes a batch only at the position that it is meant for.',
    assumptions: ['Nobody else writes to the same place.'],
    lostAnswer: 'The batch is sent again at the same position; the sink recognises it if it had been applied.',
  },
  key: {
    promise: 'Each record is in the sink once, as long as the sink remembers the idempotency key ({horizon}).',
    assumptions: ['The sink compares idempotency keys for {horizon} after their first use.', TIMELY],
    lostAnswer: 'The batch is sent again under the same key while the sink remembers it; after that it is in doubt.',
  },
  job: {
    promise: 'Each record is in the sink once: data is sent only to a job whose handle is already in the ledger.',
    assumptions: ['The sink keeps the state of a job until it is asked.', TIMELY],
    lostAnswer: 'After {timeout} the job is asked by its handle what became of the batch.',
  },
  'fence-then-look': {
    promise: 'Each record is in the sink once: older senders are shut out before the sink is searched.',
    assumptions: [
      'A record can be found within {lag} of being applied.',
      'A process that asks about its own request shuts nobody out: it waits {timeout}, when that has ended.',
    ],
    lostAnswer: 'The fence is raised, then the sink is searched; only records that are not there are sent again.',
  },
  look: {
    promise: 'Each record is in the sink once, if the sink keeps to its times.',
    assumptions: [TIMELY, 'A record can be found within {lag} of being applied.'],
    lostAnswer: 'After {timeout} and {lag} the sink is searched; only records that are not there are sent again.',
  },
  put: {
    promise: 'Each record is in the sink under its key, with the content that was sent last.',
    assumptions: ['The sink replaces what has the same key.', TIMELY],
    lostAnswer: 'The batch is sent again; the same content under the same keys changes nothing.',
  },
  none: {
    promise: 'Each record is sent once, or listed as in doubt: after a lost answer it may be in the sink or not.',
    assumptions: ['What the sink answers is true: it holds what it says it took, and not what it says it refused.'],
    lostAnswer: 'The batch is in doubt: it is listed with its evidence, and settled by policy or by a person.',
  },
};

function crashPoints(lostAnswer: string): readonly CrashPoint[] {
  return [
    { point: 'before the intent', consequence: 'Nothing was sent; the batch is sent by the next start.' },
    { point: 'between intent and answer', consequence: lostAnswer },
    { point: 'after the answer, before it was recorded', consequence: lostAnswer },
    { point: 'after the record', consequence: 'Nothing: the batch is decided.' },
  ];
}

function fill(text: string, sink: Sink): string {
  return text
    .replaceAll('{timeout}', duration(sink.requestTimeoutMs))
    .replaceAll('{lag}', duration(sink.facts.visibilityLagMs ?? 0))
    .replaceAll('{horizon}', duration(sink.facts.key?.horizonMs ?? 0));
}

function duration(ms: number): string {
  if (ms === 0) return '0 ms';
  if (ms < 1000) return `${ms} ms`;
  if (ms < 120_000) return `${ms / 1000} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
