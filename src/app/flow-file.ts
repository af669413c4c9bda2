import { z } from 'zod';
import { mappingSchema } from '../formats/mapping.ts';
import type { DataRecord } from '../model/chunk.ts';
import { parseColumn } from '../model/columns.ts';
import { DOUBT_POLICIES } from '../model/guarantee.ts';
import { HISTORY_COLUMNS, HISTORY_MERGES } from '../model/history.ts';
import { SCHEMA_POLICIES } from '../model/schema.ts';
import { WINDOW_KINDS } from '../model/window.ts';
import { durationMs, sizeBytes } from './quantities.ts';

/**
 * The schema of the flow file as far as no connector is concerned. What stands in a `source`, a `sink` or a connection
 * beside these keys belongs to the connector and is checked with its own schema. Defaults stand here and nowhere else.
 */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;
const name = z.string().regex(NAME, 'must be made of letters, digits, dots, dashes and underscores');

/** A file or connection of these names needs no definition: the process's own streams, and files by their path. */
export const BUILT_IN_CONNECTIONS: Readonly<Record<string, string>> = {
  stdin: 'stdin',
  stdout: 'stdout',
  files: 'files',
};

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const parameter = z.union([
  scalar,
  z.strictObject({
    type: z.enum(['date', 'timestamp', 'text', 'integer', 'number', 'boolean']),
    value: scalar,
  }),
]);
export type ParameterSetting = z.output<typeof parameter>;

/** One column or several. */
const columns = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1),
]);

export const retrySchema = z.strictObject({
  attempts: z.int().min(1).max(1000).default(5).describe('Attempts of one batch within one start, the first included.'),
  firstDelay: durationMs
    .default(1000)
    .describe('Wait before the second attempt; doubles from there, with chance mixed in.'),
  maxDelay: durationMs.default(60_000).describe('No wait is longer, except where the sink asked for it.'),
  maxAge: durationMs
    .default(3_600_000)
    .describe('Nothing is tried again after this long, and no sink is waited for that asks for more.'),
});

export const limitsShape = {
  maxRecords: z.int().positive().optional().describe('Records in one batch; never more than the sink takes.'),
  maxBytes: sizeBytes.optional().describe('Bytes in one encoded batch; never more than the sink takes.'),
};
export const limitsSchema = z.strictObject({
  ...limitsShape,
  inFlight: z.int().positive().optional().describe('Batches of this lane that may be on their way at once.'),
  intendAhead: z
    .int()
    .min(0)
    .max(1024)
    .optional()
    .describe('Batches beyond those whose intents may be written already; a crash puts them in doubt as well.'),
});

export const rateSchema = z.strictObject({
  requests: z.number().positive().optional(),
  records: z.number().positive().optional(),
  bytes: sizeBytes.optional(),
  burst: z.number().positive().optional(),
});

/** A function is possible only in a flow file that is a program. */
type MappingFunction = (record: DataRecord) => DataRecord | undefined;
const mapping = z.union([
  mappingSchema,
  z.custom<MappingFunction>((value) => typeof value === 'function', 'must be a map or a function'),
]);
export type MappingSetting = z.output<typeof mapping>;

const policy = z
  .enum(SCHEMA_POLICIES)
  .describe('What becomes of columns that the sink does not have, and of types that have changed.');

/** What a lane is to do about the columns of its sink: a policy, or more than that. */
export const schemaSchema = z.union([
  policy,
  z.strictObject({
    policy: policy.optional(),
    create: z
      .boolean()
      .optional()
      .describe('Make the table where there is none, from the types of the source. On by itself with `evolve`.'),
    columns: z
      .record(
        z.string().min(1),
        z
          .string()
          .refine((text) => parseColumn('', text) !== undefined, 'a type such as `int64` or `decimal(12,2) not null`'),
      )
      .optional()
      .describe('Types of what the lane sends, where the source does not say them or says others.'),
    infer: z
      .boolean()
      .default(false)
      .describe('Where nobody says types: take them from the values of the records that come first.'),
  }),
]);

/** What a flow may say for all its lanes, and each lane for itself. */
const laneShape = {
  strategy: z.string().optional().describe('How writing again does no harm; see `waybill connectors`.'),
  mapping: mapping.optional(),
  schema: schemaSchema.optional().describe('What to do about the columns of the sink; nothing when absent.'),
  onDoubt: z
    .enum(DOUBT_POLICIES)
    .optional()
    .describe('What to do with a batch whose answer was lost and that nothing can decide.'),
  onChanged: z
    .enum(['hold', 'append', 'ignore', 'fail'])
    .optional()
    .describe('What to do with a record that was delivered with other content.'),
};

export const sourceSchema = z.strictObject({
  connection: z.string().describe('The name of a connection, or stdin or files.'),
  name: z
    .string()
    .min(1)
    .optional()
    .describe('What the ledger calls the source; the name of its connection when absent.'),
  key: columns.optional().describe('The columns that tell a record from all others.'),
  exclude: z
    .array(z.string())
    .default([])
    .describe('Columns that do not count when two versions of a record are compared.'),
  onReject: z.enum(['skip', 'stop']).default('stop').describe('What to do at a record that cannot be read.'),
  onDuplicate: z.enum(['report', 'drop', 'fail']).default('report').describe('What to do when a key comes twice.'),
  params: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a plain word'), parameter).default({}),
});

