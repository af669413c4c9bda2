import { LOSSES, type SinkSubject } from './sink-subject.ts';
import { sinkSuite } from './sink-suite.ts';
import type { SourceSubject } from './source-subject.ts';
import { sourceSuite } from './source-suite.ts';
import { type CaseResult, runSuite, type Suite } from './suite.ts';

/** What a suite has found of one thing: which claims it has seen kept, and by which cases. */
export interface Card {
  readonly name: string;
  readonly claims: readonly CardRow[];
  /** Cases that are about no claim in particular. */
  readonly rest: CardRow;
  /** What is true only if its author is right: no case can show it. */
  readonly onTrust: readonly string[];
}

export interface CardRow {
  readonly claim: string;
  readonly passed: readonly string[];
  readonly failed: readonly CaseResult[];
}

/** Runs the suite of sinks and says what it has found. Rejects when the sink cannot be opened; never for a failure. */
export async function sinkCard(subject: SinkSubject): Promise<Card> {
  return { ...(await cardOf(sinkSuite(subject), subject.name)), onTrust: await trustedOf(subject) };
}

/** The same for a source. */
export async function sourceCard(subject: SourceSubject): Promise<Card> {
  return { ...(await cardOf(sourceSuite(subject), subject.name)), onTrust: [] };
}

/** A card as lines of Markdown: a table of what is claimed, what is proven, and by which cases. */
export function cardTable({ claims, rest, onTrust }: Card): readonly string[] {
  const rows = [...claims, rest].map(
    ({ claim, passed, failed }) => `| ${claim} | ${verdictOf(passed, failed)} | ${casesOf(claim, passed, failed)} |`,
  );
  const trusted = onTrust.length === 0 ? [] : ['', `On its author's word: ${onTrust.join('; ')}.`];
  return ['| claimed | proven | by |', '|---|---|---|', ...rows, ...trusted];
}

const REST = 'in general';

async function cardOf(suite: Suite, name: string): Promise<Omit<Card, 'onTrust'>> {
  const results = await runSuite(suite);
  const row = (claim: string, about: readonly CaseResult[]): CardRow => ({
    claim,
    passed: about.flatMap(({ title, failure }) => (failure === undefined ? [title] : [])),
    failed: about.filter(({ failure }) => failure !== undefined),
  });
  return {
    name,
    claims: suite.claims.map((claim) =>
      row(
        claim,
        results.filter(({ proves }) => proves.includes(claim)),
      ),
    ),
    rest: row(
      REST,
      results.filter(({ proves }) => proves.length === 0),
    ),
  };
}

function verdictOf(passed: readonly string[], failed: readonly CaseResult[]): string {
  if (passed.length + failed.length === 0) return 'no: there is no case';
  return failed.length === 0 ? `yes, ${passed.length} of ${passed.length}` : `no, ${failed.length} cases fail`;
}

/** Titles without the name of the ability that they begin with; where some fail, only those. */
function casesOf(claim: string, passed: readonly string[], failed: readonly CaseResult[]): string {
  const titles = failed.length > 0 ? failed.map(({ title, failure }) => `${title} (${failure})`) : passed;
  return titles.map((title) => cell(title.replace(`${claim}: `, ''))).join('; ');
}

const cell = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|');

async function trustedOf(subject: SinkSubject): Promise<readonly string[]> {
  const fixture = await subject.open();
  const { facts, requestTimeoutMs, can } = fixture.sink;
  await fixture.sink.close?.();
  await fixture.close?.();
  const never = LOSSES.flatMap((loss) => {
    const given = fixture.lose?.[loss];
    return given === undefined || typeof given === 'function' ? [] : [`never ${loss}, since ${given.never}`];
  });
  return [
    `no request takes longer than ${requestTimeoutMs} ms`,
    ...(facts.key === undefined ? [] : [`a key is remembered for ${facts.key.horizonMs} ms`]),
    ...(can.find === undefined ? [] : [`a record is seen ${facts.visibilityLagMs ?? 0} ms after it was applied`]),
    ...(fixture.refused !== undefined && 'never' in fixture.refused
      ? [`it refuses no record, since ${fixture.refused.never}`]
      : []),
    ...never,
  ];
}
