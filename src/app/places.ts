/** Where a value of the flow file stands in its text. Lines and columns count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export type Path = readonly (string | number)[];

/** A flow file that has been read but not yet understood. */
export interface RawFile {
  /** As the file is named in messages: relative to the working directory where that is shorter. */
  readonly name: string;
  readonly text: string;
  /** Plain values; variables as they are written. Objects have no prototype. */
  readonly value: unknown;
  /** Of the key or the value at a path; of the nearest thing around it when the path itself is not in the text. */
  place(path: Path, what: 'key' | 'value'): Place | undefined;
  readonly problems: readonly RawProblem[];
}

export interface RawProblem {
  readonly place?: Place;
  readonly message: string;
  readonly hint?: string;
}

/** `flows.roket-daily.sink.batch`, with brackets where a key is no plain word. */
export function showPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z0-9_$-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text === '' ? '(the whole file)' : text;
}

export const showPlace = (name: string, place: Place | undefined): string =>
  place === undefined ? name : `${name}:${place.line}:${place.column}`;

/** What stands at a path of plain values. */
export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string | number, unknown>)[part];
  }
  return at;
}
