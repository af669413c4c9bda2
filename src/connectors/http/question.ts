import { fillPath } from '../../objects/paths.ts';
import type { ReadRange } from '../connector.ts';
import { filled, put, textOf, type Value, type Values } from './body-template.ts';
import type { Place } from './place.ts';
import type { Question } from './reach.ts';
import type { SourceConfig } from './source-settings.ts';

type Range = Pick<ReadRange, 'window' | 'parameters'>;

/** What is filled in beside the window and the parameters of the flow. */
export type Further = Readonly<Record<string, bigint>>;

/** The path and the body of a source, filled in for one reading, with the secrets that the body refers to. */
export function questionOf(
  { fetcher, settings }: Pick<Place, 'fetcher' | 'settings'>,
  range: Range,
  further: Further = {},
): Question {
  const url = fetcher.address(pathIn(settings.path, range, further));
  if (settings.body === undefined) return { url };
  return { url, body: filled(settings.body, valuesOf(range, further), (reference) => fetcher.secret(reference)) };
}

/** The same without secrets: what tells a question from others. */
export function namedQuestion({ path, body }: SourceConfig, range: Range): readonly unknown[] {
  return [pathIn(path, range), filled(body ?? null, valuesOf(range, {}), (reference) => reference)];
}

/** The path with the window, the parameters of the flow and further values put in; each stays one segment. */
export function pathIn(path: string, range: Range, further: Further = {}): string {
  const texts = Object.entries(valuesOf(range, further)).map(([name, value]) => [name, textOf(value)]);
  return fillPath(path, Object.fromEntries(texts));
}

function valuesOf({ window, parameters }: Range, further: Further) {
  const given = Object.entries(parameters).map(([name, { value }]): [string, Value] => [name, value]);
  return { ...Object.fromEntries(given), window: window.name, ...further } as Values;
}

/** The question with further parameters, in its query or at dotted paths of its body. */
export function askingFor(
  question: Question,
  values: Readonly<Record<string, unknown>>,
  where: 'query' | 'body',
): Question {
  if (where === 'body') {
    const body = Object.entries(values).reduce(
      (held, [path, value]) => put(held, path.split('.'), value),
      question.body,
    );
    return { ...question, body };
  }
  const url = new URL(question.url);
  for (const [name, value] of Object.entries(values)) url.searchParams.set(name, String(value));
  return { ...question, url };
}
