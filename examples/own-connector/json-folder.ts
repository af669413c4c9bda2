import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  applied,
  type Connector,
  encodeRows,
  LINES,
  NotAppliedError,
  OUTCOME,
  type Payload,
  type Permit,
  type Position,
  parseObject,
  type Refusal,
  type Sink,
  type Source,
  type Verdict,
} from 'waybill';
import { z } from 'zod';

// #region connector
const connection = z.strictObject({
  folder: z.string().min(1).describe('The folder, from that of the flow file; it holds a file for each record.'),
});
const sinkSettings = z.strictObject({ key: z.string().min(1).describe('The field that a file is named after.') });
const sourceSettings = z.strictObject({ chunkRecords: z.int().min(1).default(100) });

/** A folder that holds one JSON file for each record, named after its key. */
export const jsonFolder: Connector<
  z.output<typeof connection>,
  z.output<typeof sourceSettings>,
  z.output<typeof sinkSettings>
> = {
  type: 'json-folder',
  summary: 'A folder with one JSON file for each record',
  connection,
  source: {
    settings: sourceSettings,
    open: ({ folder }, { chunkRecords }, context) => jsonFolderSource(resolve(context.folder, folder), chunkRecords),
  },
  sink: {
    settings: sinkSettings,
    open: ({ folder }, { key }, context) => jsonFolderSink(resolve(context.folder, folder), key),
  },
};
// #endregion

// #region sink
/** Opens nothing: the first batch makes the folder. */
export function jsonFolderSink(folder: string, key: string): Sink {
  return {
    accepts: [LINES],
    limits: { recordsPerBatch: 500, inFlight: 1 },
    can: {
      put: (permit) => put(folder, key, permit),
      find: async (_batch, payload) => {
        const found = await Promise.all(textsOf(payload).map((text) => isThere(folder, key, text)));
        const seen = found.filter(Boolean).length;
        return {
          records: found.map((there) => (there ? ('applied' as const) : ('absent' as const))),
          evidence: `${seen} of ${found.length} files hold what was sent`,
        };
      },
    },
    facts: { visibilityLagMs: 0 },
    requestTimeoutMs: 30_000,
  };
}

async function put(folder: string, key: string, permit: Permit): Promise<Verdict> {
  // Nothing has been touched yet, and that is what this error says. Any other error leaves the batch in doubt.
  if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
  const texts = textsOf(await permit.payload());
  await mkdir(folder, { recursive: true });
  const refusals: Refusal[] = [];
  for (const [index, text] of texts.entries()) {
    const name = fileOf(key, text);
    if (name !== undefined) await writeWhole(folder, name, text);
    else refusals.push({ index, code: 'no-key', message: `the record has no ${key}`, retryable: false });
  }
  const verdict = applied(texts.length, { summary: `${texts.length - refusals.length} files written` });
  for (const { index } of refusals) verdict.outcomes[index] = OUTCOME.refused;
  return { ...verdict, refusals };
}

/** Beside its place first, then moved there: whoever reads finds the old record or the new one, never half of one. */
async function writeWhole(folder: string, name: string, text: string): Promise<void> {
  const beside = join(folder, `.${name}.part`);
  const file = await open(beside, 'w');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, join(folder, name));
}

async function isThere(folder: string, key: string, text: string): Promise<boolean> {
  const name = fileOf(key, text);
  if (name === undefined) return false;
  try {
    return (await readFile(join(folder, name), 'utf8')) === text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function fileOf(key: string, text: string): string | undefined {
  const value = parseObject(text)[key];
  return value === undefined || value === null || value === ''
    ? undefined
    : `${encodeURIComponent(String(value))}.json`;
}

/** The frozen bytes, record by record. They are written as they are. */
function textsOf({ bytes, spans }: Payload): readonly string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: spans.length / 2 }, (_, at) => buffer.toString('utf8', spans[at * 2], spans[at * 2 + 1]));
}
// #endregion

// #region source
const POSITION = 'json-folder/name';

/** Files in the order of their names; the name of the last one that was read is where the source stands. */
export function jsonFolderSource(folder: string, chunkRecords: number): Source {
  const namesAfter = async (from: Position | undefined): Promise<readonly string[]> => {
    const last = from?.kind === POSITION ? from.value : '';
    const names = await readdir(folder);
    return names.filter((name) => name.endsWith('.json') && name > last).sort();
  };
  return {
    emits: ['ndjson'],
    resumable: true,
    async *read({ from }, signal) {
      const names = await namesAfter(from);
      for (let at = 0; at < names.length; at += chunkRecords) {
        signal.throwIfAborted();
        const some = names.slice(at, at + chunkRecords);
        const texts = await Promise.all(some.map((name) => readFile(join(folder, name), 'utf8')));
        const rows = texts.map((text) => parseObject(text));
        const end = { sourceName: folder, kind: POSITION, value: some.at(-1)! };
        yield { ...encodeRows(rows, 'ndjson', { firstRow: at + 1 }), end };
      }
    },
    remaining: async ({ from }) => ({ records: (await namesAfter(from)).length }),
    pulls: {
      refuses: ({ kind }) => (kind === POSITION ? undefined : `it goes on from the name of a file, not from ${kind}`),
      async look({ from }) {
        const records = (await namesAfter(from)).length;
        if (records > 0) return { kind: 'new', estimate: { records } };
        return { kind: 'unchanged', why: 'no file has a later name' };
      },
    },
  };
}
// #endregion
