import { z } from 'zod';

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** `500ms`, `30s`, `5m`, `24h`, `2d`, or a number of milliseconds; as milliseconds. */
export const durationSchema = quantity(TIME_UNITS, 'a time such as 500ms, 30s, 5m or 24h');

/** `512KiB`, `1MB`, or a number of bytes; as bytes. One MB is 1,000,000: the smaller reading of a limit is safe. */
export const sizeSchema = quantity(SIZE_UNITS, 'a size such as 900KB, 1MB or 4MiB');

function quantity(units: Readonly<Record<string, number>>, wanted: string): z.ZodType<number> {
  return z.union([z.number(), z.string()]).transform((value, context) => {
    const amount = typeof value === 'number' ? value : parse(value, units);
    if (amount !== undefined && Number.isFinite(amount) && amount > 0) return Math.round(amount);
    context.addIssue({ code: 'custom', message: `expected ${wanted}` });
    return z.NEVER;
  });
}

function parse(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)$/.exec(text);
  const unit = match === null ? undefined : units[match[2] ?? ''];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}
