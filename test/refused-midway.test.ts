import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderStore } from '../src/connectors/files/folder-store.ts';
import { NotAppliedError, RefusedError } from '../src/model/errors.ts';
import type { Load, LoadStep, StepReceipt } from '../src/model/load.ts';
import { encodedBatch } from '../src/objects/encode.ts';
import { objectLoads } from '../src/objects/loads.ts';
import type { ObjectStore } from '../src/objects/store.ts';
import { testPermit } from '../src/testing/permit.ts';
import { loadOf, recordsOf } from '../src/testing/suites/load-bench.ts';
import type { LoadAbility } from '../src/testing/suites/load-subject.ts';
import { LOAD_PATHS, recordsIn, visibleFiles } from './connectors/files-loads.ts';
import { newFolder } from './connectors/place.ts';

type Failing = { readonly at: number; readonly error: () => Error; readonly done: boolean };
type Settings = { readonly path: string; readonly manifest?: string };

/** A folder whose so-manieth operation fails, before it is carried out or, with `done`, after that. */
class FailingStore {
  readonly store: ObjectStore;
  failing: Failing | undefined;
  operations = 0;

  constructor(root: string) {
    const whole: ObjectStore = new FolderStore(root);
    this.store = new Proxy(whole, {
      get: (_, name) => {
        const method = whole[name as keyof ObjectStore] as (...args: unknown[]) => unknown;
        if (name === 'address' || method === undefined) return method?.bind(whole);
        if (name === 'pieces') return method.bind(whole);
        return (...args: unknown[]) => this.#operation(() => method.apply(whole, args) as Promise<unknown>);
      },
    });
  }

  async #operation(work: () => Promise<unknown>): Promise<unknown> {
    this.operations += 1;
    const { failing } = this;
    if (failing?.at !== this.operations) return await work();
    if (failing.done) await work();
    throw failing.error();
  }

  async failingAt<T>(failing: Failing | undefined, work: () => Promise<T>): Promise<T> {
    this.operations = 0;
    this.failing = failing;
    try {
      return await work();
    } finally {
      this.failing = undefined;
    }
  }
}

let root: string;
beforeEach(() => {
  root = newFolder('refused-midway');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const step = (load: Load): LoadStep => ({ load, fence: 1, correlationId: 'c', signal: new AbortController().signal });
const OLD = recordsOf(16, [1, 2]);
const NEW = recordsOf(16, [3, 4], 1);

/** A window that is published, and its next load collected. */
class Story {
  readonly failing: FailingStore;
  readonly #way: LoadAbility;
  readonly #settings: Settings;
  readonly #folder: string;
  readonly #can;

  constructor(folder: string, settings: Settings, way: LoadAbility) {
    this.#folder = folder;
    this.#settings = settings;
    this.#way = way;
    this.failing = new FailingStore(folder);
    const written = { format: settings.path.endsWith('.csv') ? 'csv' : 'ndjson', header: true, columns: [] } as const;
    const encode = (permit: Parameters<typeof encodedBatch>[1]) => encodedBatch(written as never, permit);
    this.#can = objectLoads({ store: this.failing.store, ...settings, encode }).can;
  }

  async begun(): Promise<this> {
    await this.#collected(loadOf(16), OLD);
    await this.#publish(loadOf(16));
    await this.#collected(loadOf(16, 2), NEW);
    return this;
  }

  async #collected(load: Load, records: typeof OLD): Promise<void> {
    await this.#can.load!.open(step(load));
    for (const [at, record] of records.entries()) {
      const csv = this.#settings.path.endsWith('.csv');
      const line = csv ? [record.n, record.version, record.day, record.gone].join(',') : record;
      const columns = csv ? ['n', 'version', 'day', 'gone'] : [];
      await this.#can.load!.add(testPermit({ records: [line], columns, batch: at + 1, load } as never));
    }
  }

  async #publish(load: Load): Promise<StepReceipt> {
    if (this.#way === 'replace') return await this.#can.replace!(step(load), { kind: 'all' });
    if (this.#way === 'publish') return await this.#can.publish!(step(load), 5);
    return await this.#can.appendLoad!(step(load));
  }

  /** One try of the step; what it threw. */
  async tried(failing?: Failing): Promise<unknown> {
    return await this.failing
      .failingAt(failing, () => this.#publish(loadOf(16, 2)))
      .then(
        () => undefined,
        (error: unknown) => error,
      );
  }

  seen(): readonly string[] {
    const files = visibleFiles(this.#folder, this.#settings.manifest);
    const csv = this.#settings.path.endsWith('.csv');
    const texts = files.flatMap((name) => recordsIn(readFileSync(join(this.#folder, name), 'utf8'), csv));
    return texts.map((one) => `${one.n} ${one.version}`).sort();
  }
}

let stories = 0;
async function begun(settings: Settings, way: LoadAbility): Promise<Story> {
  const folder = join(root, String(++stories));
  mkdirSync(folder);
  return await new Story(folder, settings, way).begun();
}

const refused = () => new RefusedError('a token has expired', { reason: 'ExpiredToken', about: 'request' });
const away = () => new NotAppliedError('nobody listens', { sinkAway: true });
const silent = () => new Error('no answer');

const OPERATIONS_MAX = 60;

describe.each(LOAD_PATHS)('$name, of which one operation fails', ({ abilities, name: _, ...settings }) => {
  const ways = abilities.filter((ability) => ability !== 'load');

  it.each(ways)('P22: %s says that nothing was published only where nothing was', async (way) => {
    for (const error of [refused, away]) {
      for (let at = 1; ; at++) {
        expect(at).toBeLessThan(OPERATIONS_MAX);
        const story = await begun(settings, way);
        const before = story.seen();
        const thrown = await story.tried({ at, error, done: false });
        if (story.failing.operations < at) break;
        if (proves(thrown)) expect(story.seen(), `${error.name} in operation ${at}`).toEqual(before);
        await endsRight(story, way);
      }
    }
  });
});

const EACH_KIND = LOAD_PATHS.filter(({ path, manifest }) => path.includes('window') || manifest?.includes('window'));

describe.each(EACH_KIND)('$name, of which two operations fail', ({ abilities, name: _, ...settings }) => {
  const ways = abilities.filter((ability) => ability !== 'load');

  it.each(ways)('P22: a refused %s behind one without an answer has looked what that has come to', async (way) => {
    for (let lost = 1; ; lost++) {
      expect(lost).toBeLessThan(OPERATIONS_MAX);
      for (let at = 1; ; at++) {
        const story = await begun(settings, way);
        const before = story.seen();
        await story.tried({ at: lost, error: silent, done: true });
        if (story.failing.operations < lost) return;
        const thrown = await story.tried({ at, error: refused, done: false });
        if (story.failing.operations < at) break;
        if (thrown instanceof RefusedError) expect(story.seen(), `lost ${lost}, refused ${at}`).toEqual(before);
        await endsRight(story, way);
      }
    }
  });
});

const proves = (thrown: unknown): boolean => thrown instanceof NotAppliedError || thrown instanceof RefusedError;

async function endsRight(story: Story, way: LoadAbility): Promise<void> {
  expect(await story.tried()).toBeUndefined();
  const all = way === 'appendLoad' ? [...OLD, ...NEW] : NEW;
  expect(story.seen()).toEqual(all.map((one) => `${one.n} ${one.version}`).sort());
}
