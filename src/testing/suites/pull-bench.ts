import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Look, PullRange, ReadRange, Source } from '../../connectors/connector.ts';
import type { Chunk } from '../../model/chunk.ts';
import type { Position } from '../../model/position.ts';
import { expect, fail } from './expect.ts';
import { textsOf } from './source-reading.ts';
import type { PullFacts, SourceBench } from './source-subject.ts';

/** What one transaction of the ledger would hold: records, and the position that they reach up to. */
export interface Commit {
  readonly records: readonly string[];
  readonly end: Position;
  readonly closes: string | undefined;
}

export interface Pulled {
  readonly commits: readonly Commit[];
  /** What came behind the last position: the ledger keeps nothing of it. */
  readonly loose: readonly string[];
  readonly chunks: readonly Chunk[];
}

/** What the ledger would know when a pull begins. */
export interface Standing {
  readonly from?: Position;
  readonly taken: readonly string[];
}

export const TOP: Standing = { taken: [] };

/** How a pull ends before its time: the process is told to stop, or nobody asks for more. */
export type Cut = { readonly after: number; readonly how: 'stopped' | 'left' };

type Wish = Pick<PullRange, 'take' | 'force'>;

/** Does what the engine does with a source that is pulled from, and keeps what the ledger would keep. */
export class PullBench {
  readonly bench: SourceBench;
  readonly #downloads: string;

  private constructor(bench: SourceBench, downloads: string) {
    this.bench = bench;
    this.#downloads = downloads;
  }

  /** With a folder for downloads that is there for one case. */
  static async use(bench: SourceBench, work: (pulling: PullBench) => Promise<void>): Promise<void> {
    const home = await mkdtemp(join(tmpdir(), 'waybill-pulls-'));
    try {
      await work(new PullBench(bench, join(home, 'downloads')));
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }

  get facts(): PullFacts {
    return this.bench.pull ?? fail('a fixture of a source with `pulls` gives `pull`: what the suite cannot know of it');
  }

  /** Everything from the top, as the other cases need it. */
  async full(): Promise<Pulled> {
    return await this.pull(this.bench.source, TOP);
  }

  async look(source: Source, standing: Standing, wish: Wish = {}): Promise<Look> {
    const look = await pullsOf(source).look(this.#range(standing, wish), new AbortController().signal);
    expect(['new', 'unchanged', 'uncacheable'], 'what a look can find').toContain(look.kind);
    if (look.kind !== 'new') expectWords(look.why, `why it is ${look.kind}`);
    for (const { kind, message } of look.notices ?? []) {
      expectWords(kind, 'the kind of a notice');
      expectWords(message, `the message of a notice of the kind ${kind}`);
    }
    return look;
  }

  /** Reads to the end. */
  async pull(source: Source, standing: Standing, wish: Wish = {}): Promise<Pulled> {
    const chunks: Chunk[] = [];
    const { signal } = new AbortController();
    for await (const chunk of source.read(this.#range(standing, wish), signal)) chunks.push(chunk);
    return pulledFrom(chunks);
  }

  /** Reads until it is cut: what is handed over later is never seen, as when the process has died. */
  async cut(source: Source, standing: Standing, { after, how }: Cut): Promise<Pulled> {
    const chunks: Chunk[] = [];
    const stop = new AbortController();
    const read = async (): Promise<void> => {
      for await (const chunk of source.read(this.#range(standing, {}), stop.signal)) {
        if (chunks.length < after) chunks.push(chunk);
        if (chunks.length < after) continue;
        if (how === 'left') return;
        stop.abort(new DOMException('told to stop', 'AbortError'));
      }
    };
    if (how === 'left') await read();
    else if ((await read().then(ended, stopped)) === 'ended') {
      // Whoever ends quietly says that all of it came; chunks of a connection are not always cut at the same places.
      const about = `records of a pull that was told to stop after ${after} chunks, and ended as if it had not been`;
      expect(recordsIn(pulledFrom(chunks).commits).length, about).toBe(this.bench.expected.length);
    }
    return pulledFrom(chunks);
  }

  /** Downloads may be lost at any time. */
  async loseDownloads(): Promise<void> {
    await rm(this.#downloads, { recursive: true, force: true });
  }

  #range(standing: Standing, wish: Wish): ReadRange & { readonly pull: PullRange } {
    const taken = new Set(standing.taken);
    const from = standing.from === undefined ? {} : { from: standing.from };
    return { ...this.bench.range, ...from, pull: { taken: async () => taken, downloads: this.#downloads, ...wish } };
  }
}

const ended = () => 'ended' as const;
const stopped = () => 'stopped' as const;

export const pullsOf = (source: Source): NonNullable<Source['pulls']> =>
  source.pulls ?? fail('the source has no `pulls`');

/** Where the ledger stands after so many commits. */
export function standingAfter(commits: readonly Commit[], count = commits.length): Standing {
  const done = commits.slice(0, count);
  const taken = done.flatMap(({ closes }) => closes ?? []);
  const last = done.at(-1);
  return last === undefined ? { taken } : { from: last.end, taken };
}

export const recordsIn = (commits: readonly Commit[]): readonly string[] => commits.flatMap(({ records }) => records);

function pulledFrom(chunks: readonly Chunk[]): Pulled {
  const commits: Commit[] = [];
  let open: Chunk[] = [];
  for (const chunk of chunks) {
    open.push(chunk);
    if (chunk.end === undefined) {
      if (chunk.closes !== undefined) fail(`the chunk that closes ${chunk.closes} does not say where it ends`);
      continue;
    }
    commits.push({ records: textsOf(open), end: chunk.end, closes: chunk.closes });
    open = [];
  }
  return { commits, loose: textsOf(open), chunks };
}

function expectWords(text: unknown, about: string): void {
  if (typeof text !== 'string' || text.trim() === '') fail(`${about} is said in words`);
}
