import { describe, expect, it } from 'vitest';
import { MEMORY_LOADS } from '../../src/connectors/memory/sink.ts';
import { loadSuite } from '../../src/testing/suites/load-suite.ts';
import { isSending, LOSSES } from '../../src/testing/suites/sink-subject.ts';
import { sinkSuite } from '../../src/testing/suites/sink-suite.ts';
import { sourceSuite } from '../../src/testing/suites/source-suite.ts';
import { strategySuite } from '../../src/testing/suites/strategy-suite.ts';
import { runSuite } from '../../src/testing/suites/suite.ts';
import { LOAD_LIES } from './lying-loads.ts';
import { SINK_LIES } from './lying-sink.ts';
import { SOURCE_LIES } from './lying-source.ts';
import { STRATEGY_LIES } from './lying-strategy.ts';

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
    for (const ability of ['append', 'appendAt', 'appendOnce', 'commitOnce', 'put', 'job', 'find', 'fence'] as const) {
      expect(about).toContain(ability);
    }
  });

  it('tries every way to lose an answer on every ability that sends', () => {
    const abilities = ['append', 'appendAt', 'appendOnce', 'commitOnce', 'put', 'job', 'find', 'fence'] as const;
    const { cases } = sinkSuite({ name: 'any', abilities, open: () => Promise.reject(new Error('not opened')) });
    for (const ability of abilities.filter(isSending)) {
      const about = cases.filter(({ title }) => title.startsWith(`${ability}: `)).map(({ title }) => title);
      for (const words of ['never arrived', 'answer that was lost', 'by half', 'applied late']) {
        expect(about).toContainEqual(expect.stringContaining(words));
      }
      expect(LOSSES).toHaveLength(4);
    }
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

describe('the suite of sources', () => {
  it.each(SOURCE_LIES)('notices $title', async ({ title, abilities, noticedBy, open }) => {
    const results = failed(await runSuite(sourceSuite({ name: title, abilities, open })));
    expect(
      results.map((result) => result.title),
      title,
    ).toContainEqual(expect.stringContaining(noticedBy));
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
