import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import type * as Sdk from '@aws-sdk/client-s3';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { fromHereOn } from '../../objects/books.ts';
import { byName } from '../../objects/paths.ts';
import type { Content, Held, Listed, ObjectStore } from '../../objects/store.ts';
import { type Client, newClient, type S3Connection } from './connection.ts';
import { changeError, questionError, replyOf } from './outcome.ts';

/** What is sent in one piece from memory; the rest is passed on as it is read. */
const BUFFERED_MAX = 16 * 1024 * 1024;
/** What S3 takes in one request. */
const OBJECT_MAX = 5 * 1024 ** 3;
const DELETED_AT_ONCE = 1000;
/** Larger content is not sent once more only to see whether it is refused. */
const CHECKED_MAX = 1024 * 1024;

export interface Labelled {
  readonly bytes: Uint8Array;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ListedVersion extends Listed {
  /** The ETag, as the server writes it. */
  readonly version: string;
  readonly writtenMs: number;
  /** Under which the bucket keeps it when another one takes its place; absent where it does not, or was not asked. */
  readonly keptAs?: string;
}

/** What of an object is asked for: from `start` to `end`, the second excluded; and in which version. */
export interface PiecesAsked {
  readonly part?: { readonly start: number; readonly end: number } | undefined;
  readonly version?: string | undefined;
}

/** Some servers leave out the quotes in one place, and not in another. */
const bare = (version: string): string => version.replaceAll('"', '');

/**
 * One bucket as a store of objects. That an object is made or replaced only under a condition is seen to by the server
 * (`If-None-Match`, `If-Match`), so of several who try, one succeeds.
 */
export class Bucket implements ObjectStore {
  /** Where published objects are to be locked. */
  protect?: NonNullable<ObjectStore['protect']>;
  readonly #connection: S3Connection;
  #client: Promise<Client> | undefined;
  /** Older gateways compare versions without the quotes that belong to them. */
  #bareVersions = false;
  #conditionsHold = false;
  #afterlife: string | undefined;

  constructor(connection: S3Connection) {
    this.#connection = connection;
  }

  get name(): string {
    return this.#connection.bucket;
  }

  address(name: string): string {
    return `s3://${this.name}/${name}`;
  }

