import fc from 'fast-check';
import { expect } from 'vitest';
import type { Source } from '../src/connectors/connector.ts';
import type { Format } from '../src/model/chunk.ts';
import type { Position } from '../src/model/position.ts';
import { look, pull } from './cursor-pulls.ts';

/** A table with the columns id, v (the version of a row) and at (its cursor), and maybe something to make it long. */
export interface CursorTable {
  readonly source: Source;
  readonly takes: readonly Format[];
  /** Puts a row in the place of the one with its id. `tick`: a number that only grows. */
  write(row: { readonly id: number; readonly v: number; readonly tick: number }): Promise<void> | void;
  remove(id: number): Promise<void> | void;
}

type Step =
  | { readonly kind: 'write'; readonly id: number; readonly ticks: number }
  | { readonly kind: 'remove'; readonly id: number }
  /** `chunks`: the pull breaks off behind so many. */
  | { readonly kind: 'pull'; readonly chunks: number | undefined };

const id = fc.integer({ min: 1, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('write' as const), id, ticks: fc.constantFrom(0, 0, 0, 1, 5) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), id }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('pull' as const),
      chunks: fc.constantFrom(undefined, undefined, 1, 2, 3),
    }),
  },
);

export interface PropertyOptions {
  readonly open: () => Promise<CursorTable> | CursorTable;
  readonly numRuns: number;
  /** The clock moves on behind each pull: needed where a row may come later with an equal time and a smaller key. */
  readonly tickAfterPull?: boolean;
}

/**
 * Writes at times that only grow and are often equal, removes, pulls and pulls that break off, in any order: whatever
 * a whole pull could see has come once by its end, and nothing ever comes twice.
 */
export async function bringsEachVersionOnce({ open, numRuns, tickAfterPull = false }: PropertyOptions): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const history = new History(await open(), tickAfterPull);
      for (const one of [...steps, WHOLE]) await history.take(one);
    }),
    { numRuns },
  );
}

const WHOLE: Step = { kind: 'pull', chunks: undefined };

class History {
  readonly #table: CursorTable;
  readonly #tickAfterPull: boolean;
  readonly #rows = new Map<number, number>();
  readonly #brought: string[] = [];
  #tick = 1;
  #version = 0;
  #position: Position | undefined;

  constructor(table: CursorTable, tickAfterPull: boolean) {
    this.#table = table;
    this.#tickAfterPull = tickAfterPull;
  }

  async take(one: Step): Promise<void> {
    if (one.kind === 'pull') {
      await this.#pull(one.chunks);
    } else if (one.kind === 'remove') {
      this.#rows.delete(one.id);
      await this.#table.remove(one.id);
    } else {
      this.#tick += one.ticks;
      this.#version += 1;
      this.#rows.set(one.id, this.#version);
      await this.#table.write({ id: one.id, v: this.#version, tick: this.#tick });
    }
  }

  async #pull(chunks: number | undefined): Promise<void> {
    const { source, takes } = this.#table;
    const asked = { from: this.#position, takes };
    const found = await look(source, asked);
    const pulled = await pull(source, { ...asked, ...(chunks === undefined ? {} : { chunks }) });
    this.#brought.push(...pulled.records.map(({ id, v }) => `${String(id)} ${String(v)}`));
    this.#position = pulled.position;
    expect(new Set(this.#brought).size, 'versions, none of them twice').toBe(this.#brought.length);
    if (this.#tickAfterPull) this.#tick += 1;
    if (chunks !== undefined) return;
    const there = [...this.#rows].map(([id, version]) => `${id} ${version}`);
    expect(this.#brought, 'what has come by the end of a pull').toEqual(expect.arrayContaining(there));
    expect(found.kind, 'what the look before it said').toBe(pulled.records.length > 0 ? 'new' : 'unchanged');
  }
}
