import { Buffer } from 'node:buffer';
import { Socket } from 'node:net';

const ROOM_BYTES = 256 * 1024;

/**
 * A socket that reads into one room of its own, again and again: Node would make one of 64 KiB for each reading, and
 * for a large table throwing those away costs more than reading. What `data` brings is a copy, as everybody expects,
 * until `lend` is called with true: from then on it is the room itself, and good for as long as the listener runs.
 */
export class LendingSocket extends Socket {
  #lends = false;

  constructor() {
    const room = Buffer.allocUnsafeSlow(ROOM_BYTES);
    // Known to `net` from the beginning, and to its types for sockets that `connect` makes only.
    const onread = { buffer: room, callback: (size: number): boolean => this.#heard(room.subarray(0, size)) };
    super({ onread } as object);
  }

  lend(lends: boolean): void {
    this.#lends = lends;
  }

  #heard(bytes: Buffer): boolean {
    this.emit('data', this.#lends ? bytes : Buffer.from(bytes));
    return true;
  }
}
