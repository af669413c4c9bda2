import { Buffer } from 'node:buffer';
import { describeError, NotAppliedError, RefusedError, WaybillError } from '../model/errors.ts';
import type { LoadStep, StepReceipt } from '../model/load.ts';
import { contentOf, type ObjectStore } from './store.ts';

/** One object of a load, as a manifest lists it. */
export interface ListedObject {
  /** Its whole address. */
  readonly object: string;
  readonly bytes: number;
  readonly records: number;
  /** SHA-256 of the records as they were frozen, framing included, in hex. */
  readonly digest: string;
  /** Where the store keeps several versions under one name: the one that is meant. */
  readonly version?: string;
}

export interface ListedLoad {
  readonly load: string;
  readonly flow: string;
  readonly lane: string;
  readonly window: string;
  readonly generation: number;
  readonly fence: number;
  readonly records: number;
  readonly bytes: number;
  readonly objects: readonly ListedObject[];
}

/** What is known of the loads of one window: who may still write, and what was published last. */
interface Family {
  readonly fence: number;
  readonly published?: string;
  readonly receipt?: StepReceipt;
  /** The edition in which this was last changed. */
  readonly edition: number;
}

/**
 * What readers and writers of loads need to know, in one object that is replaced as a whole. A manifest is one of
 * these: its `loads` are what readers see.
 */
export interface Books {
  readonly kind: 'waybill/manifest';
  readonly version: 1;
  /** Grows with every change, so that no two contents are alike. */
  readonly edition: number;
  readonly loads: readonly ListedLoad[];
  /** Complete loads that are shown no more and can still be read, newest first. */
  readonly earlier: readonly ListedLoad[];
  /** Loads whose objects are being removed. */
  readonly dropped: readonly string[];
  readonly families: Readonly<Record<string, Family>>;
}

const EMPTY: Books = {
  kind: 'waybill/manifest',
  version: 1,
  edition: 0,
  loads: [],
  earlier: [],
  dropped: [],
  families: {},
};

/** How many windows are remembered that were changed last. What a window came to matters while it is being asked. */
const FAMILIES_MAX = 2_000;
/** Each try that fails is one of somebody else that did not. */
const TRIES_MAX = 100;
const UNCLEAR_MAX = 3;

/** Changes an object of books in one step, whoever else does so at the same time. */
export class BookKeeper {
  readonly #store: ObjectStore;
  readonly #name: string;

  constructor(store: ObjectStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  async read(signal: AbortSignal): Promise<Books> {
    return (await this.#held(signal)).books;
  }

  /** Undefined leaves the books as they are; may be asked several times. Resolves with how they stand then. */
  async change(signal: AbortSignal, change: (books: Books) => Books | undefined): Promise<Books> {
    let unclear = 0;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const looking = this.#held(signal);
      const { books, version } = unclear === 0 ? await looking : await fromHereOn(looking, UNANSWERED);
      const changed = change(books);
      if (changed === undefined) return books;
      const next = remembered({ ...changed, edition: books.edition + 1 });
      const bytes = Buffer.from(`${JSON.stringify(next, null, 1)}\n`);
      try {
        if ((await this.#store.swap(this.#name, contentOf(bytes), version, signal)) === 'done') return next;
      } catch (error) {
        if (unclear === 0 && (error instanceof NotAppliedError || error instanceof RefusedError)) throw error;
        // Whether it was changed is seen by looking: what arrives late finds another version than it expects.
        unclear += 1;
        if (signal.aborted || unclear >= UNCLEAR_MAX) throw unprovedBy(error, UNANSWERED);
      }
    }
    throw new WaybillError('SINK_FAILED', `${this.#name} was changed by others ${TRIES_MAX} times meanwhile`);
  }

  async #held(signal: AbortSignal): Promise<{ readonly books: Books; readonly version: string | null }> {
    const held = await this.#store.read(this.#name, signal);
    if (held === undefined) return { books: EMPTY, version: null };
    return { books: parsed(held.bytes, this.#store.address(this.#name)), version: held.version };
  }
}

/** Throws RefusedError for an object that is there and is none of ours. */
export function parsed(bytes: Uint8Array, address: string): Books {
  const foreign = (cause?: unknown): RefusedError =>
    new RefusedError(`${address} is there and is no manifest of Waybill`, {
      reason: 'manifest',
      about: 'request',
      cause,
    });
  try {
    const books = JSON.parse(Buffer.from(bytes).toString('utf8')) as Books;
    if (books?.kind !== EMPTY.kind || books.version !== EMPTY.version) throw foreign();
    return books;
  } catch (error) {
    throw error instanceof RefusedError ? error : foreign(error);
  }
}

/** Throws RefusedError when the run was started again since whoever asks began. */
export function admit(books: Books, { load, fence }: LoadStep): void {
  const highest = books.families[load.family]?.fence ?? 0;
  if (fence >= highest) return;
  throw new RefusedError(`this start of ${load.flow} for ${load.window.name} (${fence}) is older than ${highest}`, {
    reason: 'fence',
    about: 'request',
  });
}

/** What the load has come to, if it was published. */
export function publishedBefore(books: Books, { load }: LoadStep): StepReceipt | undefined {
  const family = books.families[load.family];
  return family?.published === load.id ? family.receipt : undefined;
}

/** The books with the fence of this step, and what its load has come to. */
export function entered(books: Books, { load, fence }: LoadStep, receipt?: StepReceipt): Books {
  const before = books.families[load.family];
  const published = receipt === undefined ? {} : { published: load.id, receipt };
  const family: Family = {
    ...before,
    ...published,
    fence: Math.max(fence, before?.fence ?? 0),
    edition: books.edition,
  };
  return { ...books, families: { ...books.families, [load.family]: family } };
}

/** Writes down what a load has come to. Of two that publish it at the same time, both are told the same. */
export async function recorded(books: BookKeeper, step: LoadStep, receipt: StepReceipt): Promise<StepReceipt> {
  const after = await books.change(step.signal, (now) => {
    if (publishedBefore(now, step) !== undefined) return undefined;
    admit(now, step);
    return entered(now, step, receipt);
  });
  return publishedBefore(after, step) ?? receipt;
}

function remembered(books: Books): Books {
  const all = Object.entries(books.families);
  if (all.length <= FAMILIES_MAX) return books;
  const kept = all.sort(([, a], [, b]) => b.edition - a.edition).slice(0, FAMILIES_MAX);
  return { ...books, families: Object.fromEntries(kept) };
}

/** Once something was changed, no error proves the contrary; the step is asked again, and finds out. */
export async function fromHereOn<T>(work: Promise<T>, what = 'the load is shown, but what follows failed'): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw unprovedBy(error, what);
  }
}

const UNANSWERED = 'a change has no answer';

const unprovedBy = (error: unknown, what: string): WaybillError =>
  new WaybillError('SINK_FAILED', `${what}: ${describeError(error)}`, { cause: error });
