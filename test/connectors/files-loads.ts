import { type Dirent, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { OpenContext, Permit, Sink } from '../../src/connectors/connector.ts';
import { files } from '../../src/connectors/files/config.ts';
import type { LoadStep } from '../../src/model/load.ts';
import { type Books, parsed } from '../../src/objects/books.ts';
import type { LoadAbility, LoadFixture, LoadRecord, LoadSubject } from '../../src/testing/suites/load-subject.ts';
import type { Losing } from '../../src/testing/suites/sink-subject.ts';
import { newFolder } from './place.ts';

const PLACES = '.waybill-loads';
export const COLUMNS = ['n', 'version', 'day', 'gone'] as const;

/** Which of the steps on the disk is the last one that the process lives to see. */
export class Death {
  left = Number.POSITIVE_INFINITY;
  /** How many steps there were since it was last set. */
  steps = 0;

  /** The store looks at the signal before each of its steps. */
  signal(given: AbortSignal, ahead: number): AbortSignal {
    this.steps = ahead;
    const check = (): void => {
      given.throwIfAborted();
      this.steps += 1;
      if (this.steps > this.left) throw new Error('the process was killed');
    };
    return Object.defineProperty(new AbortController().signal, 'throwIfAborted', { value: check });
  }

  in(steps: number): Losing {
    return async (call) => {
      this.left = steps;
      try {
        return await call();
      } finally {
        this.left = Number.POSITIVE_INFINITY;
      }
    };
  }

  over(sink: Sink): Sink {
    const { load, replace, publish, appendLoad } = sink.can;
    // A batch is added in two steps, so its death comes earlier.
    const dying = <T extends LoadStep | Permit>(step: T): T =>
      step.signal.aborted ? step : { ...step, signal: this.signal(step.signal, 'batch' in step ? 2 : 0) };
    return {
      ...sink,
      can: {
        ...sink.can,
        load: { open: (step) => load!.open(dying(step)), add: (permit) => load!.add(dying(permit)) },
        replace: (step, scope) => replace!(dying(step), scope),
        ...(publish === undefined ? {} : { publish: (step, keep) => publish(dying(step), keep) }),
        ...(appendLoad === undefined ? {} : { appendLoad: (step) => appendLoad(dying(step)) }),
      },
    };
  }
}

/** Every file below a folder, also in folders with a dot. A folder may go while it is looked at. */
export function filesBelow(folder: string, base = ''): readonly string[] {
  return entriesOf(join(folder, base)).flatMap((entry) => {
    const name = base === '' ? entry.name : `${base}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(folder, name) : [name];
  });
}

function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return [];
  }
}

/** What is in a file; nothing when it has gone since it was listed, which a replaced list of files may bring about. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return '';
  }
}

const isHidden = (name: string): boolean =>
  name.split('/').some((part) => part.startsWith('.') || part.startsWith('_'));

/** What a person sees who lists the folder, or who reads the manifest. */
export function visibleFiles(root: string, manifest: string | undefined): readonly string[] {
  if (manifest === undefined) return filesBelow(root).filter((name) => !isHidden(name));
  const names = filesBelow(root).filter((name) => name.endsWith('_manifest.json') && !name.includes('/.'));
  return names.flatMap((name) => objectsOf(parsed(readFileSync(join(root, name)), name)));
}

const objectsOf = ({ loads }: Books): readonly string[] =>
  loads.flatMap(({ objects }) => objects.map(({ object }) => object));

export function recordsIn(text: string, csv: boolean): readonly LoadRecord[] {
  const lines = text.split('\n').slice(0, -1);
  if (!csv) return lines.map((line) => JSON.parse(line) as LoadRecord);
  return lines
    .filter((line) => line !== COLUMNS.join(','))
    .map((line) => {
      const [n, version, day = '', gone] = line.split(',');
      return { n: Number(n), version: Number(version), day, gone: gone === 'true' };
    });
}

export interface LoadPlaceSettings {
  readonly path: string;
  readonly manifest?: string;
}

export interface FolderFixture extends LoadFixture {
  readonly root: string;
  readonly death: Death;
}

export function fileLoads(settings: LoadPlaceSettings, dies = 3): FolderFixture {
  const root = newFolder('files-loads');
  const csv = settings.path.endsWith('.csv');
  const death = new Death();
  const open = (): Sink => {
    const sink = files.sink!.open({ root: '.' }, files.sink!.settings.parse(settings), { folder: root } as OpenContext);
    return death.over(sink);
  };
  return {
    root,
    death,
    sink: open(),
    another: open,
    ...(csv ? { columns: COLUMNS } : {}),
    record: (record) => (csv ? COLUMNS.map((name) => String(record[name])).join(',') : record),
    seen: async () => {
      const listed = settings.manifest === undefined && settings.path.includes('batch');
      const read = (name: string): string =>
        listed ? textOf(join(root, name)) : readFileSync(join(root, name), 'utf8');
      return visibleFiles(root, settings.manifest).flatMap((name) => recordsIn(read(name), csv));
    },
    places: async () =>
      filesBelow(root)
        .filter((name) => name.includes(`${PLACES}/`))
        .map((name) => name.slice(name.indexOf(`${PLACES}/`) + PLACES.length + 1).split('/'))
        .flatMap(([load, file]) => (file === undefined || load?.startsWith('wb_') !== true ? [] : [load]))
        .filter((load, at, all) => all.indexOf(load) === at),
    refused: { never: 'whatever is one line can be written' },
    scopes: ['all'],
    breakOff: death.in(dies),
    tamper: async ({ id }) => expectWritable(root, id),
    close: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** Root may write where nobody may, so it is asked what others may. */
function expectWritable(root: string, load: string): void {
  const ours = filesBelow(root).filter((name) => name.includes(`/${load}/`) || name.startsWith(`${PLACES}/${load}/`));
  const all = [...ours, ...ours.map((name) => dirname(name))];
  const open = all.filter((name) => (statSync(join(root, name)).mode & 0o222) !== 0);
  if (ours.length === 0 || open.length > 0) return;
  throw new Error('nobody has the permission to write');
}

const SINGLE: readonly LoadAbility[] = ['load', 'replace'];
const BY_MANIFEST: readonly LoadAbility[] = ['load', 'replace', 'publish', 'appendLoad'];

export const LOAD_PATHS: readonly (LoadPlaceSettings & {
  readonly name: string;
  readonly abilities: readonly LoadAbility[];
})[] = [
  { name: 'an NDJSON $ for each window', path: 'orders/{{ window }}.ndjson', abilities: SINGLE },
  { name: 'one CSV $', path: 'out.csv', abilities: SINGLE },
  { name: '$s of a window', path: 'orders/{{ window }}/{{ batch }}.ndjson', abilities: SINGLE },
  {
    name: '$s under a manifest',
    path: 'orders/{{ batch }}.csv',
    manifest: 'orders/_manifest.json',
    abilities: BY_MANIFEST,
  },
  {
    name: '$s under a manifest for each window',
    path: 'orders/{{ batch }}.ndjson',
    manifest: 'orders/{{ window }}/_manifest.json',
    abilities: ['load', 'replace', 'appendLoad'],
  },
];

export const filesLoads: readonly LoadSubject[] = LOAD_PATHS.map(({ name, abilities, ...settings }) => ({
  name: name.replace('$', 'file'),
  abilities,
  open: () => fileLoads(settings),
}));
