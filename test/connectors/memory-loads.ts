import { MEMORY_LOADS, type MemorySinkOptions, memorySink } from '../../src/connectors/memory/sink.ts';
import { MemoryTable } from '../../src/connectors/memory/store.ts';
import type { LoadAbility, LoadFixture, LoadRecord, LoadSubject } from '../../src/testing/suites/load-subject.ts';

/** A memory sink as the suite of loads takes it; also what the suite itself is tried on. */
export function memoryLoadFixture(
  abilities: readonly LoadAbility[] = MEMORY_LOADS,
  options: Partial<MemorySinkOptions> = {},
): LoadFixture & { readonly table: MemoryTable } {
  const table = new MemoryTable();
  const open = () =>
    memorySink({
      table,
      abilities,
      refuse: (text) => (text.includes('bad') ? { code: '422', message: 'bad', retryable: false } : undefined),
      ...options,
    });
  const { loads } = table;
  return {
    table,
    sink: open(),
    another: open,
    seen: async () => loads.rows as unknown as readonly LoadRecord[],
    places: async () => [...loads.places.values()].flatMap(({ there, load }) => (there ? [load.id] : [])),
    refused: { record: { bad: true } },
    breakOff: { never: 'a step is one act of the process, which nothing comes between' },
    tamper: async ({ id }) => {
      (loads.places.get(id)!.rows as unknown[]).push({});
    },
  };
}

export const memoryLoads: LoadSubject = {
  name: 'a memory sink',
  abilities: MEMORY_LOADS,
  open: () => memoryLoadFixture(),
};
