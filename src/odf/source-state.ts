import type { Position } from '../model/position.ts';

/** What tools have called the one source of a dataset: the text of RFC-009, its schema, and what is written today. */
const ANY_SOURCE: ReadonlySet<string> = new Set(['odf/polling', 'odf/poll', 'default']);

/**
 * A source state as it is met in the wild: `{kind, sourceName, value}` of today, `{kind, source, value}` of RFC-009, or
 * the `AddData` or whole block that holds one, in either spelling. One of the names that stand for any source becomes
 * `sourceName`. Undefined: there is none in it.
 */
export function readSourceState(document: unknown, sourceName: string): Position | undefined {
  if (!isMap(document)) return undefined;
  const { kind, value } = document;
  const named = document.sourceName ?? document.source;
  if (typeof kind === 'string' && typeof value === 'string' && typeof named === 'string')
    return { sourceName: ANY_SOURCE.has(named) ? sourceName : named, kind, value };
  for (const name of ['event', 'newSourceState', 'sourceState', 'content'] as const) {
    const inner = readSourceState(document[name], sourceName);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
