import { z } from 'zod';

/** What people write for durations and sizes in the flow file and on the command line, and what it comes to. */

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};
const DURATION = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)$/;
const SIZE = /^([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(B|KB|MB|GB|KiB|MiB|GiB)$/;

/** `30s`, `5m`, `24h`, `1.5d` in milliseconds; undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  return measure(DURATION.exec(text.trim()), DURATION_UNITS);
}

/** `1MB` (10^6), `1MiB` (2^20), `512KB` in bytes; undefined when the text is no size. */
export function parseSize(text: string): number | undefined {
  return measure(SIZE.exec(text.trim()), SIZE_UNITS);
}

function measure(match: RegExpExecArray | null, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}

/** A duration in a schema: text in the file, milliseconds after parsing. */
export const durationMs = z
  .string()
  .regex(DURATION, 'must be a duration such as 30s, 5m or 24h')
  .transform((text) => parseDuration(text) ?? 0);

/** A size in a schema: bytes, or text with a unit. */
export const sizeBytes = z.union([
  z.int().positive(),
  z
    .string()
    .regex(SIZE, 'must be a size such as 1MB or 512KiB')
    .transform((text) => parseSize(text) ?? 0),
]);
