import { MEMORY_ABILITIES, type MemorySinkOptions, memorySink } from '../../src/connectors/memory/sink.ts';
import { MEMORY_POSITION, memorySource } from '../../src/connectors/memory/source.ts';
import { MemoryTable } from '../../src/connectors/memory/store.ts';
import { ALL } from '../../src/model/window.ts';
import { isSending, type SinkFixture, type SinkSubject } from '../../src/testing/suites/sink-subject.ts';
import type { SourceSubject } from '../../src/testing/suites/source-subject.ts';

const range = { window: ALL, parameters: {} };
const rows = Array.from({ length: 25 }, (_, n) => ({ n, text: `ü"${n}\n`, big: 2n ** 63n - BigInt(n), none: null }));

export const memorySources: readonly SourceSubject[] = [
  {
    name: 'a memory source',
    abilities: ['resume', 'remaining', 'pull'],
    open: () => {
      const held = [...rows];
      const open = () => memorySource(() => held, { chunkRecords: 7 });
      return {
        source: open(),
        another: open,
        range,
        expected: rows,
        pull: {
          unreadable: [{ sourceName: 'memory', kind: MEMORY_POSITION, value: '-1' }],
          grow: async () => {
            held.push(...rows.slice(0, 9));
            return rows.slice(0, 9);
          },
        },
      };
    },
  },
  {
    name: 'a memory source without positions',
    abilities: ['remaining'],
    open: () => ({ source: memorySource(rows, { chunkRecords: 7, resumable: false }), range, expected: rows }),
  },
];

/** A memory sink as the suite takes it; also what the suite itself is tried on. */
export function memoryFixture(options: Omit<MemorySinkOptions, 'table'> = {}): SinkFixture {
  const table = new MemoryTable();
  const all: MemorySinkOptions = {
    abilities: MEMORY_ABILITIES,
    ...options,
    table,
    refuse: (text) => (text.includes('bad') ? { code: '422', message: 'bad', retryable: false } : undefined),
  };
  return {
    sink: memorySink(all),
    another: () => memorySink(all),
    record: (n, version = 0) => ({ n, version }),
    refused: { record: { bad: true } },
    held: async () => {
      const others = table.effects.filter((effect) => effect.call.ability !== 'put');
      return [...table.byKey.values(), ...others].map(({ text }) => {
        const { n, version } = JSON.parse(text) as { n: number; version: number };
        return version === 0 ? `${n}` : `${n}v${version}`;
      });
    },
    lose: { 'half-applied': { never: 'a batch is applied in one step of the process' } },
  };
}

export const memorySinks: readonly SinkSubject[] = [
  { name: 'a memory sink with every ability', abilities: MEMORY_ABILITIES, open: () => memoryFixture() },
  {
    name: 'a memory sink that refuses as a whole',
    abilities: MEMORY_ABILITIES,
    open: () => memoryFixture({ rejectsAtomically: true, jobPolls: 3 }),
  },
  {
    name: 'a memory sink that shows records after a while',
    abilities: ['append', 'find'],
    open: () => {
      const clock = { ms: 0, wallMs: () => clock.ms, monotonicMs: () => clock.ms };
      const fixture = memoryFixture({ abilities: ['append', 'find'], clock, visibilityLagMs: 500 });
      return {
        ...fixture,
        settle: async () => {
          clock.ms += 500;
        },
      };
    },
  },
  ...MEMORY_ABILITIES.filter(isSending).map(
    (ability): SinkSubject => ({
      name: `a memory sink with nothing but ${ability}`,
      abilities: [ability],
      open: () => memoryFixture({ abilities: [ability] }),
    }),
  ),
];
