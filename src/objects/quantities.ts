import { z } from 'zod';
import { parseDuration, parseSize } from '../model/quantities.ts';

/** `500ms`, `30s`, `5m`, `24h`, `2d`, or a number of milliseconds; as milliseconds. */
export const durationSchema = quantity(parseDuration, 'a time such as 500ms, 30s, 5m or 24h');

/** `512KiB`, `1MB`, or a number of bytes; as bytes. */
export const sizeSchema = quantity(parseSize, 'a size such as 900KB, 1MB or 4MiB');

function quantity(parse: (text: string) => number | undefined, wanted: string): z.ZodType<number> {
  return z.union([z.number(), z.string()]).transform((value, context) => {
    const amount = typeof value === 'number' ? value : parse(value);
    if (amount !== undefined && Number.isFinite(amount) && amount > 0) return Math.round(amount);
    context.addIssue({ code: 'custom', message: `expected ${wanted}` });
    return z.NEVER;
  });
}
