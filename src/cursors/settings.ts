import { z } from 'zod';

const MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DURATION = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)$/;

/** How far a reading stays behind: a time in milliseconds, or a number in the units of the column. */
export type Lag = { readonly ms: number } | { readonly units: number };

const column = z.string().min(1);

/** Settings of every source that can be read by a cursor column. */
export const cursorSetting = z
  .union([column, z.array(column).min(1).max(8)])
  .transform((given) => (typeof given === 'string' ? [given] : given))
  .refine((columns) => new Set(columns).size === columns.length, 'names a column twice')
  .optional()
  .describe(
    'The column, or columns, whose values only grow, such as `updated_at` or `[updated_at, id]`: with `window: pull` ' +
      'only rows behind the last value are read, in this order.',
  );

const lag = z.union([
  z
    .number()
    .nonnegative()
    .transform((units): Lag => ({ units })),
  z
    .string()
    .regex(DURATION, 'must be a duration such as 30s, 5m or 24h, or a number')
    .transform((text): Lag => ({ ms: parseMs(text) })),
]);

const LAG =
  'How far to stay behind, so that rows of transactions that commit late are not passed over: a duration behind the ' +
  'clock of the server (`5m`) where the cursor is a time, a number behind the newest value where it is a number.';

export const lagSetting = lag.optional().describe(LAG);
/** Of a server that can tell which transactions still run. */
export const autoLagSetting = z
  .union([lag, z.literal('auto')])
  .optional()
  .describe(`${LAG} \`auto\`: behind every transaction that still runs.`);

function parseMs(text: string): number {
  const [, amount = '0', unit = 'ms'] = DURATION.exec(text) ?? [];
  return Math.round(Number(amount) * (MS[unit] ?? 1));
}
