import { z } from 'zod';
import { placeholdersOf } from '../../objects/paths.ts';
import { durationSchema, sizeSchema } from '../../objects/quantities.ts';
import { FILE_FORMATS } from '../../objects/record-format.ts';
import { documentSettings, recordBytesMaxSetting } from '../../objects/settings.ts';
import { headersSchema } from './auth-config.ts';
import { namesIn } from './body-template.ts';

const SECRET_NAME = /[?&][^=]*(token|secret|password|api_?-?key|signature)[^=]*=/i;

/** A path below the base URL that stays below it, as it is sent: with %XX for what a URL cannot hold. */
const pathSchema = z
  .string()
  .transform((path) => path.replaceAll(/\{\{\s*([A-Za-z_][\w.]*)\s*\}\}/g, '{{$1}}'))
  .refine((path) => /^(\/[\x21\x22\x24-\x7e]*)?$/.test(path), 'a path begins with / and holds neither spaces nor #')
  .refine((path) => !/(^|\/)(\.|%2e){2}(\/|$|\?)/i.test(path.split('?', 1)[0] ?? ''), 'a path holds no `..`')
  .refine((path) => !SECRET_NAME.test(path), 'a secret in a URL ends up in logs; use auth');

const nameSchema = z.string().regex(/^[A-Za-z0-9_.[\]~-]+$/, 'the name of a parameter');
const parameter = (what: string) => nameSchema.describe(`The parameter that holds ${what}.`);
const jsonPath = (what: string) => z.string().min(1).describe(what);

const bodySchema = (what: string) =>
  z
    .union([z.record(z.string(), z.json()), z.array(z.json())])
    .describe(what)
    .optional();
const parameterIn = z
  .enum(['query', 'body'])
  .optional()
  .describe('Where it stands: in the query, or at a dotted path of the body. In the body where the source has one.');

const shared = {
  more: jsonPath(
    'Path of what says that there are further pages: false or null there ends them, and so does nothing at all where ' +
      'an earlier page had something.',
  ).optional(),
  pagesMax: z.int().min(1).default(100_000).describe('A source with more pages than this is an error.'),
};

const pagesSchema = z
  .discriminatedUnion('by', [
    z.strictObject({
      by: z.literal('none').describe('One reply is all that is meant, also where it leads on to further pages.'),
    }),
    z.strictObject({
      by: z.literal('link').describe('The reply holds the address of the next page.'),
      at: jsonPath('Path of that address in the reply, `links.next`; in the header `Link` when absent.').optional(),
      ...shared,
    }),
    z.strictObject({
      by: z.literal('page').describe('Pages are counted.'),
      parameter: parameter('the number of the page').default('page'),
      parameterIn,
      first: z.int().min(0).default(1).describe('The number of the first page.'),
      size: z.int().min(1).optional().describe('How many records are asked for.'),
      sizeParameter: parameter('the size of a page').optional(),
      endsWith: z
        .enum(['empty', 'short', 'missing'])
        .default('empty')
        .describe('What tells that there are no more: a page without records, one with less than `size`, or a 404.'),
      total: jsonPath('Path of how many pages there are.').optional(),
      ...shared,
    }),
    z.strictObject({
      by: z.literal('offset').describe('A page begins at a number of records.'),
      parameter: parameter('how many records come before').default('offset'),
      parameterIn,
      size: z.int().min(1).describe('How many records are asked for.'),
      sizeParameter: parameter('how many records are asked for').default('limit'),
      endsWith: z
        .enum(['empty', 'short', 'missing'])
        .default('empty')
        .describe('What tells that there are no more: a page without records, one with less than `size`, or a 404.'),
      total: jsonPath('Path of how many records there are.').optional(),
      ...shared,
    }),
    z.strictObject({
      by: z.literal('cursor').describe('The reply says where the next page begins.'),
      parameter: parameter('the cursor').default('cursor'),
      parameterIn,
      at: jsonPath('Path of the cursor in the reply: `meta.next`.').optional(),
      ofRecord: jsonPath('Path of the cursor in the last record of a page: `id`.').optional(),
      initial: z.string().min(1).optional().describe('The cursor of the first page; none when absent.'),
      resumes: z
        .boolean()
        .default(false)
        .describe('The last cursor is good for later, too: a pull goes on from there, and each page is committed.'),
      ...shared,
    }),
  ])
  .describe('How the reply goes on: by link, page, offset or cursor; or that it does not.');

const sequenceSchema = z
  .strictObject({
    head: z
      .strictObject({
        path: pathSchema.describe('Where the newest number is told.'),
        body: bodySchema('JSON that is sent there by POST.'),
        at: jsonPath('Path of the number in the reply; the reply itself is the number when absent.').optional(),
      })
      .describe('Tells the newest number.'),
    first: z
      .union([z.int().min(0), z.string().regex(/^[0-9]{1,40}$/, 'a whole number')])
      .default(0)
      .describe('Where to begin.'),
    step: z.int().min(1).max(1_000_000).default(1).describe('How many numbers one request covers.'),
    confirmations: z.int().min(0).default(0).describe('How far to stay behind the newest number.'),
    whenMissing: z
      .enum(['fail', 'skip'])
      .default('fail')
      .describe('A number that the source has nothing for (404): an error, or passed over.'),
  })
  .describe('The source is numbered: blocks, ledgers, sequence numbers.');

