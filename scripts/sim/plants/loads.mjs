// Bugs in the way of a load that the simulator must find: in the engine, in the ledger, in sinks and strategies.
const ENGINE = 'engine/load.ts';
const MEMORY = 'connectors/memory/loads.ts';
const ALL = ['transactional-writer', 'data-overwrite', 'merger', 'stateful-merger', 'metadata-cleaner', 'proxy'];

export const LOADS = [
  {
    name: 'a load is published before the ledger has it as begun',
    edits: [
      {
        file: ENGINE,
        find: 'const forbidden = await ledger.moveLoad(begun).then(() => undefined, whyForbidden);',
        replace:
          'const asked = ledger.moveLoad(begun).then(() => undefined, whyForbidden);' +
          ' const forbidden = begins === "opening" ? await asked : void asked.catch(() => undefined);',
      },
    ],
    focus: { strategies: ALL },
    limit: 60,
  },
  {
    name: 'a published load is published once more when it is asked for again',
    edits: [
      { file: MEMORY, find: 'if (known !== undefined) return known;', replace: 'void known;' },
      {
        file: MEMORY,
        find: "if (place?.state === 'open') return place;",
        replace: "if (place?.state === 'open' || place?.state === 'published') return place;",
      },
    ],
    focus: { strategies: ['transactional-writer'], swarm: { 'answer-lost': 250 } },
    limit: 200,
  },
  {
    name: 'a load that is older than the fence is opened all the same',
    edits: [{ file: MEMORY, find: 'if (fence < known) {', replace: 'if (fence < 0) {' }],
    focus: {
      strategies: ALL,
      swarm: { 'request-late': 300, kill: 60, twin: 900, pause: 25 },
      change: { requestTimeoutMs: 5_000, leaseMs: 3_000 },
    },
    limit: 600,
  },
  {
    name: 'the place of a load is that of the generation before it',
    edits: [{ file: ENGINE, find: 'return { id: `${family}${generation}`,', replace: 'return { id: `${family}1`,' }],
    focus: { strategies: ALL },
    limit: 60,
  },
  {
    name: 'opening a load takes away one that is published',
    edits: [
      {
        file: MEMORY,
        find: "place.load.family === load.family && place.state === 'open' && place.load.generation < load.generation,",
        replace: 'place.load.family === load.family && place.load.generation < load.generation,',
      },
      {
        file: MEMORY,
        find: 'place.state = state;\n    place.there = false;',
        replace:
          "if (place.state === 'published') this.rows = this.rows.filter((row) => !place.rows.includes(row));" +
          '\n    place.state = state; place.there = false;',
      },
    ],
    focus: { strategies: ['data-overwrite', 'transactional-writer', 'merger'], load: { readAgain: 0 } },
    limit: 100,
  },
  {
    name: 'records of a load that was given up count as delivered',
    edits: [
      {
        file: 'ledger/books/verbs/load.ts',
        find: 'if (counted.length === 0) continue;',
        replace: "if (counted.length === 0 || to === 'given-up') continue;",
      },
    ],
    focus: { strategies: ALL, swarm: { 'source-fails': 150, 'operator-refreshes': 400 } },
    limit: 200,
  },
  {
    name: 'a load is published before its last batch is delivered',
    edits: [
      {
        file: ENGINE,
        find: 'if (pending > 0 || inDoubt > 0) return',
        replace: 'if (pending > 9 || inDoubt > 9) return',
      },
    ],
    focus: { strategies: ALL, swarm: { 'sink-down': 200, unavailable: 250, 'answer-lost': 250 } },
    limit: 300,
  },
  {
    name: 'going back undoes a load that was merged already',
    edits: [
      {
        file: MEMORY,
        find:
          "if (this.places.get(step.load.id)?.state === 'published') " +
          "return { summary: 'the load is published already' };",
        replace: '',
      },
    ],
    focus: {
      strategies: ['stateful-merger'],
      load: { past: 'versions' },
      swarm: { 'answer-lost': 250, 'error-after-apply': 250, kill: 60 },
    },
    limit: 400,
  },
  {
    name: 'a load that was asked for before counts as not published',
    edits: [
      {
        file: ENGINE,
        find: 'if (error instanceof NotAppliedError) return { proved: !unanswered,',
        replace: 'if (error instanceof NotAppliedError) return { proved: true,',
      },
    ],
    focus: {
      strategies: ALL,
      swarm: { 'answer-lost': 250, throttled: 300, 'operator-refreshes': 400, 'source-fails': 100 },
    },
    limit: 600,
  },
  {
    name: 'a load is published although its run was cancelled',
    edits: [
      {
        file: 'ledger/books/verbs/load.ts',
        find: "if (before?.state === 'open' && ask.to === 'publishing') yield* refuseCancelled(tx, ask);",
        replace: '',
      },
    ],
    focus: { strategies: ALL, swarm: { 'operator-cancels': 600, kill: 60 }, change: { faultyMs: 120_000 } },
    limit: 1_500,
  },
  {
    name: 'loads are sorted by a clock that was put back',
    edits: [
      {
        file: 'ledger/books/tables/loads.ts',
        find: "'ORDER BY MAX(began_at) OVER (PARTITION BY lane ORDER BY generation), lane, generation'",
        replace: "'ORDER BY began_at, lane, generation'",
      },
    ],
    focus: { strategies: ALL, swarm: { 'clock-jump': 400, kill: 60, 'operator-refreshes': 400 } },
    limit: 800,
  },
  {
    name: 'a window that is loaded again leaves later ones called published',
    edits: [
      {
        file: 'strategies/stateful-merger.ts',
        find: 'return { receipt: await mergedBack(job, undone), undone };',
        replace: 'return { receipt: await mergedBack(job, undone) };',
      },
    ],
    focus: { strategies: ['stateful-merger'], load: { readAgain: 0 }, change: { windows: 2 } },
    limit: 100,
  },
  {
    name: 'a load that was merged counts as not published when its version is not told',
    edits: [
      {
        file: 'strategies/stateful-merger.ts',
        find: 'const version = await versionAfter(job, versions);',
        replace: 'const version = await versions.current(); void versionAfter;',
      },
    ],
    focus: {
      strategies: ['stateful-merger'],
      load: { past: 'versions' },
      swarm: { 'connect-refused': 250, 'operator-refreshes': 400 },
      change: { windows: 2 },
    },
    limit: 400,
  },
  {
    name: 'a period is never begun again',
    edits: [
      {
        file: 'strategies/metadata-cleaner.ts',
        find: 'const fresh = others.length === 0 || isAgain(loads, window);',
        replace: 'const fresh = false; void isAgain(loads, window);',
      },
    ],
    focus: { strategies: ['metadata-cleaner'], load: { readAgain: 0 } },
    limit: 100,
  },
  {
    name: 'what a load is merged by is not the key of the flow',
    edits: [{ file: 'strategies/merge-by.ts', find: '    key,\n', replace: "    key: [...key, 'day'],\n" }],
    focus: { strategies: ['merger', 'stateful-merger'], change: { windows: 2 } },
    limit: 60,
  },
];
