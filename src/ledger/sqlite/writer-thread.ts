import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../model/assert.ts';
import { openFile } from './ledger-file.ts';
import type { Command } from './verbs/all.ts';
import { type FromWorker, type ToWorker, toWire } from './wire.ts';
import { Writer } from './writer.ts';

// The entry of the thread that `WorkerWriter` starts; imported by nobody, so that importing still does nothing.

const port = parentPort;
assert(port !== null, 'ledger.writer-thread-is-a-thread');
const post = (message: FromWorker): void => port.postMessage(message);

/** Answers in the order of the messages, each with as many outcomes as it had commands. */
function serve(writer: Writer): void {
  let messages: (readonly Command[])[] = [];
  let scheduled = false;
  const flush = (): void => {
    const taken = messages;
    messages = [];
    scheduled = false;
    const outcomes = writer
      .carryOut(taken.flat())
      .map((outcome) => (outcome.ok ? outcome : { ok: false as const, error: toWire(outcome.error) }));
    let at = 0;
    for (const { length } of taken) {
      post({ kind: 'outcomes', outcomes: outcomes.slice(at, at + length) });
      at += length;
    }
  };
  port?.on('message', (message: ToWorker) => {
    if (message.kind === 'close') {
      if (messages.length > 0) flush();
      writer.close();
      port.close();
      return;
    }
    messages.push(message.commands);
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      if (messages.length > 0) flush();
    });
  });
}

try {
  const { path } = workerData as { path: string };
  const file = openFile(path);
  serve(new Writer(file.store, file.identity.id));
} catch (error) {
  post({ kind: 'failed', error: toWire(error) });
}
