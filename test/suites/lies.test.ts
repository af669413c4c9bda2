import { describe, expect, it } from 'vitest';
import { MEMORY_ABILITIES, MEMORY_LOADS } from '../../src/connectors/memory/sink.ts';
import { loadSuite } from '../../src/testing/suites/load-suite.ts';
import { isSending, LOSSES } from '../../src/testing/suites/sink-subject.ts';
import { sinkSuite } from '../../src/testing/suites/sink-suite.ts';
import { sourceSuite } from '../../src/testing/suites/source-suite.ts';
import { strategySuite } from '../../src/testing/suites/strategy-suite.ts';
import { register, runSuite } from '../../src/testing/suites/suite.ts';
import { LOAD_LIES } from './lying-loads.ts';
import { PULL_LIES } from './lying-pulls.ts';
import { honestSchema, SCHEMA_LIES } from './lying-schemas.ts';
import { SINK_LIES } from './lying-sink.ts';
import { SOURCE_LIES } from './lying-source.ts';
import { STRATEGY_LIES } from './lying-strategy.ts';
import { PULLED } from './pulled-sources.ts';

const failed = (results: Awaited<ReturnType<typeof runSuite>>) =>
  results.filter(({ failure }) => failure !== undefined);

describe('the suite of sinks', () => {
  it.each(SINK_LIES)('notices $title', async ({ title, abilities, noticedBy, open }) => {
    const results = failed(await runSuite(sinkSuite({ name: title, abilities, open })));
    expect(
      results.map((result) => result.title),
      title,
    ).toContainEqual(expect.stringContaining(noticedBy));
    // Found out for what it is, and not for something that was wrong with the lie.
    const clumsy = results.filter(({ failure }) => /name it in `abilities`|does not show/.test(failure ?? ''));
    if (!noticedBy.startsWith('shows') && !noticedBy.includes('is known')) expect(clumsy, title).toEqual([]);
  });

  it('has a lie about each ability that it knows', () => {
    const about = new Set(SINK_LIES.flatMap(({ abilities }) => abilities));
    for (const ability of MEMORY_ABILITIES) expect(about).toContain(ability);
  });

  it('tries every way to lose an answer on every ability that sends', () => {
    const { cases } = sinkSuite({
      name: 'any',
      abilities: MEMORY_ABILITIES,
      open: () => Promise.reject(new Error('not opened')),
    });
    for (const ability of MEMORY_ABILITIES.filter(isSending)) {
      const about = cases.filter(({ title }) => title.startsWith(`${ability}: `)).map(({ title }) => title);
      for (const words of ['never arrived', 'answer that was lost', 'by half', 'applied late']) {
        expect(about).toContainEqual(expect.stringContaining(words));
      }
      expect(LOSSES).toHaveLength(4);
    }
  });
});

describe('what the suite of sinks asks of columns', () => {
  it.each(SCHEMA_LIES)('notices $subject.name', async ({ subject, noticedBy }) => {
    const results = failed(await runSuite(sinkSuite(subject)));
    expect(
      results.map(({ title }) => title),
      subject.name,
    ).toContainEqual(expect.stringContaining(noticedBy));
    expect(results.filter(({ failure }) => /is not a function|of undefined/.test(failure ?? ''))).toEqual([]);
  });

  it('has nothing against a sink that does as it says', async () => {
    expect(failed(await runSuite(sinkSuite(honestSchema())))).toEqual([]);
  });

  it('has a lie about each of its cases', () => {
    const cases = sinkSuite(honestSchema()).cases.filter(({ title }) => title.startsWith('schema: '));
    const silent = cases.filter(({ title }) => !SCHEMA_LIES.some(({ noticedBy }) => title.includes(noticedBy)));
    expect(silent.map(({ title }) => title)).toEqual([]);
  });
});

describe('the suite of loads', () => {
  it.each(LOAD_LIES)('notices $subject.name', async ({ subject, noticedBy }) => {
    const results = failed(await runSuite(loadSuite(subject)));
    const titles = results.map(({ title }) => title);
    expect(titles, subject.name).toContainEqual(expect.stringContaining(noticedBy));
    // Found out for what it is, and not for something that was wrong with the lie.
    expect(results.filter(({ failure }) => /is not a function|of undefined/.test(failure ?? ''))).toEqual([]);
  });

  it('has a lie about each ability that it knows', () => {
    const about = new Set(LOAD_LIES.flatMap(({ subject }) => subject.abilities));
    for (const ability of MEMORY_LOADS) expect(about).toContain(ability);
  });
});

for (const subject of PULLED) register({ describe, it }, sourceSuite(subject));

const NO_PULLS = { name: 'any', open: () => Promise.reject(new Error('not opened')) };

describe('the suite of sources', () => {
  it.each([...SOURCE_LIES, ...PULL_LIES])('notices $title', async ({ title, abilities, noticedBy, open }) => {
    const results = failed(await runSuite(sourceSuite({ name: title, abilities, open })));
    expect(
      results.map((result) => result.title),
      title,
    ).toContainEqual(expect.stringContaining(noticedBy));
    // Found out for what it is, and not for something that was wrong with the lie.
    const clumsy = results.filter(({ failure }) => /name it in `abilities`|does not show/.test(failure ?? ''));
    if (!noticedBy.startsWith('shows')) expect(clumsy, title).toEqual([]);
  });

  it('has a lie about each promise of pulls', () => {
    const { cases } = sourceSuite({ ...NO_PULLS, abilities: ['pull', 'parts'] });
    const about = cases.filter(({ title }) => /^(pull|parts): /.test(title)).map(({ title }) => title);
    expect(about).toHaveLength(11);
    for (const title of about) expect(PULL_LIES.map(({ noticedBy }) => title.includes(noticedBy))).toContain(true);
  });

  it('fails a source that shows pulls and does not claim them', async () => {
    for (const { name, abilities, open } of PULLED) {
      const silent = abilities.filter((ability) => ability !== 'pull' && ability !== 'parts');
      const results = await runSuite(sourceSuite({ name, abilities: silent, open }));
      expect(results.map(({ failure }) => failure)).toEqual(results.map(() => expect.stringContaining('shows pull')));
    }
  });
});

describe('the suite of strategies', () => {
  it.each(STRATEGY_LIES)('notices $subject.name', async ({ subject, noticedBy }) => {
    const suite = strategySuite(subject);
    const cases = suite.cases.filter(({ title }) => title.includes(noticedBy));
    expect(cases).toHaveLength(1);
    expect(failed(await runSuite({ ...suite, cases }))).toHaveLength(1);
  });
});
