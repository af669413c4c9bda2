// Bugs in the way of a pull that the simulator must find.
export const PULLS = [
  {
    name: 'versions of one key in a pull may overtake each other',
    edits: [
      {
        file: 'engine/pull.ts',
        find: 'keyed: keepsVersionsApart(lane, source)',
        replace: 'keyed: keepsVersionsApart(lane, source) && false',
      },
    ],
    focus: { pulls: true, rungs: ['put'], pull: { merge: 'upsert-stream' }, change: { inFlight: 4 } },
    limit: 400,
  },
  {
    name: 'where the source stands is not written with the slice',
    edits: [
      {
        file: 'ledger/books/verbs/seal.ts',
        find: 'yield* putPosition(tx.store, { flow, sourceName, position, atMs: tx.nowMs, run: generation.run });',
        replace:
          'if (trail !== undefined || !run.window.startsWith("pull-")) ' +
          'yield* putPosition(tx.store, { flow, sourceName, position, atMs: tx.nowMs, run: generation.run });',
      },
      {
        file: 'ledger/books/verbs/seal.ts',
        find: 'const { flow } = yield* readRun(tx.store, generation.run);',
        replace: 'const run = yield* readRun(tx.store, generation.run); const { flow } = run;',
      },
    ],
    focus: { pulls: true },
    limit: 60,
  },
  {
    name: 'what history compares with is not written with the slice',
    edits: [
      {
        file: 'ledger/books/verbs/slice.ts',
        find: 'if (history !== undefined) keepHistory(tx, flow, history);',
        replace: 'void keepHistory; void history;',
      },
    ],
    focus: { pulls: true, pull: { merge: 'upsert-stream' }, change: { keyed: true } },
    limit: 60,
  },
  {
    name: 'what history compares with lacks the rows that were taken back',
    edits: [
      {
        file: 'ledger/books/verbs/slice.ts',
        find: 'if (kind === HISTORY.remove) {',
        replace: 'if (kind === HISTORY.remove && false) {',
      },
    ],
    focus: { pulls: true, pull: { merge: 'upsert-stream' }, change: { keyed: true } },
    limit: 200,
  },
  {
    name: 'offsets of a slice begin where those of the last one began',
    edits: [
      {
        file: 'engine/slice-book.ts',
        find: 'offset: last === undefined ? 0 : last.offset + last.records,',
        replace: 'offset: last === undefined ? 0 : last.offset,',
      },
      {
        file: 'ledger/books/verbs/slice.ts',
        find: 'if (slice.offset !== offset) {',
        replace: 'if (slice.offset > offset) {',
      },
    ],
    focus: { pulls: true },
    limit: 60,
  },
  {
    name: 'a slice is sealed before what it says is synced',
    edits: [{ file: 'engine/pull.ts', find: 'await this.#stager.sync();', replace: '' }],
    focus: { pulls: true, swarm: { 'power-cut': 40 } },
    limit: 200,
  },
  {
    name: 'a slice is sealed with the position that the one before had',
    edits: [
      {
        file: 'engine/pull.ts',
        find: 'position: end,',
        replace: 'position: this.#committed ?? end,',
      },
    ],
    focus: { pulls: true },
    limit: 60,
  },
  {
    name: 'whoever is in the way of a pull is to be read again, which no pull can be',
    edits: [
      {
        file: 'engine/place.ts',
        find: 'if (isPull(run.window.name)) return',
        replace: 'if (run.window.name === "" && isPull("")) return',
      },
    ],
    focus: { pulls: true, rungs: ['position'], swarm: { 'operator-cancels': 150, 'answer-lost': 250 } },
    limit: 300,
  },
];
