import { describe, expect, it } from 'vitest';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { contentOf } from '../../objects/store.ts';
import { Bucket } from './bucket.ts';

const signal = new AbortController().signal;
const text = (value: string) => contentOf(Buffer.from(value));
const refusal = (httpStatusCode: number, name: string): Error =>
  Object.assign(new Error(name), { name, $metadata: { httpStatusCode } });
const unreachable = (): Error => Object.assign(new Error('ECONNREFUSED'), { code: 'ECONNREFUSED' });

interface Asked {
  readonly kind: string;
  readonly Key: string;
  readonly IfNoneMatch?: string;
}

/** A bucket on a server that keeps names; `failing` says what becomes of a request, by its number. */
function bucketOn(server: { conditions: boolean; failing?: (nth: number, asked: Asked) => Error | undefined }) {
  const names = new Set<string>();
  let requests = 0;
  const command = (kind: string) =>
    class {
      readonly asked: Asked;
      constructor(input: Omit<Asked, 'kind'>) {
        this.asked = { ...input, kind };
      }
    };
  const sdk = { PutObjectCommand: command('put'), DeleteObjectsCommand: command('delete') };
  const send = async ({ asked }: { asked: Asked & { Delete?: { Objects: { Key: string }[] } } }) => {
    const error = server.failing?.(++requests, asked);
    if (error !== undefined) throw error;
    if (asked.kind === 'delete') for (const { Key } of asked.Delete!.Objects) names.delete(Key);
    else if (server.conditions && asked.IfNoneMatch === '*' && names.has(asked.Key)) throw refusal(412, 'Precondition');
    else names.add(asked.Key);
    return {};
  };
  const bucket = new Bucket({ bucket: 'b' } as never);
  bucket.ask = (request) => request({ sdk, client: { send } } as never, 'b');
  return { bucket, names };
}

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('the first object that a process makes under a condition', () => {
  it.each([
    ['nobody listens', unreachable()],
    ['it is refused', refusal(403, 'AccessDenied')],
    ['another such request runs', refusal(409, 'ConditionalRequestConflict')],
  ])('P22: is not called unmade where %s when the condition is tried', async (_name, error) => {
    const { bucket, names } = bucketOn({ conditions: true, failing: (nth) => (nth === 2 ? error : undefined) });
    const thrown = await thrownBy(bucket.swap('a', text('1'), null, signal));
    expect([...names]).toEqual(['a']);
    expect(thrown).toBeInstanceOf(WaybillError);
    expect(thrown).toMatchObject({ code: 'SINK_FAILED' });
  });

  it('P22: is not there after it was refused since the server passes over conditions', async () => {
    const { bucket, names } = bucketOn({ conditions: false });
    for (let start = 1; start <= 2; start++) {
      const thrown = await thrownBy(bucket.swap('a', text('1'), null, signal));
      expect(thrown).toBeInstanceOf(RefusedError);
      expect(thrown).toMatchObject({ reason: 'conditions' });
      expect([...names]).toEqual([]);
    }
  });
});

describe('the removal of more names than one request takes', () => {
  it('P22: is not called undone where a later request is refused', async () => {
    const names = Array.from({ length: 1001 }, (_, nth) => `n${nth}`);
    const failing = (nth: number) => (nth === 2 ? unreachable() : undefined);
    const thrown = await thrownBy(bucketOn({ conditions: true, failing }).bucket.remove(names, signal));
    expect(thrown).toMatchObject({ code: 'SINK_FAILED' });
    const first = await thrownBy(bucketOn({ conditions: true, failing: unreachable }).bucket.remove(names, signal));
    expect(first).toBeInstanceOf(NotAppliedError);
  });
});
