// Bugs of the SQLite ledger that the simulator must find.
export const LEDGER = [
  {
    name: 'an older fence may write',
    edits: [
      {
        file: 'ledger/books/tables/leases.ts',
        find: 'if (lease !== undefined && lease.fence === at.fence) return lease;',
        replace: 'if (lease !== undefined && lease.fence >= at.fence) return lease;',
      },
    ],
    focus: { swarm: { pause: 60, twin: 900 }, change: { leaseMs: 3_000, rows: 13, recordsPerBatch: 1 } },
    limit: 1_000,
  },
  {
    name: 'what a connection remembers is not forgotten when another one writes',
    edits: [
      {
        file: 'ledger/books/kept.ts',
        find: 'if (version !== this.#version) this.forget();',
        replace: 'if (this.#version === undefined) this.forget();',
      },
    ],
    focus: {
      swarm: { pause: 60, twin: 900, 'operator-cancels': 400 },
      change: { leaseMs: 3_000, rows: 13, recordsPerBatch: 1 },
    },
    limit: 1_000,
  },
  {
    name: 'a group of commands is answered and not committed',
    edits: [
      {
        file: 'ledger/sqlite/writer.ts',
        find: "this.#store.execute('COMMIT');\n      if (tx.last",
        replace: "this.#store.execute(commands.length > 1 ? 'ROLLBACK' : 'COMMIT');\n      if (tx.last",
      },
    ],
    limit: 50,
  },
  {
    name: 'a shard is claimed while somebody holds it',
    edits: [
      {
        file: 'ledger/books/verbs/claim-shard.ts',
        find: 'return lease === undefined || lease.untilMs <= tx.nowMs || lease.owner === owner;',
        replace: 'return lease === undefined || lease.untilMs >= 0 || lease.owner === owner;',
      },
      {
        file: 'ledger/books/verbs/open-run.ts',
        find: 'if (lease === undefined || lease.untilMs <= tx.nowMs) return;',
        replace: 'if (lease === undefined || lease.untilMs >= 0) return;',
      },
    ],
    focus: {
      swarm: { twin: 900, 'answer-late': 300, throttled: 300 },
      change: { rows: 13, recordsPerBatch: 1, intendAhead: 3 },
    },
    limit: 600,
  },
  {
    name: 'a batch without an answer is sealed again at a takeover',
    edits: [
      {
        file: 'ledger/books/verbs/claim-shard.ts',
        find:
          "for (const batch of yield* openBatches(tx, lane.id, shard, 'sending')) " +
          'yield* lose(tx, batch, before, lease);',
        replace: `for (const batch of yield* openBatches(tx, lane.id, shard, 'sending')) {
    if (before === null) yield* lose(tx, batch, before, lease);
    tx.saveBatch(batch, { ...batch, state: 'sealed' });
  }`,
      },
    ],
    focus: { rungs: ['none', 'look', 'fence-then-look', 'job'] },
    limit: 200,
  },
  {
    name: 'the fence does not grow with a claim',
    edits: [
      {
        file: 'ledger/books/tables/leases.ts',
        find: 'const lease = { ...ask, fence: (held?.fence ?? 0) + 1 };',
        replace: 'const lease = { ...ask, fence: Math.max(held?.fence ?? 1, 1) };',
      },
    ],
    focus: { swarm: { pause: 60, twin: 900 }, change: { leaseMs: 3_000, rows: 13, recordsPerBatch: 1 } },
    limit: 1_000,
  },
  {
    name: 'a child finds the wrong records of its root',
    edits: [
      {
        file: 'ledger/books/outcome.ts',
        find: 'picks: packPicks(placesInRoot(batch, child.picks)),',
        replace: 'picks: packPicks(child.picks),',
      },
    ],
    focus: {
      rungs: ['look', 'fence-then-look'],
      swarm: { 'half-applied': 250 },
      change: { recordsPerBatch: 5, rows: 13 },
    },
    limit: 1_000,
  },
  {
    name: 'an event is left out of the count of its chain',
    edits: [{ file: 'ledger/books/transaction.ts', find: 'chain.events++;', replace: '' }],
    limit: 20,
  },
  {
    name: 'records that went to children are counted twice',
    edits: [{ file: 'ledger/books/transaction.ts', find: 'tally.read -= after.moved - before.moved;', replace: '' }],
    focus: { swarm: { 'refusal-for-now': 300 } },
    limit: 200,
  },
  {
    name: 'an answer that was given up as lost is carried after all',
    edits: [
      {
        file: 'ledger/books/verbs/answer.ts',
        find: "if (batch.state !== 'sending' || attempt === undefined || attempt.answer !== null)",
        replace: "if (batch.state !== 'sending' || attempt === undefined || attempt.answer === 'none')",
      },
      {
        file: 'ledger/books/tables/leases.ts',
        find: 'if (lease !== undefined && lease.fence === at.fence) return lease;',
        replace: 'if (lease !== undefined && at.fence > 0) return lease;',
      },
    ],
    focus: { rungs: ['none', 'look', 'key'], swarm: { pause: 60, twin: 900, kill: 60 }, change: { leaseMs: 3_000 } },
    limit: 1_000,
  },
  {
    name: 'what waited for a harmless repeat counts as never sent when its run is cancelled',
    edits: [
      {
        file: 'ledger/books/verbs/settle.ts',
        find: "repeat: 'there', resend: 'twice'",
        replace: "repeat: null, resend: 'twice'",
      },
    ],
    focus: {
      rungs: ['marker', 'position', 'key', 'put'],
      swarm: { 'operator-cancels': 150, 'operator-refreshes': 400, 'error-after-apply': 250, 'sink-down': 200 },
    },
    limit: 600,
  },
  {
    name: 'a place is written to while what another window sent there is in doubt',
    edits: [
      {
        file: 'ledger/books/verbs/place.ts',
        find: 'if (oldest === undefined || isIn(oldest, at)) return;',
        replace: 'if (oldest === undefined || oldest.id > 0) return;',
      },
    ],
    focus: {
      rungs: ['position'],
      swarm: {
        twin: 800,
        kill: 60,
        'request-late': 300,
        'answer-lost': 250,
        'error-after-apply': 250,
        'sink-down': 200,
      },
      change: { windows: 2, rows: 8, onDoubt: 'hold' },
    },
    limit: 200,
  },
  {
    name: 'a run that was cancelled is begun again by a start that had opened it before',
    edits: [
      {
        file: 'ledger/books/verbs/generation.ts',
        find: "if (run.state === 'cancelled' && ask.reopens !== true) {",
        replace: "if (run.state === 'cancelled' && ask.reopens !== true && run.flow === '') {",
      },
    ],
    focus: {
      rungs: ['none', 'look', 'fence-then-look'],
      swarm: { pause: 150, twin: 800, 'operator-cancels': 400, kill: 0, 'power-cut': 0 },
      change: { leaseMs: 3000, stallLeases: 10, rows: 3, windows: 1, lanes: 1 },
    },
    limit: 200,
  },
];
