import { canonical } from './paths.ts';

const DEPTH_MAX = 4;

export interface Named {
  /** Dotted, from the top. */
  readonly path: string;
  /** In small letters alone, without the marks that names are joined by. */
  readonly bare: string;
  readonly held: unknown;
}

/** The members of a reply and of the objects in it. What stands in arrays are records or results, and is none of it. */
export function* namedIn(value: unknown, above: readonly string[] = []): Generator<Named> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || above.length > DEPTH_MAX) return;
  for (const [name, held] of Object.entries(value)) {
    const path = [...above, name];
    yield { path: path.join('.'), bare: name.toLowerCase().replaceAll(/[^a-z]/g, ''), held };
    yield* namedIn(held, path);
  }
}

/** Neither nothing, zero, no, nor a text, a list or an object without anything in it. */
export function isSaid(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value) && value !== '0';
  return Object.keys(value).length > 0;
}

const WORD = 'errors?|fail(?:ed|ures?)?|reject(?:s|ed|ions?)?|refus(?:ed|als?)|invalid|unprocessed';
const OF_WHAT = 'records|items|rows|entries|results|ids|list|count|total|objects';
const FAILED = new RegExp(`^(?:has|num|numberof|total|count)?(?:${WORD})(?:${OF_WHAT})?$`);

/**
 * Where a reply says by a name that APIs use for it that something was not applied; undefined where it does not. Many
 * APIs answer with the record that they were sent, and what stands in that as well is no word about it.
 */
export function tellsOfFailure(reply: unknown, sent?: unknown): string | undefined {
  for (const { path, bare, held } of namedIn(reply)) {
    if (!FAILED.test(bare) || !isSaid(held)) continue;
    const said = canonical(held);
    if (![...namedIn(sent)].some((own) => own.bare === bare && canonical(own.held) === said)) return path;
  }
  return undefined;
}

const TOTAL = /^(total|numfound|count)(count|results?|items|records|elements|hits|size|value)?$/;

/** Whether a reply counts more than it has listed: what is not in the list may be on another page. */
export function countsMoreThan(listed: number, reply: unknown): boolean {
  for (const { bare, held } of namedIn(reply)) {
    if (TOTAL.test(bare) && typeof held === 'number' && held > listed) return true;
  }
  return false;
}
