import type { ListedCommand } from './command.ts';

/** Every command, in the order of `waybill --help`. A new one is a file in `commands/` and an entry here. */
export const COMMANDS: readonly ListedCommand[] = [
  {
    name: 'init',
    summary: 'write a commented flow file to begin with',
    group: 'Set up',
    load: async () => (await import('./commands/init.ts')).init,
  },
  {
    name: 'check',
    summary: 'check the flow file and what each flow can promise, without a network',
    group: 'Set up',
    load: async () => (await import('./commands/check.ts')).check,
  },
  {
    name: 'plan',
    summary: 'show what a run would do, and what it promises; sends nothing',
    group: 'Move',
    load: async () => (await import('./commands/plan.ts')).plan,
  },
  {
    name: 'run',
    summary: 'move the records of a window, or go on where it stopped',
    group: 'Move',
    load: async () => (await import('./commands/run.ts')).run,
  },
  {
    name: 'schedule',
    summary: 'run each flow when its schedule says so, in the foreground',
    group: 'Move',
    load: async () => (await import('./commands/schedule.ts')).schedule,
  },
  {
    name: 'status',
    summary: 'show the latest runs, those with problems first',
    group: 'Look',
    load: async () => (await import('./commands/status.ts')).status,
  },
  {
    name: 'runs',
    summary: 'list runs',
    group: 'Look',
    load: async () => (await import('./commands/runs.ts')).runs,
  },
  {
    name: 'batches',
    summary: 'list batches; show one with its attempts and its bytes',
    group: 'Look',
    load: async () => (await import('./commands/batches.ts')).batches,
  },
  {
    name: 'loads',
    summary: 'list what a flow collects and publishes as one, window by window',
    group: 'Look',
    load: async () => (await import('./commands/loads.ts')).loads,
  },
  {
    name: 'records',
    summary: 'list records by state, with the reason of each',
    group: 'Look',
    load: async () => (await import('./commands/records.ts')).records,
  },
  {
    name: 'trace',
    summary: 'find one record by its key: where it is, and why',
    group: 'Look',
    load: async () => (await import('./commands/trace.ts')).trace,
  },
  {
    name: 'doubts',
    summary: 'list the batches in doubt, with the evidence',
    group: 'Look',
    load: async () => (await import('./commands/doubts.ts')).doubts,
  },
  {
    name: 'settle',
    summary: 'decide batches in doubt',
    group: 'Decide',
    load: async () => (await import('./commands/settle.ts')).settle,
  },
  {
    name: 'retry',
    summary: 'send refused records again',
    group: 'Decide',
    load: async () => (await import('./commands/retry.ts')).retry,
  },
  {
    name: 'pause',
    summary: 'let a run, or one lane of it, begin no new batch',
    group: 'Decide',
    load: async () => (await import('./commands/pause.ts')).pause,
  },
  {
    name: 'resume',
    summary: 'let a paused run or lane go on',
    group: 'Decide',
    load: async () => (await import('./commands/resume.ts')).resume,
  },
  {
    name: 'cancel',
    summary: 'give up what a run has not sent',
    group: 'Decide',
    load: async () => (await import('./commands/cancel.ts')).cancel,
  },
  {
    name: 'state',
    summary: 'show, set or reset where the source of a flow stands',
    group: 'Decide',
    load: async () => (await import('./commands/state.ts')).state,
  },
  {
    name: 'verify',
    summary: 'compare the ledger and the staged bytes with their digests',
    group: 'Look',
    load: async () => (await import('./commands/verify.ts')).verify,
  },
  {
    name: 'doctor',
    summary: 'look for what keeps flows from running here',
    group: 'Set up',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    name: 'ledger',
    summary: 'copy the ledger from a file to a PostgreSQL server',
    group: 'Set up',
    load: async () => (await import('./commands/ledger.ts')).ledger,
  },
  {
    name: 'connectors',
    summary: 'list the places that records come from and go to',
    group: 'Set up',
    load: async () => (await import('./commands/connectors.ts')).connectors,
  },
  {
    name: 'schema',
    summary: 'print the JSON Schema of the flow file or of an output',
    group: 'Set up',
    load: async () => (await import('./commands/schema.ts')).schema,
  },
  {
    name: 'completion',
    summary: 'print a script that completes waybill commands in a shell',
    group: 'Set up',
    load: async () => (await import('./commands/completion.ts')).completion,
  },
];
