/** A room that fitted nobody while so many others were taken is let go; each batch takes five. */
const PASSED_OVER_MAX = 40;
/** The engine throws smaller ones away as cheaply. */
export const ROOM_BYTES_MIN = 64 * 1024;

/**
 * Memory for what large batches are made of, used again when a batch is with its sink: made and thrown away for each of
 * them, it would cost more than what is done with the bytes. Only what was made here is taken back, and once.
 */
export class BatchRooms {
  /** Those that came back first stand first. `until`: how many may have been taken before it goes. */
  readonly #free: { readonly room: Buffer; readonly until: number }[] = [];
  #taken = 0;
  readonly #given = new WeakSet<ArrayBufferLike>();

  /** At least so many bytes, with anything in them. */
  take(size: number): Buffer {
    const room = this.#smallest(size) ?? Buffer.allocUnsafeSlow(inSteps(size));
    this.#given.add(room.buffer);
    this.#taken++;
    while (this.#free.length > 0 && this.#free[0]!.until < this.#taken) this.#free.shift();
    return room;
  }

  /** Nobody reads these bytes any more. */
  giveBack({ buffer }: ArrayBufferView): void {
    if (!this.#given.delete(buffer) || buffer.byteLength < ROOM_BYTES_MIN) return;
    this.#free.push({ room: Buffer.from(buffer as ArrayBuffer), until: this.#taken + PASSED_OVER_MAX });
  }

  /** Nobody reads anything of this batch any more: neither its bytes nor what is known of its records. */
  giveBackAll(batch: object): void {
    for (const part of Object.values(batch)) if (ArrayBuffer.isView(part)) this.giveBack(part);
  }

  /** Of those that came back last, which are the warm ones, where several are as good. */
  #smallest(size: number): Buffer | undefined {
    let best: number | undefined;
    for (let at = this.#free.length - 1; at >= 0; at--) {
      const { length } = this.#free[at]!.room;
      if (length < size || length > size * 1.5) continue;
      if (best === undefined || length < this.#free[best]!.room.length) best = at;
    }
    return best === undefined ? undefined : this.#free.splice(best, 1)[0]!.room;
  }
}

/** One batch is a little longer than the next: in steps of an eighth the room of the one does for the other. */
function inSteps(size: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(size)) - 3);
  return Math.ceil(size / step) * step;
}
