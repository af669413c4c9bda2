import { z } from 'zod';
import { isCsvType } from '../formats/csv-json.ts';
import { isPattern } from './paths.ts';
import { PULL_BY } from './pulls.ts';
import { sizeSchema } from './quantities.ts';
import { FILE_FORMATS } from './record-format.ts';

/** What files and objects are called in the descriptions of settings. */
export interface Called {
  /** `file`, `object`. */
  readonly one: string;
  /** Seconds for which a new one has to be quiet before a pull takes it, unless the flow says otherwise. */
  readonly settleSeconds: number;
}

const character = z.string().refine((text) => text.length === 1 && text > '\0' && text < '\x7f', 'one ASCII character');

const RECORD_BYTES_MAX = 16 * 1024 ** 2;
/** A record is a text somewhere on its way, and none can have twice as much: that would end in an error of its own. */
const RECORD_BYTES_HIGHEST = 256 * 1024 ** 2;

/** Of every source that finds records in bytes: one setting, with one meaning. */
export const recordBytesMaxSetting = sizeSchema
  .refine((bytes) => bytes <= RECORD_BYTES_HIGHEST, 'no record may have more than 256MiB')
  .default(RECORD_BYTES_MAX)
  .describe(
    'What one record may hold, unpacked. A longer one is never kept in memory; `onReject` says what becomes of it.',
  );

/** How records stand in a document: what is the same wherever it lies. */
export const documentSettings = {
  delimiter: character.optional().describe('Between the fields of CSV. A comma; a tab for `.tsv`.'),
  quote: character.optional().describe('Around fields of CSV that hold a delimiter. A double quote.'),
  header: z
    .union([z.boolean(), z.array(z.string().min(1)).min(1)])
    .default(true)
    .describe('Whether the first row of CSV holds the names; or the names, where no row does.'),
  emptyIsNull: z
    .boolean()
    .default(true)
    .describe('Nothing between two delimiters is null, and `""` is the empty text.'),
  types: z
    .record(
      z.string(),
      z.string().refine(isCsvType, 'a type such as `int64`, `decimal(12,2)`, `timestamptz` or `text[]`'),
    )
    .optional()
    .describe('Types of columns of CSV; text when absent. `integer` and `number` are numbers of any size.'),
  recordsAt: z.string().min(1).optional().describe('Where the array of records is in a JSON document: `data.items`.'),
};

/** The settings of a source that are the same for files of a folder and objects of a bucket; beside `path`. */
export const readSettings = ({ one, settleSeconds }: Called) => ({
  format: z.enum(FILE_FORMATS).optional().describe('By the ending of each name when absent.'),
  ...documentSettings,
  whenNone: z.enum(['fail', 'empty']).default('fail').describe(`No ${one}: an error, or nothing to read.`),
  inflatedBytesMax: sizeSchema.default(64 * 1024 ** 3).describe('What one `.gz` may hold at most.'),
  recordBytesMax: recordBytesMaxSetting,
  pullBy: z
    .enum(PULL_BY)
    .optional()
    .describe(
      `What is new in a pull. \`name\`: each ${one} whose name comes after that of the last one taken, which is how ` +
        `a pattern is pulled. \`version\`: all of one ${one}, when it has changed, as a path without \`*\` is. ` +
        '`offset`: the lines that were added to it.',
    ),
  settleSeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(settleSeconds)
    .describe(
      `A pull leaves a ${one} alone that was written to within this time, and, by name, all that come after it: it ` +
        'may not be complete. 0 where each gets its name when it is whole.',
    ),
});

/** What the settings of such a source must agree in. */
export function readSettingsAgree(
  { path, pullBy }: { readonly path: string; readonly pullBy?: string | undefined },
  context: z.core.$RefinementCtx,
): void {
  if (pullBy === undefined || pullBy === 'name' || !isPattern(path)) return;
  const message = `\`pullBy: ${pullBy}\` is about one file, and this pattern may name many`;
  context.addIssue({ code: 'custom', path: ['pullBy'], message });
}
