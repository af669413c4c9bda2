import { fail } from './expect.ts';
import { LoadBench, type LoadCheck } from './load-bench.ts';
import { COLLECTING } from './load-collecting.ts';
import { loadPromises } from './load-promises.ts';
import { publishingChecks } from './load-publishing.ts';
import { isLoadAbility, isPublishing, type LoadAbility, type LoadSubject } from './load-subject.ts';
import type { Suite, SuiteCase } from './suite.ts';

/**
 * What every sink has to do that takes loads: collects what a window brings in a place that nobody reads, and publishes
 * it in one step that may be asked for again at any time. The abilities that its author names decide what is asked of
 * it; one that the sink shows and its author does not name fails, and so does one that nobody has a check for.
 */
export function loadSuite(subject: LoadSubject): Suite {
  const { name, abilities } = subject;
  const publishing = abilities.filter(isPublishing);
  const through = publishing[0];
  const make = (about: LoadAbility, { title, run }: LoadCheck): SuiteCase => ({
    title,
    proves: [about],
    run: () => LoadBench.use(subject, about, (bench) => run(shown(bench, subject))),
  });
  const cases = [
    make(through ?? 'load', {
      title: 'shows what its author says that it can do with loads',
      run: async () => undefined,
    }),
    ...abilities.flatMap((ability) =>
      promisesOf(ability).map(({ title, run }) => make(ability, { title: `${ability}: ${title}`, run })),
    ),
    ...publishing.flatMap((ability) => publishingChecks(ability).map((check) => make(ability, check))),
    // What a place holds is seen only by publishing it, in whatever way the sink has.
    ...COLLECTING.map(({ title, run }) =>
      make(through ?? 'load', {
        title: `load: ${title}`,
        run: async (bench) =>
          await run(bench, through ?? fail('what is collected can be published: it shows no ability to')),
      }),
    ),
  ];
  return { name: `${name} takes loads`, claims: abilities, cases };
}

function promisesOf(ability: LoadAbility): readonly LoadCheck[] {
  if (isLoadAbility(ability)) return loadPromises()[ability];
  const unknown = `the suite knows no ability ${String(ability)}: nobody has seen one keep its promise`;
  return [{ title: 'is known', run: async () => fail(unknown) }];
}

/** A sink that does not show what it is to be tested for would fail with something less clear. */
function shown(bench: LoadBench, { abilities }: LoadSubject): LoadBench {
  const { can } = bench.sink;
  const missing = abilities.filter((name) => isLoadAbility(name) && can[name] === undefined);
  if (missing.length > 0) fail(`the sink does not show ${missing.join(', ')}, which its author says that it can do`);
  if (!abilities.includes('load')) fail('a load is collected before it is published: the sink shows no `load`');
  const silent = Object.entries(can).flatMap(([name, method]) =>
    isLoadAbility(name) && method !== undefined && !abilities.includes(name) ? [name] : [],
  );
  if (silent.length > 0) {
    fail(`the sink shows ${silent.join(', ')}: name it in \`abilities\`, so that it is tested, or do not show it`);
  }
  return bench;
}
