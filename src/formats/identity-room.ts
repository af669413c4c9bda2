/** Where keys and digests are put: those of one chunk are good until those of the next one are put there. */
export class IdentityRoom {
  readonly #rooms = { keys: new Uint8Array(), digests: new Uint8Array() };

  of(what: 'keys' | 'digests', length: number): Uint8Array {
    if (this.#rooms[what].length < length) this.#rooms[what] = new Uint8Array(length + (length >>> 2));
    return this.#rooms[what].subarray(0, length);
  }
}
