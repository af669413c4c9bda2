import { RefusedError } from '../../model/errors.ts';
import type { Clock } from '../../model/ports.ts';
import type { Protection } from '../../objects/store.ts';
import type { Bucket } from './bucket.ts';
import { changeError, questionError, replyOf } from './outcome.ts';

/** How long, and against whom, published objects are locked. */
export interface ObjectLock {
  /** `compliance`: nobody can lift it, not even the owner. `governance`: who has the right to bypass it can. */
  readonly mode: 'governance' | 'compliance';
  readonly days: number;
}

const DAY_MS = 86_400_000;
/** A lock that was set a moment ago, by a step that is asked again, is long enough. */
const SLACK_MS = 3_600_000;

/** Locks the version of each object that is there now; what is written under its name later is another version. */
export async function lockObjects(
  bucket: Bucket,
  lock: ObjectLock,
  {
    names,
    clock,
    signal,
  }: { readonly names: readonly string[]; readonly clock: Pick<Clock, 'wallMs'>; readonly signal: AbortSignal },
): Promise<Protection> {
  const until = new Date(clock.wallMs() + lock.days * DAY_MS);
  const versions = new Map<string, string>();
  for (const name of names) {
    const version = (await bucket.head(name, signal))?.version;
    if (version === undefined || version === 'null') throw noLock(bucket);
    if (!(await isLocked(bucket, name, version, until, signal))) {
      await lockOne(bucket, { name, version, until, mode: lock.mode }, signal);
    }
    versions.set(name, version);
  }
  return { how: `locked until ${until.toISOString().slice(0, 10)} (${lock.mode})`, versions };
}

async function isLocked(
  bucket: Bucket,
  name: string,
  version: string,
  until: Date,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const { Retention } = await bucket.ask(({ sdk, client }, Bucket) =>
      client.send(new sdk.GetObjectRetentionCommand({ Bucket, Key: name, VersionId: version }), {
        abortSignal: signal,
      }),
    );
    return (Retention?.RetainUntilDate?.getTime() ?? 0) >= until.getTime() - SLACK_MS;
  } catch (error) {
    // No lock yet, which servers tell by an error. Whether there can be one is said when it is set.
    if (NO_LOCK_YET.has(replyOf(error).code)) return false;
    if (isWithoutLocks(error)) throw noLock(bucket);
    throw questionError(error, `asking whether ${bucket.address(name)} is locked`);
  }
}

async function lockOne(
  bucket: Bucket,
  lock: { readonly name: string; readonly version: string; readonly until: Date; readonly mode: ObjectLock['mode'] },
  signal: AbortSignal,
): Promise<void> {
  const Retention = {
    Mode: lock.mode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
    RetainUntilDate: lock.until,
  } as const;
  try {
    await bucket.ask(({ sdk, client }, Bucket) =>
      client.send(new sdk.PutObjectRetentionCommand({ Bucket, Key: lock.name, VersionId: lock.version, Retention }), {
        abortSignal: signal,
      }),
    );
  } catch (error) {
    if (isWithoutLocks(error)) throw noLock(bucket);
    throw changeError(error, `locking ${bucket.address(lock.name)}`);
  }
}

const NO_LOCK_YET = new Set(['NoSuchObjectLockConfiguration', 'ObjectLockConfigurationNotFoundError']);

const isWithoutLocks = (error: unknown): boolean => {
  const { code, status } = replyOf(error);
  return status === 400 && code === 'InvalidRequest';
};

const noLock = (bucket: Bucket): RefusedError =>
  new RefusedError(`the bucket ${bucket.name} cannot lock objects`, {
    reason: 'lock',
    about: 'request',
    hint: 'Object lock is switched on when a bucket is made; or leave out `lock`.',
  });
