// Bugs of the strategies that the simulator must find.
const LEDGERED = 'strategies/ledgered-append.ts';

/** Where rows share a key of the sink, what is sent once more after a refusal may replace what came behind it. */
const WITHOUT_SENDING_AGAIN = { 'refusal-for-now': 0, 'operator-retries': 0, 'operator-resends': 0 };

export const STRATEGIES = [
  {
    name: 'a doubt that nothing can decide is sent again',
    edits: [
      {
        file: LEDGERED,
        find: "return { kind: 'undecided', evidence: 'the sink offers no way to ask' };",
        replace: "return { kind: 'absent', evidence: 'the sink offers no way to ask' };",
      },
    ],
    focus: { rungs: ['none'] },
    limit: 100,
  },
  {
    name: 'what was not found counts as applied',
    edits: [
      {
        file: LEDGERED,
        find: 'absent: OUTCOME.refused, unknown: OUTCOME.unknown } as const;',
        replace: 'absent: OUTCOME.applied, unknown: OUTCOME.unknown } as const;',
      },
      {
        file: LEDGERED,
        find: "refusals.push({ index, code: 'absent', message: 'not found in the sink', retryable: true });",
        replace: '',
      },
    ],
    focus: { rungs: ['look', 'fence-then-look'], swarm: { 'half-applied': 250 }, change: { recordsPerBatch: 3 } },
    limit: 300,
  },
  {
    name: 'nothing found at all counts as applied',
    edits: [
      {
        file: LEDGERED,
        find: "if (kinds.size === 1 && kinds.has('absent')) return { kind: 'absent', evidence: found.evidence };",
        replace: `if (kinds.size === 1 && kinds.has('absent'))
    return { kind: 'known', verdict: applied(found.records.length, { summary: '' }), evidence: found.evidence };`,
      },
    ],
    focus: { rungs: ['look', 'fence-then-look'], swarm: { 'request-lost': 200 } },
    limit: 100,
  },
  {
    name: 'a batch is sent to the place where the sink stands now',
    edits: [
      {
        file: LEDGERED,
        find: 'const expected = previous.expectedPosition ?? lane.position ?? (await lane.sink.facts.tail?.());',
        replace: 'void previous; const expected = await lane.sink.facts.tail?.();',
      },
    ],
    focus: { rungs: ['position'], swarm: { 'answer-lost': 250 } },
    limit: 100,
  },
  {
    name: 'the horizon of a key is not asked when a batch is sent again',
    edits: [{ file: LEDGERED, find: 'refuseForgotten(attempt, lane);\n        return', replace: 'return' }],
    focus: {
      rungs: ['key'],
      swarm: { 'error-after-apply': 250, 'sink-down': 200, 'request-lost': 0 },
      change: { keyHorizonMs: 8_000, requestTimeoutMs: 1_000, faultyMs: 120_000 },
    },
    limit: 600,
  },
  {
    name: 'the horizon of a key is not asked when a doubt is settled',
    edits: [
      { file: LEDGERED, find: 'if (latestMs < horizonMs) return', replace: 'if (latestMs >= 0) return' },
      { file: LEDGERED, find: 'refuseForgotten(attempt, lane);\n        return', replace: 'return' },
    ],
    focus: {
      rungs: ['key'],
      swarm: { 'error-after-apply': 250, kill: 60 },
      change: { keyHorizonMs: 1_600, requestTimeoutMs: 200, faultyMs: 120_000, provesDeath: false },
    },
    limit: 600,
  },
  {
    name: 'the fence is not raised before the sink is searched',
    edits: [{ file: LEDGERED, find: 'await surely(lane.sink.can.fence)(attempt.shard, attempt.fence);', replace: '' }],
    focus: { rungs: ['fence-then-look'], swarm: { 'request-late': 300, kill: 60, 'request-reset': 200 } },
    limit: 600,
  },
  {
    name: 'a sink is searched as soon as the fence is raised',
    edits: [{ file: LEDGERED, find: 'await lane.wait(lane.sink.facts.visibilityLagMs ?? 0);', replace: '' }],
    focus: {
      rungs: ['fence-then-look'],
      swarm: { 'look-lags': 600, 'request-late': 300, kill: 60, 'error-after-apply': 200 },
      change: { visibilityLagMs: 4_000, requestTimeoutMs: 1_000 },
    },
    limit: 600,
  },
  {
    name: 'a job that cannot be asked counts as not sent',
    edits: [
      {
        file: LEDGERED,
        find: "throw new WaybillError('SINK_FAILED', `job ${handle} could not be asked what",
        replace: "throw error ?? new WaybillError('SINK_FAILED', `job ${handle} could not be asked what",
      },
    ],
    focus: { rungs: ['job'], swarm: { 'connect-refused': 250 } },
    limit: 200,
  },
  {
    name: 'the handle of a job is not noted before its data leaves',
    edits: [{ file: LEDGERED, find: 'await attempt.note({ jobHandle: handle });', replace: '' }],
    focus: { rungs: ['job'] },
    limit: 200,
  },
  {
    name: 'an empty job is asked too early',
    edits: [
      {
        file: 'strategies/strategy.ts',
        find: `      // A job that looks empty may have its data still on the way to it.
      return sink.requestTimeoutMs;`,
        replace: '      return 0;',
      },
    ],
    focus: { rungs: ['job'], swarm: { 'request-late': 300, 'request-reset': 200 } },
    limit: 600,
  },
  {
    name: 'a request that is still on its way is not waited for',
    edits: [
      {
        file: 'strategies/strategy.ts',
        find: 'return sink.requestTimeoutMs + (sink.facts.visibilityLagMs ?? 0);',
        replace: 'return sink.facts.visibilityLagMs ?? 0;',
      },
    ],
    focus: { rungs: ['look'], swarm: { 'request-late': 300, 'request-reset': 200 }, change: { visibilityLagMs: 0 } },
    limit: 300,
  },
  {
    name: 'what the sink does not show yet is not waited for',
    edits: [
      {
        file: 'strategies/strategy.ts',
        find: 'return sink.requestTimeoutMs + (sink.facts.visibilityLagMs ?? 0);',
        replace: 'return sink.requestTimeoutMs;',
      },
    ],
    focus: {
      rungs: ['look'],
      swarm: { 'look-lags': 600, 'error-after-apply': 200 },
      change: { visibilityLagMs: 4_000, requestTimeoutMs: 200 },
    },
    limit: 300,
  },
  {
    name: 'a delayed older version is not waited for',
    edits: [
      {
        file: 'strategies/strategy.ts',
        find: `      // A delayed older write must not land on top of a newer one.
      return sink.requestTimeoutMs;`,
        replace: '      return 0;',
      },
    ],
    focus: {
      rungs: ['put'],
      swarm: { 'request-late': 300, 'request-reset': 250 },
      change: { repeats: true, onDuplicate: 'report', rows: 13, recordsPerBatch: 1, requestTimeoutMs: 5_000 },
    },
    limit: 1_500,
  },
  {
    name: 'versions of one key may overtake each other',
    edits: [{ file: 'strategies/keyed.ts', find: "? 'repeats' :", replace: "? 'never' :" }],
    focus: {
      rungs: ['put'],
      swarm: { 'request-late': 300 },
      change: { repeats: true, onDuplicate: 'report', rows: 13, recordsPerBatch: 1, inFlight: 4 },
    },
    limit: 300,
  },
  {
    name: 'records that share a key of the sink may overtake each other',
    edits: [
      {
        file: 'strategies/keyed.ts',
        find: 'return putKey === undefined || sentKey.every((field) => putKey.includes(field));',
        replace: 'return true;',
      },
    ],
    focus: {
      rungs: ['put'],
      swarm: { 'request-late': 300, ...WITHOUT_SENDING_AGAIN },
      change: { shared: true, rows: 13, recordsPerBatch: 1, inFlight: 4 },
    },
    limit: 300,
  },
  {
    name: 'halves of a half are sent after the other half',
    edits: [
      {
        file: 'engine/feed.ts',
        find: 'return firstOfA === firstOfB ? a.id < b.id : firstOfA < firstOfB;',
        replace: 'return a.id < b.id;',
      },
    ],
    focus: {
      rungs: ['put'],
      swarm: { refusal: 200, ...WITHOUT_SENDING_AGAIN },
      change: { shared: true, rejectsAtomically: true, rows: 13, recordsPerBatch: 5 },
    },
    limit: 300,
  },
];
