import { createHash } from 'node:crypto';
import { PassThrough, Readable, Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Chunk } from '../../model/chunk.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import { ALL } from '../../model/window.ts';
import { testPermit } from '../../testing/permit.ts';
import { readAll, textsOf } from '../../testing/suites/source-reading.ts';
import type { OpenContext } from '../connector.ts';
import { stdin, stdout } from './config.ts';

const range = { window: ALL, parameters: {} };
const sourceOn = (input: Readable, settings: Record<string, unknown> = {}) =>
  stdin.source!.open({}, stdin.source!.settings.parse(settings), { stdin: input } as unknown as OpenContext);
const sinkOn = (output: Writable, settings: Record<string, unknown> = {}) =>
  stdout.sink!.open({}, stdout.sink!.settings.parse(settings), { stdout: output } as unknown as OpenContext);

/** Keeps what it is given, and takes its time about it. */
function collector(): { readonly output: Writable; text(): string } {
  const pieces: Buffer[] = [];
  const output = new Writable({
    write(piece, _encoding, done) {
      pieces.push(piece);
      setImmediate(done);
    },
  });
  return { output, text: () => Buffer.concat(pieces).toString() };
}

describe('stdin', () => {
  it('reads records of each format, wherever the pieces are cut', async () => {
    const cut = (text: string, size: number) =>
      Readable.from(
        Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
          Buffer.from(text.slice(at * size, at * size + size)),
        ),
      );
    const expected = ['{"a":"1","b":"x\\ny"}', '{"a":"2","b":null}'];
    const inputs = {
      ndjson: `${expected.join('\n')}\n`,
      csv: 'a,b\n1,"x\ny"\n2,\n',
      json: `[${expected.join(',')}]`,
    };
    for (const [format, text] of Object.entries(inputs)) {
      for (const size of [1, 3, 1000]) {
        expect(textsOf(await readAll(sourceOn(cut(text, size), { format }), range))).toEqual(expected);
      }
    }
    expect(
      textsOf(
        await readAll(sourceOn(Readable.from(['1;2\n']), { format: 'csv', delimiter: ';', header: ['a', 'b'] }), range),
      ),
    ).toEqual(['{"a":"1","b":"2"}']);
  });

  it('gives no positions, and can be read only once', async () => {
    const source = sourceOn(Readable.from(['{"a":1}\n']));
    const chunks = await readAll(source, range);
    expect([source.resumable, chunks[0]!.end]).toEqual([false, undefined]);
    await expect(readAll(source, range)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });

  it('stops while it waits for more, and says when the input breaks', async () => {
    const waiting = new PassThrough();
    const stop = new AbortController();
    waiting.write('{"a":1}\n');
    const reading = async () => {
      const seen: Chunk[] = [];
      for await (const chunk of sourceOn(waiting).read(range, stop.signal)) seen.push(chunk);
    };
    const read = reading();
    setImmediate(() => stop.abort(new DOMException('stop', 'AbortError')));
    await expect(read).rejects.toMatchObject({ name: 'AbortError' });
    const broken = new PassThrough();
    const failing = readAll(sourceOn(broken), range);
    broken.destroy(new Error('EIO'));
    await expect(failing).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  });
});

describe('a pull from stdin', () => {
  const pull = { taken: async () => new Set<string>(), downloads: '/nonexistent' };
  const never = new AbortController().signal;
  const text = '{"a":1}\n{"a":2}\n';

  it('takes whatever is piped in for new, and ends where the input ends', async () => {
    const input = Readable.from([Buffer.from(text.slice(0, 5)), Buffer.from(text.slice(5))]);
    const source = sourceOn(input);
    expect(await source.pulls!.look({ ...range, pull }, never)).toEqual({ kind: 'new' });
    const chunks = await readAll(source, { ...range, pull });
    expect(textsOf(chunks)).toEqual(['{"a":1}', '{"a":2}']);
    expect(chunks.slice(0, -1).map(({ end }) => end)).toEqual(chunks.slice(1).map(() => undefined));
    const { end } = chunks.at(-1)!;
    const sha256 = createHash('sha256').update(text).digest('hex');
    expect(end).toEqual({ sourceName: 'stdin', kind: 'waybill/pipe', value: JSON.stringify({ bytes: 16, sha256 }) });
    expect(source.pulls!.refuses(end!)).toBeUndefined();
    expect(source.pulls!.refuses({ ...end!, kind: 'odf/etag' })).toContain('odf/etag');
    // The same again is new again; but an input that was read to its end has nothing more.
    expect(await source.pulls!.look({ ...range, pull, from: end! }, never)).toMatchObject({ kind: 'unchanged' });
    expect(await readAll(sourceOn(input), { ...range, pull, from: end! })).toEqual([]);
    const again = sourceOn(Readable.from([Buffer.from(text)]));
    expect(textsOf(await readAll(again, { ...range, pull, from: end! }))).toHaveLength(2);
  });

  it('gives no end to an input that breaks off', async () => {
    const broken = new PassThrough();
    broken.write(`${text.repeat(20_000)}`);
    const seen: Chunk[] = [];
    const reading = async () => {
      for await (const chunk of sourceOn(broken).read({ ...range, pull }, never)) {
        seen.push(chunk);
        broken.destroy(new Error('EIO'));
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.map(({ end }) => end)).toEqual(seen.map(() => undefined));
  });
});

describe('stdout', () => {
  const csv = (batch: number, columns: readonly string[], record: string) =>
    testPermit({
      batch,
      columns,
      records: [record],
      framing: { format: 'csv', head: '', separator: '\n', tail: '\n' },
    });

  it('writes the header of CSV once, and takes no batch with other columns', async () => {
    const { output, text } = collector();
    const sink = sinkOn(output, { format: 'csv' });
    await Promise.all([sink.can.append!(csv(1, ['a', 'b'], '1,2')), sink.can.append!(csv(2, ['a', 'b'], '3,4'))]);
    await expect(sink.can.append!(csv(3, ['b'], '5'))).rejects.toBeInstanceOf(RefusedError);
    expect(text()).toBe('a,b\n1,2\n3,4\n');
  });

  it('resolves only when the bytes have been passed on', async () => {
    let pass: (() => void) | undefined;
    const slow = new Writable({
      write(_piece, _encoding, done) {
        pass = () => done();
      },
    });
    let resolved = false;
    const sending = sinkOn(slow).can.append!(testPermit({ records: [{ a: 1 }] })).then(() => {
      resolved = true;
    });
    await expect.poll(() => pass).toBeDefined();
    expect(resolved).toBe(false);
    pass!();
    await sending;
    expect(resolved).toBe(true);
  });

  it('knows nothing of the batch under which the pipe broke, and sends nothing more after it', async () => {
    const broken = new Writable({
      write: (_piece, _encoding, done) => done(Object.assign(new Error('EPIPE'), { code: 'EPIPE' })),
    });
    const sink = sinkOn(broken);
    const first = await sink.can.append!(testPermit({ records: [{ a: 1 }] })).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(first).toMatchObject({ code: 'SINK_FAILED' });
    await expect(sink.can.append!(testPermit({ records: [{ a: 2 }] }))).rejects.toBeInstanceOf(NotAppliedError);
  });

  it('gives a batch up at its deadline, without knowing what became of it', async () => {
    const stuck = new Writable({ write: () => undefined });
    const stop = new AbortController();
    const sending = sinkOn(stuck).can.append!(testPermit({ records: [{ a: 1 }], signal: stop.signal }));
    setImmediate(() => stop.abort(new DOMException('deadline', 'TimeoutError')));
    await expect(sending).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });
});
