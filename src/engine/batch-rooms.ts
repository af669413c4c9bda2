/** Rooms that wait for being used again; a lane has a few batches on their way at a time. */
const FREE_MAX = 4;
/** The engine throws smaller ones away as cheaply. */
export const ROOM_BYTES_MIN = 256 * 1024;

/**
 * Memory for the bytes of large batches, used again when a batch is with its sink: made and thrown away for each of
 * them, it would cost more than what is done with the bytes. Only what was made here is taken back, and once.
 */
export class BatchRooms {
  readonly #free: Buffer[] = [];
  readonly #given = new WeakSet<ArrayBufferLike>();

  /** At least so many bytes, with anything in them. */
  take(size: number): Buffer {
    const at = this.#free.findIndex((room) => room.length >= size && room.length <= size * 4);
    const [room = Buffer.allocUnsafeSlow(inSteps(size))] = at < 0 ? [] : this.#free.splice(at, 1);
    this.#given.add(room.buffer);
    return room;
  }

  /** Nobody reads these bytes any more. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.#given.delete(buffer) || buffer.byteLength < ROOM_BYTES_MIN) return;
    this.#free.push(Buffer.from(buffer as ArrayBuffer));
    // The one that nobody has asked for.
    if (this.#free.length > FREE_MAX) this.#free.shift();
  }
}

/** One batch is a little longer than the next: in steps of an eighth the room of the one does for the other. */
function inSteps(size: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(size)) - 3);
  return Math.ceil(size / step) * step;
}
