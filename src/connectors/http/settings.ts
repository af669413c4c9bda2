import { z } from 'zod';
import { durationSchema, sizeSchema } from '../../objects/quantities.ts';
import { authSchema, headerNameSchema, headersSchema, isPlain } from './auth-config.ts';
import { bodySchema } from './body.ts';
import { conditionSchema, receiptSchema } from './receipt-config.ts';

export const connectionSchema = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .refine(isPlain, 'the base URL carries no credentials, no query and no fragment; secrets belong under auth')
    .describe('The base URL of the API.'),
  auth: authSchema.optional(),
  headers: headersSchema.optional(),
  tls: z
    .strictObject({
      ca: z.string().optional().describe('A PEM file with the authorities to trust instead of the usual ones.'),
    })
    .optional()
    .describe('Certificates are always verified.'),
  connectTimeout: durationSchema.default(10_000).describe('How long a connection may take to stand.'),
});
export type ConnectionConfig = z.output<typeof connectionSchema>;

/**
 * A path below the base URL. Secrets in queries end up in access logs, so names that sound like one are refused.
 * Templates are spelled without spaces from here on.
 */
const templateSchema = z
  .string()
  .transform((path) => path.replaceAll(/\{\{\s*([A-Za-z.]+)\s*\}\}/g, '{{$1}}'))
  .refine((path) => /^(\/[\x21\x22\x24-\x7e]*)?$/.test(path), 'a path begins with / and holds neither spaces nor #')
  .refine((path) => !/[?&][^=]*(token|secret|password|api_?-?key|signature)[^=]*=/i.test(path), {
    message: 'a secret in a URL ends up in logs; use auth',
  });
const pathSchema = templateSchema.refine((path) => !path.includes('{{'), 'nothing can be filled in here');

const statusList = z.array(z.number().int().min(100).max(599));

const statusesSchema = z
  .strictObject({
    applied: statusList.default([]).describe('Further statuses whose reply is read as a receipt; 2xx always are.'),
    already: statusList.default([]).describe('This very batch was applied before.'),
    refused: statusList.default([]).describe('Proves that the whole batch was refused and nothing of it applied.'),
    retry: statusList.default([429]).describe('Proves that nothing was applied, and that a later try may pass.'),
    unknown: statusList.default([]).describe('Proves nothing, whatever the other rules say.'),
  })
  .describe('What statuses prove about this API, where it is known to say more than the usual.');

const httpMethod = z.enum(['POST', 'PUT', 'PATCH']);

const lookupSchema = z
  .strictObject({
    path: templateSchema.describe('May hold {{ id }} (one request a record), {{ ids }} or {{ batch.idempotencyKey }}.'),
    method: z.enum(['GET', 'POST']).default('GET').describe('POST sends the ids in a JSON body.'),
    recordId: z.string().describe('Path of the id within a record that was sent.'),
    idsField: z.string().default('ids').describe('For POST: the field of the body that holds the ids.'),
    idsPerRequest: z.number().int().positive().default(50).describe('How many ids go into one request.'),
    results: z.string().default('').describe('Path of the array of what was found; empty for the reply itself.'),
    resultId: z.string().optional().describe('Path of the id within something found; recordId when absent.'),
    match: conditionSchema.optional().describe('Which of what was found counts; all when absent.'),
    more: z
      .string()
      .optional()
      .describe('Path of what says that there are further pages: then nothing is proved absent.'),
    visibilityLag: durationSchema
      .default(1000)
      .describe('How long a record may take to be found after it was applied.'),
  })
  .describe('How to ask the API for records whose answer was lost.');

const stepSchema = (what: string) =>
  z.strictObject({
    path: templateSchema.describe(`${what} May hold {{ handle }}.`),
    method: z.enum(['GET', 'POST', 'PUT', 'PATCH']).optional().describe('POST where data is sent, else GET.'),
    body: z.json().optional().describe('A JSON body, the same for every job.'),
  });

const jobSchema = z
  .strictObject({
    create: stepSchema('Makes an empty job.')
      .extend({
        handle: z.string().describe('Path of the handle in the reply.'),
      })
      .describe('Makes an empty job.'),
    upload: stepSchema('Takes the records of the job.').describe('Takes the records of the job.'),
    complete: stepSchema('Tells the job that its data is complete.')
      .optional()
      .describe('Tells the job that its data is complete.'),
    state: stepSchema('Tells how the job stands.')
      .extend({
        status: z.string().describe('Path of the status in the reply.'),
        running: z.array(z.string()).default([]).describe('Statuses of a job at work.'),
        empty: z
          .array(z.string())
          .default([])
          .describe('Statuses of a job that got no data, or was not told to begin.'),
        done: z.array(z.string()).min(1).describe('Statuses of a job that has ended well.'),
        failed: z.array(z.string()).default([]).describe('Statuses of a job that has ended badly.'),
        receipt: receiptSchema.optional().describe('Read from the state of a job that has ended.'),
      })
      .describe('Tells how the job stands.'),
    errors: stepSchema('Lists what a job refused.')
      .extend({
        receipt: receiptSchema,
        more: z
          .string()
          .optional()
          .describe('Path of what says that the list goes on: then its silence proves nothing.'),
      })
      .optional()
      .describe('Asked when the counts of an ended job say that something was refused.'),
  })
  .describe('An asynchronous job: a handle first, the data after, the outcome when it has ended.');
