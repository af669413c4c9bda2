import { z } from 'zod';
import { DURATION, parseDuration, parseSize, SIZE } from '../model/quantities.ts';

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