const column = z.string().min(1);

/** How what a window brings is published. Each strategy uses some of this; what it does not use is an error. */
export const loadShape = {
  scope: z
    .strictObject({
      column: column.describe('The column that says what a row belongs to.'),
      value: scalar.optional().describe('Rows with this value are replaced; those of the window when absent.'),
    })
    .optional()
    .describe('Which rows a load takes the place of; all that the sink names when absent.'),
  deleted: z
    .strictObject({
      column: column.describe('The column that says that a row is a deletion.'),
      values: z.array(scalar).min(1).default([true]).describe('What stands there then.'),
      how: z
        .enum(['remove', 'mark'])
        .default('remove')
        .describe('Take the row out, or update it with its mark; a deletion is never inserted.'),
    })
    .optional()
    .describe('Which rows of a load are deletions.'),
  latestBy: column
    .optional()
    .describe('Of two rows with one key the one with the largest value here is taken; without it they are refused.'),
  period: z.enum(['day', 'week', 'month', 'year']).optional().describe('How long a stretch of time shares one place.'),
  keep: z.int().min(0).optional().describe('How many earlier loads stay readable; all of them when absent.'),
  onRefused: z
    .enum(['hold', 'publish'])
    .default('hold')
    .describe('While records are refused: publish nothing, or what there is without them.'),
};
export const loadSchema = z.strictObject(loadShape);

/** How what a pull brings becomes history: see `model/history.ts`. */
export const historySchema = z.strictObject({
  merge: z.enum(HISTORY_MERGES).describe('How rows that are read become rows of history.'),
  eventTime: column.optional().describe('The column that says when a row happened: a date or a moment in ISO 8601.'),
  operation: column.default('op').describe('The column in which rows of a stream say what they do: +A, -R, -C, +C.'),
  ignore: z.array(column).default([]).describe('Columns whose values alone make no change.'),
  allowEmpty: z.boolean().default(false).describe('A snapshot without rows is believed, and takes back every row.'),
  columns: z
    .strictObject({
      offset: column.default(HISTORY_COLUMNS.offset),
      operation: column.default(HISTORY_COLUMNS.operation),
      systemTime: column.default(HISTORY_COLUMNS.systemTime),
      eventTime: column.default(HISTORY_COLUMNS.eventTime),
    })
    .prefault({})
    .describe('Names of the columns that history adds.'),
});

export const sinkSchema = z.strictObject({
  connection: z.string().describe('The name of a connection, or stdout or files.'),
  ...laneShape,
  load: loadSchema.optional().describe('How what a window brings is published; for strategies that publish it whole.'),
  limits: limitsSchema.optional(),
  rate: rateSchema.optional().describe('Budgets a second.'),
  retry: retrySchema.optional(),
});

/** A part that is checked on its own, with the keys of its connector. */
const block = z.record(z.string(), z.unknown());

export const flowSchema = z.strictObject({
  description: z.string().optional(),
  source: block,
  sink: block.optional(),
  sinks: z.record(name, block).optional(),
  ...laneShape,
  window: z
    .enum(WINDOW_KINDS)
    .default('all')
    .describe('How the flow cuts time; `pull` reads only what is new, whenever it is run.'),
  history: historySchema
    .optional()
    .describe('How what a pull brings becomes history; records stay as they are without it.'),
  timezone: z.string().refine(isTimezone, 'must be an IANA time zone such as Europe/Berlin').default('UTC'),
  schedule: z
    .string()
    .optional()
    .describe('When a window should be run: five fields of cron, in the flow’s time zone.'),
  start: z
    .union([z.string(), z.int().transform(String)])
    .optional()
    .describe('The first window to catch up from.'),
  deliver: z.enum(['after-read', 'while-reading']).default('after-read'),
  staging: z
    .enum(['copy', 'range', 'none'])
    .default('copy')
    .describe(
      'What is kept of a batch until it is decided: its bytes, or where its source has them, or neither. `range` ' +
        'takes little of the disk, and needs a source whose files, objects or messages stay as they are for so long. ' +
        '`none` keeps bytes in memory alone: after a crash the sink says what had arrived, and the rest is read again.',
    ),
  retry: retrySchema.prefault({}),
  lease: durationMs.default(60_000).describe('How long a process that went silent keeps its claim.'),
});

export const statusSchema = z.strictObject({
  log: z.union([z.boolean(), z.string()]).optional().describe('Status messages as lines: true for stderr, or a file.'),
  store: z.string().optional().describe('Status messages as two tables in this SQLite file.'),
  profile: z.enum(['osdu', 'adr']).default('osdu').describe('The spelling of the written messages.'),
});

export const fileSchema = z.strictObject({
  version: z.literal(1).describe('Of the form of this file.'),
  connections: z.record(name, block).default({}),
  flows: z.record(name, block),
  ledger: z
    .string()
    .optional()
    .describe('The ledger: a path, or postgres://USER@HOST/DATABASE; .waybill/ledger.db beside this file when absent.'),
  staging: z
    .strictObject({ folder: z.string() })
    .optional()
    .describe('Where frozen bytes lie; beside the ledger when absent.'),
  status: statusSchema.optional(),
});

function isTimezone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