  async create(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<'made' | 'there'> {
    return await this.createLabelled(name, { bytes, labels: {} }, signal);
  }

  async createLabelled(name: string, { bytes, labels }: Labelled, signal: AbortSignal): Promise<'made' | 'there'> {
    const content = { Key: name, Body: bytes, ContentLength: bytes.length, Metadata: { ...labels } };
    return (await this.#put({ ...content, IfNoneMatch: '*' }, signal)) === 'done' ? 'made' : 'there';
  }

  /** The labels of an object; undefined when there is none. */
  async labels(name: string, signal: AbortSignal): Promise<Readonly<Record<string, string>> | undefined> {
    return (await this.#head(name, signal))?.Metadata;
  }

  async head(name: string, signal: AbortSignal): Promise<{ version: string | undefined; bytes: number } | undefined> {
    const head = await this.#head(name, signal);
    return head === undefined ? undefined : { version: head.VersionId, bytes: head.ContentLength ?? 0 };
  }

  async read(name: string, signal: AbortSignal): Promise<Held | undefined> {
    const what = `reading ${this.address(name)}`;
    try {
      const answer = await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.GetObjectCommand({ Bucket, Key: name }), { abortSignal: signal }),
      );
      const bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array();
      return { bytes, version: answer.ETag ?? '' };
    } catch (error) {
      if (replyOf(error).code === 'NoSuchKey') return undefined;
      throw questionError(error, what);
    }
  }

  async version(name: string, signal: AbortSignal): Promise<string | null> {
    return (await this.#head(name, signal))?.ETag ?? null;
  }

  async swap(
    name: string,
    content: Content,
    expected: string | null,
    signal: AbortSignal,
  ): Promise<'done' | 'changed'> {
    if (content.bytes > OBJECT_MAX) {
      throw new RefusedError(`${name} would hold ${content.bytes} bytes; one request takes ${OBJECT_MAX}`, {
        reason: 'size',
        about: 'request',
        hint: 'Give each batch an object of its own: `{{ batch }}` in the path, with a `manifest`.',
      });
    }
    const done = await this.#putIf(name, content, expected, signal);
    if (expected === null) return done === 'done' ? await this.#madeOnce(name, content, signal) : done;
    if (done === 'done' || (await this.version(name, signal)) !== expected) return done;
    // The condition failed although nothing was changed: this server wants it written in another way.
    this.#bareVersions = !this.#bareVersions;
    const again = await this.#putIf(name, content, expected, signal);
    if (again === 'done' || (await this.version(name, signal)) !== expected) return again;
    throw this.#noConditions();
  }

  /** A server that passes over conditions makes the object again; one that knows them is asked once. */
  async #madeOnce(name: string, content: Content, signal: AbortSignal): Promise<'done'> {
    if (this.#conditionsHold || content.bytes > CHECKED_MAX) return 'done';
    const made = `${name} was made, and whether the server compares versions is not known`;
    if ((await fromHereOn(this.#putIf(name, content, null, signal), made)) === 'changed') {
      this.#conditionsHold = true;
      return 'done';
    }
    // As if nothing had been made: that is what a refusal says, and the next start must meet it again.
    await fromHereOn(this.remove([name], signal), `${name} was made, on a server that does not compare versions`);
    throw this.#noConditions();
  }

  #noConditions(): RefusedError {
    return new RefusedError(`the server does not compare versions before it writes to the bucket ${this.name}`, {
      reason: 'conditions',
      about: 'request',
      hint: 'Older gateways do so only in buckets without versioning: use one, or name one as `manifestBucket`.',
    });
  }

  async #putIf(
    name: string,
    content: Content,
    expected: string | null,
    signal: AbortSignal,
  ): Promise<'done' | 'changed'> {
    const version = this.#bareVersions ? expected?.replaceAll('"', '') : expected;
    const condition = version == null ? { IfNoneMatch: '*' } : { IfMatch: version };
    const request = { Key: name, ContentLength: content.bytes, ...condition };
    if (content.bytes <= BUFFERED_MAX) return await this.#put({ ...request, Body: await whole(content) }, signal);
    const body = Readable.from(content.pieces(), { objectMode: false });
    const cut = new AbortController();
    body.once('error', (error) => cut.abort(error));
    try {
      return await this.#put({ ...request, Body: body }, AbortSignal.any([signal, cut.signal]));
    } catch (error) {
      // Fewer bytes than were announced: the server cannot have taken them for the whole.
      if (body.errored === null) throw error;
      throw incomplete(body.errored, name);
    } finally {
      body.destroy();
    }
  }

  async #put(request: Omit<Sdk.PutObjectCommandInput, 'Bucket'>, signal: AbortSignal): Promise<'done' | 'changed'> {
    if (signal.aborted) throw new NotAppliedError('the send was given up before it began');
    try {
      await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.PutObjectCommand({ Bucket, ...request }), { abortSignal: signal }),
      );
      return 'done';
    } catch (error) {
      const { status, code } = replyOf(error);
      if (status === 412) return 'changed';
      // Amazon's answer to a condition on an object that is not there.
      if (request.IfMatch !== undefined && code === 'NoSuchKey') return 'changed';
      throw changeError(error, `writing ${this.address(request.Key ?? '')}`);
    }
  }

  async list(beginning: string, signal: AbortSignal): Promise<readonly Listed[]> {
    const found = await this.listVersions(beginning, undefined, signal);
    return found.map(({ name, bytes }) => ({ name, bytes }));
  }

