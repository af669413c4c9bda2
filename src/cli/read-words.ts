import { WaybillError } from '../model/errors.ts';
import { type BatchId, parseBatchId, parseRunId, type RunId } from '../model/ids.ts';
import { parseDuration } from '../model/quantities.ts';

/** Words of the command line made into values. All throw USAGE and say what was expected. */

export function readRun(text: string): RunId {
  const run = parseRunId(text);
  if (run === undefined)
    throw usage(`${JSON.stringify(text)} is not a run`, 'Runs look like r12; list them with `waybill runs`.');
  return run;
}

export function readBatch(text: string): BatchId {
  const batch = parseBatchId(text);
  if (batch !== undefined) return batch;
  throw usage(`${JSON.stringify(text)} is not a batch`, 'Batches look like b345; list them with `waybill batches`.');
}

/** Batches as several words, as `b1,b2`, or both; each once, in the order given. */
export function readBatches(texts: readonly string[]): BatchId[] {
  const names = texts.flatMap((text) => text.split(',')).filter((text) => text.trim() !== '');
  return [...new Set(names.map((name) => readBatch(name.trim())))];
}

/** `a,b` out of the words that are allowed; undefined when nothing was given. */
export function readChoices<T extends string>(text: string | undefined, allowed: readonly T[]): T[] | undefined {
  if (text === undefined) return undefined;
  return text.split(',').map((word) => {
    // `in doubt` is how tables write it.
    const name = word.trim().replaceAll(' ', '-');
    const found = allowed.find((one) => one === name);
    if (found === undefined) throw usage(`${JSON.stringify(word)} is not a state`, `States are ${allowed.join(', ')}.`);
    return found;
  });
}

/** One of the words that an option takes. */
export function readChoice<T extends string>(text: string, option: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === text);
  if (found !== undefined) return found;
  throw usage(`${option} ${JSON.stringify(text)} is not known`, `Give one of ${allowed.join(', ')}.`);
}

/** A bare number is seconds. */
export function readDuration(text: string, option: string): number {
  const ms = parseDuration(/\d\s*$/.test(text) ? `${text.trim()}s` : text);
  if (ms !== undefined) return ms;
  throw usage(`${option} ${JSON.stringify(text)} is not a duration`, 'Write it as 500ms, 30s, 10m or 2h.');
}

export function readWhole(text: string, option: string, range: { min: number; max: number }): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= range.min && value <= range.max) return value;
  throw usage(`${option} ${JSON.stringify(text)} is not a whole number`, `Give one from ${range.min} to ${range.max}.`);
}

export const usage = (message: string, hint: string): WaybillError => new WaybillError('USAGE', message, { hint });
