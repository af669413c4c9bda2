import { z } from 'zod';

const path = (what: string) => z.string().describe(`${what} A dotted path; numbers are places in an array.`);

/** When a part of a reply says yes. A bare path: the value there is `true`. */
export const conditionSchema = z
  .union([
    z.string(),
    z.strictObject({
      path: path('Where to look.'),
      is: z.union([z.json(), z.array(z.json())]).describe('The value, or one of several, that says yes.'),
    }),
    z.strictObject({ path: path('Where to look.'), absent: z.literal(true).describe('Nothing there says yes.') }),
    z.strictObject({ path: path('Where to look.'), present: z.literal(true).describe('Anything there says yes.') }),
    z.strictObject({
      path: path('Where to look.'),
      between: z.tuple([z.number(), z.number()]).describe('A number from the first to the second says yes.'),
    }),
  ])
  .describe('A condition on a part of the reply.');

const reasons = {
  code: path("The sink's word for a refusal, within its entry.").optional(),
  error: path("The sink's message for a refusal, within its entry.").optional(),
  retryable: z
    .strictObject({ codes: z.array(z.string()).describe('Codes of refusals that may pass later, unchanged.') })
    .optional()
    .describe('Which refusals may pass later without a change of the data.'),
};

/** Figures that the reply gives beside its lists; where they disagree with the lists, nothing is believed. */
const check = {
  check: z
    .strictObject({
      applied: path('How many were applied.').optional(),
      refused: path('How many were refused.').optional(),
    })
    .optional()
    .describe('Counts in the reply that must agree with its lists.'),
};

const listOfErrors = {
  optional: z
    .boolean()
    .default(false)
    .describe('The list is left out when nothing was refused. Without this, a reply that lacks it is unclear.'),
  ok: conditionSchema.optional().describe('What the reply as a whole must say before its silence counts as success.'),
};

const requestId = {
  requestId: z.string().optional().describe("Name of the reply's header with the sink's own id of the request."),
};

export const receiptSchema = z
  .discriminatedUnion('shape', [
    z.strictObject({
      shape: z.literal('position').describe('One result a record, in the order of the request.'),
      path: path('The array of results; empty for the reply itself.').default(''),
      success: conditionSchema,
      id: path("The sink's id for a record, within its result.").optional(),
      ...reasons,
      ...check,
      ...requestId,
    }),
    z.strictObject({
      shape: z.literal('client-id').describe('Results and errors name records by an id that the record carries.'),
      recordId: path('The id within a record that was sent.'),
      results: path('The array of applied entries; without it, what no error names was applied.').optional(),
      resultId: path('The id within an applied entry; the same as recordId when absent.').optional(),
      success: conditionSchema.optional().describe('Which entries of results were applied; all when absent.'),
      errors: path('The array of refused entries.').optional(),
      errorId: path('The id within a refused entry: one, or an array of them.').optional(),
      id: path("The sink's id for a record, within its applied entry.").optional(),
      ...listOfErrors,
      ...reasons,
      ...check,
      ...requestId,
    }),
    z.strictObject({
      shape: z.literal('index-in-array').describe('Errors name records by their place in the array that was sent.'),
      errors: path('The array of errors.'),
      index: path('The place, within an error.').default('index'),
      first: z
        .union([z.literal(0), z.literal(1)])
        .default(0)
        .describe('The place of the first record.'),
      array: path('The name of the array, within an error.').optional(),
      arrayName: z.string().optional().describe('The name of the array that the records were sent in.'),
      severalPerRecord: z.boolean().default(false).describe('One record may have several errors.'),
      ...listOfErrors,
      ...reasons,
      ...check,
      ...requestId,
    }),
    z.strictObject({
      shape: z.literal('echoed-record').describe('Refused records come back whole, or by their natural key.'),
      path: path('The array of refused entries.'),
      record: path('The echoed record within an entry; empty when the entry is the record.').default('record'),
      key: path('The natural key within an entry; recordKey within the echoed record when absent.').optional(),
      recordKey: path('The natural key within a record; whole records are compared when absent.').optional(),
      ...listOfErrors,
      ...reasons,
      ...check,
      ...requestId,
    }),
    z.strictObject({
      shape: z.literal('counts').describe('Only how many were applied and refused.'),
      applied: path('How many were applied.'),
      refused: path('How many were refused.').optional(),
      total: path('How many were received.').optional(),
      ...requestId,
    }),
    z.strictObject({
      shape: z.literal('all-or-nothing').describe('A status of success means that every record was applied.'),
      ok: conditionSchema.optional().describe('What the reply must also say.'),
      applied: path('How many were applied; must be all that were sent.').optional(),
      ...reasons,
      ...requestId,
    }),
    z.strictObject({
      shape: z.literal('none').describe('The reply says nothing: a status of success is all there will ever be.'),
      ...requestId,
    }),
  ])
  .describe('How the reply tells what became of each record. What it does not account for is in doubt.');

export type ReceiptConfig = z.output<typeof receiptSchema>;
export type Condition = z.output<typeof conditionSchema>;
export type ReceiptOf<S extends ReceiptConfig['shape']> = Extract<ReceiptConfig, { shape: S }>;
