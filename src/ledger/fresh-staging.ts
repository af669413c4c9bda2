import { type RunId, showRun } from '../model/ids.ts';
import type { StagedAt } from './ledger.ts';
import {
  isUnkept,
  type Staged,
  type StagedDigests,
  type StagedDraft,
  type StagedRanges,
  type Staging,
  type StagingWriter,
  shapeOf,
} from './staging.ts';

/** Bytes of batches that may wait in memory for being sent; one batch may whatever its size. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
const KEPT_ALWAYS = 1;
/** The same of batches that lie nowhere else, those that are with their sinks included. */
const UNKEPT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * A staging that remembers what was just written: nearly every batch is sent by the process that has sealed it, moments
 * later, and need not be read and checked for that. It is handed out once; whoever wants it again gets it from where it
 * lies. When many wait, the first ones are remembered, since they leave first. What lies nowhere else is always
 * remembered, and handed out until it is let go.
 */
export function freshStaging(staging: Staging, bytesMax = KEPT_BYTES_MAX): Staging {
  return new FreshStaging(staging, bytesMax);
}

class FreshStaging implements Staging {
  readonly #staging: Staging;
  readonly #bytesMax: number;
  /** What was not handed out yet. */
  readonly #kept = new Map<string, StagedDraft>();
  #bytes = 0;
  /** What lies nowhere else. */
  readonly #unkept = new Map<string, StagedDraft>();
  #unkeptBytes = 0;
  #waiting: { readonly room: Promise<void>; readonly wake: () => void } | undefined;

  constructor(staging: Staging, bytesMax: number) {
    this.#staging = staging;
    this.#bytesMax = bytesMax;
  }

  get place(): string {
    return this.#staging.place;
  }

  writer(run: RunId, lane: string): StagingWriter {
    const writer = this.#staging.writer(run, lane);
    return {
      append: async (draft) => {
        const at = await writer.append(draft);
        this.#keep(at, draft);
        return at;
      },
      sync: () => writer.sync(),
      close: () => writer.close(),
    };
  }

  async read(at: StagedAt): Promise<Staged | StagedRanges> {
    const draft = this.#take(at) ?? this.#unkept.get(nameOf(at));
    if (draft === undefined) return await this.#staging.read(at);
    const { bytes, spans, keys, sourceDigests, payloadDigests, about } = draft;
    return { bytes, spans, keys, sourceDigests, payloadDigests, digest: about.digest, ...shapeOf(draft) };
  }

  room(): Promise<void> | undefined {
    if (!this.#isFull) return undefined;
    if (this.#waiting === undefined) {
      let wake = (): void => {};
      const room = new Promise<void>((resolve) => {
        wake = resolve;
      });
      this.#waiting = { room, wake };
    }
    return this.#waiting.room;
  }

  letGo(what: StagedAt | RunId): void {
    if (typeof what !== 'number') this.#letGo(nameOf(what));
    else for (const name of [...this.#unkept.keys()]) if (name.startsWith(`${showRun(what)}/`)) this.#letGo(name);
    if (!this.#isFull) this.#wake();
  }

  digests(at: StagedAt): Promise<StagedDigests> {
    return this.#staging.digests(at);
  }

  sweep(run: RunId, kept: ReadonlySet<string>): Promise<number> {
    return this.#staging.sweep(run, kept);
  }

  async close(): Promise<void> {
    this.#kept.clear();
    this.#unkept.clear();
    this.#bytes = 0;
    this.#unkeptBytes = 0;
    this.#wake();
    await this.#staging.close?.();
  }

  get #isFull(): boolean {
    if (this.#unkeptBytes >= UNKEPT_BYTES_MAX) return true;
    return this.#bytes >= this.#bytesMax && this.#kept.size >= KEPT_ALWAYS;
  }

  #wake(): void {
    this.#waiting?.wake();
    this.#waiting = undefined;
  }

  #keep(at: StagedAt, draft: StagedDraft): void {
    const size = sizeOf(draft);
    if (isUnkept(draft)) {
      this.#unkept.set(nameOf(at), draft);
      this.#unkeptBytes += size;
    } else if (this.#bytes + size > this.#bytesMax && this.#kept.size >= KEPT_ALWAYS) return;
    this.#kept.set(nameOf(at), draft);
    this.#bytes += size;
  }

  #letGo(name: string): void {
    this.#taken(name);
    const draft = this.#unkept.get(name);
    if (draft === undefined) return;
    this.#unkept.delete(name);
    this.#unkeptBytes -= sizeOf(draft);
  }

  #take(at: StagedAt): StagedDraft | undefined {
    const draft = this.#taken(nameOf(at));
    if (draft !== undefined && !this.#isFull) this.#wake();
    return draft;
  }

  #taken(name: string): StagedDraft | undefined {
    const draft = this.#kept.get(name);
    if (draft === undefined) return undefined;
    this.#kept.delete(name);
    this.#bytes -= sizeOf(draft);
    return draft;
  }
}

const nameOf = ({ segment, offset }: StagedAt): string => `${segment}@${offset}`;

const sizeOf = ({ bytes, spans, keys, sourceDigests, payloadDigests }: StagedDraft): number =>
  bytes.byteLength + spans.byteLength + keys.byteLength + sourceDigests.byteLength + payloadDigests.byteLength;
