import { expect, it } from 'vitest';
import { ReadingAhead } from './reading-ahead.ts';

/** Sleeps until it is told that the time has passed; a wait that is over is one that has resolved. */
function setting(mustWait = false) {
  let pass: (() => void) | undefined;
  let arrive: (() => void) | undefined;
  let room: Promise<void> | undefined;
  const ports = {
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        pass = resolve;
        signal?.addEventListener('abort', () => reject(new Error('aborted')));
      }),
  };
  const ahead = new ReadingAhead({ room: () => room }, ports, mustWait);
  const fill = (): void => {
    room = new Promise((resolve) => {
      arrive = () => {
        room = undefined;
        resolve();
      };
    });
  };
  return { ahead, fill, pass: () => pass?.(), arrive: () => arrive?.() };
}

const never = new AbortController().signal;

it('waits while there is no room, and no longer', async () => {
  const { ahead, fill, arrive } = setting();
  await ahead.wait(never);
  fill();
  let waited = false;
  const waiting = ahead.wait(never).then(() => {
    waited = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(waited).toBe(false);
  arrive();
  await waiting;
});

it('waits for nobody who does not move, until there has been room again', async () => {
  const { ahead, fill, pass, arrive } = setting();
  fill();
  const first = ahead.wait(never);
  pass();
  await first;
  await ahead.wait(never);
  arrive();
  await ahead.wait(never);
  fill();
  let waited = false;
  const again = ahead.wait(never).then(() => {
    waited = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(waited).toBe(false);
  pass();
  await again;
});

it('holds up nobody who is told to stop', async () => {
  const { ahead, fill } = setting();
  const stop = new AbortController();
  fill();
  const waiting = ahead.wait(stop.signal);
  stop.abort();
  await waiting;
  await ahead.wait(stop.signal);
});

it('waits however long it takes where nothing else has room, until everything ends', async () => {
  const { ahead, fill, pass, arrive } = setting(true);
  const all = new AbortController();
  fill();
  let waited = false;
  const waiting = ahead.wait(all.signal).then(() => {
    waited = true;
  });
  for (let time = 0; time < 3; time++) {
    pass();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(waited).toBe(false);
  arrive();
  await waiting;
  fill();
  const ended = ahead.wait(all.signal);
  all.abort();
  await ended;
});
