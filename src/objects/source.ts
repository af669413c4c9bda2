import type { Source } from '../connectors/connector.ts';
import { isPattern, placeholdersOf } from './paths.ts';
import { LinePulls } from './pull-lines.ts';
import { NamePulls } from './pull-names.ts';
import { VersionPulls } from './pull-version.ts';
import { type PullOptions, type PullWay, withPulls } from './pulls.ts';
import { readingSource } from './reading.ts';

/** Reads the records of one file or of many, in order of their names; in a pull, what is new of them. */
export function objectSource(options: PullOptions): Source {
  const way = wayOf(options);
  if (way === undefined) return readingSource(options);
  const { reread, ...source } = readingSource(options);
  // A file that lines are added to is renamed sooner or later, and what its ranges name is in another one then.
  const parts = reread === undefined || way instanceof LinePulls ? {} : { reread };
  return withPulls({ ...source, ...parts }, way);
}

/** Undefined: what lies under a name of its own for each window cannot have anything new behind a position. */
function wayOf(options: PullOptions): PullWay | undefined {
  if (placeholdersOf(options.pattern).includes('window')) return undefined;
  switch (options.pullBy ?? (isPattern(options.pattern) ? 'name' : 'version')) {
    case 'name':
      return new NamePulls(options);
    case 'offset':
      return new LinePulls(options);
    case 'version':
      return new VersionPulls(options);
  }
}