const hostSchema = z.string().regex(/^[A-Za-z0-9.:[\]-]+$/, 'a host, `files.example.com`, or one with its port');

/** What a sequence fills in by itself. */
export const SEQUENCE_VALUES: readonly string[] = ['from', 'to', 'number', 'before'];

export const sourceSchema = z
  .strictObject({
    path: pathSchema
      .default('')
      .describe('Below the base URL; may hold `{{ window }}`, parameters, and in a sequence `{{ number }}`.'),
    body: bodySchema(
      'JSON that is asked by, with POST. Its texts may hold what the path may; one that is nothing else is the value.',
    ),
    headers: headersSchema.optional(),
    format: z.enum(FILE_FORMATS).optional().describe('By the ending of the path, then by the type of the reply.'),
    ...documentSettings,
    single: z.boolean().default(false).describe('A JSON document is one record, and not an array of them.'),
    entries: z.string().min(1).optional().describe('Which files of a zip are meant: `*.csv`. All of them when absent.'),
    pages: pagesSchema.optional(),
    sequence: sequenceSchema.optional(),
    redirects: z
      .union([z.enum(['refuse', 'same-origin', 'public']), z.array(hostSchema).min(1)])
      .default('refuse')
      .describe('Where redirects and links may lead: nowhere else, the same origin, public addresses, or these hosts.'),
    requestTimeout: durationSchema.default(30_000).describe('How long an answer may take to begin.'),
    stallTimeout: durationSchema.default(60_000).describe('How long nothing may come in the middle of an answer.'),
    downloadTimeout: durationSchema.default(21_600_000).describe('How long one answer may take in all.'),
    patience: durationSchema
      .default(300_000)
      .describe(
        'How long a page or a step of a sequence, but the first, is asked for again while the answer is 429, 502, ' +
          '503 or 504: as the server says (`Retry-After`), else after one second, two, four and so on.',
      ),
    bytesMax: sizeSchema.default(16 * 1024 ** 3).describe('What one document may hold at most, as it is sent.'),
    inflatedBytesMax: sizeSchema.default(64 * 1024 ** 3).describe('What a packed document may hold at most.'),
    recordBytesMax: recordBytesMaxSetting,
    entriesMax: z.int().min(1).max(100_000).default(1000).describe('How many files a zip may hold at most.'),
    pageBytesMax: sizeSchema.default(16 * 1024 ** 2).describe('What one page, or one step of a sequence, may hold.'),
    untoldLength: z
      .enum(['fail', 'accept'])
      .default('fail')
      .describe('An answer that does not say where it ends, and whose content does not show it either.'),
  })
  .superRefine((source, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    const { pages, sequence } = source;
    const paged = pages !== undefined && pages.by !== 'none';
    if (paged && sequence !== undefined) issue('sequence', 'a source is numbered or has pages, not both');
    if ((paged || sequence !== undefined) && source.format === 'parquet') issue('format', 'Parquet has no pages');
    if (pages?.by === 'cursor' && (pages.at === undefined) === (pages.ofRecord === undefined)) {
      issue('pages', 'say where the cursor is: `at` in the reply, or `ofRecord` in the last record');
    }
    if (pages?.by === 'page' && pages.endsWith === 'short' && pages.size === undefined) {
      issue('pages', 'say with `size` how many records a full page holds');
    }
    if (source.single && source.recordsAt !== undefined) {
      issue('recordsAt', 'a document that is one record has no array in it');
    }
    if (pages !== undefined && 'parameterIn' in pages && pages.parameterIn === 'body' && source.body === undefined) {
      issue('pages', 'there is no `body` to put the parameters in');
    }
    const names = [...placeholdersOf(source.path), ...namesIn(source.body)];
    const numbered = SEQUENCE_VALUES.filter((name) => names.includes(name));
    if (sequence === undefined && numbered.length > 0) {
      const shown = numbered.map((name) => `{{ ${name} }}`).join(', ');
      issue('path', `only a sequence fills in ${shown}; a parameter of the flow needs another name`);
    }
    if (sequence !== undefined && numbered.length === 0) issue('path', 'a sequence needs {{ number }} or {{ from }}');
    if (sequence !== undefined && sequence.step > 1 && !names.includes('to') && !names.includes('before')) {
      issue('path', 'a step of more than one number needs {{ to }} or {{ before }}');
    }
  });

export type SourceConfig = z.output<typeof sourceSchema>;
/** How pages follow each other, with all that the flow file leaves open decided. */
export type PagesConfig = Settled<Exclude<z.output<typeof pagesSchema>, { by: 'none' }>>;
type Settled<Pages> = Pages extends unknown ? Pages & { readonly parameterIn: 'query' | 'body' } : never;
export type SequenceConfig = z.output<typeof sequenceSchema>;
