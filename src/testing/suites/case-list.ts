import { format } from 'node:util';
import type { SuiteCase } from './suite.ts';

/** How groups of cases are written down: `describe` and `it`, as everybody knows them, without a runner behind. */
export interface Grouping {
  describe(name: string, body: () => void): void;
  readonly it: Listing;
}

type Listing = ((title: string, run: () => Promise<void> | void, timeoutMs?: number) => void) & {
  /** One case a row; the first values of a row stand for the places in the title. */
  each<const Row extends readonly unknown[]>(
    rows: readonly Row[],
  ): (title: string, run: (...row: [...Row]) => Promise<void>) => void;
};

/** Collects what `body` lists. `around` runs one case with what comes before and after it. */
export function listCases(
  around: (run: () => Promise<void> | void) => Promise<void>,
  body: (grouping: Grouping) => void,
): readonly SuiteCase[] {
  const cases: SuiteCase[] = [];
  const groups: string[] = [];
  const list = (title: string, run: () => Promise<void> | void, timeoutMs?: number): void => {
    cases.push({
      title: [...groups, title].join(': '),
      proves: groups.slice(0, 1),
      run: () => around(run),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  };
  const each: Listing['each'] = (rows) => (title, run) => {
    const places = title.match(/%[sj]/g)?.length ?? 0;
    for (const row of rows) list(format(title, ...row.slice(0, places)), () => run(...row));
  };
  body({
    it: Object.assign(list, { each }),
    describe(name, inner) {
      groups.push(name);
      inner();
      groups.pop();
    },
  });
  return cases;
}
