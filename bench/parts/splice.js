// The least that a program on Node has to do between two COPYs: the bytes of one socket go to another as they are. No
// batches, no ledger, no digests, nothing that a crash would leave behind. What no data mover on Node can beat.
//   node bench/parts/splice.js URL   from the table items to the table copies
import { Socket } from 'node:net';

// Without one the driver loads all of fetch to find out where it runs.
globalThis.navigator ??= { userAgent: 'Node.js' };
const { default: pg } = await import('pg');

const ROOM_BYTES = 256 * 1024;
const HEAD_BYTES = 5;
const [QUERY, COPY_DATA, COPY_DONE] = [0x51, 0x64, 0x63];

/** Reads into one room again and again: what `data` brings is good only while its listener runs. */
function socket() {
  const room = Buffer.allocUnsafeSlow(ROOM_BYTES);
  const callback = (size) => one.emit('data', room.subarray(0, size));
  const one = new Socket({ onread: { buffer: room, callback } });
  return one;
}

const connectionString = process.argv[2];
const [source, sink] = [1, 2].map(() => new pg.Client({ connectionString, stream: socket() }));
await Promise.all([source.connect(), sink.connect()]);
await new Promise((resolve, reject) => {
  sink.query({
    submit: (connection) => connection.query('copy copies from stdin (format binary)'),
    handleCopyInResponse: (connection) => pass(source.connection.stream, connection),
    handleCommandComplete() {},
    handleReadyForQuery: resolve,
    handleError: reject,
  });
});
process.exit(0);

/** Sends every message of data on, whole stretches of them at a time. */
function pass(from, to) {
  let left = 0;
  let head = Buffer.alloc(0);
  from.removeAllListeners('data');
  from.on('data', (heard) => {
    const bytes = head.length === 0 ? heard : Buffer.concat([head, heard]);
    head = Buffer.alloc(0);
    let [at, begin] = [0, 0];
    for (;;) {
      const skipped = Math.min(left, bytes.length - at);
      at += skipped;
      left -= skipped;
      if (left > 0 || bytes.length - at < HEAD_BYTES) break;
      const size = 1 + bytes.readInt32BE(at + 1);
      if (bytes[at] === COPY_DATA) left = size;
      else {
        send(bytes.subarray(begin, at));
        if (bytes[at] === COPY_DONE) to.endCopyFrom();
        at = Math.min(at + size, bytes.length);
        begin = at;
      }
    }
    send(bytes.subarray(begin, at));
    head = Buffer.from(bytes.subarray(at));
  });
  const text = Buffer.from('copy items to stdout (format binary)\0');
  const query = Buffer.alloc(HEAD_BYTES);
  query[0] = QUERY;
  query.writeInt32BE(text.length + 4, 1);
  from.write(Buffer.concat([query, text]));

  function send(part) {
    if (part.length === 0 || to.stream.write(Buffer.from(part))) return;
    from.pause();
    to.stream.once('drain', () => from.resume());
  }
}
