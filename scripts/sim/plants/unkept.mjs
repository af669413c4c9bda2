// Bugs about batches whose bytes are in memory alone, which the simulator must find.
const change = { unkept: true, rung: 'marker', deliver: 'while-reading', onChanged: 'append' };
const focus = { change, swarm: { 'duplicate-delivery': 0, 'half-applied': 0, kill: 60 } };

export const UNKEPT = [
  {
    name: 'a marker that is not there is no reason to shut its send out',
    edits: [
      {
        file: 'strategies/ledgered-append.ts',
        find: 'surely(sink.can.marked)({ ...lost, signal })',
        replace: 'surely(sink.can.marked)({ ...lost, attempt: 0, signal })',
      },
    ],
    focus: { ...focus, swarm: { ...focus.swarm, 'request-late': 300 } },
    limit: 400,
  },
  {
    name: 'what was sealed and is gone is not withdrawn',
    edits: [{ file: 'engine/start.ts', find: "withdraws: job.keep === 'none'", replace: 'withdraws: false' }],
    focus,
    limit: 40,
  },
  {
    name: 'a window that was read to its end is not read again for what is gone',
    edits: [{ file: 'engine/start.ts', find: "lost: job.keep === 'none' &&", replace: 'lost: false &&' }],
    focus,
    limit: 40,
  },
  {
    name: 'bytes are let go as soon as they are sent',
    edits: [
      {
        file: 'engine/deliver.ts',
        find: 'const heard = await this.#inTurn(work, intended);',
        replace: 'const heard = await this.#inTurn(work, intended); this.#unkept.through(work.batch);',
      },
    ],
    focus: { ...focus, swarm: { ...focus.swarm, kill: 0, refusal: 300 } },
    limit: 100,
  },
];
