import { Buffer } from 'node:buffer';

/** One that is read into, one whose last record goes on in it, and two whose chunks are still under way. */
const ROOMS_MAX = 4;

/**
 * Memory for what is read of files, used again when nobody looks into it any more: made and thrown away for each
 * stretch of a large file, or for each of many small ones, it would cost more than what is done with the bytes.
 */
export class ReadRooms {
  readonly #rooms: Buffer[] = [];

  /** With anything in it. `isUsed` tells of which memory something is still needed. */
  take(bytes: number, isUsed: (buffer: ArrayBufferLike) => boolean): Uint8Array {
    const free = this.#rooms.find((room) => room.length === bytes && !isUsed(room.buffer));
    if (free !== undefined) return free;
    const room = Buffer.allocUnsafeSlow(bytes);
    this.#rooms.push(room);
    if (this.#rooms.length > ROOMS_MAX) this.#rooms.shift();
    return room;
  }
}
