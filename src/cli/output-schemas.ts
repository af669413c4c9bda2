import { z } from 'zod';
import { WINDOW_STATES } from '../app/window-ledger.ts';
import { RUNGS } from '../model/guarantee.ts';
import { LOAD_STATES } from '../model/load.ts';
import { ODF_SPELLINGS } from '../odf/blocks.ts';
import {
  attemptShape,
  balanceShape,
  batchShape,
  doubtShape,
  errorShape,
  guaranteeShape,
  laneShape,
  positionShape,
  recordShape,
  runName,
  runShape,
  windowShape,
} from './output-shapes.ts';

/**
 * The JSON document of every command. The number after the slash grows when a field goes away or changes its meaning;
 * new fields may come without that.
 */

const count = z.number().int().nonnegative();
const commands = z.array(z.string()).describe('commands to copy, the next step to take');
const page = z.string().optional().describe('pass it to --after for the next page; absent on the last');
const document = <N extends string, S extends z.ZodRawShape>(name: N, shape: S) =>
  z.strictObject({ schema: z.literal(`waybill.${name}/1` as const), ...shape });

const finding = z.strictObject({
  level: z.enum(['error', 'warning', 'info']),
  place: z.string().optional(),
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
});

const flowLane = z.strictObject({
  lane: z.string(),
  connector: z.string(),
  strategy: z.string(),
  guarantee: guaranteeShape.optional(),
});

const amount = { batches: count, records: count, bytes: count };

const plannedLane = z.strictObject({
  lane: z.string(),
  strategy: z.string(),
  guarantee: guaranteeShape,
  ordered: z.boolean(),
  ready: z.strictObject(amount),
  doubts: count,
  fresh: z.strictObject({ ...amount, largestRecords: count, largestBytes: count }),
  compared: z.strictObject({ same: count, changed: count, vanished: count, fresh: count }).optional(),
  unbatched: z.array(z.strictObject({ row: count, code: z.string(), message: z.string() })),
  warnings: z.array(z.string()).describe('what a person should know before the window is loaded'),
  schema: z
    .array(z.string())
    .describe('what would be done about the columns of the sink, or why nothing would be sent'),
  balance: balanceShape,
});

const leftOut = z
  .array(z.strictObject({ column: z.string(), records: count }))
  .describe('columns that the sink does not have, and of how many records in batches they were left out');

const laneSummary = z.strictObject({
  lane: z.string(),
  guarantee: guaranteeShape,
  balance: balanceShape,
  attempts: count,
  batches: count,
  answers: z.record(z.string(), count),
  leftOut,
});

const generationLane = z.strictObject({
  lane: z.string(),
  read: count,
  same: count,
  changed: count,
  duplicates: count,
  vanished: count,
  batches: count,
  sealed: count,
  unbatched: count,
});

const runResult = z.strictObject({
  flow: z.string(),
  window: z.string(),
  exitCode: count,
  run: runShape.optional(),
  generation: z
    .strictObject({
      generation: count,
      kind: z.enum(['first', 'again', 'refresh', 'resend']),
      state: z.enum(['open', 'closed', 'abandoned', 'interrupted']),
      reason: z.string(),
      lanes: z.array(generationLane),
    })
    .optional(),
  lanes: z.array(laneSummary),
  nothingToDo: z.boolean(),
  interrupted: z.boolean(),
  paused: z.boolean(),
  stalled: z.array(z.strictObject({ lane: z.string(), reason: z.string() })),
  durationMs: z.number(),
  look: z
    .strictObject({ kind: z.enum(['new', 'unchanged', 'uncacheable']), why: z.string() })
    .optional()
    .describe('of a flow that pulls: what was found when nothing was read'),
  error: errorShape.optional(),
  next: commands,
});

const moved = z.strictObject({ batch: z.string(), state: z.string(), children: z.array(z.string()) });
const trace = z.strictObject({
  record: recordShape,
  steps: z.array(z.strictObject({ batch: batchShape, position: count, attempts: z.array(attemptShape) })),
  doubt: doubtShape.optional(),
  load: z
    .enum(LOAD_STATES)
    .optional()
    .describe('of the load that its last batch belongs to; readers see what is published'),
  next: commands,
});
const runChange = { run: runShape, lanes: z.array(laneShape), next: commands };

