import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../model/assert.ts';
import { markOf } from './high-mark.ts';
import { openFile } from './ledger-file.ts';
import {
  FirstCome,
  type FromWorker,
  packOutcomes,
  type ToWorker,
  toWire,
  unpackCommands,
  type WorkerStart,
} from './wire.ts';
import { Writer } from './writer.ts';

// The entry of the thread that `WorkerWriter` starts; imported by nobody, so that importing still does nothing.

const port = parentPort;
assert(port !== null, 'ledger.writer-thread-is-a-thread');
const post = (message: FromWorker): void => port.postMessage(message);

type Message = ToWorker & { readonly kind: 'commands' };

/** Answers in the order of the messages, each with as many outcomes as it had commands. */
class Service {
  readonly #writer: Writer;
  #messages: Message[] = [];
  #scheduled = false;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  take(message: ToWorker): void {
    if (message.kind === 'close') {
      this.#flush();
      this.#writer.close();
      port?.close();
      return;
    }
    this.#messages.push(message);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const messages = this.#messages.splice(0).map(unpackCommands);
    if (messages.length === 0) return;
    const outcomes = this.#writer.carryOut(messages.flat());
    let at = 0;
    for (const { length } of messages) {
      post({ kind: 'outcomes', texts: packOutcomes(outcomes.slice(at, at + length)) });
      at += length;
    }
  }
}

const { path, mark, firstCome } = workerData as WorkerStart;

function serve(): void {
  const file = openFile(path, { checked: true });
  const service = new Service(new Writer(file.store, file.identity.id, markOf(mark, file.identity.id)));
  port?.on('message', (message: ToWorker) => service.take(message));
  post({ kind: 'ready' });
}

try {
  // Whoever started it may have come to an end before the first line of this.
  if (new FirstCome(firstCome).first()) serve();
} catch (error) {
  post({ kind: 'failed', error: toWire(error) });
}
