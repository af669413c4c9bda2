import { DIGEST_BYTES, KEY_BYTES } from '../model/chunk.ts';
import { HISTORY, type HistoryChanges, type HistoryRow, type PullReader } from '../model/slice.ts';

/** The row of a key as history knows it last. */
export interface KnownRow {
  readonly digest: Uint8Array;
  /** JSON of its columns; empty where only the key counts. */
  readonly row: Uint8Array;
}

interface Changed {
  readonly key: Uint8Array;
  /** Undefined: it is not there any more. */
  readonly now: KnownRow | undefined;
  readonly wasThere: boolean;
}

/**
 * The last row of each key of a flow: what the ledger has, under what the slice at hand has changed. A row lies in the
 * ledger behind its digest, so that comparing needs no reading of rows.
 */
export class KnownRows {
  readonly #flow: string;
  readonly #reader: PullReader;
  /** As the ledger has them, of the keys that were asked for; undefined: not there. */
  #loaded = new Map<string, KnownRow | undefined>();
  #changed = new Map<string, Changed>();

  constructor(flow: string, reader: PullReader) {
    this.#flow = flow;
    this.#reader = reader;
  }

  /** Asks for these keys, 16 bytes each, so that `find` knows them. Forgets those that were asked for before. */
  async load(keys: Uint8Array): Promise<void> {
    this.#loaded = new Map();
    const asked: Uint8Array[] = [];
    for (let at = 0; at < keys.length; at += KEY_BYTES) {
      const key = keys.subarray(at, at + KEY_BYTES);
      const name = nameOf(key);
      if (this.#changed.has(name) || this.#loaded.has(name)) continue;
      this.#loaded.set(name, undefined);
      asked.push(key);
    }
    if (asked.length === 0) return;
    for (const row of await this.#reader.history({ flow: this.#flow, keys: Buffer.concat(asked) }))
      this.#loaded.set(nameOf(row.key), rowOf(row));
  }

  /** Of a key that was loaded, or that the slice has changed. */
  find(key: Uint8Array): KnownRow | undefined {
    const name = nameOf(key);
    const changed = this.#changed.get(name);
    return changed === undefined ? this.#loaded.get(name) : changed.now;
  }

  put(key: Uint8Array, digest: Uint8Array, row: Uint8Array): void {
    this.#change(key, { digest, row });
  }

  remove(key: Uint8Array): void {
    this.#change(key, undefined);
  }

  #change(key: Uint8Array, now: KnownRow | undefined): void {
    const name = nameOf(key);
    const before = this.#changed.get(name);
    const wasThere = before === undefined ? this.#loaded.get(name) !== undefined : before.wasThere;
    this.#changed.set(name, { key, now, wasThere });
  }

  /** All that the ledger has, with what it is now; rows that came with this slice are not among them. */
  async *all(): AsyncGenerator<{ readonly key: Uint8Array; readonly row: Uint8Array }> {
    for (let after: Uint8Array | undefined; ; ) {
      const at = after === undefined ? {} : { after };
      const page = await this.#reader.historyAfter({ flow: this.#flow, ...at });
      for (const one of page) {
        const name = nameOf(one.key);
        const changed = this.#changed.get(name);
        if (changed === undefined) this.#loaded.set(name, rowOf(one));
        const now = changed === undefined ? rowOf(one) : changed.now;
        if (now !== undefined) yield { key: one.key, row: now.row };
      }
      after = page.at(-1)?.key;
      if (after === undefined) return;
      this.#loaded = new Map();
    }
  }

  changes(): HistoryChanges | undefined {
    const real = [...this.#changed.values()].filter(({ now, wasThere }) => wasThere || now !== undefined);
    if (real.length === 0) return undefined;
    const rows = real.flatMap(({ now }) => (now === undefined ? [] : [Buffer.concat([now.digest, now.row])]));
    return {
      kinds: Uint8Array.from(real, ({ now, wasThere }) => kindOf(now !== undefined, wasThere)),
      keys: Buffer.concat(real.map(({ key }) => key)),
      lengths: Uint32Array.from(rows, (row) => row.length),
      rows: Buffer.concat(rows),
    };
  }

  committed(): void {
    this.#changed = new Map();
    this.#loaded = new Map();
  }
}

const kindOf = (isThere: boolean, wasThere: boolean): number =>
  isThere ? (wasThere ? HISTORY.update : HISTORY.insert) : HISTORY.remove;

/** Of a packed key, as a name in a map. */
export const nameOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');

const rowOf = ({ row }: HistoryRow): KnownRow => ({
  digest: row.subarray(0, DIGEST_BYTES),
  row: row.subarray(DIGEST_BYTES),
});