export const OUTPUTS = {
  init: document('init', { file: z.string(), next: commands }),
  check: document('check', {
    file: z.string(),
    ok: z.boolean(),
    flows: z.array(z.strictObject({ flow: z.string(), ok: z.boolean(), lanes: z.array(flowLane) })),
    findings: z.array(finding),
  }),
  plan: document('plan', {
    flow: z.string(),
    window: windowShape,
    run: runShape.optional(),
    reading: z.strictObject({ reads: z.boolean(), why: z.string() }),
    lanes: z.array(plannedLane),
    next: commands,
  }),
  run: document('run', {
    exitCode: count,
    results: z.array(runResult),
    notBegun: z.array(z.strictObject({ flow: z.string(), window: z.string() })),
  }),
  backfill: document('backfill', {
    flow: z.string(),
    from: z.string(),
    to: z.string(),
    dryRun: z.boolean(),
    refresh: z.boolean(),
    order: z.enum(['in-order', 'any']),
    orderBecause: z.string().optional(),
    parallel: count.describe('windows that go side by side'),
    goesOn: z
      .strictObject({ begunAt: z.iso.datetime(), done: count })
      .optional()
      .describe('the earlier backfill of the same stretch that this one goes on with'),
    windows: z.array(
      z.strictObject({
        window: windowShape,
        state: z.enum(WINDOW_STATES).describe('before; where windows were run, after'),
        reason: z.string().optional(),
        run: runName.optional(),
        act: z.enum(['run', 'load-again', 'leave']),
        widened: z.boolean().describe('not asked for; it can only go together with one that was'),
        done: z.boolean().describe('the backfill that is gone on with has done it already'),
      }),
    ),
    steps: z.array(z.string()).describe('windows in the order in which they are run'),
    warnings: z.array(z.string()),
    afterwards: z.array(windowShape).describe('windows beyond these that have to be loaded again'),
    exitCode: count,
    results: z.array(runResult),
    doneElsewhere: z.array(z.string()).describe('windows that another process has done meanwhile'),
    notBegun: z.array(z.string()),
    stopped: z.string().optional().describe('why windows were not begun'),
    next: commands,
  }),
  status: document('status', {
    attention: count.describe('how many of the runs need somebody'),
    runs: z.array(
      z.strictObject({
        run: runShape,
        condition: z.string().describe('the state, or what an open run is really doing'),
        needsAttention: z.boolean(),
        balance: balanceShape,
        lanes: z.array(z.strictObject({ lane: z.string(), balance: balanceShape, leftOut })),
        next: commands,
      }),
    ),
  }),
  runs: document('runs', { runs: z.array(runShape), after: page }),
  batches: document('batches', { batches: z.array(batchShape), after: page }),
  'batches-show': document('batches-show', {
    batch: batchShape,
    attempts: z.array(attemptShape),
    children: z.array(batchShape),
    payloadFile: z.string().optional(),
    next: commands,
  }),
  loads: document('loads', {
    flow: z.string(),
    loads: z.array(
      z.strictObject({
        run: z.string(),
        window: z.string(),
        lane: z.string(),
        generation: count,
        state: z.enum(LOAD_STATES),
        tries: count.describe('how often its present step, or its last one, was begun'),
        began: z.iso.datetime(),
        published: z.iso.datetime().optional(),
        place: z.string().optional(),
        outcome: z.string().optional(),
        facts: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
        reason: z.string().optional(),
      }),
    ),
  }),
  records: document('records', { records: z.array(recordShape), after: page }),
  trace: document('trace', { key: z.array(z.string()), traces: z.array(trace) }),
  doubts: document('doubts', { doubts: z.array(doubtShape), after: page }),
  settle: document('settle', { as: z.string(), settled: z.array(moved), next: commands }),
  retry: document('retry', { retried: z.array(moved), results: z.array(runResult), next: commands }),
  pause: document('pause', runChange),
  resume: document('resume', runChange),
  cancel: document('cancel', runChange),
  'export-odf': document('export-odf', {
    flow: z.string(),
    spelling: z.enum(ODF_SPELLINGS),
    blocks: z
      .array(
        z.strictObject({
          systemTime: z.iso.datetime(),
          sequenceNumber: count,
          event: z.looseObject({ kind: z.string() }).describe('as Open Data Fabric has it'),
        }),
      )
      .describe('oldest first'),
  }),
  state: document('state', {
    flow: z.string(),
    positions: z.array(z.strictObject({ position: positionShape, at: z.iso.datetime(), run: z.string().optional() })),
    looks: z.array(
      z.strictObject({
        source: z.string(),
        at: z.iso.datetime(),
        kind: z.enum(['new', 'unchanged', 'uncacheable']),
        why: z.string(),
        inVain: count.describe('looks since there was last anything new'),
      }),
    ),
    history: z
      .array(
        z.strictObject({
          at: z.iso.datetime(),
          what: z.string(),
          run: z.string().optional().describe('absent where a person has done it'),
          window: z.string().optional(),
          position: positionShape.optional(),
          detail: z.record(z.string(), z.unknown()).optional(),
        }),
      )
      .optional(),
  }),
  verify: document('verify', { run: z.string().optional(), differences: z.array(z.string()) }),
  doctor: document('doctor', {
    ok: z.boolean(),
    checks: z.array(
      z.strictObject({ check: z.string(), ok: z.boolean(), message: z.string(), hint: z.string().optional() }),
    ),
  }),
  ledger: document('ledger', {
    from: z.string(),
    to: z.string(),
    already: z.boolean(),
    tables: z.array(z.strictObject({ table: z.string(), rows: z.number(), digest: z.string() })),
    staging: z.string(),
    setAside: z.string().optional(),
  }),
  discover: document('discover', {
    connection: z.string(),
    connector: z.string().describe('the type of the connection'),
    streams: z.array(
      z.strictObject({
        name: z.string().describe('as `source` of a flow names it'),
        columns: z.array(
          z.strictObject({
            name: z.string(),
            type: z.string().describe('as the place spells it'),
            nullable: z.boolean(),
          }),
        ),
        key: z.array(z.string()).describe('columns that tell records apart; none where the place names none'),
        cursors: z.array(z.string()).describe('columns that a pull may go on by; those without nulls come first'),
      }),
    ),
  }),
  connectors: document('connectors', {
    connectors: z.array(
      z.strictObject({
        type: z.string(),
        summary: z.string(),
        source: z.boolean(),
        sink: z.boolean(),
      }),
    ),
    strategies: z.array(z.strictObject({ name: z.string(), summary: z.string() })),
    fits: z
      .array(
        z.strictObject({
          connector: z.string(),
          sample: z.string().describe('how the sink is set up'),
          cells: z.array(
            z.strictObject({
              strategy: z.string(),
              fits: z.boolean(),
              rung: z.enum(RUNGS).optional(),
              windows: z.enum(['in-order', 'any']).optional(),
              reason: z.string().optional().describe('why it does not fit'),
            }),
          ),
        }),
      )
      .describe('which strategies fit which sinks, for a flow that names a key and cuts time by day'),
  }),
  schedule: document('schedule', {
    flow: z.string(),
    window: z.string(),
    result: runResult,
  }),
  schema: document('schema', { of: z.string(), jsonSchema: z.record(z.string(), z.unknown()) }),
  completion: document('completion', { shell: z.string(), script: z.string() }),
  error: z.strictObject(errorShape.shape),
} as const;

export type OutputName = keyof typeof OUTPUTS;
export type OutputOf<N extends OutputName> = z.infer<(typeof OUTPUTS)[N]>;

export const outputNames = Object.keys(OUTPUTS) as readonly OutputName[];

/** The JSON Schema (2020-12) of one output. */
export function outputSchema(name: OutputName): Record<string, unknown> {
  return z.toJSONSchema(OUTPUTS[name], { target: 'draft-2020-12' }) as Record<string, unknown>;
}