export type JobConfig = z.output<typeof jobSchema>;
export type LookupConfig = z.output<typeof lookupSchema>;

const idempotencySchema = z
  .strictObject({
    header: headerNameSchema.default('Idempotency-Key').describe('The header that carries the key.'),
    horizon: durationSchema.describe('How long the API remembers a key after its first use.'),
    storesErrors: z
      .boolean()
      .default(false)
      .describe('A stored answer may be an error, which is then final for the key.'),
    inProgress: z
      .number()
      .int()
      .default(409)
      .describe('The status of a repeat while the first request is still running.'),
    confirmHeader: z
      .strictObject({
        name: z.string().describe('A header of the reply.'),
        ignored: z.string().optional().describe('Its value when the API did not use the key.'),
      })
      .optional()
      .describe('Where the API tells whether it honoured the key.'),
  })
  .describe('The API recognises a repeat by a key in a header.');

const rateSchema = z
  .strictObject({
    requests: z.number().positive().optional().describe('Requests a second.'),
    records: z.number().positive().optional().describe('Records a second.'),
    bytes: sizeSchema.optional().describe('Bytes a second.'),
    burst: z.number().positive().optional().describe("How many seconds' worth may be used at once."),
  })
  .describe('How fast the API may be called.');

export const sinkSchema = z
  .strictObject({
    path: pathSchema.default('').describe('Where batches are sent, below the base URL.'),
    method: httpMethod.default('POST').describe('The method of a request that carries a batch.'),
    batch: z
      .strictObject({
        maxRecords: z.number().int().positive().optional().describe('Records in one request; 100 when absent.'),
        maxBytes: sizeSchema
          .default(1_000_000)
          .describe('Bytes of one request body, with everything around the records.'),
      })
      .prefault({})
      .describe('What one request may hold.'),
    inFlight: z.number().int().min(1).max(1024).default(4).describe('Requests on their way at once.'),
    body: bodySchema.default('array'),
    headers: headersSchema.optional(),
    receipt: receiptSchema.optional(),
    requestTimeout: durationSchema
      .default(30_000)
      .describe('At this age a request is given up and its answer unknown.'),
    statuses: statusesSchema.prefault({}),
    rejectsAtomically: z
      .boolean()
      .optional()
      .describe('A refusal (400, 401, 403, 404, 405, 413, 415, 422) means that nothing of the batch was applied.'),
    idempotencyKey: idempotencySchema.optional(),
    lookup: lookupSchema.optional(),
    upsert: z
      .union([
        z.literal(true),
        z.strictObject({
          method: httpMethod.default('PUT').describe('The method that replaces one record.'),
          path: templateSchema
            .refine((path) => path.includes('{{key}}'), 'the path must hold {{ key }}')
            .describe('Where one record stands; holds {{ key }}.'),
          key: z.string().describe('Path of the key within a record.'),
        }),
      ])
      .optional()
      .describe('The API replaces a record that has the same key: true, or the request that does it for one record.'),
    job: jobSchema.optional(),
    rate: rateSchema.optional(),
    keepAlive: z
      .union([z.literal('announced'), z.literal('never'), durationSchema])
      .optional()
      .describe('How long an idle connection is used again: as the API announces, never, or for a time.'),
  })
  .superRefine((sink, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (sink.receipt === undefined && sink.job === undefined) {
      issue('receipt', 'say how the reply tells what became of each record; `shape: none` if it does not');
    }
    if (isSingle(sink) && (sink.batch.maxRecords ?? 1) !== 1) {
      issue('batch', 'a request that carries one record cannot take more than one');
    }
    if (sink.job !== undefined && (sink.upsert !== undefined || sink.idempotencyKey !== undefined)) {
      issue('job', 'a job is a way of sending of its own; it goes with neither upsert nor idempotencyKey');
    }
    if (sink.job !== undefined && sink.job.state.receipt === undefined && sink.job.errors === undefined) {
      issue('job', 'say how an ended job tells what became of each record: state.receipt or errors');
    }
  });

export type SinkConfig = z.output<typeof sinkSchema>;

/** A request carries one record: as its whole body, or under its own key in the path. */
export const isSingle = (sink: Pick<SinkConfig, 'body' | 'upsert'>): boolean =>
  sink.body === 'single' || typeof sink.upsert === 'object';

/** A batch of one cannot be half applied; an all-or-nothing reply says so by its shape. */
export const rejectsAtomically = (sink: SinkConfig): boolean =>
  sink.rejectsAtomically ?? (sink.receipt?.shape === 'all-or-nothing' || isSingle(sink));
