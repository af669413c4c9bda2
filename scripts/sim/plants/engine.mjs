// Bugs of the engine that the simulator must find. Each is a change of the source as it is bundled; see `plant.mjs`.
// `limit`: within how many schedules. `focus`: the schedules in which it can show at all.
export const ENGINE = [
  {
    name: 'the intent is not waited for',
    edits: [
      {
        file: 'engine/attempt.ts',
        find: 'const { attempt } = await lane.ledger.intend({',
        replace: 'const attempt = batch.attempts + 1; void lane.ledger.intend({',
      },
    ],
    limit: 20,
  },
  {
    name: 'a permit outlives its deadline',
    edits: [
      {
        file: 'engine/permit.ts',
        find: 'if (this.#ports.monotonicMs() < this.deadlineMs && !this.signal.aborted) {',
        replace: 'if (this.deadlineMs > 0) {',
      },
    ],
    focus: { swarm: { pause: 60, twin: 900, kill: 0 }, change: { intendAhead: 3, leaseMs: 3_000, provesDeath: false } },
    limit: 1_500,
  },
  {
    name: 'doubts are settled without waiting',
    edits: [
      {
        file: 'engine/settle.ts',
        find: 'return Math.max(0, fromMs - lane.services.ports.wallMs());',
        replace: 'return Math.min(0, fromMs);',
      },
    ],
    focus: { rungs: ['look', 'job'], swarm: { 'request-late': 300, 'request-reset': 200 } },
    limit: 200,
  },
  {
    name: 'a batch is cut anew when it is sent again',
    edits: [
      {
        file: 'engine/payloads.ts',
        find:
          'const payload = batch.picks === undefined ? staged : ' +
          'pick(staged, batch.picks, framingOf(staged, this.#accepts));',
        replace: `const all = batch.picks ?? Array.from({ length: staged.spans.length / 2 }, (_, at) => at);
    const payload = pick(staged, batch.attempts > 0 ? all.toReversed() : all, framingOf(staged, this.#accepts));`,
      },
      {
        file: 'engine/payloads.ts',
        find: 'const rechecked = batch.picks !== undefined || batch.attempts > 0;',
        replace: 'const rechecked = batch.digest === undefined;',
      },
    ],
    focus: { change: { recordsPerBatch: 3 } },
    limit: 200,
  },
  {
    name: 'staged bytes are not synced before they are sealed',
    edits: [
      {
        file: 'engine/stager.ts',
        find: 'for (const writer of this.#writers.values()) await writer.sync();',
        replace: '',
      },
    ],
    focus: { swarm: { 'power-cut': 40 } },
    limit: 200,
  },
  {
    name: 'an answer with a good status counts as all applied',
    edits: [
      {
        file: 'engine/answers.ts',
        find: `      outcomes: verdict.outcomes,
      refusals: verdict.refusals,`,
        replace: `      outcomes: verdict.outcomes.map(() => 1),
      refusals: [],`,
      },
      {
        file: 'engine/answers.ts',
        find: 'children: childrenOf(verdict.refusals, sent),',
        replace: 'children: [],',
      },
    ],
    focus: { swarm: { refusal: 300 }, change: { rejectsAtomically: false } },
    limit: 200,
  },
  {
    name: 'the lease is believed to last three times as long, and is renewed too late',
    edits: [
      { file: 'engine/lease.ts', find: 'this.#pause(this.#leaseMs / 3)', replace: 'this.#pause(this.#leaseMs * 2)' },
      {
        file: 'engine/lease.ts',
        find: 'this.#untilMs = lease.grantedAtMs + lease.leaseMs;',
        replace: 'this.#untilMs = lease.grantedAtMs + lease.leaseMs * 3;',
      },
    ],
    focus: {
      rungs: ['none', 'marker', 'key'],
      swarm: { twin: 900, throttled: 400, 'answer-late': 400 },
      change: { leaseMs: 3_000, intendAhead: 3, rows: 13, recordsPerBatch: 1, faultyMs: 120_000 },
    },
    limit: 1_500,
  },
  {
    name: 'the journal is forgotten at the next start',
    edits: [{ file: 'engine/run.ts', find: 'await replayJournal(services);', replace: '' }],
    focus: { swarm: { kill: 60 }, change: { localLedger: false } },
    limit: 300,
  },
  {
    name: 'an error after the send counts as not applied',
    edits: [
      {
        file: 'engine/answers.ts',
        find: "return { answer: { kind: 'lost', evidence: describeError(error) } };",
        replace: "return { answer: { kind: 'not-applied', reason: describeError(error) } };",
      },
    ],
    focus: { rungs: ['none', 'look'], swarm: { 'error-after-apply': 250 } },
    limit: 200,
  },
  {
    name: 'an answer that does not add up is taken as it is',
    edits: [
      {
        file: 'engine/answers.ts',
        find: `    return undefined;
  }
}`,
        replace: `    return { applied: sent, refused: 0, unknown: 0 };
  }
}`,
      },
    ],
    focus: { swarm: { 'answer-garbled': 200 } },
    limit: 200,
  },
  {
    name: 'a doubt is settled under the fence of its own attempt',
    edits: [
      {
        file: 'engine/deliver.ts',
        find: 'if (fences && doubt.attempt.fence >= work.claim.fence) return await this.#feed.anew(work);',
        replace: 'void fences;',
      },
    ],
    focus: { rungs: ['fence-then-look'], swarm: { 'request-late': 300, 'request-reset': 200 } },
    limit: 600,
  },
  {
    name: 'a run that was left before its conclusion stays open',
    edits: [
      {
        file: 'engine/summary.ts',
        find: "(!nothingToDo || state === 'open' || state === 'failed')",
        replace: '!nothingToDo',
      },
    ],
    limit: 600,
  },
  {
    name: 'a lane that fails while the window is read is heard by nobody',
    edits: [
      {
        file: 'engine/start.ts',
        find: "awaitedLater(this.#deliver('send-while-reading'))",
        replace: "this.#deliver('send-while-reading')",
      },
    ],
    focus: { swarm: { 'ledger-busy': 60 }, change: { deliver: 'while-reading', chunkRecords: 2, rows: 13 } },
    limit: 600,
  },
  {
    name: 'rows that were decided beyond the position are read as new',
    edits: [{ file: 'engine/intake.ts', find: 'this.#skip = how.skip;', replace: 'this.#skip = 0;' }],
    focus: { swarm: { kill: 60 }, change: { resumable: true, deliver: 'while-reading', chunkRecords: 3, rows: 13 } },
    limit: 400,
  },
  {
    name: 'the position runs ahead of what is sealed',
    edits: [
      { file: 'engine/extract.ts', find: 'one.rows <= behind).at(-1)', replace: 'one.rows <= this.#rows).at(-1)' },
      // What went on from a place that is too far ahead would not meet the rows that were decided, and be noticed.
      {
        file: 'engine/intake.ts',
        find: 'return asBefore ? passed : undefined;',
        replace: 'return asBefore ? passed : passed;',
      },
      {
        file: 'engine/extract.ts',
        find: 'return !intakes.some((intake) => intake.skipping);',
        replace: 'return true;',
      },
    ],
    focus: { swarm: { kill: 60 }, change: { resumable: true, deliver: 'while-reading', chunkRecords: 2, rows: 13 } },
    limit: 400,
  },
  {
    name: 'rows that were decided before are passed over by their number',
    edits: [
      {
        file: 'engine/intake.ts',
        find: 'return asBefore ? passed : undefined;',
        replace: 'return asBefore ? passed : passed;',
      },
    ],
    focus: {
      rungs: ['marker', 'none'],
      swarm: { kill: 60, 'source-changes': 600 },
      change: { resumable: true, deliver: 'while-reading', chunkRecords: 5, recordsPerBatch: 1, rows: 13 },
    },
    limit: 1_500,
  },
  {
    name: 'a reading after an abandoned one compares with nothing',
    edits: [
      {
        file: 'engine/extract.ts',
        find: "return { reads: true, kind: asked ?? generation.kind, why: INTERRUPTED };\n    case 'interrupted'",
        replace: "return { reads: true, kind: asked ?? 'first', why: INTERRUPTED };\n    case 'interrupted'",
      },
    ],
    focus: { swarm: { kill: 60 }, change: { resumable: false, deliver: 'while-reading', rows: 8, chunkRecords: 2 } },
    limit: 3_000,
  },
  {
    name: 'a refresh compares with nothing',
    edits: [
      {
        file: 'engine/extract.ts',
        find: "const compares = (kind === 'refresh' || kind === 'again') &&",
        replace: "const compares = kind === 'again' &&",
      },
    ],
    focus: { swarm: { 'operator-refreshes': 400 } },
    limit: 200,
  },
  {
    name: 'a source that fails passes for one that has ended',
    edits: [
      {
        file: 'engine/extract.ts',
        find: "if (error instanceof WaybillError) throw error;\n    throw new WaybillError('SOURCE_FAILED'",
        replace: "if (error instanceof WaybillError) return;\n    throw new WaybillError('SOURCE_FAILED'",
      },
    ],
    focus: { swarm: { 'source-fails': 150 } },
    limit: 100,
  },
  {
    name: 'the lease of a run is kept when its process ends',
    edits: [
      { file: 'engine/run.ts', find: 'if (!lease.lost.aborted) await services.ledger.releaseRun(claim);', replace: '' },
    ],
    limit: 100,
  },
  {
    name: 'the evidence of a doubt quotes the records',
    edits: [
      {
        file: 'engine/answers.ts',
        find: `evidence: "the sink's answer does not account for what was sent"`,
        replace: "evidence: `not accounted for: ${Buffer.from(sent.payload.bytes).toString('utf8')}`",
      },
    ],
    focus: { swarm: { 'answer-garbled': 200 } },
    limit: 200,
  },
  {
    name: 'a child is sent after later versions of its records',
    edits: [
      {
        file: 'engine/feed.ts',
        find: 'if (rootOfA !== rootOfB) return rootOfA < rootOfB;',
        replace: 'if (rootOfA !== rootOfB) return a.id < b.id;',
      },
    ],
    focus: {
      rungs: ['put'],
      swarm: { 'refusal-for-now': 300 },
      change: { repeats: true, onDuplicate: 'report', rows: 13, recordsPerBatch: 1, rejectsAtomically: false },
    },
    limit: 600,
  },
  {
    name: 'a settlement sends again what was decided before',
    edits: [
      {
        file: 'engine/settle.ts',
        find: 'const again = refusals.filter((refusal) => open.has(refusal.index));',
        replace: 'const again = refusals.filter(() => open.size > 0);',
      },
    ],
    focus: {
      rungs: ['look', 'fence-then-look'],
      swarm: { 'refusal-for-now': 300, 'answer-partly-unknown': 300 },
      change: { recordsPerBatch: 3, rejectsAtomically: false },
    },
    limit: 600,
  },
  {
    name: 'a lane that sends everything again forgets the order of versions',
    edits: [{ file: 'engine/fit-lane.ts', find: "one.kind === 'resend' ||", replace: '' }],
    focus: {
      rungs: ['put'],
      swarm: { 'operator-resends': 300, 'source-changes': 600, 'request-late': 300, 'request-reset': 200 },
      change: { resumable: false, deliver: 'after-read', recordsPerBatch: 1, inFlight: 4, requestTimeoutMs: 5_000 },
    },
    limit: 3_000,
  },
  {
    name: 'a question that the sink does not answer ends the start',
    edits: [
      {
        file: 'engine/attempt.ts',
        find: "if (error instanceof WaybillError && error.code === 'INVARIANT_BROKEN') throw error;",
        replace: 'if (error !== undefined) throw error;',
      },
    ],
    focus: { rungs: ['position'], swarm: { 'answer-reset': 200 } },
    limit: 200,
  },
  {
    name: 'a batch of a run that was cancelled meanwhile ends the start',
    edits: [
      {
        file: 'engine/deliver.ts',
        find: 'if (DECIDED_ELSEWHERE.has(state)) return await this.#feed.done(work, false);',
        replace: 'void state;',
      },
    ],
    focus: { swarm: { 'operator-cancels': 700, throttled: 300 }, change: { rows: 13, recordsPerBatch: 1 } },
    limit: 1_000,
  },
  {
    name: 'what is read again elsewhere is sent by a start that has not heard of it',
    edits: [
      {
        file: 'engine/deliver.ts',
        find: "new Set(['skipped', 'in-doubt', 'moved'])",
        replace: "new Set(['skipped', 'in-doubt'])",
      },
    ],
    focus: { swarm: { pause: 60, twin: 900, kill: 0 }, change: { intendAhead: 3, leaseMs: 3_000, provesDeath: false } },
    limit: 600,
  },
  {
    name: 'a failed renewal leaves the timer of another running',
    edits: [{ file: 'engine/feed.ts', find: 'await held.lease.close();', replace: 'void held.lease;' }],
    limit: 100,
  },
  {
    name: 'a window goes on where it once stood and another one has written since',
    edits: [
      {
        file: 'engine/lane.ts',
        find: "place === 'lane' ? undefined : facts.position",
        replace: 'facts.position',
      },
      {
        file: 'engine/deliver.ts',
        find: "if (this.#lane.place === 'lane' && this.#learntUnder !== work.claim) this.#lane.position = undefined;",
        replace: '',
      },
    ],
    focus: { rungs: ['position'], swarm: { 'operator-resends': 200 }, change: { windows: 2 } },
    limit: 600,
  },
  {
    name: 'two versions of a record are in one batch',
    edits: [
      {
        file: 'engine/intake.ts',
        find: "source.key !== null && surelyFits(lane).ordered === 'repeats'",
        replace: "source.key === null && surelyFits(lane).ordered === 'repeats'",
      },
    ],
    focus: {
      rungs: ['put'],
      swarm: { 'refusal-for-now': 300 },
      change: { repeats: true, onDuplicate: 'report', rows: 13, recordsPerBatch: 5, rejectsAtomically: false },
    },
    limit: 600,
  },
  {
    name: 'intents overtake the answers that wait for the journal',
    edits: [
      {
        file: 'engine/record.ts',
        find: 'let journaled = false;',
        replace: 'let journaled = false; ahead();',
      },
    ],
    focus: { change: { localLedger: false, inFlight: 2 } },
    limit: 200,
  },
];
