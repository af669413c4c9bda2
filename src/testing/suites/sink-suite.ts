import type { Sink } from '../../connectors/connector.ts';
import { NotAppliedError } from '../../model/errors.ts';
import { OUTCOME, tally } from '../../model/verdict.ts';
import { expect, fail, rejection } from './expect.ts';
import { expectTruthful, outcomeOf, SinkBench } from './sink-bench.ts';
import { losesAndRecovers } from './sink-losses.ts';
import { PROMISES, type SinkCheck } from './sink-promises.ts';
import { SCHEMA_CHECKS, SchemaBench } from './sink-schema.ts';
import { type Ability, isKnown, isSending, LOSSES, type Loss, type Sending, type SinkSubject } from './sink-subject.ts';
import type { Suite, SuiteCase } from './suite.ts';

/**
 * What every sink has to do. The abilities that its author names decide what is asked of it; one that the sink shows
 * and its author does not name fails, and so does one that nobody has a check for.
 */
export function sinkSuite(subject: SinkSubject): Suite {
  const { name, abilities } = subject;
  const sending = abilities.filter(isSending);
  const cases = [
    caseOf(subject, [], {
      title: 'shows what its author says that it can do, and says what it takes',
      run: showsItself,
    }),
    ...abilities.flatMap((ability) =>
      promisesOf(ability).map(({ title, run }) => caseOf(subject, [ability], { title: `${ability}: ${title}`, run })),
    ),
    ...sending.flatMap((ability) => sendingCases(subject, ability)),
    ...schemaCases(subject),
  ];
  const claims = subject.schema === undefined ? abilities : [...abilities, SCHEMA];
  return { name: `${name} is a sink`, claims, cases };
}

/** What a sink says and does about its columns is no way to send, and is tested where there is nothing yet. */
const SCHEMA = 'schema';

function schemaCases({ schema }: SinkSubject): readonly SuiteCase[] {
  if (schema === undefined) return [];
  return SCHEMA_CHECKS.map(({ title, run }) => ({
    title: `${SCHEMA}: ${title}`,
    proves: [SCHEMA],
    run: () => SchemaBench.use(schema, run),
  }));
}

function promisesOf(ability: Ability): readonly SinkCheck[] {
  if (isKnown(ability)) return PROMISES[ability];
  const unknown = `the suite knows no ability ${String(ability)}: nobody has seen one keep its promise`;
  return [{ title: 'is known', run: async () => fail(unknown) }];
}

const caseOf = (subject: SinkSubject, proves: readonly Ability[], { title, run }: SinkCheck): SuiteCase => ({
  title,
  proves,
  run: () => SinkBench.use(subject, (bench) => run(withAbilities(bench, subject))),
});

/** A sink that does not show what it is to be tested for would fail with something less clear. */
function withAbilities(bench: SinkBench, { abilities, loads = [], schema }: SinkSubject): SinkBench {
  if (bench.sink.schema !== undefined && schema === undefined)
    fail('the sink shows `schema`: give the subject a `schema`, so that it is tested, or do not show it');
  const missing = abilities.filter((name) => isKnown(name) && bench.sink.can[name] === undefined);
  if (missing.length > 0) fail(`the sink does not show ${missing.join(', ')}, which its author says that it can do`);
  const shown = Object.entries(bench.sink.can).flatMap(([name, method]) => (method === undefined ? [] : [name]));
  const named: readonly string[] = [...abilities, ...loads];
  const silent = shown.filter((name) => !named.includes(name));
  if (silent.length > 0) {
    fail(
      `the sink shows ${silent.join(', ')}: name it in \`abilities\`, so that it is tested (in \`loads\`, where ` +
        'loadSuite tests it), or do not show it',
    );
  }
  return bench;
}

async function showsItself({ sink }: SinkBench): Promise<void> {
  expect(Object.keys(sink.can).length, 'abilities; a sink without any can take nothing').toBeGreaterThan(0);
  expect(sink.accepts.length, 'formats that it accepts').toBeGreaterThan(0);
  expect(sink.limits.recordsPerBatch, 'records in a batch').toBeGreaterThan(0);
  expect(sink.limits.inFlight, 'batches in flight').toBeGreaterThan(0);
  expect(sink.requestTimeoutMs, 'milliseconds that a request may take').toBeGreaterThan(0);
  expectFigures(sink);
}

/** Figures that belong to an ability stand there with it, and not without. */
function expectFigures({ can, facts }: Sink): void {
  const figures: readonly (readonly [Ability, keyof Sink['facts']])[] = [
    ['appendAt', 'tail'],
    ['appendOnce', 'key'],
  ];
  for (const [ability, fact] of figures) {
    expect(can[ability] !== undefined, `can.${ability} is there exactly when facts.${fact} is`).toBe(
      facts[fact] !== undefined,
    );
  }
  if (facts.visibilityLagMs !== undefined && facts.visibilityLagMs > 0) {
    expect(can.find, 'can.find, which a visibility lag is about').toBeDefined();
  }
}

