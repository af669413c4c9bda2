/**
 * A place that keeps objects under names with slashes: a folder, a bucket. Every method throws NotAppliedError or
 * RefusedError where it is proved that nothing was changed; anything else says that nobody knows.
 */
export interface ObjectStore {
  /** What people and manifests call an object: `s3://bucket/name`, or its path from the root. */
  address(name: string): string;
  /** Whole and durable, unless there is an object of that name already. */
  create(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<'made' | 'there'>;
  read(name: string, signal: AbortSignal): Promise<Held | undefined>;
  /** Names the content that is there now; null: none is. */
  version(name: string, signal: AbortSignal): Promise<string | null>;
  /** The object has this content, whole and durable, if its version is still the one that is expected. */
  swap(name: string, content: Content, expected: string | null, signal: AbortSignal): Promise<'done' | 'changed'>;
  /** Those whose names begin so, in the order of names. */
  list(beginning: string, signal: AbortSignal): Promise<readonly Listed[]>;
  pieces(name: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  copy(from: string, to: string, signal: AbortSignal): Promise<void>;
  /** Names that are not there are no error. */
  remove(names: readonly string[], signal: AbortSignal): Promise<void>;
  /** From now on nobody changes or removes these, as far as the store can see to that. */
  protect?(names: readonly string[], signal: AbortSignal): Promise<Protection>;
  /** Nothing joins what lies in this folder any more, as far as the store can see to that. */
  seal?(folder: string, signal: AbortSignal): Promise<void>;
  /** Takes back what `seal` has done, so that the folder can be removed. */
  release?(folder: string, signal: AbortSignal): Promise<void>;
  /** What becomes of content that was replaced or removed, in one clause. */
  afterlife(signal: AbortSignal): Promise<string>;
}

export interface Held {
  readonly bytes: Uint8Array;
  readonly version: string;
}

export interface Listed {
  readonly name: string;
  readonly bytes: number;
}

/** What an object is to hold. `pieces` may be called again. */
export interface Content {
  readonly bytes: number;
  pieces(): AsyncIterable<Uint8Array>;
}

export interface Protection {
  /** In one clause: `locked until 2026-12-01 (governance)`. */
  readonly how: string;
  /** By name, where the store keeps several versions under one: which of them was protected. */
  readonly versions: ReadonlyMap<string, string>;
}

export const contentOf = (bytes: Uint8Array): Content => ({
  bytes: bytes.length,
  async *pieces() {
    yield bytes;
  },
});
