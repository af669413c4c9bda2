import { describe, expect, it } from 'vitest';
import { CONNECTORS } from '../../src/connectors/all.ts';
import { sinkSuite } from '../../src/testing/suites/sink-suite.ts';
import { sourceSuite } from '../../src/testing/suites/source-suite.ts';
import { register } from '../../src/testing/suites/suite.ts';
import { SUBJECTS } from './all.ts';

for (const { sources, sinks } of Object.values(SUBJECTS)) {
  for (const subject of sources) register({ describe, it }, sourceSuite(subject));
  for (const subject of sinks) register({ describe, it }, sinkSuite(subject));
}

describe('the connectors that Waybill brings', () => {
  it('are all put through the suites, or it is said why not', () => {
    expect(Object.keys(SUBJECTS).sort()).toEqual(Object.keys(CONNECTORS).sort());
    for (const [type, { sources, sinks, elsewhere }] of Object.entries(SUBJECTS)) {
      expect(sources.length + sinks.length > 0 || elsewhere !== undefined, type).toBe(true);
    }
  });
});