function sendingCases(subject: SinkSubject, ability: Sending): readonly SuiteCase[] {
  const make = (title: string, run: SinkCheck['run']): SuiteCase =>
    caseOf(subject, [ability], { title: `${ability}: ${title}`, run });
  return [
    make('accounts for each record of a batch, and holds them all', (bench) => accounts(bench, ability)),
    make('sends nothing once the permit has run out', (bench) => refusesExpired(bench, ability)),
    make('sends nothing when it was told to stop before it began', (bench) => refusesAborted(bench, ability)),
    make('answers for a record that it refuses, and for the rest of the batch', (bench) => refuses(bench, ability)),
    ...LOSSES.map((loss) => make(titleOf(loss, ability, subject), (bench) => losesAndRecovers(bench, ability, loss))),
  ];
}

/** Where a sink can only add and cannot be asked, nobody can find out: the case holds its answer against the truth. */
function titleOf(loss: Loss, ability: Sending, { abilities }: SinkSubject): string {
  if (ability !== 'append' || abilities.includes('find')) return LOSS_TITLES[loss];
  return `${UNSETTLED_TITLES[loss]} claims nothing that is not so`;
}

const UNSETTLED_TITLES = {
  'lost-request': 'a request that never arrived',
  'lost-reply': 'an answer that was lost',
  'half-applied': 'a batch that was applied by half',
  'applied-late': 'a batch that is applied late',
} as const;

const LOSS_TITLES = {
  'lost-request': 'a request that never arrived is found out, and made good',
  'lost-reply': 'an answer that was lost is found out, and nothing is added twice',
  'half-applied': 'a batch that was applied by half is found out, and made whole',
  'applied-late': 'a batch that is applied late is found out, and nothing is added twice',
} as const;

async function accounts(bench: SinkBench, ability: Sending): Promise<void> {
  const verdict = await bench.send(ability, { records: [1, 2, 3, 4, 5] });
  expect(tally(verdict, 5)).toEqual({ applied: 5, refused: 0, unknown: 0 });
  expect(verdict.receipt.summary, 'a receipt says what was answered').not.toBe('');
  await bench.settle();
  expect(await bench.held()).toEqual(['1', '2', '3', '4', '5']);
}

async function refusesExpired(bench: SinkBench, ability: Sending): Promise<void> {
  const error = await rejection(bench.send(ability, { records: [1], expired: true }), 'a permit that has run out');
  expect(error instanceof NotAppliedError, `nothing left, so it is a NotAppliedError, not ${String(error)}`).toBe(true);
  expect(await bench.held()).toEqual([]);
}

async function refusesAborted(bench: SinkBench, ability: Sending): Promise<void> {
  await rejection(bench.send(ability, { records: [1], signal: AbortSignal.abort() }), 'a send that was given up');
  expect(await bench.held()).toEqual([]);
}

async function refuses(bench: SinkBench, ability: Sending): Promise<void> {
  const { refused } = bench.fixture;
  const atomic = bench.sink.facts.rejectsAtomically === true;
  if (refused === undefined) {
    fail('give the fixture `refused`: a record that the sink refuses, or { never: why it refuses none }');
  }
  if ('never' in refused) return expect(refused.never, 'why the sink refuses no record').not.toBe('');
  const single = bench.sink.limits.recordsPerBatch === 1;
  const outcome = await outcomeOf(bench.send(ability, { records: single ? [] : [1, 2], extra: refused.record }));
  await bench.settle();
  const held = await bench.held();
  expect(outcome.kind, 'an answer about a record that is refused').not.toBe('unknown');
  if (outcome.kind !== 'verdict') {
    expect(outcome.kind, 'sending the same again would bring the same answer').toBe('refused');
    expect(held, 'the batch was refused as a whole').toEqual([]);
    expect(atomic || single, '`facts.rejectsAtomically`, since it refuses a batch as a whole').toBe(true);
    return;
  }
  expect(outcome.verdict.outcomes[0], 'the outcome of the record that is refused').toBe(OUTCOME.refused);
  expectTruthful({ ...outcome, verdict: withoutFirst(outcome.verdict) }, single ? [] : [1, 2], held);
  if (atomic) expect(held, 'what is held after a batch that is refused as a whole').toEqual([]);
}

const withoutFirst = (verdict: Parameters<typeof tally>[0]) => ({
  ...verdict,
  outcomes: verdict.outcomes.slice(1),
  refusals: verdict.refusals.flatMap((one) => (one.index === 0 ? [] : [{ ...one, index: one.index - 1 }])),
});
