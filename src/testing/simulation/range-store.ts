import type { Source } from '../../connectors/connector.ts';
import type { Chunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { SourceRange } from '../../model/range.ts';
import type { SimProcess } from './process.ts';
import { Tape } from './tape.ts';

/** How many schedules in a thousand keep ranges of their source instead of copies. */
const SHARE = 200;
const RATE_MAX = 200;

/** From a tape of its own, so that every other seed makes the schedule that it has always made. */
export function drawRanges(seed: number): { readonly ranges: true; readonly differs: number } | undefined {
  const tape = Tape.ofSeed(seed ^ 0x4a6e5e11);
  return tape.chance(SHARE)
    ? { ranges: true, differs: tape.draw(2) === 1 ? tape.between(20, RATE_MAX) : 0 }
    : undefined;
}

/**
 * What the source keeps of each reading, as a bucket keeps versions: the rows may change, what was read of them stays.
 * Only that now and then something else comes when it is asked for, as from a copy that is behind.
 */
export class RangeStore {
  readonly #kept: string[][] = [];

  keep(texts: readonly string[]): SourceRange {
    const version = String(this.#kept.push([...texts]));
    return { object: 'rows', version, keptAs: version, from: 0, to: texts.length, row: 1 };
  }

  textsOf({ version }: SourceRange): readonly string[] {
    const kept = this.#kept[Number(version) - 1];
    if (kept !== undefined) return kept;
    throw new WaybillError('RANGE_LOST', `there is no version ${version} of the rows`);
  }
}

export function rereading(
  store: RangeStore,
  process: SimProcess,
  encode: (texts: readonly string[]) => Chunk,
): Required<Pick<Source, 'reread'>> {
  const { world } = process;
  return {
    async *reread(range, signal) {
      const texts = await process.effect('source.reread', world.tape.between(1, 40), () => {
        world.mark('a range was read again');
        const kept = store.textsOf(range);
        return world.fault('range-differs') ? differing(kept) : kept;
      });
      signal.throwIfAborted();
      yield encode(texts);
    },
  };
}

/** Still well-formed records, and not those that were read. */
const differing = (texts: readonly string[]): readonly string[] =>
  texts.map((text) => text.replace(/"v":(\d+)/, (_, v) => `"v":${Number(v) + 7}`));
