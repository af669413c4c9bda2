import { z } from 'zod';
import { DOUBT_POLICIES, RUNGS } from '../model/guarantee.ts';
import { BATCH_STATES, RECORD_STATES, RUN_STATES } from '../model/states.ts';

/**
 * The parts that the JSON outputs are made of. Times are ISO 8601 in UTC, durations are in milliseconds and end in
 * `Ms`, sizes are in bytes, runs and batches have their names (`r3`, `b17`). A field that is not known is absent.
 */

const count = z.number().int().nonnegative();
const time = z.iso.datetime();
export const runName = z.string().regex(/^r[1-9]\d*$/);
const batchName = z.string().regex(/^b[1-9]\d*$/);

export const balanceShape = z
  .strictObject({ read: count, delivered: count, refused: count, skipped: count, inDoubt: count, pending: count })
  .meta({ id: 'balance', description: 'read is the sum of the others, at every moment' });

export const windowShape = z
  .strictObject({ name: z.string(), start: z.string().optional(), end: z.string().optional() })
  .meta({ id: 'window', description: 'half-open: start is included, end is not' });

export const guaranteeShape = z
  .strictObject({
    rung: z.enum(RUNGS),
    promise: z.string(),
    assumptions: z.array(z.string()),
    crash: z.array(z.strictObject({ point: z.string(), consequence: z.string() })),
  })
  .meta({ id: 'guarantee' });

export const positionShape = z
  .strictObject({ sourceName: z.string(), kind: z.string(), value: z.string() })
  .meta({ id: 'position' });

export const runShape = z
  .strictObject({
    id: runName,
    flow: z.string(),
    window: windowShape,
    state: z.enum(RUN_STATES),
    paused: z.boolean(),
    correlationId: z.string(),
    generation: count,
    openedAt: time,
    endedAt: time.optional(),
    reason: z.string().optional(),
    lease: z.strictObject({ owner: z.string(), until: time, valid: z.boolean() }).optional(),
  })
  .meta({ id: 'run' });

export const laneShape = z
  .strictObject({
    lane: z.string(),
    connector: z.string(),
    strategy: z.string(),
    rung: z.enum(RUNGS),
    onDoubt: z.enum(DOUBT_POLICIES),
    paused: z.boolean(),
    position: z.string().optional(),
    balance: balanceShape,
  })
  .meta({ id: 'lane' });

export const receiptShape = z
  .strictObject({
    summary: z.string(),
    reference: z.string().optional(),
    position: z.string().optional(),
    excerpt: z.string().optional(),
  })
  .meta({ id: 'receipt' });

export const attemptShape = z
  .strictObject({
    attempt: count,
    fence: count,
    intendedAt: time,
    deadlineAt: time,
    answeredAt: time.optional(),
    durationMs: z.number().optional(),
    answer: z.enum(['verdict', 'not-applied', 'refused', 'lost']).optional(),
    applied: count,
    refused: count,
    unknown: count,
    receipt: receiptShape.optional(),
    reason: z.string().optional(),
    notes: z.record(z.string(), z.string()),
  })
  .meta({ id: 'attempt' });

const batchFields = {
  id: batchName,
  run: runName,
  flow: z.string(),
  window: z.string(),
  lane: z.string(),
  seq: count,
  generation: count,
  state: z.enum(BATCH_STATES),
  records: count,
  bytes: count,
  digest: z.string(),
  idempotencyKey: z.string(),
  parent: batchName.optional(),
  attempts: count,
  balance: balanceShape,
  movedRecords: count,
  reason: z.string().optional(),
  possibly: z.enum(['twice', 'lost', 'there']).optional(),
};

export const batchShape = z.strictObject(batchFields).meta({ id: 'batch' });

export const doubtShape = z
  .strictObject({
    ...batchFields,
    lastAttempt: attemptShape,
    firstIntendedAt: time,
    ageMs: z.number(),
    doubtful: z.array(count).describe('0-based places of the records in doubt'),
    next: z.array(z.string()).describe('commands to copy'),
  })
  .meta({ id: 'doubt' });

export const recordShape = z
  .strictObject({
    run: runName,
    flow: z.string(),
    window: z.string(),
    lane: z.string(),
    key: z.string().optional(),
    batch: batchName.optional(),
    position: count.optional().describe('0-based place in the batch'),
    row: count.optional().describe('1-based place in the extraction, for a record that got into no batch'),
    generation: count,
    state: z.enum(RECORD_STATES),
    at: time,
    code: z.string().optional(),
    reason: z.string().optional(),
  })
  .meta({ id: 'record' });

export const errorShape = z
  .strictObject({
    schema: z.literal('waybill.error/1'),
    code: z.string(),
    exitCode: count,
    message: z.string(),
    where: z.string().optional(),
    hint: z.string(),
    command: z.string().optional(),
    docs: z.string(),
    ids: z.record(z.string(), z.unknown()),
    causes: z.array(z.string()).optional(),
  })
  .meta({ id: 'error', description: 'one line on stderr' });

export type RunDocument = z.infer<typeof runShape>;
export type LaneDocument = z.infer<typeof laneShape>;
export type BatchDocument = z.infer<typeof batchShape>;
export type AttemptDocument = z.infer<typeof attemptShape>;
export type DoubtDocument = z.infer<typeof doubtShape>;
export type RecordDocument = z.infer<typeof recordShape>;
export type ErrorDocument = z.infer<typeof errorShape>;
