import { describe, it } from 'vitest';
import { type MemoryAbility, memorySink } from '../src/connectors/memory/sink.ts';
import { MemoryTable } from '../src/connectors/memory/store.ts';
import { keyed } from '../src/strategies/keyed.ts';
import { ledgeredAppend } from '../src/strategies/ledgered-append.ts';
import { eachOnce, lastOfEachKey, type StrategySubject } from '../src/testing/suites/strategy-subject.ts';
import { strategySuite } from '../src/testing/suites/strategy-suite.ts';
import { register } from '../src/testing/suites/suite.ts';

/** A memory sink that can do so much and no more. */
function overMemory(abilities: readonly MemoryAbility[]): Pick<StrategySubject, 'name' | 'open'> {
  return {
    name: `U09, U22: a memory sink with ${abilities.join(', ')}`,
    open: () => {
      const table = new MemoryTable();
      return {
        sink: (clock) => memorySink({ table, clock, abilities, visibilityLagMs: 200 }),
        held: async () => {
          const held = table.byKey.size > 0 ? [...table.byKey.values()] : table.effects;
          return held.map(({ text }) => JSON.parse(text) as Record<string, unknown>);
        },
      };
    },
  };
}

const APPENDING: readonly (readonly MemoryAbility[])[] = [
  ['append'],
  ['append', 'find'],
  ['append', 'find', 'fence'],
  ['appendOnce'],
  ['commitOnce'],
  ['appendAt'],
  ['job'],
];

for (const abilities of APPENDING) {
  const subject = { ...overMemory(abilities), strategy: ledgeredAppend, model: eachOnce };
  register({ describe, it }, strategySuite(subject));
}
register({ describe, it }, strategySuite({ ...overMemory(['put']), strategy: keyed, model: lastOfEachKey }));