  /** In order of the names; only those that come after `after`, which the server sees to. */
  async listVersions(
    beginning: string,
    after: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly ListedVersion[]> {
    const found: ListedVersion[] = [];
    let token: string | undefined;
    do {
      const more = token === undefined ? {} : { ContinuationToken: token };
      const from = after === undefined || token !== undefined ? {} : { StartAfter: after };
      const page = await this.#page({ Prefix: beginning, ...from, ...more }, signal);
      for (const { Key: name = '', Size: bytes = 0, ETag: version = '', LastModified } of page.Contents ?? [])
        found.push({ name, bytes, version, writtenMs: LastModified?.getTime() ?? 0 });
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return found.sort((a, b) => byName(a.name, b.name));
  }

  async #page(
    request: Omit<Sdk.ListObjectsV2CommandInput, 'Bucket'>,
    signal: AbortSignal,
  ): Promise<Sdk.ListObjectsV2CommandOutput> {
    try {
      return await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.ListObjectsV2Command({ Bucket, ...request }), { abortSignal: signal }),
      );
    } catch (error) {
      throw questionError(error, `listing ${this.address(request.Prefix ?? '')}`);
    }
  }

  /** One object as a list would show it; undefined when there is none. */
  async find(name: string, signal: AbortSignal): Promise<ListedVersion | undefined> {
    const head = await this.#head(name, signal);
    if (head === undefined) return undefined;
    const { ContentLength: bytes = 0, ETag: version = '', LastModified, VersionId } = head;
    // `null` is the one version of an object whose bucket keeps none now: the next one takes its place.
    const kept = VersionId === undefined || VersionId === 'null' ? {} : { keptAs: VersionId };
    return { name, bytes, version, writtenMs: LastModified?.getTime() ?? 0, ...kept };
  }

  /** All of an object, or a part of it. Throws when a version is asked for and another one is there. */
  async *pieces(name: string, signal: AbortSignal, ask: PiecesAsked = {}): AsyncGenerator<Uint8Array> {
    const { part, version } = ask;
    const Range = part === undefined ? {} : { Range: `bytes=${part.start}-${part.end - 1}` };
    const IfMatch = version === undefined ? {} : { IfMatch: version };
    try {
      const answer = await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.GetObjectCommand({ Bucket, Key: name, ...Range, ...IfMatch }), { abortSignal: signal }),
      );
      // A server that passes over the condition answers with what is there now.
      if (version !== undefined && answer.ETag !== undefined && bare(answer.ETag) !== bare(version))
        throw this.#replaced(name);
      yield* answer.Body as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (version !== undefined && replyOf(error).status === 412) throw this.#replaced(name);
      throw questionError(error, `reading ${this.address(name)}`);
    }
  }

  #replaced(name: string): WaybillError {
    return new WaybillError('SOURCE_FAILED', `${this.address(name)} was replaced after it was listed`, {
      hint: 'Nothing of it was taken: run the same command again to read the one that is there now.',
      ids: { path: name },
    });
  }

  async copy(from: string, to: string, signal: AbortSignal): Promise<void> {
    const CopySource = [this.name, ...from.split('/')].map(encodeURIComponent).join('/');
    try {
      await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.CopyObjectCommand({ Bucket, Key: to, CopySource }), { abortSignal: signal }),
      );
    } catch (error) {
      throw changeError(error, `copying ${this.address(from)} to ${to}`);
    }
  }

  async remove(names: readonly string[], signal: AbortSignal): Promise<void> {
    for (let at = 0; at < names.length; at += DELETED_AT_ONCE) {
      const deleting = this.#delete(names.slice(at, at + DELETED_AT_ONCE), signal);
      await (at === 0 ? deleting : fromHereOn(deleting, 'a part of them is removed'));
    }
  }

  async #delete(names: readonly string[], signal: AbortSignal): Promise<void> {
    const Objects = names.map((Key) => ({ Key }));
    const what = `removing ${names.length} objects of ${this.name}`;
    try {
      const answer = await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }), {
          abortSignal: signal,
        }),
      );
      const [first] = answer.Errors ?? [];
      if (first === undefined) return;
      const why = `${what}: ${first.Code} for ${first.Key}`;
      if (answer.Errors?.length !== names.length) throw new WaybillError('SINK_FAILED', `${why}; others are gone`);
      throw new RefusedError(why, { reason: first.Code ?? 'error', about: 'request' });
    } catch (error) {
      throw changeError(error, what);
    }
  }

  async afterlife(signal: AbortSignal): Promise<string> {
    this.#afterlife ??= await this.#askAfterlife(signal);
    return this.#afterlife;
  }

  async #askAfterlife(signal: AbortSignal): Promise<string> {
    try {
      const { Status } = await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.GetBucketVersioningCommand({ Bucket }), { abortSignal: signal }),
      );
      return Status === 'Enabled'
        ? 'the bucket keeps it as an old version, until a lifecycle rule (NoncurrentVersionExpiration) removes it'
        : 'nothing of it remains';
    } catch (error) {
      const answer = questionError(error, `asking whether ${this.name} keeps versions`);
      if (answer instanceof RefusedError) return 'whether the bucket keeps it as an old version is not known';
      throw answer;
    }
  }

  async #head(name: string, signal: AbortSignal): Promise<Sdk.HeadObjectCommandOutput | undefined> {
    try {
      return await this.ask(({ sdk, client }, Bucket) =>
        client.send(new sdk.HeadObjectCommand({ Bucket, Key: name }), { abortSignal: signal }),
      );
    } catch (error) {
      if (replyOf(error).status === 404) return undefined;
      throw questionError(error, `looking for ${this.address(name)}`);
    }
  }

  /** Whatever else is to be asked of the bucket. Throws what the client throws. */
  async ask<Answer>(request: (client: Client, bucket: string) => Promise<Answer>): Promise<Answer> {
    this.#client ??= newClient(this.#connection);
    return await request(await this.#client, this.name);
  }

  async close(): Promise<void> {
    (await this.#client)?.client.destroy();
  }
}

async function whole(content: Content): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content.pieces()) pieces.push(piece);
  return Buffer.concat(pieces);
}

function incomplete(error: Error, name: string): Error {
  if (error instanceof RefusedError || error instanceof NotAppliedError) return error;
  return new NotAppliedError(`what ${name} was to hold could not be read to its end`, { cause: error });
}
