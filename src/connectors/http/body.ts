import { z } from 'zod';
import { type Framing, LINES } from '../../model/batch.ts';
import { WaybillError } from '../../model/errors.ts';

/** Constants are part of every batch's frozen bytes, so nothing that differs from batch to batch may stand in them. */
const constantsSchema = z
  .record(z.string(), z.json())
  .refine((constants) => !JSON.stringify(constants).includes('{{'), {
    message: 'constants are the same for every batch and take no templates; what differs travels in headers',
  })
  .refine((constants) => !/"(env|file):./.test(JSON.stringify(constants)), {
    message: 'constants are kept with the bytes of each batch, so no secret can stand in them; use auth',
  })
  .describe('Fields that stand beside the records, the same in every request.');

export const bodySchema = z
  .union([
    z.literal('array'),
    z.literal('ndjson'),
    z.literal('single'),
    z.strictObject({
      wrap: z.string().min(1).optional().describe('Dotted path of the field that holds the array of records.'),
      constants: constantsSchema.optional(),
      each: z
        .strictObject({
          wrap: z.string().min(1).describe('Dotted path of the field that holds one record.'),
          constants: constantsSchema.optional(),
        })
        .optional()
        .describe('Put each record inside an object of its own.'),
    }),
  ])
  .describe('How records stand in a request: an array, one a line, one alone, or wrapped in an object.');

export type BodyConfig = z.output<typeof bodySchema>;

/** The framing that a batch is sealed in: its staged bytes are the request's body, byte for byte. */
export function framingOf(body: BodyConfig): Framing {
  if (body === 'ndjson') return LINES;
  if (body === 'single') return { format: 'ndjson', head: '', separator: '', tail: '' };
  if (body === 'array') return { format: 'ndjson', head: '[', separator: ',', tail: ']' };
  const [head, tail] = around(body.wrap, body.constants, '[', ']');
  const [open, close] = around(body.each?.wrap, body.each?.constants, '', '');
  return { format: 'ndjson', head: head + open, separator: `${close},${open}`, tail: close + tail };
}

/** What stands before and after the records inside an object with these constants. */
function around(path: string | undefined, constants: unknown, open: string, close: string): readonly [string, string] {
  if (path === undefined) {
    if (constants === undefined) return [open, close];
    throw new WaybillError('CONFIG_INVALID', 'body.constants need body.wrap: an array has no fields to put them in');
  }
  const root = structuredClone(constants ?? {}) as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop() as string;
  let holder = root;
  for (const name of names) {
    if (!Object.hasOwn(holder, name)) define(holder, name, {});
    const inner = holder[name];
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) throw collision(path);
    holder = inner as Record<string, unknown>;
  }
  if (Object.hasOwn(holder, last)) throw collision(path);
  define(holder, last, HOLE);
  const parts = JSON.stringify(root).split(JSON.stringify(HOLE));
  if (parts.length !== 2) throw collision(path);
  return [`${parts[0]}${open}`, `${close}${parts[1]}`];
}

/** Stands for the records while the object around them is spelled out. */
const HOLE = '\u0000waybill:records\u0000';

/** A plain assignment of `__proto__` would not make a field. */
function define(holder: object, name: string, value: unknown): void {
  Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true });
}

function collision(path: string): WaybillError {
  return new WaybillError('CONFIG_INVALID', `body.wrap: ${path} is also the name of a constant`);
}

export const contentTypeOf = (body: BodyConfig): string =>
  body === 'ndjson' ? 'application/x-ndjson' : 'application/json';
